//! Limits of what buyers hold: the pieces that are reserved for orders which are not paid. Without them one client
//! could reserve the whole stock with payments that it never confirms.
//!
//! An order is held by the user and by the client's address; a network of IPv6 (/64) is one address. What a holder
//! holds is counted in the transaction that places the order, and no other one of the holder runs meanwhile. The
//! database has keyed digests of the holders, until the reservation ends.

use std::net::IpAddr;

use jiff::Timestamp;

use crate::application::Store;
use crate::domain::ids::{OrderId, UserId};
use crate::infrastructure::exceptions::{Failure, Fault, HoldLimitException, ValidationException};
use crate::infrastructure::middleware::Partition;
use crate::infrastructure::repositories::{InventoryRepository, UnitOfWork};

/// The most that one holder may hold at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HoldLimit {
    /// The number of orders.
    pub orders: i64,
    /// The number of pieces.
    pub pieces: i64,
}

/// The limits of what buyers may hold at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HoldLimits {
    /// For the address of a client.
    pub address: HoldLimit,
    /// For a user.
    pub user: HoldLimit,
    /// The most pieces of an order.
    pub pieces_per_order: i64,
}

/// Who holds the pieces of an order until it is paid.
#[derive(Debug, Clone)]
pub struct Holders {
    /// Users before addresses.
    keys: Vec<Vec<u8>>,
    limits: Vec<HoldLimit>,
    pieces_per_order: i64,
}

impl Holders {
    /// Returns those of an order that the store places itself, such as that of a renewal: there are none.
    pub fn none() -> Self {
        Self { keys: Vec::new(), limits: Vec::new(), pieces_per_order: i64::MAX }
    }

    /// Returns those of a buyer's order: the user, and the address of the client if it is known.
    pub fn of_buyer(store: &Store, user_id: Option<UserId>, address: Option<IpAddr>) -> Self {
        let Some(limits) = store.terms.holds else { return Self::none() };
        let key = store.database().signing_key();
        let user = user_id.map(|id| (key.sign("holding user", id.0.as_bytes()).to_vec(), limits.user));
        let address = address.and_then(network).map(|network| {
            (key.sign("holding address", network.to_string().as_bytes()).to_vec(), limits.address)
        });
        let (keys, of_keys) = user.into_iter().chain(address).unzip();
        Self { keys, limits: of_keys, pieces_per_order: limits.pieces_per_order }
    }

    /// Sends the statements of [`Holders::hold`] ahead.
    pub(super) async fn lock_ahead(&self, work: &mut UnitOfWork) -> Result<(), Failure> {
        Ok(InventoryRepository::lock_holders_ahead(work, &self.keys).await?)
    }

    /// Lets the holders hold the pieces of an order until `expires_at`, for use after [`Holders::lock_ahead`].
    ///
    /// # Errors
    ///
    /// A [`HoldLimitException`], and a [`ValidationException`] if the order has more pieces than may ever be held.
    pub(super) async fn hold(
        &self,
        work: &mut UnitOfWork,
        order_id: OrderId,
        pieces: i64,
        expires_at: Timestamp,
    ) -> Result<(), Failure> {
        let most = self.limits.iter().map(|limit| limit.pieces).fold(self.pieces_per_order, i64::min);
        if pieces > most {
            return Err(ValidationException::one("", Fault::TooManyPieces { maximum: most }).into());
        }
        let held = InventoryRepository::held(work, &self.keys).await?;
        for (key, limit) in self.keys.iter().zip(&self.limits) {
            if let Some(held) = held.iter().find(|held| held.holder == *key)
                && (held.orders >= limit.orders || held.pieces > limit.pieces - pieces)
            {
                return Err(HoldLimitException { ends_at: held.ends_at, now: work.now() }.into());
            }
            InventoryRepository::hold(work, order_id, key, pieces, expires_at).await?;
        }
        Ok(())
    }
}

/// Returns the address for which a client's address counts.
fn network(address: IpAddr) -> Option<IpAddr> {
    match Partition::Address(address).canonical() {
        Partition::Address(network) => Some(network),
        _ => None,
    }
}
