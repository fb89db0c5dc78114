//! What was dropped, and when: each tag has a stamp.
//!
//! An entry is never searched for when its tag is dropped. It has the stamp at which its load began, and is current as
//! long as none of its tags has a later one. So a load that began before a drop cannot put its value in after it: its
//! entry is as old as its beginning, however late it comes.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering::Acquire, Ordering::Release};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::tag::Tag;

/// The most tags with a stamp. If there are more, all entries are dropped, and none has one.
const MAX_TAGS: usize = 65_536;
/// The most entries of the log that are known. What was loaded before the first of them is not used.
const MAX_LOG: usize = 8_192;

/// A moment in the order of drops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Stamp(u64);

impl Stamp {
    pub(super) fn number(self) -> u64 {
        self.0
    }

    pub(super) const fn from_number(number: u64) -> Self {
        Self(number)
    }
}

/// A position in the log of the source, which all processes share: those of the outbox, for the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Position(pub i64);

/// An entry of the log of the source. Its id tells whether it is the same one in two processes: after the source was
/// restored to an earlier state, others come to be at the same positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogEntry {
    /// Its position.
    pub position: Position,
    /// Its id, such as a part of its random one.
    pub id: u64,
}

/// What a process knows of the log of the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KnownLog {
    /// Every drop up to this position is known: if entries are recorded, that of one of them.
    pub complete_to: Position,
    /// The last known entry.
    pub last: Option<LogEntry>,
    /// The number of the log, see [`Drops::follow_log`].
    pub number: i64,
}

/// The drops of a process.
#[derive(Debug, Default)]
pub struct Drops {
    last: AtomicU64,
    dropped: RwLock<Dropped>,
}

#[derive(Debug, Default)]
struct Dropped {
    tags: HashMap<Tag, (Stamp, Position)>,
    /// What began before it is dropped.
    floor: Stamp,
    /// What another process loaded up to this position is dropped.
    floor_position: Position,
    /// Every drop up to this position is known.
    complete_to: Position,
    /// The ids of the last entries of the log, by their positions.
    log: BTreeMap<Position, u64>,
    /// The number of the log.
    number: i64,
    /// Whether the log is not followed.
    is_log_left: bool,
}

impl Drops {
    /// Returns the present moment: a load that begins now sees everything that was dropped until now.
    pub fn now(&self) -> Stamp {
        Stamp(self.last.load(Acquire))
    }

    /// Returns the position up to which every drop is known.
    pub fn complete_to(&self) -> Position {
        self.read().complete_to
    }

    /// Returns what is known of the log.
    ///
    /// If entries are recorded, it is complete up to the last one that is not after [`Drops::complete_to`], and no
    /// further: there is no drop in between, and after the source was restored to a state with this entry, the drops
    /// that follow it may have positions that were counted before.
    pub fn known(&self) -> KnownLog {
        let dropped = self.read();
        let last = dropped.log.last_key_value().map(|(&position, &id)| LogEntry { position, id });
        let complete_to = if last.is_some() {
            let known = dropped.log.range(..=dropped.complete_to).next_back();
            known.map(|(&position, _)| position).unwrap_or_default()
        } else {
            dropped.complete_to
        };
        KnownLog { complete_to, last, number: dropped.number }
    }

    /// Returns what was known of the log earlier, with the position up to which it is known to be complete now, at
    /// most that of the last entry of then. A value that was loaded then may be shared with it if the value is current
    /// after this call: no drop that became known since concerns it.
    pub(super) fn completed(&self, earlier: KnownLog) -> KnownLog {
        match earlier.last {
            Some(LogEntry { position, .. }) => {
                KnownLog { complete_to: self.known().complete_to.min(position), ..earlier }
            }
            None => earlier,
        }
    }

    /// Records an entry of the log. A source that is never restored to an earlier state need not record any.
    pub fn record(&self, LogEntry { position, id }: LogEntry) {
        let mut dropped = self.write();
        dropped.log.insert(position, id);
        if dropped.log.len() > MAX_LOG {
            dropped.log.pop_first();
        }
    }

    /// Drops all entries and forgets the log: it cannot be followed, such as that of a standby, or is recorded anew,
    /// such as after the source was restored to an earlier state. Until [`Drops::follow_log`], nothing is shared with
    /// other processes: it is not known what was dropped.
    pub fn leave_log(&self) {
        self.change(|dropped, floor| *dropped = Dropped { floor, is_log_left: true, ..Dropped::default() });
    }

    /// Follows the log from now on: all that was dropped until now is recorded. Entries are shared among the processes
    /// that follow a log with the same number. It differs after each event that may take from the log what is not at
    /// its end, such as a failover: where transactions overlap, the order of positions is not that of commits. A log
    /// that is never left has the number 0.
    pub fn follow_log(&self, number: i64) {
        let mut dropped = self.write();
        (dropped.number, dropped.is_log_left) = (number, false);
    }

