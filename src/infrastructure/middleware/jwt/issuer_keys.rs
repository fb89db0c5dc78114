//! The keys of an issuer, fetched when they are needed, and kept.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

use super::{Claims, Expected, InvalidToken, KeySet, verify};
use crate::infrastructure::adapters::KeySetClient;
use crate::infrastructure::repositories::spawn_in_trace;

/// How long keys are used without being fetched again.
const FRESH: SignedDuration = SignedDuration::from_hours(1);
/// How long they are used while they cannot be fetched.
const STALE: SignedDuration = SignedDuration::from_hours(24);
/// The least time between two attempts, also for tokens with an unknown key.
const INTERVAL: SignedDuration = SignedDuration::from_secs(30);

/// An issuer whose tokens a service accepts. Clones share its keys.
#[derive(Clone)]
pub struct TrustedIssuer {
    expected: Arc<Expected>,
    client: KeySetClient,
    known: Arc<Mutex<Known>>,
    fetching: Arc<tokio::sync::Mutex<()>>,
}

/// What is known of the keys.
#[derive(Default)]
struct Known {
    keys: Arc<KeySet>,
    fetched_at: Option<Timestamp>,
    attempted_at: Option<Timestamp>,
    /// How often they were fetched.
    fetches: u64,
}

impl fmt::Debug for TrustedIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrustedIssuer").field("issuer", &self.expected.issuer).finish_non_exhaustive()
    }
}

impl TrustedIssuer {
    /// Returns the issuer of tokens that are expected to be so.
    pub fn new(expected: Expected, client: KeySetClient) -> Self {
        Self { expected: Arc::new(expected), client, known: Arc::default(), fetching: Arc::default() }
    }

    /// Returns the issuer, as tokens name it.
    pub fn name(&self) -> &str {
        &self.expected.issuer
    }

    /// Verifies a token at a time. For a key that is not known, the keys are fetched again, at most every 30 seconds.
    ///
    /// # Errors
    ///
    /// [`InvalidToken::UnknownKey`] also if the keys cannot be fetched.
    pub async fn verify(&self, token: &str, now: Timestamp) -> Result<Claims, InvalidToken> {
        let age = self.age(now);
        if age.is_none_or(|age| age >= FRESH) {
            self.fetch(now, self.fetches(), age.is_none_or(|age| age >= STALE)).await;
        }
        // before the keys are read: another request may fetch new ones meanwhile
        let known = self.fetches();
        match verify(token, &self.keys(now), &self.expected, now) {
            Err(InvalidToken::UnknownKey) if self.fetch(now, known, true).await => {
                verify(token, &self.keys(now), &self.expected, now)
            }
            verified => verified,
        }
    }

    /// Returns how long ago the keys were fetched.
    fn age(&self, now: Timestamp) -> Option<SignedDuration> {
        self.with_known(|known| known.fetched_at).map(|at| now.duration_since(at))
    }

    /// Returns the keys; none if they are too old.
    fn keys(&self, now: Timestamp) -> Arc<KeySet> {
        let is_usable = self.age(now).is_some_and(|age| age < STALE);
        if is_usable { self.with_known(|known| Arc::clone(&known.keys)) } else { Arc::default() }
    }

    /// Returns how often the keys were fetched.
    fn fetches(&self) -> u64 {
        self.with_known(|known| known.fetches)
    }

    /// Fetches the keys, unless that was attempted a short time ago; returns whether there are newer ones than after
    /// `before` fetches. While one request fetches them, another one waits for it if it needs them. A client that
    /// disconnects does not end it.
    async fn fetch(&self, now: Timestamp, before: u64, is_needed: bool) -> bool {
        let lock = Arc::clone(&self.fetching);
        let fetching = if is_needed {
            lock.lock_owned().await
        } else {
            let Ok(fetching) = lock.try_lock_owned() else { return false };
            fetching
        };
        if self.fetches() != before {
            return true;
        }
        let attempted_at = self.with_known(|known| known.attempted_at);
        if attempted_at.is_some_and(|at| now.duration_since(at) < INTERVAL) {
            return false;
        }
        self.with_known(|known| known.attempted_at = Some(now));
        let issuer = self.clone();
        let fetch = spawn_in_trace(async move {
            let _fetching = fetching;
            issuer.fetch_now(now).await
        });
        fetch.await.unwrap_or(false)
    }

    /// Fetches the keys; returns whether there are new ones.
    async fn fetch_now(&self, now: Timestamp) -> bool {
        let fetched = self.client.fetch(self.name()).await;
        match fetched.map(|body| KeySet::parse(&body)) {
            Ok(Ok(keys)) => {
                self.with_known(|known| {
                    (known.keys, known.fetched_at) = (Arc::new(keys), Some(now));
                    known.fetches += 1;
                });
                return true;
            }
            Ok(Err(error)) => {
                tracing::warn!(issuer = self.name(), %error, "the keys of an issuer are invalid");
            }
            Err(error) => {
                tracing::warn!(issuer = self.name(), %error, "the keys of an issuer were not fetched");
            }
        }
        false
    }

    /// Reads or changes what is known.
    fn with_known<T>(&self, work: impl FnOnce(&mut Known) -> T) -> T {
        work(&mut self.known.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
