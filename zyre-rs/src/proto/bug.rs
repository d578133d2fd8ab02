//! Bugs to order, by which the simulator is tested: each stands as a question where it would bite, and only test
//! builds can answer it with yes. What the simulator does not find when it is asked to is not tested by it.

macro_rules! bugs {
    ($($name:ident,)*) => {
        /// A bug that can be switched on in the simulator.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[cfg_attr(
            not(any(test, feature = "test-util")),
            expect(dead_code, reason = "the clock on the wall is the simulator's")
        )]
        pub(super) enum Bug { $($name,)* }

        #[cfg(test)]
        impl Bug {
            pub(super) const ALL: &[Self] = &[$(Self::$name,)*];
        }
    };
}

bugs! {
    // Counting.
    OneWrapOnly,
    WrapsUnasked,
    WrapsShort,
    GapsPass,
    GapUntold,
    // Sessions and their connections.
    ResumesAnywhere,
    ResumesBrokenOff,
    StaleCommands,
    OldHelloCounts,
    HandsOverUnasked,
    ExitsTwice,
    ExitKeepsConnection,
    // HELLO.
    AnswersEveryHello,
    NoRehelloLimit,
    NeverVerifies,
    RehelloForgetsGroups,
    StaleHello,
    LeavesUncounted,
    // Whom to believe.
    AnyEndpoint,
    ConnectsToItself,
    PurgesUnasked,
    MovesUnasked,
    GoodbyeUnasked,
    GoodbyeNotDenied,
    NewcomersUnbounded,
    // Links.
    RetriesForever,
    NoBackoff,
    LostLinkStays,
    FullLinkUntold,
    LeaksLinks,
    // Time.
    WallClock,
    BlamesOwnPause,
    MakesUpBeacons,
    BlamesStall,
    NeverExpires,
    NeverPings,
    PingUnanswered,
    // Elections.
    LeaderKept,
    ElectsWithAll,
    NeverStands,
    ElectionsHang,
}

#[cfg(test)]
thread_local! {
    static ON: std::cell::Cell<Option<Bug>> = const { std::cell::Cell::new(None) };
}

/// Whether this thread's machines have this bug. Outside tests none has any.
#[cfg(test)]
pub(super) fn bug(bug: Bug) -> bool {
    ON.get() == Some(bug)
}

/// Whether this thread's machines have this bug: no.
#[cfg(not(test))]
#[inline(always)]
pub(super) const fn bug(_: Bug) -> bool {
    false
}

/// Gives this thread's machines a bug, or none.
#[cfg(test)]
pub(super) fn switch(bug: Option<Bug>) {
    ON.set(bug);
}
