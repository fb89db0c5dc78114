//! Whose data a unit of work changes: by the rows that it writes, not by its use case.

use std::collections::BTreeSet;

use crate::domain::ids::{OrderId, UserId};

/// To whom a row belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// A user.
    User(UserId),
    /// The buyer of an order, of its own row: a user, or a guest (`None`).
    Buyer(OrderId, Option<UserId>),
    /// The buyer of an order, of another row.
    BuyerOf(OrderId),
}

/// The owners of what a unit of work wrote.
#[derive(Debug, Clone, Default)]
pub(super) struct Owners {
    pub(super) users: BTreeSet<UserId>,
    /// The orders with a payment that was written.
    pub(super) orders: BTreeSet<OrderId>,
    /// Those of them whose buyer is known.
    pub(super) known: BTreeSet<OrderId>,
}
