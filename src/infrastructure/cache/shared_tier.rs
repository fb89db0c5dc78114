//! The second tier: entries that all processes of a store share.
//!
//! Whether an entry is current does not depend on the shared store: the entry names the position up to which the
//! process that loaded it knew every drop, and each reader compares it with the drops that it knows itself. A store
//! that lost or kept something, or was away, costs loads only. An entry is signed with a key of the store's own, so
//! that one that is damaged, or of another store, is a miss. So is that of another release. It is kept up to its end:
//! no process serves it after that.

use std::fmt::{self, Display};
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, join_all};
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use sha2::Sha256;
use tokio::time::{Instant, sleep};

use super::counters::Counters;
use super::drops::{Drops, KnownLog, LogEntry, Position, Stamp};
use super::entry::{Entry, History, Loaded, Source};
use super::policy::Policy;
use super::tag::Tag;
use crate::domain::digest::{first_u64, first_u128};

/// The beginning of the keys with the version of the layout of entries and that of the release, which a name of the
/// store, the name of the cache, the version of its shape and a digest follow. No release reads what another one has
/// put in: its loads may read something else, and give it other tags.
const PREFIX: &str = concat!("undercroft:cache:3:", env!("CARGO_PKG_VERSION"));
/// The bytes of a signature.
const SIGNATURE: usize = 32;
/// The greatest entry in the shared store, in bytes.
const MAX_ENTRY: usize = 1 << 20;
/// The wait between two looks for the entry that another process loads.
const LOOK: Duration = Duration::from_millis(10);
/// How long a process has the turn to load a key after it got or renewed it. One that is killed, or cut off from the
/// store, before its turn ends delays the others by no more.
const TURN: Duration = Duration::from_secs(1);
/// The time between two renewals of a turn while the load runs: one that fails is made up for by the next.
const RENEWAL: Duration = Duration::from_millis(300);

/// A value that can be kept outside the process.
pub trait Shape: Sized {
    /// Whether it may be kept there.
    const IS_SHARED: bool = true;

    /// Appends the value.
    fn write(&self, out: &mut Vec<u8>);

    /// Reads a value; `None` if the bytes are none.
    fn read(bytes: &[u8]) -> Option<Self>;

    /// Returns whether another value is the same: by default, whether it has the same bytes.
    fn is_same(&self, other: &Self) -> bool {
        let [mut bytes, mut others] = [Vec::new(), Vec::new()];
        self.write(&mut bytes);
        other.write(&mut others);
        bytes == others
    }
}

/// A store of bytes that processes share and may lose. What fails is as if there were nothing.
///
/// Each method ends in bounded time, also if the store does not respond: readers wait for the first look, and tasks
/// that put values into it are not limited otherwise.
pub trait SharedStore: Send + Sync {
    /// Returns the bytes of a key.
    fn get(&self, key: String) -> BoxFuture<'_, Option<Vec<u8>>>;

    /// Returns the bytes of each of these keys, in their order. By default, it looks for all of them at once.
    fn get_all(&self, keys: Vec<String>) -> BoxFuture<'_, Vec<Option<Vec<u8>>>> {
        Box::pin(join_all(keys.into_iter().map(|key| self.get(key))))
    }

    /// Keeps the bytes of a key for a duration.
    fn set(&self, key: String, bytes: Vec<u8>, ttl: Duration) -> BoxFuture<'_, ()>;

    /// Locks a key for a duration; returns whether it was free. If the store does not respond, it was.
    fn lock(&self, key: String, ttl: Duration) -> BoxFuture<'_, bool>;

    /// Locks a key that this process has locked for a further duration from now on; returns whether it was locked. By
    /// default, it is not renewed: a dear load that takes longer than a second may run in several processes then.
    fn renew(&self, _key: String, _ttl: Duration) -> BoxFuture<'_, bool> {
        Box::pin(async { false })
    }

    /// Removes a key.
    fn remove(&self, key: String) -> BoxFuture<'_, ()>;
}

/// The shared store as one store uses it.
#[derive(Clone)]
pub struct SharedTier {
    store: Arc<dyn SharedStore>,
    /// Begins a signature: with the key.
    signing: Hmac<Sha256>,
    /// The beginning of all keys of this store.
    prefix: Arc<str>,
}

/// What came of a look into the shared store.
pub(super) enum Found<V> {
    /// The entry was there.
    Entry(Entry<V>),
    /// It must be loaded; with the turn of this process to do so, if only one loads at a time.
    ToLoad(Option<Turn>),
}

