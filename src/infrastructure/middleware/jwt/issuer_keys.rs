//! The keys of an issuer, fetched when they are needed, and kept.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::OwnedMutexGuard;
use tokio::time::{Instant, sleep};

use super::{Claims, Expected, InvalidToken, KeySet, verify};
use crate::domain::time::later;
use crate::infrastructure::adapters::KeySetClient;
use crate::infrastructure::repositories::spawn_in_trace;

/// How long keys are used without being requested again: most issuers publish a new key for longer before it signs.
const FRESH: SignedDuration = SignedDuration::from_mins(10);
/// How long they are used while they cannot be fetched.
const STALE: SignedDuration = SignedDuration::from_hours(24);
/// The least time from a request that returned keys to the next one, for which a token with an unknown key waits.
const INTERVAL: SignedDuration = SignedDuration::from_secs(2);
/// The least time from a request in vain to the next one.
const RETRY: SignedDuration = SignedDuration::from_secs(10);

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
    /// The time of the last request, which returned the keys if it is that of `fetched_at`.
    requested_at: Option<Timestamp>,
    /// How often they were requested.
    requests: u64,
    /// The number of the request that returned the keys.
    returned: u64,
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

    /// Verifies a token at a time. If its key is not known, waits for keys that are requested from now on: for two
    /// seconds and the response, since there is one request in that time, however many such tokens strangers send. If
    /// one is in progress, the next begins when it has ended, also if that takes longer.
    ///
    /// # Errors
    ///
    /// [`InvalidToken::UnknownKey`] also if the keys cannot be fetched.
    pub async fn verify(&self, token: &str, now: Timestamp) -> Result<Claims, InvalidToken> {
        let (requests, came) = (self.with_known(|known| known.requests), Instant::now());
        self.refresh(now).await;
        match self.verify_now(token, now) {
            Err(InvalidToken::UnknownKey) => self.verify_by_new_keys(token, requests, (now, came)).await,
            verified => verified,
        }
    }

    /// Verifies a token by the keys as they are.
    fn verify_now(&self, token: &str, now: Timestamp) -> Result<Claims, InvalidToken> {
        verify(token, &self.keys(now), &self.expected, now)
    }

    /// Verifies a token, whose key was not known when it came at a time, by keys that are requested after this number
    /// of requests.
    async fn verify_by_new_keys(
        &self,
        token: &str,
        requests: u64,
        (at, came): (Timestamp, Instant),
    ) -> Result<Claims, InvalidToken> {
        let fetching = Arc::clone(&self.fetching).lock_owned().await;
        // the time of a request that was in progress is part of the pause after it
        let now = later(at, SignedDuration::try_from(came.elapsed()).unwrap_or(SignedDuration::MAX));
        // another request may have fetched the key meanwhile
        let verified = self.verify_now(token, now);
        let is_unknown = verified == Err(InvalidToken::UnknownKey);
        let (has_new, pause) = (self.with_known(|known| known.returned > requests), self.pause(now));
        if !is_unknown || has_new || pause > INTERVAL {
            return verified;
        }
        self.request(fetching, pause, now).await;
        self.verify_now(token, now)
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

    /// Returns how long the keys may not be requested again.
    fn pause(&self, now: Timestamp) -> SignedDuration {
        self.with_known(|known| {
            let Some(requested_at) = known.requested_at else { return SignedDuration::ZERO };
            let least = if known.fetched_at == known.requested_at { INTERVAL } else { RETRY };
            let since = now.duration_since(requested_at);
            // one that arrived before the request waited for it, but not for so long: the clock was set back
            if since < -RETRY {
                return SignedDuration::ZERO;
            }
            least.saturating_sub(since.max(SignedDuration::ZERO)).max(SignedDuration::ZERO)
        })
    }

    /// Fetches the keys if they are old. While one request does, another one waits for it only if there are none that
    /// may be used.
    async fn refresh(&self, now: Timestamp) {
        let is_fresh = || self.age(now).is_some_and(|age| age < FRESH);
        if is_fresh() {
            return;
        }
        let is_needed = self.age(now).is_none_or(|age| age >= STALE);
        let lock = Arc::clone(&self.fetching);
        let fetching = if is_needed {
            lock.lock_owned().await
        } else {
            let Ok(fetching) = lock.try_lock_owned() else { return };
            fetching
        };
        if !is_fresh() && self.pause(now).is_zero() {
            self.request(fetching, SignedDuration::ZERO, now).await;
        }
    }

    /// Requests the keys after a pause, both in a task of its own: a client that disconnects ends neither, so that
    /// strangers do not let the pause begin again and again.
    async fn request(&self, fetching: OwnedMutexGuard<()>, pause: SignedDuration, now: Timestamp) {
        let issuer = self.clone();
        let request = spawn_in_trace(async move {
            let _fetching = fetching;
            sleep(pause.unsigned_abs()).await;
            issuer.fetch(later(now, pause)).await;
        });
        let _ = request.await;
    }

    /// Fetches the keys.
    async fn fetch(&self, now: Timestamp) {
        let number = self.with_known(|known| {
            known.requested_at = Some(now);
            known.requests += 1;
            known.requests
        });
        let fetched = self.client.fetch(self.name()).await;
        match fetched.map(|body| KeySet::parse(&body)) {
            Ok(Ok(keys)) => self.with_known(|known| {
                (known.keys, known.fetched_at, known.returned) = (Arc::new(keys), Some(now), number);
            }),
            Ok(Err(error)) => {
                tracing::warn!(issuer = self.name(), %error, "the keys of an issuer are invalid");
            }
            Err(error) => {
                tracing::warn!(issuer = self.name(), %error, "the keys of an issuer were not fetched");
            }
        }
    }

    /// Reads or changes what is known.
    fn with_known<T>(&self, work: impl FnOnce(&mut Known) -> T) -> T {
        work(&mut self.known.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
