//! Notes where the content of one read lies, for the batch it becomes.

use crate::GroupName;
use crate::net::groups::OwnGroups;
use crate::net::inbox::batch::Piece;
use std::ops::Range;

/// Searched in order; with more groups than this in one read a name may be listed twice.
const SEARCHED: usize = 16;

#[derive(Debug, Default)]
pub(super) struct Gather {
    pub(super) pieces: Vec<Piece>,
    pub(super) groups: Vec<GroupName>,
    /// Messages noted since they were last counted.
    pub(super) messages: u64,
    /// Shouts to groups we are not in, since they were last counted.
    pub(super) foreign: u64,
    /// Pieces in the last batch, likely those in the next.
    hint: usize,
}

impl Gather {
    /// Notes a message whose content frames lie at `frames` from `base` on.
    #[inline]
    pub(super) fn add(&mut self, base: usize, frames: &[Range<usize>], group: u16) {
        if self.pieces.capacity() == 0 {
            self.pieces.reserve(self.hint);
        }
        self.messages += 1;
        let place = |at: usize| u32::try_from(base + at).unwrap_or(u32::MAX);
        let Some((last, others)) = frames.split_last() else {
            // No content frame at all (zyre C's poke, gyre): delivered as one that is empty.
            return self.pieces.push(Piece { start: 0, length: 0, group, more: false });
        };
        for (frame, more) in others.iter().map(|frame| (frame, true)).chain([(last, false)]) {
            let (start, end) = (place(frame.start), place(frame.end));
            self.pieces.push(Piece { start, length: end.saturating_sub(start), group, more });
        }
    }

    /// The index of the group of this name in the batch; none if we are not in it.
    #[inline]
    pub(super) fn group(&mut self, name: &[u8], own: &OwnGroups, foreign: bool) -> Option<u16> {
        let known = self.groups.iter().take(SEARCHED).position(|group| group.as_bytes() == name);
        if let Some(known) = known {
            return u16::try_from(known).ok();
        }
        let found = own.find(name);
        let group = if foreign { found.or_else(|| GroupName::from_bytes(name).ok()) } else { found };
        let Some(group) = group else {
            self.foreign += 1;
            return None;
        };
        self.groups.push(group);
        u16::try_from(self.groups.len() - 1).ok()
    }

    /// Whether it must be flushed before another group is noted.
    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.groups.len() >= usize::from(Piece::WHISPER)
    }

    pub(super) fn take(&mut self) -> (Vec<Piece>, Vec<GroupName>) {
        self.messages = 0;
        self.hint = self.pieces.len().max(1);
        (std::mem::take(&mut self.pieces), std::mem::take(&mut self.groups))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shout_to_a_group_we_are_not_in_is_counted_unless_it_is_wanted() {
        let (own, mut gather) = (OwnGroups::default(), Gather::default());
        own.replace(["in".try_into().unwrap()].into());
        assert_eq!(gather.group(b"in", &own, false), Some(0));
        assert_eq!(gather.group(b"out", &own, false), None);
        assert_eq!(gather.foreign, 1);
        assert_eq!(gather.group(b"out", &own, true), Some(1));
        assert_eq!(gather.group(b"in", &own, true), Some(0));
        assert_eq!(gather.foreign, 1);
    }
}