/// Why there is no entry to use.
enum Unusable {
    /// The store has none.
    Missing,
    /// It was dropped, has ended or is damaged.
    Rejected,
}

/// The turn of this process to load a key.
pub(super) struct Turn {
    key: String,
    until: Instant,
}

impl SharedTier {
    /// Returns the tier over a store, with the key of its signatures.
    pub fn new(store: Arc<dyn SharedStore>, secret: &[u8]) -> Self {
        let signing = signing(secret);
        let number = first_u64(&sign(&signing, "store", &[]));
        Self { store, signing, prefix: format!("{PREFIX}:{number:016x}:").into() }
    }

    /// Returns the beginning of the keys of this store and release, which no other one that uses the same Redis has.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Looks for the current entry of a key, and counts one that it finds and does not use. For a dear one, waits while
    /// another process loads it.
    pub(super) async fn find<V: Shape>(
        &self,
        policy: &Policy,
        key: &impl Display,
        (drops, counters): (&Drops, &Counters),
        moment: (Stamp, Timestamp),
    ) -> Found<V> {
        let key = self.key(policy, key);
        let look = async || self.usable(&key, self.store.get(key.clone()).await, drops, moment);
        if let Some(entry) = counted(look().await, counters) {
            return Found::Entry(entry);
        }
        if !policy.is_dear {
            return Found::ToLoad(None);
        }

        let came = Instant::now();
        let mut turn = Turn { key: format!("{key}:turn"), until: came + TURN };
        while !self.store.lock(turn.key.clone(), TURN).await {
            // the rest of the time is for a load of its own
            if came.elapsed() >= policy.hard_timeout / 2 {
                return Found::ToLoad(None);
            }
            sleep(LOOK).await;
            if let Ok(entry) = look().await {
                return Found::Entry(entry);
            }
            turn.until = Instant::now() + TURN;
        }
        // another process may have put it there just before its turn ended
        match look().await {
            Ok(entry) => {
                self.end_turn(turn).await;
                Found::Entry(entry)
            }
            Err(_) => Found::ToLoad(Some(turn)),
        }
    }

    /// Looks for the current entries of keys at once, and counts those that it finds and does not use.
    pub(super) async fn find_several<V: Shape, K: Display>(
        &self,
        policy: &Policy,
        keys: &[K],
        (drops, counters): (&Drops, &Counters),
        moment: (Stamp, Timestamp),
    ) -> Vec<Option<Entry<V>>> {
        let keys: Vec<_> = keys.iter().map(|key| self.key(policy, key)).collect();
        let mut looked = self.store.get_all(keys.clone()).await.into_iter();
        let found = |key: &String| self.usable(key, looked.next().flatten(), drops, moment);
        keys.iter().map(found).map(|look| counted(look, counters)).collect()
    }

    /// Returns the entry that these bytes of a key are, if it is current and ends after a time.
    fn usable<V: Shape>(
        &self,
        key: &str,
        bytes: Option<Vec<u8>>,
        drops: &Drops,
        (began, now): (Stamp, Timestamp),
    ) -> Result<Entry<V>, Unusable> {
        let entry = self.read(key, &bytes.ok_or(Unusable::Missing)?, drops, began);
        // the times of the store and of the process need not be the same
        entry.filter(|entry: &Entry<V>| now < entry.fresh_until).ok_or(Unusable::Rejected)
    }

    /// Runs a load, and renews the turn meanwhile.
    pub(super) async fn load_in_turn<T>(&self, turn: &mut Turn, load: impl Future<Output = T>) -> T {
        let renewals = async {
            // after its end, the turn may be that of another process
            while Instant::now() < turn.until {
                sleep(RENEWAL).await;
                let now = Instant::now();
                if now < turn.until && self.store.renew(turn.key.clone(), TURN).await {
                    turn.until = now + TURN;
                }
            }
            pending::<T>().await
        };
        tokio::select! {
            outcome = load => outcome,
            outcome = renewals => outcome,
        }
    }

    /// Lets other processes load the key. After its end, the turn may be that of another one.
    pub(super) async fn end_turn(&self, turn: Turn) {
        if Instant::now() < turn.until {
            self.store.remove(turn.key).await;
        }
    }

    /// Puts an entry into the store, with what it claims that was known of the log when its load began.
    pub(super) async fn put<V: Shape>(
        &self,
        policy: &Policy,
        key: &impl Display,
        entry: &Entry<V>,
        known: KnownLog,
    ) {
        let key = self.key(policy, key);
        let bytes = self.write(&key, entry, known);
        let kept = entry.fresh_until.duration_since(entry.loaded_at);
        if bytes.len() <= MAX_ENTRY {
            self.store.set(key, bytes, Duration::try_from(kept).unwrap_or_default()).await;
        }
    }