    /// Returns whether the log is followed: if it is not, nothing is shared with other processes.
    pub(super) fn follows_log(&self) -> bool {
        !self.read().is_log_left
    }

    /// Drops the entries with one of these tags, because of what is at a position. [`Drops::set_complete_to`] with the
    /// position comes after it.
    pub fn drop_tags(&self, tags: impl IntoIterator<Item = Tag>, position: Position) {
        self.change(|dropped, stamp| {
            for tag in tags {
                let (_, known) = dropped.tags.get(&tag).copied().unwrap_or_default();
                dropped.tags.insert(tag, (stamp, known.max(position)));
            }
            if dropped.tags.len() > MAX_TAGS {
                let latest = dropped.tags.values().map(|&(_, position)| position).max();
                dropped.drop_all(stamp, latest.unwrap_or(position));
            }
        });
    }

    /// Drops all entries: what was loaded until now, and what another process loaded up to this position.
    pub fn drop_all(&self, position: Position) {
        self.change(|dropped, stamp| dropped.drop_all(stamp, position));
    }

    /// Records that every drop up to a position is known.
    ///
    /// It comes after [`Drops::drop_tags`] for all that is up to the position. If it came before, another request would
    /// find nothing to drop in between, and use an entry that is older than the change.
    pub fn set_complete_to(&self, position: Position) {
        let mut dropped = self.write();
        dropped.complete_to = dropped.complete_to.max(position);
    }

    /// Returns whether what began to be loaded at a stamp is current.
    pub(super) fn is_current(&self, began: Stamp, tags: &[Tag]) -> bool {
        let dropped = self.read();
        let is_dropped = |tag: &Tag| dropped.tags.get(tag).is_some_and(|&(stamp, _)| stamp > began);
        began >= dropped.floor && !tags.iter().any(is_dropped)
    }

    /// Returns whether what another process loaded when it knew this of the log is current: the log is the same up to
    /// there, and nothing was dropped after it.
    pub(super) fn is_current_at(&self, known: KnownLog, tags: &[Tag]) -> bool {
        let KnownLog { complete_to, last, number } = known;
        let dropped = self.read();
        if dropped.is_log_left || number != dropped.number {
            return false;
        }
        let is_same_log = match last {
            Some(LogEntry { position, id }) => dropped.log.get(&position) == Some(&id),
            None => dropped.log.is_empty(),
        };
        let is_dropped = |tag: &Tag| dropped.tags.get(tag).is_some_and(|&(_, last)| last > complete_to);
        is_same_log && complete_to >= dropped.floor_position && !tags.iter().any(is_dropped)
    }

    /// Changes what was dropped, at a new moment.
    fn change(&self, change: impl FnOnce(&mut Dropped, Stamp)) {
        let mut dropped = self.write();
        let stamp = Stamp(self.last.load(Acquire) + 1);
        change(&mut dropped, stamp);
        // after the change: a reader that sees the stamp finds it
        self.last.store(stamp.0, Release);
    }

