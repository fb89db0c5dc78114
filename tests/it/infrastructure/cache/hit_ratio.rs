//! How many reads are served from memory, beside the library that keeps the entries.

#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the numbers are small"
)]

use std::sync::Arc;

use undercroft::infrastructure::cache::{Lookup, Policy};

use super::{Node, POLICY, Source};

/// The keys, of which a tenth fits into memory.
const KEYS: u64 = 20_000;
/// The bytes of an entry of these tests.
const ENTRY: u64 = 488;

/// Returns the keys of reads after the law of Zipf with the exponent 1: the second is read half as often as the first.
/// There is no trace of real traffic in the repository.
fn reads(number: usize) -> impl Iterator<Item = u64> {
    // xorshift of Marsaglia, so that each run has the same reads
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1_u64 << 53) as f64
    };
    // the inverse of the logarithm, by which the harmonic numbers grow
    (0..number).map(move |_| ((KEYS as f64).powf(random()) - 1.0) as u64)
}

#[tokio::test]
async fn as_many_reads_are_hits_as_with_the_bare_library() {
    let policy = Policy { max_bytes: KEYS / 10 * ENTRY, ..POLICY };
    let node = Node::new(policy, &Source::open(), None);
    let bare = moka::sync::Cache::builder()
        .max_capacity(policy.max_bytes)
        .weigher(|_: &String, _: &Arc<u64>| ENTRY as u32)
        .build();
    let (mut hits, mut of_bare, number) = (0, 0, 200_000);
    for (done, read) in reads(number).enumerate() {
        // moka evicts from time to time: on a busy machine later, unless it is asked to
        if done % 16 == 0 {
            node.cache.state();
            bare.run_pending_tasks();
        }
        let key = read.to_string();
        hits += usize::from(node.get(&key).await.unwrap().1 == Lookup::Hit);
        match bare.get(&key) {
            Some(_) => of_bare += 1,
            None => bare.insert(key, Arc::new(read)),
        }
    }
    let percent = |hits: usize| 100.0 * hits as f64 / number as f64;
    println!("hits: {:.1} %, of the bare library {:.1} %", percent(hits), percent(of_bare));
    assert!((percent(hits) - percent(of_bare)).abs() < 2.0, "{hits} and {of_bare} of {number}");
    assert!(percent(hits) > 60.0, "{hits} of {number}");
}
