//! Passwords: kept as Argon2id, and checked at the same cost whether there is one to check or not.
//!
//! A hash costs 19 MiB and some 20 ms of a core, and is meant to. So at most half of the cores hash at once, off the
//! threads that serve, and who does not get their turn within seconds is told to come again instead of waiting in a
//! line without end. Who tries many passwords of one address at once stands in nobody else's way for long.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::available_parallelism;
use std::time::Duration;

use argon2::Argon2;
use argon2::password_hash::{Error, PasswordHasher, PasswordVerifier, phc::PasswordHash};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use unicode_normalization::UnicodeNormalization;

use crate::domain::context::IdSource;
use crate::domain::user::email_key;
use crate::infrastructure::exceptions::{Failure, RejectedRequest, Technical, TechnicalKind};
use crate::infrastructure::repositories::IdempotencyKey;

/// Log-ins with one address that may be under way at once.
const OF_ONE: usize = 8;
/// How long a password waits for its turn.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where there is no hash this one is checked instead, at the same cost. No password has it, or none that is known.
const DUMMY_HASH: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5J3Mgc2FsdC4uLg$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Hashes passwords and checks them, a few at once. Clones share their turns.
#[derive(Debug, Clone)]
pub struct Passwords {
    ids: Arc<dyn IdSource>,
    turns: Arc<Semaphore>,
    patience: Duration,
    under_way: Arc<Mutex<HashMap<String, usize>>>,
}

/// A log-in that is under way; it ends with the value.
#[derive(Debug)]
pub struct UnderWay {
    all: Arc<Mutex<HashMap<String, usize>>>,
    whose: String,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = all.get_mut(&self.whose) {
            *count -= 1;
            if *count == 0 {
                all.remove(&self.whose);
            }
        }
    }
}

impl Passwords {
    /// As many at once as half of the machine's cores; their salts come from `ids`.
    pub fn new(ids: Arc<dyn IdSource>) -> Self {
        let cores = available_parallelism().map_or(1, usize::from);
        Self::bounded(ids, cores.div_ceil(2), PATIENCE)
    }

    /// So many at once, and so long a wait for a turn.
    pub fn bounded(ids: Arc<dyn IdSource>, turns: usize, patience: Duration) -> Self {
        Self { ids, turns: Arc::new(Semaphore::new(turns)), patience, under_way: Arc::default() }
    }

    /// Begins a log-in with an address, in any spelling, unless too many are under way.
    pub fn begin(&self, email: &str) -> Result<UnderWay, Failure> {
        let whose = email_key(email);
        let mut all = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        let count = all.entry(whose.clone()).or_default();
        if *count == OF_ONE {
            return Err(RejectedRequest::TooManyAtOnce.into());
        }
        *count += 1;
        drop(all);
        Ok(UnderWay { all: Arc::clone(&self.under_way), whose })
    }

    /// What is kept of a password.
    pub async fn hash(&self, password: &SecretString) -> Result<String, Failure> {
        let (password, mut salt) = (normal(password), [0; 16]);
        self.ids.secret(&mut salt);
        let hash = self.in_turn(move || {
            let hash: Result<PasswordHash, Error> =
                Argon2::default().hash_password_with_salt(password.expose_secret().as_bytes(), &salt);
            hash.map(|hash| hash.to_string())
        });
        hash.await?.map_err(|error| Technical::internal(error).into())
    }

    /// Whether a hash is this password's. Without one it never is, and to say so takes as long.
    pub async fn matches(&self, password: &SecretString, hash: Option<&str>) -> Result<bool, Failure> {
        let (password, kept) = (normal(password), hash.map(str::to_owned));
        self.in_turn(move || {
            let kept = kept.and_then(|hash| PasswordHash::new(&hash).ok());
            let is_there = kept.is_some();
            let Some(hash) = kept.or_else(|| PasswordHash::new(DUMMY_HASH).ok()) else { return false };
            let password = password.expose_secret().as_bytes();
            Argon2::default().verify_password(password, &hash).is_ok() && is_there
        })
        .await
    }

    /// A key whose request holds a password. What is kept of the request would be a quick way to try passwords, so
    /// it is made as dear as the password's own hash.
    pub async fn blind(&self, key: IdempotencyKey) -> Result<IdempotencyKey, Failure> {
        let salt = Sha256::new().chain_update(&key.scope).chain_update([0]).chain_update(&key.key).finalize();
        let request = key.request_hash.clone();
        let hashed = self.in_turn(move || {
            let mut out = [0; 32];
            Argon2::default().hash_password_into(&request, &salt, &mut out).map(|()| out.to_vec())
        });
        let request_hash = hashed.await?.map_err(Technical::internal)?;
        Ok(IdempotencyKey { request_hash, ..key })
    }

