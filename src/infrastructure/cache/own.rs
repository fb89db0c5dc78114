//! Keys of what belongs to a user. They have the owner and the version of the owner's data, which the reader's request
//! has read with its credentials: an entry of an earlier version is never asked for again, and one of another user
//! cannot be.

use std::fmt;
use std::hash::Hash;

use super::cached::Cached;
use super::entry::Loaded;
use super::policy::Policy;
use super::private::Private;
use super::tiers::Tiers;
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

/// Returns an empty cache of what belongs to users, with their owners and versions in its keys.
pub(super) fn own_cache<K, V, E, F>(
    tiers: &Tiers,
    policy: Policy,
    database: Database,
    load: impl Fn(Database, Own<K>) -> F + Send + Sync + 'static,
) -> Cached<Own<K>, Private<V>, E>
where
    K: fmt::Debug + Eq + Hash + Clone + Send + Sync + 'static,
    V: PartialEq + Send + Sync + 'static,
    E: Clone + Send + Sync + 'static,
    F: Future<Output = Result<Loaded<Private<V>>, E>> + Send + 'static,
{
    let source = database.clone();
    let latest = move |key: Own<K>| is_latest(source.clone(), key.data);
    tiers.cached_by_version(policy, latest, move |key| load(database.clone(), key))
}

/// Returns whether the data of a user has no later version, and false if that cannot be read.
async fn is_latest(database: Database, data: UserData) -> bool {
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
