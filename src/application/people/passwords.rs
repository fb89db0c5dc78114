//! Passwords: hashed with Argon2id, and verified at the same cost whether the account exists or not.
//!
//! A hash takes 19 MiB and some 20 ms of a core unless the settings say more, by design. Therefore at most half of the
//! cores compute hashes at once, outside of the threads that serve requests. A request that has waited for a permit for
//! some seconds fails as `unavailable`, so that the queue cannot grow without bound. The number of concurrent requests
//! of one client address is limited, and of those for one account, so that no client has all permits or the whole
//! queue.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::available_parallelism;
use std::time::Duration;

use argon2::password_hash::{Error, PasswordHasher, PasswordVerifier, phc::PasswordHash};
use argon2::{Algorithm, Argon2, Params, Version};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use unicode_normalization::UnicodeNormalization;

use crate::domain::context::IdSource;
use crate::domain::email::email_key;
use crate::infrastructure::exceptions::{Failure, RejectedRequest, Technical, TechnicalKind};
use crate::infrastructure::middleware::Partition;
use crate::infrastructure::repositories::IdempotencyKey;

/// The most concurrent requests with a password of one client address.
const MOST_OF_ADDRESS: usize = 16;
/// The most of these for one e-mail address.
const MOST_OF_ACCOUNT: usize = 8;
/// How long a computation waits for a permit.
const PERMIT_TIMEOUT: Duration = Duration::from_secs(5);

/// The salt and the digest of the hash that is verified if an account has none. No known password has it.
const DUMMY: &str = "bm9ib2R5J3Mgc2FsdC4uLg$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Hashes and verifies passwords, a few at once. Clones share their permits.
#[derive(Debug, Clone)]
pub struct Passwords {
    ids: Arc<dyn IdSource>,
    argon2: Argon2<'static>,
    /// The hash that is verified if an account has none, at the cost of new hashes.
    dummy_hash: Arc<str>,
    permits: Arc<Semaphore>,
    permit_timeout: Duration,
    running: Arc<Mutex<Running>>,
}

/// The keys of the e-mail addresses whose passwords are being checked, by the address of the client.
type Running = HashMap<Option<Partition>, Vec<String>>;

/// The permit to check a password for a client; returned when it is dropped.
#[derive(Debug)]
pub struct LogInPermit {
    running: Arc<Mutex<Running>>,
    client: Option<Partition>,
    email_key: String,
}

impl Drop for LogInPermit {
    fn drop(&mut self) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(keys) = running.get_mut(&self.client) {
            if let Some(at) = keys.iter().position(|key| *key == self.email_key) {
                keys.swap_remove(at);
            }
            if keys.is_empty() {
                running.remove(&self.client);
            }
        }
    }
}

impl Passwords {
    /// Computes as many hashes at once as half of the cores of the machine, at this cost and with salts from `ids`.
    pub fn new(ids: Arc<dyn IdSource>, cost: Params) -> Self {
        let cores = available_parallelism().map_or(1, usize::from);
        Self::bounded(ids, cost, cores.div_ceil(2), PERMIT_TIMEOUT)
    }

    /// Computes `permits` hashes at once; a further one waits for at most `permit_timeout`.
    pub fn bounded(ids: Arc<dyn IdSource>, cost: Params, permits: usize, permit_timeout: Duration) -> Self {
        Self {
            ids,
            dummy_hash: dummy_of(&cost).into(),
            argon2: Argon2::new(Algorithm::Argon2id, Version::V0x13, cost),
            permits: Arc::new(Semaphore::new(permits)),
            permit_timeout,
            running: Arc::default(),
        }
    }

    /// Returns a permit for a client's request with the password of an e-mail address, in any spelling. Fails if too
    /// many of the client are in use. If the address of the client is not known, only those of the account count.
    pub fn begin(&self, address: Option<IpAddr>, email: &str) -> Result<LogInPermit, Failure> {
        let (client, email_key) =
            (address.map(|address| Partition::Address(address).canonical()), email_key(email));
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let keys = running.entry(client).or_default();
        let of_account = keys.iter().filter(|key| **key == email_key).count();
        if of_account == MOST_OF_ACCOUNT || (client.is_some() && keys.len() == MOST_OF_ADDRESS) {
            return Err(RejectedRequest::TooManyAtOnce.into());
        }
        keys.push(email_key.clone());
        drop(running);
        Ok(LogInPermit { running: Arc::clone(&self.running), client, email_key })
    }

