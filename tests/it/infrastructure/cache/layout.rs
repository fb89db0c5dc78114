//! What an entry is in the second tier, byte for byte: who reads it in another way reads something else, and the
//! signature is right all the same.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use undercroft::infrastructure::cache::{LogEntry, Position, SharedStore, SharedTier};

use super::{Node, POLICY, Source};
use crate::support::awaited;

const SECRET: &[u8] = b"secret";

/// A store that keeps what was put last.
#[derive(Default)]
struct Kept(Mutex<Option<(String, Vec<u8>)>>);

impl Kept {
    fn last(&self) -> Option<(String, Vec<u8>)> {
        self.0.lock().unwrap().clone()
    }
}

impl SharedStore for Kept {
    fn get(&self, key: String) -> BoxFuture<'_, Option<Vec<u8>>> {
        let found = self.last().filter(|(kept, _)| *kept == key).map(|(_, bytes)| bytes);
        async move { found }.boxed()
    }

    fn set(&self, key: String, bytes: Vec<u8>, _: Duration) -> BoxFuture<'_, ()> {
        *self.0.lock().unwrap() = Some((key, bytes));
        async {}.boxed()
    }

    fn lock(&self, _: String, _: Duration) -> BoxFuture<'_, bool> {
        async { true }.boxed()
    }

    fn remove(&self, _: String) -> BoxFuture<'_, ()> {
        async {}.boxed()
    }
}

/// A node over the store that knows two entries of the log with the number 7, which is complete up to the first.
fn node(store: &Arc<Kept>) -> Node {
    let tier = SharedTier::new(Arc::<Kept>::clone(store), SECRET);
    let node = Node::new(POLICY, &Source::open(), Some(tier));
    for (position, id) in [(4, 40), (6, 60)] {
        node.drops.record(LogEntry { position: Position(position), id });
    }
    node.drops.set_complete_to(Position(5));
    node.drops.follow_log(7);
    node.wait(1);
    node
}

#[tokio::test]
async fn an_entry_is_these_bytes_by_this_key() {
    let store = Arc::<Kept>::default();
    assert_eq!(node(&store).value("tea").await, 1);
    let (key, bytes) = awaited("an entry that was shared", async || store.last()).await;
    let release = env!("CARGO_PKG_VERSION");
    assert_eq!(
        key,
        format!("undercroft:cache:3:{release}:a7b917aa23025cf5:tests:1:262455a055f6c4cd7570e8226d7af715")
    );

    let (signature, rest) = bytes.split_at(32);
    let expected: Vec<u8> = [
        &7_i64.to_le_bytes()[..],
        // it is complete up to here
        &4_i64.to_le_bytes(),
        // it was loaded after a second, and ends after a minute more
        &1_000_000_i64.to_le_bytes(),
        &61_000_000_i64.to_le_bytes(),
        // the last entry of the log
        &[1],
        &6_i64.to_le_bytes(),
        &60_u64.to_le_bytes(),
        // "all" and "tea"
        &2_u32.to_le_bytes(),
        &0xe6f0_9b19_0519_daa4_u64.to_le_bytes(),
        &0x56e4_c919_4453_6249_u64.to_le_bytes(),
        // the bytes of the value in memory
        &8_u32.to_le_bytes(),
        &[1],
        b"[1000,1]",
    ]
    .concat();
    assert_eq!(
        rest, expected,
        "the layout has changed: increment the number in `PREFIX` of `shared_tier.rs`, and here"
    );
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET).unwrap();
    mac.update(&(key.len() as u64).to_le_bytes());
    mac.update(key.as_bytes());
    mac.update(rest);
    assert!(mac.verify_slice(signature).is_ok());

    let other = node(&store);
    assert_eq!((other.value("tea").await, other.counts().shared, other.source.loads()), (1, 1, 0));
}
