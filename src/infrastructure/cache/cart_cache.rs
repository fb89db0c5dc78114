//! Carts between requests. A change writes the cart to the database, and what was committed to here; each read asks
//! the database for the version of the cart first, so that a change by any process ends what is kept of the one before.
//! After a restart, and for all that decides about an order, the cart is read from the database.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;

use super::cached::Cached;
use super::entry::Loaded;
use super::policy::Policy;
use super::private::Private;
use super::tiers::Tiers;
use super::weight::{self, address, optional};
use crate::domain::cart::{Cart, Delivery};
use crate::domain::ids::CartId;
use crate::infrastructure::repositories::{CartRepository, Database, DatabaseError};

const POLICY: Policy = Policy { ttl: Duration::from_mins(5), max_bytes: 8 << 20, ..Policy::named("cart", 1) };

/// A version of a cart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CartVersion {
    /// The cart.
    pub id: CartId,
    /// The number of its changes.
    pub version: i64,
    /// When it was changed last: after the database lost commits, another change has the same number.
    pub updated_at: Timestamp,
}

/// Carts with their lines, of this version or a later one.
pub type CartCache = Cached<CartVersion, Private<Cart>, DatabaseError>;

pub(super) fn cart_cache(tiers: &Tiers, database: Database) -> CartCache {
    let source = database.clone();
    let latest = move |key| is_latest(source.clone(), key);
    tiers.cached_by_version(POLICY, latest, move |key| load(database.clone(), key))
}

async fn load(database: Database, key: CartVersion) -> Result<Loaded<Private<Cart>>, DatabaseError> {
    let found = CartRepository(&mut database.read().await?).by_id(key.id).await?;
    Ok(match found {
        Some(cart) => loaded(cart),
        None => Loaded { value: None, tags: Vec::new(), bytes: 0 },
    })
}

/// Returns whether a cart has no later version, and false if that cannot be read.
async fn is_latest(database: Database, key: CartVersion) -> bool {
    let Ok(mut connection) = database.read().await else { return false };
    let found = CartRepository(&mut connection).version(key.id).await;
    found.is_ok_and(|latest| latest == Some((key.version, key.updated_at)))
}

fn loaded(cart: Cart) -> Loaded<Private<Cart>> {
    let bytes = weight::capped(weigh(&cart));
    Loaded { value: Some(Private::new(cart)), tags: Vec::new(), bytes }
}

fn weigh(cart: &Cart) -> usize {
    let Delivery { country: _, postal_code, shipping_address, shipping_method, email } = &cart.delivery;
    size_of::<Cart>()
        + size_of_val(&*cart.lines)
        + optional([&cart.discount_code, postal_code, shipping_method, email])
        + shipping_address.as_ref().map_or(0, address)
}

impl CartCache {
    /// Keeps a cart as it was committed.
    pub fn keep_committed(&self, cart: Cart) {
        let Cart { id, version, updated_at, .. } = cart;
        self.put(CartVersion { id, version, updated_at }, loaded(cart));
    }
}

impl fmt::Display for CartVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cart {} version {} of {}", self.id, self.version, self.updated_at)
    }
}
