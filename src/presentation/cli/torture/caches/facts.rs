//! What writers change and readers see: facts with versions, of which each change has a greater one.
//!
//! A reader notes which versions were acknowledged before it sends its request. What it sees must not be older.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The number of products whose prices and stock change.
pub(super) const PRODUCTS: usize = 6;
/// The number of facts.
const FACTS: usize = 2 * PRODUCTS + 12;
/// The most old reads that are described.
const DESCRIBED: usize = 20;

/// A fact. One writer changes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fact {
    /// The price of a product.
    Price(usize),
    /// The stock of a product.
    Stock(usize),
    /// The name of the category.
    Category,
    /// The one permission of the staff, of several in turn.
    Right,
    /// The newest order of the buyer, and whether it is cancelled.
    Order,
    /// The quantity in the cart of the member.
    Cart,
    /// The name of the member.
    Name,
    /// Whether the member agrees to marketing.
    Consent,
    /// The amount of the discount of the member's cart.
    Discount,
    /// The product that was created last. The one before it is removed then.
    NewProduct,
    /// The category that was created last. The one before it is removed then.
    NewCategory,
    /// The category of a product: the shelves in turn.
    Moved,
    /// The parent of a category: the shelves in turn.
    Parent,
    /// The number of notifications of the buyer, which come some time after the orders: that which a reader saw last.
    Notifications,
}

impl Fact {
    fn index(self) -> usize {
        match self {
            Self::Price(product) => product,
            Self::Stock(product) => PRODUCTS + product,
            Self::Category => 2 * PRODUCTS,
            Self::Right => 2 * PRODUCTS + 1,
            Self::Order => 2 * PRODUCTS + 2,
            Self::Cart => 2 * PRODUCTS + 3,
            Self::Name => 2 * PRODUCTS + 4,
            Self::Consent => 2 * PRODUCTS + 5,
            Self::Discount => 2 * PRODUCTS + 6,
            Self::NewProduct => 2 * PRODUCTS + 7,
            Self::NewCategory => 2 * PRODUCTS + 8,
            Self::Moved => 2 * PRODUCTS + 9,
            Self::Parent => 2 * PRODUCTS + 10,
            Self::Notifications => 2 * PRODUCTS + 11,
        }
    }
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Price(product) => write!(f, "the price of product {product}"),
            Self::Stock(product) => write!(f, "the stock of product {product}"),
            Self::Category => f.write_str("the name of the category"),
            Self::Right => f.write_str("the permission of the staff"),
            Self::Order => f.write_str("the newest order"),
            Self::Cart => f.write_str("the quantity in the cart"),
            Self::Name => f.write_str("the name of the user"),
            Self::Consent => f.write_str("the consent of the user"),
            Self::Discount => f.write_str("the discount of the cart"),
            Self::NewProduct => f.write_str("the newest product"),
            Self::NewCategory => f.write_str("the newest category"),
            Self::Moved => f.write_str("the category of the product that is moved"),
            Self::Parent => f.write_str("the parent of the category that is moved"),
            Self::Notifications => f.write_str("the number of notifications"),
        }
    }
}

/// Returns which of so many states a version has, of which the versions have one after the other.
pub(super) fn state_of(version: u64, states: usize) -> usize {
    usize::try_from(version % states as u64).unwrap_or_default()
}

/// The versions of a fact.
#[derive(Debug, Default)]
struct Versions {
    /// The greatest one that was sent.
    sent: AtomicU64,
    /// The greatest one that was acknowledged.
    acknowledged: AtomicU64,
}

/// The facts of a test, and the reads that were older than they may be.
#[derive(Debug)]
pub(super) struct Facts {
    versions: [Versions; FACTS],
    /// When each version was acknowledged, with the index of its fact.
    history: Mutex<Vec<(Instant, usize, u64)>>,
    old: AtomicU64,
    described: Mutex<Vec<String>>,
}

/// The versions that were acknowledged at a moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known([u64; FACTS]);

impl Known {
    /// Returns the greatest version of a fact.
    pub(super) fn of(&self, fact: Fact) -> u64 {
        self.0[fact.index()]
    }
}

impl Facts {
    /// Returns facts of version 0.
    pub(super) fn new() -> Self {
        let versions = std::array::from_fn(|_| Versions::default());
        Self { versions, history: Mutex::default(), old: AtomicU64::new(0), described: Mutex::default() }
    }

    /// Returns the version of the next change, which is about to be sent.
    pub(super) fn next(&self, fact: Fact) -> u64 {
        self.versions[fact.index()].sent.fetch_add(1, SeqCst) + 1
    }

    /// Records that the change to a version was acknowledged.
    pub(super) fn acknowledge(&self, fact: Fact, version: u64) {
        self.versions[fact.index()].acknowledged.fetch_max(version, SeqCst);
        let mut history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        history.push((Instant::now(), fact.index(), version));
    }

    /// Returns what was acknowledged until now.
    pub(super) fn known(&self) -> Known {
        Known(std::array::from_fn(|index| self.versions[index].acknowledged.load(SeqCst)))
    }

    /// Returns what had been acknowledged for so long at a moment.
    pub(super) fn known_for(&self, age: Duration, at: Instant) -> Known {
        let mut known = Known([0; FACTS]);
        for &(since, index, version) in &*self.history.lock().unwrap_or_else(PoisonError::into_inner) {
            if at.checked_duration_since(since).is_some_and(|passed| passed >= age) {
                known.0[index] = known.0[index].max(version);
            }
        }
        known
    }