    /// Does `work` off the threads that serve, once it has its turn.
    async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let unavailable = || Technical::new(TechnicalKind::Unavailable, "too many passwords at once");
        let turn = timeout(self.patience, Arc::clone(&self.turns).acquire_owned());
        let turn = turn.await.map_err(|_| unavailable())?.map_err(|_| unavailable())?;
        let done = spawn_blocking(move || {
            // kept to the end of the work, also when the one who asked has gone away
            let _turn = turn;
            work()
        });
        Ok(done.await.map_err(Technical::internal)?)
    }
}

/// A password in one form however its letters were put together (RFC 8265, section 4.2).
fn normal(password: &SecretString) -> SecretString {
    password.expose_secret().nfc().collect::<String>().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::context::Context;

    fn passwords() -> Passwords {
        Passwords::new(Context::system().ids)
    }

    #[tokio::test]
    async fn a_password_is_known_by_its_hash_however_it_was_typed() {
        let passwords = passwords();
        let hash = passwords.hash(&"caf\u{e9} au lait".into()).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        for (password, right) in [
            ("caf\u{e9} au lait", true),
            ("cafe\u{301} au lait", true),
            ("Caf\u{e9} au lait", false),
            ("", false),
        ] {
            assert_eq!(passwords.matches(&password.into(), Some(&hash)).await.unwrap(), right, "{password}");
        }
        assert_ne!(
            passwords.hash(&"caf\u{e9} au lait".into()).await.unwrap(),
            hash,
            "each has a salt of its own"
        );
    }

    #[tokio::test]
    async fn without_a_hash_nothing_matches_at_the_cost_of_a_real_one() {
        let nobodys = PasswordHash::new(DUMMY_HASH).unwrap();
        let real = PasswordHash::new(&passwords().hash(&"correct horse".into()).await.unwrap()).unwrap();
        assert_eq!((nobodys.algorithm, nobodys.version), (real.algorithm, real.version));
        assert_eq!(nobodys.params, real.params);
        let lengths = |hash: &PasswordHash| (hash.salt.unwrap().len(), hash.hash.unwrap().len());
        assert_eq!(lengths(&nobodys), lengths(&real));
        for hash in [None, Some(""), Some("$argon2id$")] {
            assert!(!passwords().matches(&"".into(), hash).await.unwrap());
        }
    }

    #[tokio::test]
    async fn a_blind_key_still_tells_requests_and_keys_apart() {
        let key = |key: &str, request: u8| IdempotencyKey {
            scope: "guest".into(),
            key: key.into(),
            request_hash: vec![request; 32],
        };
        let passwords = passwords();
        let first = passwords.blind(key("a", 1)).await.unwrap();
        assert_eq!(first, passwords.blind(key("a", 1)).await.unwrap());
        assert_ne!(first.request_hash, key("a", 1).request_hash);
        for other in [key("a", 2), key("b", 1)] {
            assert_ne!(first.request_hash, passwords.blind(other).await.unwrap().request_hash);
        }
    }

    #[test]
    fn one_address_has_a_few_log_ins_at_once_and_another_its_own() {
        let passwords = passwords();
        let mut begun: Vec<_> = (0..OF_ONE).map(|_| passwords.begin("ann@example.org").unwrap()).collect();
        let refused = passwords.begin(" Ann@Example.org").unwrap_err();
        assert_eq!((refused.status().as_u16(), refused.code()), (429, "too_many_requests"));
        assert_eq!(refused.headers()[0].1, "1");
        assert!(passwords.begin("bob@example.org").is_ok());
        begun.pop();
        assert!(passwords.begin("ann@example.org").is_ok());
        begun.clear();
        assert!(passwords.under_way.lock().unwrap().is_empty(), "nothing is kept of who was here");
    }

    #[tokio::test]
    async fn who_gets_no_turn_in_time_is_sent_away() {
        let passwords = Passwords::bounded(Context::system().ids, 1, Duration::ZERO);
        let turn = Arc::clone(&passwords.turns).acquire_owned().await.unwrap();
        let failure = passwords.matches(&"secret".into(), None).await.unwrap_err();
        assert_eq!((failure.status().as_u16(), failure.code()), (503, "unavailable"));
        drop(turn);
        assert!(!passwords.matches(&"secret".into(), None).await.unwrap());
    }
}
