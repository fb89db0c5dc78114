//! The keys that sign access tokens, and when each is used.
//!
//! A new key is published for an hour before it signs, so that services which keep the published keys for that long
//! know it by then. The one before it is published until the last token that it signed has expired.

use jiff::{SignedDuration, Timestamp};

use super::ids::AccessTokenKeyId;
use super::time::later;

/// The lifetime of an access token.
pub const ACCESS_TOKEN_LIFETIME: SignedDuration = SignedDuration::from_mins(10);
/// The age of the newest key at which the next one is created.
pub const ROTATION: SignedDuration = SignedDuration::from_hours(30 * 24);
/// How long a key is published before it signs.
const PUBLISHED_BEFORE: SignedDuration = SignedDuration::from_hours(1);
/// How long a key is published after its last token has expired, since clocks differ.
const PUBLISHED_AFTER: SignedDuration = SignedDuration::from_mins(5);

/// A key that signs access tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccessTokenKey {
    /// The id, which tokens name as `kid`.
    pub id: AccessTokenKeyId,
    /// The time at which the key was created, UTC.
    pub created_at: Timestamp,
}

impl AccessTokenKey {
    /// Returns the time from which the key signs, if it is not the first.
    fn signs_from(&self) -> Timestamp {
        later(self.created_at, PUBLISHED_BEFORE)
    }

    /// Returns the time from which the key that this one replaces is not published.
    fn replaces_at(&self) -> Timestamp {
        later(later(self.signs_from(), ACCESS_TOKEN_LIFETIME), PUBLISHED_AFTER)
    }
}

/// Returns the key that signs now, of keys in the order of their creation: the newest that was published for long
/// enough, or the first.
pub fn signing_key(keys: &[AccessTokenKey], now: Timestamp) -> Option<&AccessTokenKey> {
    keys.iter().rev().find(|key| key.signs_from() <= now).or(keys.first())
}

/// Returns the keys that are published now, of keys in the order of their creation.
pub fn published_keys(keys: &[AccessTokenKey], now: Timestamp) -> &[AccessTokenKey] {
    let last_replaced = keys.iter().skip(1).take_while(|next| next.replaces_at() <= now).count();
    keys.get(last_replaced..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 60;

    /// Keys that were created at these minutes.
    fn keys(minutes: &[i64]) -> Vec<AccessTokenKey> {
        let ids = (1..).map(|id| AccessTokenKeyId(uuid::Uuid::from_u128(id)));
        let key = |(id, &minute)| AccessTokenKey { id, created_at: at(minute) };
        ids.zip(minutes).map(key).collect()
    }

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(minute * 60).unwrap()
    }

    #[test]
    fn a_key_is_published_before_it_signs_and_after_it_has_signed() {
        let keys = keys(&[0, 1000]);
        let (first, second) = (&keys[0], &keys[1]);
        for (minute, signs, published) in [
            (0, first, 2),
            (1000 + HOUR - 1, first, 2),
            (1000 + HOUR, second, 2),
            (1000 + HOUR + 14, second, 2),
            (1000 + HOUR + 15, second, 1),
        ] {
            assert_eq!(signing_key(&keys, at(minute)), Some(signs), "{minute}");
            assert_eq!(published_keys(&keys, at(minute)).len(), published, "{minute}");
        }
        assert_eq!(published_keys(&keys, at(5000)), [*second]);
        assert_eq!((signing_key(&[], at(0)), published_keys(&[], at(0)).len()), (None, 0));
    }
}
