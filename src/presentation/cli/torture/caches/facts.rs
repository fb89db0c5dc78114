//! What writers change and readers see: facts with versions, of which each change has a greater one.
//!
//! A reader notes which versions were acknowledged before it sends its request. What it sees must not be older.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Mutex, PoisonError};

/// The number of products whose prices and stock change.
pub(super) const PRODUCTS: usize = 6;
/// The number of facts.
const FACTS: usize = 2 * PRODUCTS + 6;
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
    /// Whether the staff may read orders.
    Right,
    /// The newest order of the buyer, and whether it is cancelled.
    Order,
    /// The quantity in the cart of the member.
    Cart,
    /// The name of the member.
    Name,
    /// Whether the member agrees to marketing.
    Consent,
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
        }
    }
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
    old: AtomicU64,
    described: Mutex<Vec<String>>,
}

/// The versions that were acknowledged at a moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known([u64; FACTS]);

impl Facts {
    /// Returns facts of version 0.
    pub(super) fn new() -> Self {
        let versions = std::array::from_fn(|_| Versions::default());
        Self { versions, old: AtomicU64::new(0), described: Mutex::default() }
    }

    /// Returns the version of the next change, which is about to be sent.
    pub(super) fn next(&self, fact: Fact) -> u64 {
        self.versions[fact.index()].sent.fetch_add(1, SeqCst) + 1
    }

    /// Records that the change to a version was acknowledged.
    pub(super) fn acknowledge(&self, fact: Fact, version: u64) {
        self.versions[fact.index()].acknowledged.fetch_max(version, SeqCst);
    }

    /// Returns what was acknowledged until now.
    pub(super) fn known(&self) -> Known {
        Known(std::array::from_fn(|index| self.versions[index].acknowledged.load(SeqCst)))
    }

    /// Records what a reader saw that began when this was known.
    pub(super) fn saw(&self, known: &Known, fact: Fact, version: u64) {
        let least = known.0[fact.index()];
        if version < least {
            self.describe(format!("{fact} was {version}, after {least} had been acknowledged"));
        }
    }

    /// Records whether a reader saw an odd version, as [`Facts::saw`] does: any that was sent until now can be it.
    pub(super) fn saw_odd(&self, known: &Known, fact: Fact, is_odd: bool) {
        let (least, most) = (known.0[fact.index()], self.versions[fact.index()].sent.load(SeqCst));
        if least == most && is_odd != (least % 2 == 1) {
            self.describe(format!("{fact} was that of another version than {least}, the only possible one"));
        }
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
        assert_eq!((facts.old(), facts.known().0[Fact::Price(1).index()]), (1, 0));
        assert_eq!(facts.described(), "the quantity in the cart was 0, after 1 had been acknowledged (1)");
    }

    #[test]
    fn while_a_change_is_on_its_way_both_states_of_a_permission_are_right() {
        let facts = Facts::new();
        facts.saw_odd(&facts.known(), Fact::Right, false);
        let version = facts.next(Fact::Right);
        for is_odd in [false, true] {
            facts.saw_odd(&facts.known(), Fact::Right, is_odd);
        }
        facts.acknowledge(Fact::Right, version);
        facts.saw_odd(&facts.known(), Fact::Right, true);
        assert_eq!(facts.old(), 0);
        facts.saw_odd(&facts.known(), Fact::Right, false);
        assert_eq!(facts.old(), 1);
    }
}