    /// Records what a reader saw that began when this was known.
    pub(super) fn saw(&self, known: &Known, fact: Fact, version: u64) {
        let least = known.of(fact);
        if version < least {
            self.describe(format!("{fact} was {version}, after {least} had been acknowledged"));
        }
    }

    /// Records what a reader saw of a fact whose states come again, as [`Facts::saw`] does: `is_seen` says whether it
    /// can be that of a version, and any from the known one to the last that was sent until now is right.
    pub(super) fn saw_state(&self, known: &Known, fact: Fact, is_seen: impl Fn(u64) -> bool) {
        let (least, most) = (known.of(fact), self.sent(fact));
        if !(least..=most).any(is_seen) {
            self.describe(format!(
                "{fact} was of none of the versions {least} to {most}, the only possible ones"
            ));
        }
    }

    /// Records a version that a reader saw, as [`Facts::saw`] does, of a fact whose changes no one acknowledges: what
    /// one reader saw, no one who begins later may miss.
    pub(super) fn saw_first(&self, known: &Known, fact: Fact, version: u64) {
        self.saw(known, fact, version);
        if version > known.of(fact) {
            self.acknowledge(fact, version);
        }
    }

    /// Records that a reader did not find what was created with a version: it is removed only after a later one was
    /// sent.
    pub(super) fn missed(&self, known: &Known, fact: Fact, version: u64) {
        let least = known.of(fact);
        if version == least && least == self.sent(fact) {
            self.describe(format!("{fact} was not found, after {least} had been acknowledged"));
        }
    }

    /// Returns the greatest version that was sent.
    fn sent(&self, fact: Fact) -> u64 {
        self.versions[fact.index()].sent.load(SeqCst)
    }

    fn describe(&self, text: String) {
        self.old.fetch_add(1, SeqCst);
        let mut described = self.described.lock().unwrap_or_else(PoisonError::into_inner);
        if described.len() < DESCRIBED {
            described.push(text);
        }
    }

    /// Returns the number of old reads.
    pub(super) fn old(&self) -> u64 {
        self.old.load(SeqCst)
    }

    /// Returns the descriptions of the first old reads, each with how often it is among them.
    pub(super) fn described(&self) -> String {
        let mut found = BTreeMap::<_, u32>::new();
        for text in self.described.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            *found.entry(text.clone()).or_default() += 1;
        }
        found.iter().map(|(text, count)| format!("{text} ({count})")).collect::<Vec<_>>().join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_is_old_if_a_later_version_was_acknowledged_before_it_began() {
        let facts = Facts::new();
        let version = facts.next(Fact::Cart);
        facts.saw(&facts.known(), Fact::Cart, 0);
        facts.acknowledge(Fact::Cart, version);
        facts.saw(&facts.known(), Fact::Cart, 1);
        assert_eq!(facts.old(), 0);
        facts.saw(&facts.known(), Fact::Cart, 0);
        assert_eq!((facts.old(), facts.known().of(Fact::Price(1))), (1, 0));
        assert_eq!(facts.described(), "the quantity in the cart was 0, after 1 had been acknowledged (1)");
    }

    #[test]
    fn while_a_change_is_on_its_way_both_states_of_a_permission_are_right_and_no_earlier_one() {
        let facts = Facts::new();
        for _ in 0..9 {
            facts.acknowledge(Fact::Right, facts.next(Fact::Right));
        }
        let known = facts.known();
        facts.next(Fact::Right);
        let saw = |state: usize| {
            let before = facts.old();
            facts.saw_state(&known, Fact::Right, |version| state_of(version, 8) == state);
            facts.old() > before
        };
        // the versions 9 and 10 have the states 1 and 2
        assert_eq!([0, 1, 2, 3].map(saw), [true, false, false, true]);
        facts.acknowledge(Fact::Right, 10);
        let known = facts.known();
        facts.saw_state(&known, Fact::Right, |version| version % 8 == 1);
        assert_eq!(facts.old(), 3);
    }

    #[test]
    fn what_one_reader_saw_is_not_missed_by_a_later_one() {
        let facts = Facts::new();
        let before = facts.known();
        facts.saw_first(&before, Fact::Notifications, 2);
        facts.saw_first(&before, Fact::Notifications, 1);
        assert_eq!((facts.old(), facts.known().of(Fact::Notifications)), (0, 2));
        facts.saw_first(&facts.known(), Fact::Notifications, 1);
        assert_eq!(facts.old(), 1);
    }

    #[test]
    fn what_was_created_may_be_missing_until_it_is_acknowledged_and_after_a_later_one_was_sent() {
        let facts = Facts::new();
        let version = facts.next(Fact::NewProduct);
        facts.missed(&facts.known(), Fact::NewProduct, version);
        facts.acknowledge(Fact::NewProduct, version);
        let known = facts.known();
        facts.missed(&known, Fact::NewProduct, version + 1);
        assert_eq!(facts.old(), 0);
        facts.missed(&known, Fact::NewProduct, version);
        assert_eq!(facts.old(), 1);
        facts.next(Fact::NewProduct);
        facts.missed(&known, Fact::NewProduct, version);
        assert_eq!(facts.old(), 1);
    }

    #[test]
    fn what_may_be_older_by_a_time_is_compared_with_what_was_known_for_that_time() {
        let facts = Facts::new();
        facts.acknowledge(Fact::Category, 3);
        let later = Instant::now() + Duration::from_mins(30);
        for (age, at, expected) in [
            (Duration::ZERO, later, 3),
            (Duration::from_mins(30), later, 3),
            (Duration::from_mins(31), later, 0),
        ] {
            assert_eq!(facts.known_for(age, at).of(Fact::Category), expected, "{age:?}");
        }
    }
}