    /// Returns the hash of a password.
    pub async fn hash(&self, password: &SecretString) -> Result<String, Failure> {
        let mut salt = [0; 16];
        self.ids.secret(&mut salt);
        self.hash_with(password, salt.to_vec()).await
    }

    /// Returns the hash of a password with the algorithm and the cost of today and the salt of its stored hash; `None`
    /// if the stored one has them. Who logs in at the same time computes the same hash.
    pub async fn renewed(&self, password: &SecretString, stored: &str) -> Result<Option<String>, Failure> {
        if self.is_current(stored) {
            return Ok(None);
        }
        match salt_of(stored) {
            Some(salt) => self.hash_with(password, salt).await.map(Some),
            None => self.hash(password).await.map(Some),
        }
    }

    async fn hash_with(&self, password: &SecretString, salt: Vec<u8>) -> Result<String, Failure> {
        let (password, argon2) = (normalize(password), self.argon2.clone());
        let hash = self.compute(move || {
            let hash: Result<PasswordHash, Error> =
                argon2.hash_password_with_salt(password.expose_secret().as_bytes(), &salt);
            hash.map(|hash| hash.to_string())
        });
        hash.await?.map_err(|error| Technical::internal(error).into())
    }

    /// Returns whether a hash is that of a password; without a hash it is `false`. It costs as much as a new hash, or
    /// as the stored one if that costs more.
    pub async fn matches(&self, password: &SecretString, hash: Option<&str>) -> Result<bool, Failure> {
        let (password, argon2) = (normalize(password), self.argon2.clone());
        let stored = hash.and_then(|hash| PasswordHash::new(hash).ok());
        let exists = stored.is_some();
        let verified = self.verified(stored);
        self.compute(move || {
            let password = password.expose_secret().as_bytes();
            let is_right = |hash: &PasswordHash| argon2.verify_password(password, hash).is_ok();
            let found: Vec<bool> = verified.iter().map(is_right).collect();
            exists && found.first() == Some(&true)
        })
        .await
    }

    /// Returns the hashes that a check of a password verifies: the stored one or, if there is none, one that no known
    /// password has. After a stored one that is cheaper than new ones comes another for the rest of the cost: its owner
    /// has not logged in since the cost was raised, and the time must not tell that there is an account.
    fn verified(&self, stored: Option<PasswordHash>) -> Vec<PasswordHash> {
        let cost = self.argon2.params();
        let rest = stored.as_ref().and_then(|stored| rest_of(cost, &Params::try_from(stored).ok()?));
        let first = stored.or_else(|| PasswordHash::new(&self.dummy_hash).ok());
        let second = rest.and_then(|rest| PasswordHash::new(&dummy_of(&rest)).ok());
        first.into_iter().chain(second).collect()
    }

    /// Returns whether a hash was computed with the algorithm and the cost of today.
    fn is_current(&self, hash: &str) -> bool {
        let [stored, current] = [hash, &*self.dummy_hash].map(|hash| PasswordHash::new(hash).ok());
        stored.zip(current).is_some_and(|(stored, current)| {
            (stored.algorithm, stored.version, stored.params)
                == (current.algorithm, current.version, current.params)
        })
    }

    /// Returns the key of a request that contains a password. The stored hash of the request could be used to try
    /// passwords, so it is replaced by one that is as expensive as the hash of the password.
    pub async fn blind(&self, key: IdempotencyKey) -> Result<IdempotencyKey, Failure> {
        let salt = Sha256::new().chain_update(&key.scope).chain_update([0]).chain_update(&key.key).finalize();
        let (request, argon2) = (key.request_hash.clone(), self.argon2.clone());
        let hashed = self.compute(move || {
            let mut out = [0; 32];
            argon2.hash_password_into(&request, &salt, &mut out).map(|()| out.to_vec())
        });
        let request_hash = hashed.await?.map_err(Technical::internal)?;
        Ok(IdempotencyKey { request_hash, ..key })
    }

