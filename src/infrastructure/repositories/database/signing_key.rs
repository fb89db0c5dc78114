//! The secret with which the store signs its cursors and order tokens.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::Database;
use super::error::DatabaseError;
use super::param::params;

/// Reads the secret from the store's own settings.
pub(super) const READ_SECRET: &str = "SELECT value FROM store_settings WHERE key = 'secret'";

/// The secret of the store, generated when its database was set up.
#[derive(Clone, Default)]
pub struct SigningKey(Arc<[u8]>);

impl SigningKey {
    /// Reads the secret, and generates it in a new database.
    pub(crate) async fn load(database: &Database) -> Result<Self, DatabaseError> {
        let found = database.read().await?.first::<String>(READ_SECRET, &[]).await?;
        let secret = if let Some(secret) = found {
            secret
        } else {
            let generated = database.write((), async |work, ()| {
                let mut bytes = [0; 32];
                work.secret(&mut bytes);
                let sql =
                    "INSERT INTO store_settings (key, value) VALUES ('secret', $1) ON CONFLICT DO NOTHING";
                work.execute(sql, &params![URL_SAFE_NO_PAD.encode(bytes)]).await?;
                work.one::<String>(READ_SECRET, &[]).await
            });
            generated.await?
        };
        Ok(Self(secret.into_bytes().into()))
    }

    /// Returns the signature of `content` for a purpose.
    pub fn sign(&self, purpose: &str, content: &[u8]) -> [u8; 32] {
        let mut mac = self.mac();
        mac.update(purpose.as_bytes());
        mac.update(&[0]);
        mac.update(content);
        mac.finalize().into_bytes().into()
    }

    #[expect(clippy::expect_used, reason = "HMAC accepts a key of any length")]
    fn mac(&self) -> Hmac<Sha256> {
        Hmac::new_from_slice(&self.0).expect("any length")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::infrastructure::repositories::database::page::Cursors;

    #[test]
    fn a_cursor_is_valid_for_its_list_and_filter_alone() {
        let key = SigningKey(Arc::from(&b"secret"[..]));
        let cursor = Cursors::new(&key, "orders", &Some(1)).unwrap().encode(&7).unwrap();

        let decode =
            |list, filter: Option<i32>| Cursors::new(&key, list, &filter).unwrap().decode::<i32>(&cursor);
        assert_eq!(decode("orders", Some(1)), Ok(7));
        assert!(decode("orders", Some(2)).is_err());
        assert!(decode("orders", None).is_err());
        assert!(decode("reviews", Some(1)).is_err());
    }
}