    fn write(&self) -> RwLockWriteGuard<'_, Dropped> {
        self.dropped.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self) -> RwLockReadGuard<'_, Dropped> {
        self.dropped.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Dropped {
    fn drop_all(&mut self, stamp: Stamp, position: Position) {
        self.tags.clear();
        self.floor = stamp;
        self.floor_position = self.floor_position.max(position);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEA: Tag = Tag::from_bits(1);
    const CUPS: Tag = Tag::from_bits(2);

    fn known_to(position: i64) -> KnownLog {
        KnownLog { complete_to: Position(position), ..KnownLog::default() }
    }

    #[test]
    fn a_drop_concerns_what_began_before_it_and_has_the_tag() {
        let drops = Drops::default();
        let began = drops.now();
        assert!(drops.is_current(began, &[TEA, CUPS]));
        drops.drop_tags([TEA], Position(5));
        assert!(!drops.is_current(began, &[CUPS, TEA]) && drops.is_current(began, &[CUPS]));
        assert!(drops.is_current(drops.now(), &[TEA]));

        assert!(!drops.is_current_at(known_to(4), &[TEA]) && drops.is_current_at(known_to(5), &[TEA]));
        assert!(drops.is_current_at(known_to(0), &[CUPS]));
    }

    #[test]
    fn what_was_loaded_by_another_log_is_not_current() {
        let drops = Drops::default();
        let entry = |position, id| LogEntry { position: Position(position), id };
        let knew = |last| KnownLog { last, ..known_to(5) };
        assert!(drops.is_current_at(knew(None), &[TEA]));
        drops.record(entry(4, 40));
        drops.record(entry(5, 50));
        assert_eq!(drops.known().last, Some(entry(5, 50)));
        assert!(drops.is_current_at(knew(Some(entry(4, 40))), &[TEA]));
        assert!(!drops.is_current_at(knew(Some(entry(5, 51))), &[TEA]), "another entry at the position");
        assert!(!drops.is_current_at(knew(Some(entry(6, 60))), &[TEA]), "an entry that the log has not");
        assert!(!drops.is_current_at(knew(None), &[TEA]), "before the log began, or after another one");

        let began = drops.now();
        drops.leave_log();
        assert!(!drops.is_current(began, &[]) && drops.is_current(drops.now(), &[]));
        assert_eq!(drops.known(), KnownLog::default());

        drops.record(entry(4, 40));
        drops.follow_log(2);
        assert!(!drops.is_current_at(knew(Some(entry(4, 40))), &[TEA]), "a log with another number");
        assert!(drops.is_current_at(KnownLog { number: 2, ..knew(Some(entry(4, 40))) }, &[TEA]));
    }

    #[test]
    fn no_more_of_a_log_is_known_than_its_last_entry_vouches_for() {
        let drops = Drops::default();
        drops.set_complete_to(Position(3));
        assert_eq!(drops.known(), known_to(3), "of a log without entries");
        let entry = |position| LogEntry { position: Position(position), id: 7 };
        drops.record(entry(100));
        assert_eq!(drops.known().complete_to, Position(0), "an earlier entry may be missing");
        drops.set_complete_to(Position(150));
        let known = drops.known();
        assert_eq!(known, KnownLog { last: Some(entry(100)), ..known_to(100) });
        drops.record(entry(170));
        assert_eq!(drops.known().complete_to, Position(100));

        let earlier = drops.known();
        drops.record(entry(180));
        assert_eq!(drops.completed(earlier), earlier);
        drops.set_complete_to(Position(200));
        assert_eq!(drops.completed(earlier), KnownLog { complete_to: Position(170), ..earlier });
        assert_eq!(drops.completed(known_to(3)), known_to(3), "of a log without entries");

        let same = Drops::default();
        same.record(entry(100));
        same.drop_tags([TEA], Position(100));
        same.set_complete_to(Position(160));
        assert!(same.is_current_at(known, &[TEA]), "what else was counted is no drop");
        // the source was restored to a state after that entry
        let restored = Drops::default();
        restored.record(entry(100));
        restored.record(entry(102));
        restored.drop_tags([TEA], Position(102));
        assert!(!restored.is_current_at(known, &[TEA]) && restored.is_current_at(known, &[CUPS]));
    }

    #[test]
    fn while_the_log_is_left_nothing_is_shared_and_all_was_dropped() {
        let first = LogEntry { position: Position(4), id: 40 };
        let drops = Drops::default();
        assert!(drops.follows_log());
        for _ in 0..2 {
            let began = drops.now();
            drops.leave_log();
            assert!(!drops.is_current(began, &[]) && drops.is_current(drops.now(), &[]));
            assert!(!drops.follows_log());
        }
        // an entry that a drop after it concerns, which is not recorded yet
        let knew = KnownLog { last: Some(first), ..known_to(4) };
        drops.record(first);
        assert!(!drops.is_current_at(knew, &[TEA]) && !drops.is_current_at(KnownLog::default(), &[TEA]));
        drops.drop_tags([TEA], Position(5));
        drops.follow_log(0);
        assert!(drops.follows_log());
        assert!(!drops.is_current_at(knew, &[TEA]) && drops.is_current_at(knew, &[CUPS]));
    }

    #[test]
    fn a_drop_of_all_concerns_everything_before_it() {
        let drops = Drops::default();
        let began = drops.now();
        drops.drop_all(Position(7));
        assert!(!drops.is_current(began, &[]) && drops.is_current(drops.now(), &[]));
        assert!(!drops.is_current_at(known_to(6), &[]) && drops.is_current_at(known_to(7), &[]));
    }

    #[test]
    fn the_log_is_bounded_and_what_was_loaded_before_its_first_entry_is_not_current() {
        let drops = Drops::default();
        let entry = |position| LogEntry { position: Position(position), id: 7 };
        for position in (1..).take(MAX_LOG + 1) {
            drops.record(entry(position));
        }
        assert_eq!(drops.read().log.len(), MAX_LOG);
        let knew = |position| KnownLog { last: Some(entry(position)), ..known_to(position) };
        assert!(!drops.is_current_at(knew(1), &[TEA]) && drops.is_current_at(knew(2), &[TEA]));
    }

    #[test]
    fn the_tags_are_bounded_and_a_flood_of_them_drops_all() {
        let drops = Drops::default();
        let began = drops.now();
        drops.drop_tags((0..=MAX_TAGS as u64).map(Tag::from_bits), Position(1));
        assert!(!drops.is_current(began, &[Tag::from_bits(u64::MAX)]));
        assert!(drops.read().tags.is_empty());
    }
}
