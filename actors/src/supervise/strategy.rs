//! The words a restart strategy is written in.

use std::time::Duration;

/// Longer delays could not be added to a time on every platform.
const MAX_DELAY: Duration = Duration::from_secs(365 * 24 * 3600);

/// Who is restarted when one dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    One,
    All,
    Rest,
}

/// When and with whom an actor is restarted that died: made from [`OneForOne`], [`OneForAll`] or [`RestForOne`].
///
/// The default is `OneForOne` with at most 5 restarts in 10 s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strategy {
    pub(super) scope: Scope,
    pub(super) max: u32,
    pub(super) within: Duration,
    pub(super) first: Duration,
    pub(super) longest: Duration,
    pub(super) always: bool,
}

impl Strategy {
    const fn new(scope: Scope) -> Self {
        Self {
            scope,
            max: 5,
            within: Duration::from_secs(10),
            first: Duration::from_millis(100),
            longest: Duration::from_secs(30),
            always: false,
        }
    }

    /// How long a child stays down that has failed so many times before: not at all, then `first`, doubling.
    pub(super) fn delay(&self, failures: u32) -> Duration {
        let Some(doublings) = failures.checked_sub(1) else { return Duration::ZERO };
        let factor = 1u32.checked_shl(doublings).unwrap_or(u32::MAX);
        self.first.saturating_mul(factor).min(self.longest).min(MAX_DELAY)
    }
}

impl Default for Strategy {
    fn default() -> Self {
        OneForOne::new().into()
    }
}

macro_rules! strategy {
    ($(#[$doc:meta])* $name:ident, $scope:expr) => {
        $(#[$doc])*
        ///
        /// An actor that panicked is built anew by its factory: at once, then after 100 ms, 200 ms and so on up to
        /// 30 s. After 5 restarts within 10 s the next failure stops the whole set for good. An actor that stops itself
        /// is done and stays so, unless [`always`](Self::always).
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name(Strategy);

        impl $name {
            /// Starts from the defaults.
            pub const fn new() -> Self {
                Self(Strategy::new($scope))
            }

            /// Allows this many restarts of the set within any such time; one more gives up.
            #[must_use]
            pub const fn max(mut self, restarts: u32, within: Duration) -> Self {
                self.0.max = restarts;
                self.0.within = within;
                self
            }

            /// Waits `first` before the second restart in a row and twice as long before each further one, at most
            /// `longest`. The first restart is at once; an actor that ran for `longest` counts from there again.
            #[must_use]
            pub const fn backoff(mut self, first: Duration, longest: Duration) -> Self {
                self.0.first = first;
                self.0.longest = longest;
                self
            }

            /// Restarts an actor also when it stopped itself (`ctx.stop()`).
            #[must_use]
            pub const fn always(mut self) -> Self {
                self.0.always = true;
                self
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self::new()
            }
        }

        impl From<$name> for Strategy {
            fn from(strategy: $name) -> Self {
                strategy.0
            }
        }
    };
}

strategy! {
    /// Restarts the actor that died and no other.
    OneForOne, Scope::One
}
strategy! {
    /// Restarts all actors of the set when one dies, in the order they were served.
    OneForAll, Scope::All
}
strategy! {
    /// Restarts the actor that died and those served after it, in that order.
    RestForOne, Scope::Rest
}
