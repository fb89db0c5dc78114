//! Encryption of single values with a key that follows from the secret of the store.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

use super::error::DatabaseError;
use super::signing_key::SigningKey;
use super::unit_of_work::UnitOfWork;

impl SigningKey {
    /// Encrypts a value for a purpose and a subject with AES-256-GCM: a random nonce, then the ciphertext with its tag.
    /// Another purpose or subject cannot decrypt it.
    pub fn seal(
        &self,
        work: &UnitOfWork,
        (purpose, subject): (&str, &[u8]),
        value: &[u8],
    ) -> Result<Vec<u8>, DatabaseError> {
        let mut nonce = [0; NONCE_LEN];
        work.secret(&mut nonce);
        let mut content = value.to_vec();
        self.aead(purpose)?
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(subject), &mut content)
            .map_err(|_| failed())?;
        Ok([nonce.as_slice(), content.as_slice()].concat())
    }

    /// Decrypts what [`SigningKey::seal`] encrypted.
    ///
    /// # Errors
    ///
    /// [`DatabaseError::Internal`] if it was changed, or belongs to another purpose, subject or store.
    pub fn open(&self, (purpose, subject): (&str, &[u8]), sealed: &[u8]) -> Result<Vec<u8>, DatabaseError> {
        let (nonce, content) = sealed.split_first_chunk::<NONCE_LEN>().ok_or_else(failed)?;
        let mut content = content.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let opened = self.aead(purpose)?.open_in_place(nonce, Aad::from(subject), &mut content);
        Ok(opened.map_err(|_| failed())?.to_vec())
    }

    fn aead(&self, purpose: &str) -> Result<LessSafeKey, DatabaseError> {
        let key = self.sign("encryption", purpose.as_bytes());
        Ok(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &key).map_err(|_| failed())?))
    }
}

fn failed() -> DatabaseError {
    DatabaseError::Internal("a value cannot be encrypted or decrypted with the secret of the store".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::infrastructure::repositories::new_database;

    #[tokio::test]
    async fn a_value_is_decrypted_for_its_purpose_and_subject_alone() {
        let (_folder, database) = new_database().await;
        let key = database.signing_key().clone();
        let of_ann = ("one-time passwords", b"ann".as_slice());
        let sealing = database.write(key.clone(), async |work, key| {
            let of_ann = ("one-time passwords", b"ann".as_slice());
            Ok::<_, DatabaseError>((key.seal(work, of_ann, b"secret")?, key.seal(work, of_ann, b"secret")?))
        });
        let (first, second) = sealing.await.unwrap();
        assert_ne!(first, second, "each has a nonce of its own");
        assert!(!first.windows(6).any(|part| part == b"secret"));
        assert_eq!(key.open(of_ann, &first).unwrap(), b"secret");
        assert!(key.open(("one-time passwords", b"bob"), &first).is_err());
        assert!(key.open(("another", b"ann"), &first).is_err());
        for at in [0, 12, first.len() - 1] {
            let mut changed = first.clone();
            changed[at] ^= 1;
            assert!(key.open(of_ann, &changed).is_err(), "{at}");
        }
        assert!(key.open(of_ann, b"short").is_err());
    }
}