    /// Runs `work` outside of the threads that serve requests, when a permit is available.
    async fn compute<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let unavailable = || Technical::new(TechnicalKind::Unavailable, "too many passwords at once");
        let permit = timeout(self.permit_timeout, Arc::clone(&self.permits).acquire_owned());
        let permit = permit.await.map_err(|_| unavailable())?.map_err(|_| unavailable())?;
        let done = spawn_blocking(move || {
            // The permit is held to the end of the work, also if the request was dropped.
            let _permit = permit;
            work()
        });
        Ok(done.await.map_err(Technical::internal)?)
    }
}

/// Returns a hash of this cost that no known password has.
fn dummy_of(cost: &Params) -> String {
    let (memory, iterations, lanes) = (cost.m_cost(), cost.t_cost(), cost.p_cost());
    format!("$argon2id$v=19$m={memory},t={iterations},p={lanes}${DUMMY}")
}

/// Returns what a stored hash costs less than a new one; `None` if it costs as much, or more.
fn rest_of(cost: &Params, stored: &Params) -> Option<Params> {
    let rest = work_of(cost).checked_sub(work_of(stored))?;
    let memory = u32::try_from(rest / u64::from(cost.t_cost())).ok()?;
    Params::new(memory, cost.t_cost(), 1, None).ok()
}

/// Returns the work of a hash: the memory that it passes over, in KiB.
fn work_of(cost: &Params) -> u64 {
    u64::from(cost.m_cost()) * u64::from(cost.t_cost())
}

/// Returns the salt of a hash, which only a new password changes.
pub(super) fn salt_of(hash: &str) -> Option<Vec<u8>> {
    PasswordHash::new(hash).ok()?.salt.map(|salt| salt.to_vec())
}

