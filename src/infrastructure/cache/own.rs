//! Keys of what belongs to a user. They have the owner and the version of the owner's data, which the reader's request
//! has read with its credentials: an entry of an earlier version is never asked for again, and one of another user
//! cannot be.

use std::fmt;

use crate::domain::user::UserData;
use crate::infrastructure::repositories::{Database, UserRepository};

/// A key of what belongs to a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Own<K> {
    /// The owner, and the version of the owner's data.
    pub data: UserData,
    /// Which part of the data.
    pub key: K,
}

/// Returns whether the data of a user has no later version, and false if that cannot be read.
pub(super) async fn is_latest(database: Database, data: UserData) -> bool {
    let Ok(mut connection) = database.read().await else { return false };
    UserRepository(&mut connection)
        .data_version(data.user_id)
        .await
        .is_ok_and(|version| version == data.version)
}

impl<K: fmt::Debug> fmt::Display for Own<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { data: UserData { user_id, version }, key } = self;
        write!(f, "user {user_id} version {version} {key:?}")
    }
}
