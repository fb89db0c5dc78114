//! The hit ratio of recorded reads, such as those that the simulator of Caffeine has
//! (<https://github.com/ben-manes/caffeine/tree/master/simulator>), beside that of moka alone.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use undercroft::domain::context::Context;
use undercroft::infrastructure::cache::{Cached, Loaded, Policy, Rendered, Tag, Tiers};

use crate::Outcome;
use crate::figures::ratio;

/// The parts of the keys that fit into memory, in percent.
const SIZES: [u64; 4] = [1, 5, 10, 25];
/// The bytes of a value, without those of its entry.
const VALUE: u32 = 1_000;

/// Replays the keys of a file, one a line in the order of the reads.
pub(crate) async fn measure(file: &Path) -> Outcome<()> {
    let text = fs::read_to_string(file)?;
    let reads: Vec<&str> = text.lines().collect();
    let keys = reads.iter().collect::<HashSet<_>>().len() as u64;
    println!("{}: {} reads of {keys} keys", file.display(), reads.len());
    let entry = weight().await?;
    for percent in SIZES {
        let max_bytes = keys * percent / 100 * entry;
        let own = own(&reads, max_bytes).await?;
        let raw = raw(&reads, max_bytes, entry)?;
        println!(
            "  {percent:3} % of the keys in memory: {:.1} % hits, {:.1} % of moka's alone",
            100.0 * own,
            100.0 * raw
        );
    }
    Ok(())
}

/// Returns the bytes of an entry, as a cache weighs it.
async fn weight() -> Outcome<u64> {
    let cache = cache(u64::MAX);
    cache.get(&String::new()).await.map_err(|error| error.to_string())?;
    Ok(cache.state().bytes)
}

async fn own(reads: &[&str], max_bytes: u64) -> Outcome<f64> {
    let cache = cache(max_bytes);
    for read in reads {
        cache.get(&(*read).to_owned()).await.map_err(|error| error.to_string())?;
    }
    Ok(cache.state().counts.hit_ratio().unwrap_or_default())
}

fn raw(reads: &[&str], max_bytes: u64, entry: u64) -> Outcome<f64> {
    let entry = u32::try_from(entry)?;
    let bare = moka::sync::Cache::builder()
        .max_capacity(max_bytes)
        .weigher(move |_: &String, _: &Arc<()>| entry)
        .build();
    let mut hits = 0;
    for read in reads {
        match bare.get(*read) {
            Some(_) => hits += 1,
            None => bare.insert((*read).to_owned(), Arc::new(())),
        }
    }
    Ok(ratio(hits, reads.len()))
}

/// A cache whose values have nothing in them, and the weight of small documents.
fn cache(max_bytes: u64) -> Cached<String, Rendered<()>, String> {
    let policy = Policy { ttl: Duration::from_hours(24), max_bytes, ..Policy::named("bench", 1) };
    Tiers::in_memory(Context::system()).cached(policy, async |_| {
        Ok(Loaded { value: Some(Rendered::new(())), tags: vec![Tag::of("bench")], bytes: VALUE })
    })
}