/// Normalizes the Unicode form of a password (RFC 8265 section 4.2).
fn normalize(password: &SecretString) -> SecretString {
    password.expose_secret().nfc().collect::<String>().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::context::Context;

    fn passwords() -> Passwords {
        Passwords::new(Context::system().ids, Params::default())
    }

    #[tokio::test]
    async fn a_password_matches_its_hash_in_each_unicode_form() {
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
            "each hash has its own salt"
        );
    }

    #[tokio::test]
    async fn a_renewed_hash_is_of_the_same_password_and_salt() {
        let (passwords, password) = (passwords(), "correct horse".into());
        let cost = Params::new(4_096, 1, 1, None).unwrap();
        let weaker = Argon2::new(Algorithm::Argon2id, Version::V0x13, cost);
        let weaker: PasswordHash = weaker.hash_password_with_salt(b"correct horse", &[7; 16]).unwrap();
        let weaker = weaker.to_string();
        let renewed = passwords.renewed(&password, &weaker).await.unwrap().unwrap();
        assert!(
            passwords.is_current(&renewed) && passwords.matches(&password, Some(&renewed)).await.unwrap()
        );
        assert_eq!((salt_of(&renewed), salt_of("")), (Some(vec![7; 16]), None));
        assert_eq!(passwords.renewed(&password, &weaker).await.unwrap().as_ref(), Some(&renewed));
        assert_eq!(passwords.renewed(&password, &renewed).await.unwrap(), None);
        for (password, right) in [(password, true), ("correct house".into(), false), ("".into(), false)] {
            assert_eq!(passwords.matches(&password, Some(&weaker)).await.unwrap(), right);
        }
    }

    #[test]
    fn a_check_does_the_work_of_a_new_hash_with_a_cheaper_one_and_with_none() {
        let costs = [(8, 1), (4_096, 3), (7_168, 5), (19_456, 2), (47_104, 1), (47_104, 2), (1_048_576, 100)];
        let costs = costs.map(|(memory, iterations)| Params::new(memory, iterations, 1, None).unwrap());
        let work = |verified: &[PasswordHash]| -> u64 {
            verified.iter().map(|hash| work_of(&Params::try_from(hash).unwrap())).sum()
        };
        for cost in &costs {
            let passwords = Passwords::new(Context::system().ids, cost.clone());
            assert_eq!(work(&passwords.verified(None)), work_of(cost));
            for old in &costs {
                let stored = PasswordHash::new(&dummy_of(old)).unwrap();
                let verified = passwords.verified(Some(stored.clone()));
                assert_eq!(verified.first(), Some(&stored), "the stored one decides");
                let (done, wanted) = (work(&verified), work_of(cost).max(work_of(old)));
                // no hash has less memory than Argon2 allows
                let least = u64::from(Params::MIN_M_COST) * u64::from(cost.t_cost());
                assert!(done <= wanted && wanted - done < least, "{old:?} before {cost:?}: {done}");
            }
        }
    }

    #[tokio::test]
    async fn without_a_hash_nothing_matches_at_the_cost_of_a_hash() {
        let lengths = |hash: &PasswordHash| (hash.salt.unwrap().len(), hash.hash.unwrap().len());
        let old = "$argon2id$v=19$m=4096,t=3,p=1$bm9ib2R5J3Mgc2FsdC4uLg$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        for cost in [Params::default(), Params::new(8, 3, 1, None).unwrap()] {
            let passwords = Passwords::new(Context::system().ids, cost);
            let dummy = PasswordHash::new(&passwords.dummy_hash).unwrap();
            let real = PasswordHash::new(&passwords.hash(&"correct horse".into()).await.unwrap()).unwrap();
            assert_eq!((dummy.algorithm, dummy.version), (real.algorithm, real.version));
            assert_eq!((&dummy.params, lengths(&dummy)), (&real.params, lengths(&real)));
            let real = real.to_string();
            for (hash, current) in [(&*passwords.dummy_hash, true), (&*real, true), (old, false), ("", false)]
            {
                assert_eq!(passwords.is_current(hash), current, "{hash}");
            }
            for hash in [None, Some(""), Some("$argon2id$")] {
                assert!(!passwords.matches(&"".into(), hash).await.unwrap());
            }
        }
    }

    #[tokio::test]
    async fn a_blinded_key_distinguishes_requests_and_keys() {
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
    fn the_concurrent_requests_of_one_client_are_limited() {
        let passwords = passwords();
        let client = |text: &str| Some(text.parse().unwrap());
        let near = client("2001:db8::1");
        let mut begun: Vec<_> =
            (0..MOST_OF_ACCOUNT).map(|_| passwords.begin(near, "ann@example.org").unwrap()).collect();
        let refused = passwords.begin(client("2001:db8::2"), " Ann@Example.org").unwrap_err();
        assert_eq!((refused.status().as_u16(), refused.code()), (429, "too_many_requests"));
        assert_eq!(refused.headers()[0].1, "1");
        let elsewhere = client("2001:db8:0:1::1");
        begun.push(passwords.begin(elsewhere, "ann@example.org").unwrap());
        for number in MOST_OF_ACCOUNT..MOST_OF_ADDRESS {
            begun.push(passwords.begin(near, &format!("{number}@example.org")).unwrap());
        }
        assert!(passwords.begin(near, "bob@example.org").is_err());
        assert!(passwords.begin(elsewhere, "bob@example.org").is_ok());
        begun.remove(0);
        assert!(passwords.begin(near, "bob@example.org").is_ok());
        begun.clear();
        assert!(passwords.running.lock().unwrap().is_empty(), "no address is kept after its requests");
    }

    #[tokio::test]
    async fn a_computation_without_a_permit_fails_after_the_time_out() {
        let passwords = Passwords::bounded(Context::system().ids, Params::default(), 1, Duration::ZERO);
        let permit = Arc::clone(&passwords.permits).acquire_owned().await.unwrap();
        let failure = passwords.matches(&"secret".into(), None).await.unwrap_err();
        assert_eq!((failure.status().as_u16(), failure.code()), (503, "unavailable"));
        drop(permit);
        assert!(!passwords.matches(&"secret".into(), None).await.unwrap());
    }
}