    /// The key in the store: it has the shape's version, and no data of a person.
    fn key(&self, policy: &Policy, key: &impl Display) -> String {
        let name = format!("{}:{}", policy.name, policy.shape);
        let number = first_u128(&sign(&self.signing, &name, key.to_string().as_bytes()));
        format!("{}{name}:{number:032x}", self.prefix)
    }

    fn write<V: Shape>(&self, key: &str, entry: &Entry<V>, known: KnownLog) -> Vec<u8> {
        let mut bytes = vec![0; SIGNATURE];
        let times = [entry.loaded_at, entry.fresh_until].map(Timestamp::as_microsecond);
        for number in [known.number, known.complete_to.0, times[0], times[1]] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.push(u8::from(known.last.is_some()));
        if let Some(LogEntry { position, id }) = known.last {
            bytes.extend(position.0.to_le_bytes());
            bytes.extend(id.to_le_bytes());
        }
        bytes.extend(u32::try_from(entry.tags.len()).unwrap_or(u32::MAX).to_le_bytes());
        for tag in &entry.tags {
            bytes.extend(tag.to_bits().to_le_bytes());
        }
        bytes.extend(entry.bytes.to_le_bytes());
        bytes.push(u8::from(entry.value().is_some()));
        if let Some(value) = entry.value() {
            value.write(&mut bytes);
        }
        let signature = sign(&self.signing, key, &bytes[SIGNATURE..]);
        bytes[..SIGNATURE].copy_from_slice(&signature);
        bytes
    }

    /// Reads an entry; `None` if it is damaged, or something that it depends on was dropped.
    fn read<V: Shape>(&self, key: &str, bytes: &[u8], drops: &Drops, began: Stamp) -> Option<Entry<V>> {
        let (signature, rest) = bytes.split_at_checked(SIGNATURE)?;
        mac(&self.signing, key, rest).verify_slice(signature).ok()?;
        let mut rest = Reader(rest);
        let [number, complete_to] = [rest.number()?, rest.number()?];
        let [loaded_at, fresh_until] = [rest.number()?, rest.number()?];
        let last = match rest.take()? {
            [0] => None,
            _ => Some(LogEntry { position: Position(rest.number()?), id: u64::from_le_bytes(rest.take()?) }),
        };
        let known = KnownLog { complete_to: Position(complete_to), last, number };
        let count = u32::from_le_bytes(rest.take()?);
        let mut tags = Vec::new();
        for _ in 0..count {
            tags.push(Tag::from_bits(u64::from_le_bytes(rest.take()?)));
        }
        let size = u32::from_le_bytes(rest.take()?);
        let [has_value] = rest.take()?;
        let value = match has_value {
            0 => None,
            _ => Some(V::read(rest.0)?),
        };
        if !drops.is_current_at(known, &tags) {
            return None;
        }
        let [loaded_at, fresh_until] =
            [loaded_at, fresh_until].map(|time| Timestamp::from_microsecond(time).ok());
        let history = History { began, known, source: Source::Shared };
        Some(Entry::new(Loaded { value, tags, bytes: size }, history, loaded_at?, fresh_until?))
    }
}

impl fmt::Debug for SharedTier {
    /// Omits the key of its signatures.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedTier").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

/// Returns the entry that a look has found, and counts one that is not used.
fn counted<V>(look: Result<Entry<V>, Unusable>, counters: &Counters) -> Option<Entry<V>> {
    if let Err(Unusable::Rejected) = look {
        counters.rejected.add(1);
    }
    look.ok()
}

fn signing(secret: &[u8]) -> Hmac<Sha256> {
    #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
    let signing = Hmac::new_from_slice(secret).expect("a key of any length");
    signing
}

fn sign(signing: &Hmac<Sha256>, key: &str, bytes: &[u8]) -> [u8; SIGNATURE] {
    mac(signing, key, bytes).finalize().into_bytes().into()
}

fn mac(signing: &Hmac<Sha256>, key: &str, bytes: &[u8]) -> Hmac<Sha256> {
    let mut mac = signing.clone();
    mac.update(&(key.len() as u64).to_le_bytes());
    mac.update(key.as_bytes());
    mac.update(bytes);
    mac
}

/// Bytes that are read from their beginning.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*first)
    }

    fn number(&mut self) -> Option<i64> {
        self.take().map(i64::from_le_bytes)
    }
}
