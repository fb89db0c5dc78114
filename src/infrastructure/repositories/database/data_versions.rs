//! The versions of the data of users.
//!
//! A transaction increases the version of each user of whom it changes something: the account, the preferences, an
//! order or its payment, a notification. What is kept of a user's data is kept for one version, and a request reads the
//! version together with its credentials. So nothing has to tell other processes what changed.
//!
//! A version is increased by a random number. After the database lost commits, by a restore or a failover, a later
//! change then has another version than those that were lost, for which a process may still keep data.

use super::error::DatabaseError;
use super::owner::{Owner, Owners};
use super::param::params;
use super::statements::key_lists;
use super::unit_of_work::UnitOfWork;
use crate::domain::ids::{OrderId, UserId};

const INCREASE: &str = "INSERT INTO user_data_versions (user_id, version) VALUES ($1, $2) \
                        ON CONFLICT (user_id) DO UPDATE SET version = user_data_versions.version + excluded.version";

/// Returns the expression of the version of a user's data, by that of the user's id.
pub(crate) fn data_version(user_id: &str) -> String {
    format!("COALESCE((SELECT v.version FROM user_data_versions v WHERE v.user_id = {user_id}), 0)")
}

impl UnitOfWork {
    /// Records that a statement changes what belongs to a user. The rows of a table with an owner record it
    /// themselves.
    pub(crate) fn touch_data(&mut self, owner: Owner) {
        match owner {
            Owner::User(user_id) => {
                self.owners.users.insert(user_id);
            }
            Owner::Buyer(order_id, user_id) => {
                self.owners.known.insert(order_id);
                self.owners.users.extend(user_id);
            }
            Owner::BuyerOf(order_id) => {
                self.owners.orders.insert(order_id);
            }
        }
    }

    /// Increases the versions of the data of all owners, in the order of their ids, at the end of the transaction:
    /// until it is committed, others that change data of the same user wait. As all transactions have this order, none
    /// waits for one that waits for it.
    pub(super) async fn increase_data_versions(&mut self) -> Result<(), DatabaseError> {
        let Owners { mut users, orders, known } = std::mem::take(&mut self.owners);
        let unknown: Vec<OrderId> = orders.difference(&known).copied().collect();
        for (keys, list) in key_lists(&unknown) {
            let sql = format!("SELECT user_id FROM orders WHERE id IN ({list}) AND user_id IS NOT NULL");
            users.extend(self.all::<UserId>(&sql, &keys).await?);
        }
        for user_id in users {
            let mut random = [0; 4];
            self.secret(&mut random);
            // two thousand million changes fit into the column
            let step = i64::from(u32::from_le_bytes(random)) + 1;
            self.defer(INCREASE, &params![user_id, step]).await?;
        }
        Ok(())
    }
}
