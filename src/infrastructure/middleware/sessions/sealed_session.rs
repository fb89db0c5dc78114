//! A session as Redis has it: its signature, and JSON.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use crate::domain::ids::{SessionId, UserId};
use crate::domain::user::Session;
use crate::infrastructure::repositories::SigningKey;

/// What is signed: a change of [`Sealed`] gets another text, so that no version reads what another wrote.
const PURPOSE: &str = "session 1";
/// The bytes of a signature.
const SIGNATURE: usize = 32;

/// A session that is kept outside the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KnownSession {
    pub(super) session: Session,
    /// The epoch of the user in which it was begun.
    pub(super) epoch: i64,
}

#[derive(Serialize, Deserialize)]
struct Sealed {
    /// The hash of the token, in base64.
    token_hash: String,
    user_id: UserId,
    created_at: Timestamp,
    expires_at: Timestamp,
    last_used_at: Option<Timestamp>,
    user_agent: Option<String>,
    epoch: i64,
}

impl KnownSession {
    /// Returns the bytes, signed with a key.
    pub(super) fn seal(&self, key: &SigningKey) -> Vec<u8> {
        let Session { token_hash, user_id, created_at, expires_at, last_used_at, user_agent } =
            self.session.clone();
        let sealed = Sealed {
            token_hash: URL_SAFE_NO_PAD.encode(token_hash),
            user_id,
            created_at,
            expires_at,
            last_used_at,
            user_agent,
            epoch: self.epoch,
        };
        // a map with text keys can always be written as JSON
        let json = serde_json::to_vec(&sealed).unwrap_or_default();
        [&key.sign(PURPOSE, &json)[..], &json].concat()
    }

    /// Reads the session with this id; `None` if the bytes are not what the store wrote for it.
    pub(super) fn open(id: SessionId, bytes: &[u8], key: &SigningKey) -> Option<Self> {
        let (signature, json) = bytes.split_at_checked(SIGNATURE)?;
        if !bool::from(key.sign(PURPOSE, json).ct_eq(signature)) {
            return None;
        }
        let sealed: Sealed = serde_json::from_slice(json).ok()?;
        let Sealed { token_hash, user_id, created_at, expires_at, last_used_at, user_agent, epoch } = sealed;
        let token_hash = URL_SAFE_NO_PAD.decode(token_hash).ok()?;
        let session = Session { token_hash, user_id, created_at, expires_at, last_used_at, user_agent };
        (session.id() == id).then_some(Self { session, epoch })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::infrastructure::repositories::new_database;

    #[tokio::test]
    async fn only_what_the_store_wrote_for_an_id_is_read() {
        let (_folder, database) = new_database().await;
        let (_other_folder, other) = new_database().await;
        let key = database.signing_key();
        let at = Timestamp::UNIX_EPOCH;
        let session = Session {
            user_agent: Some("Phone \"ä\"".into()),
            last_used_at: Some(at),
            ..Session::new(vec![7; 32], UserId(uuid::Uuid::nil()), at, at)
        };
        let known = KnownSession { session, epoch: 3 };
        let (id, bytes) = (known.session.id(), known.seal(key));
        assert_eq!(KnownSession::open(id, &bytes, key), Some(known.clone()));

        assert_eq!(KnownSession::open(id, &bytes, other.signing_key()), None, "of another store");
        let another = Session::new(vec![8; 32], known.session.user_id, at, at);
        assert_eq!(KnownSession::open(another.id(), &bytes, key), None, "that of another id");
        for length in 0..bytes.len() {
            assert_eq!(KnownSession::open(id, &bytes[..length], key), None, "the first {length} bytes");
        }
        for place in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[place] ^= 1;
            assert_eq!(KnownSession::open(id, &flipped, key), None, "byte {place}");
        }
    }
}
