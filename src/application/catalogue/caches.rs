//! The caches of the store, as administrators see and clear them, and what is loaded before shoppers ask for it.

use jiff::Timestamp;
use serde::Serialize;

use super::{categories, products};
use crate::application::Store;
use crate::domain::category::Category;
use crate::domain::events::DurableEvent;
use crate::infrastructure::cache::{CacheState, ListKey};
use crate::infrastructure::events::{ALL_TAGS, CacheInvalidationEvent};
use crate::infrastructure::exceptions::{Failure, Fault, ValidationException};
use crate::infrastructure::repositories::{DEFAULT_LIMIT, EventRange, Outbox, ProductFilter, is_cache_tag};

/// The type of the job that loads what shoppers read first.
pub const WARM_CACHES: &str = "warm_caches";
/// The most tags that are dropped at once.
pub const MOST_TAGS: usize = 50;
/// The most pages of the list of all products that are loaded.
const MOST_PAGES: usize = 10;
/// The most categories whose first page is loaded.
const MOST_CATEGORIES: usize = 100;

/// Returns what each cache of this process counted and keeps.
pub fn states(store: &Store) -> Vec<CacheState> {
    store.infrastructure.caches.states().to_vec()
}

/// The invalidations that the log of events has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Invalidated {
    /// Their number.
    pub invalidations: u64,
    /// The time of the oldest one; `None` if there is none.
    pub oldest_at: Option<Timestamp>,
}

/// Returns how many invalidations the log of events has.
pub async fn invalidated(store: &Store) -> Result<Invalidated, Failure> {
    let mut connection = store.database().read().await?;
    let mut outbox = Outbox(&mut connection);
    let until = outbox.readable_until().await?;
    let types = &[CacheInvalidationEvent::TYPE];
    let (number, oldest_at) =
        outbox.count(EventRange { after: Outbox::START, until, types, unread_by: "" }).await?;
    Ok(Invalidated { invalidations: number.unsigned_abs(), oldest_at })
}

/// Drops what has one of these tags, or everything if there are none, in every process of the store: by an event of
/// the transaction, which each process reads before it uses its caches again. With a category the tree is dropped, and
/// with a product the lists, as when the store changes one.
///
/// # Errors
///
/// A [`ValidationException`] for a tag that no entry can have, and for more than [`MOST_TAGS`].
pub async fn clear(store: &Store, tags: Vec<String>) -> Result<(), Failure> {
    let mut faults = ValidationException::none();
    if tags.len() > MOST_TAGS {
        faults.add("/tags", Fault::TooMany { max_items: MOST_TAGS });
    }
    for (number, tag) in tags.iter().enumerate() {
        if !is_tag(tag) {
            faults.add(format!("/tags/{number}"), Fault::CacheTag);
        }
    }
    faults.check()?;
    let tags = if tags.is_empty() { vec![ALL_TAGS.to_owned()] } else { tags };
    let event = CacheInvalidationEvent::with_lists(tags);
    store.database().write(event, async |work, event| Ok(work.publish(event).await?)).await
}

/// Returns whether entries can have a tag, or whether it stands for all of them.
pub fn is_tag(tag: &str) -> bool {
    tag == ALL_TAGS || is_cache_tag(tag)
}

/// Loads the category tree, the newest products, and the first pages of lists, as a shopper without filters asks for
/// them. Returns the number of entries that were asked for.
///
/// They are in the memory of this process then, and in Redis, if there is one, for the others.
pub async fn warm(store: &Store) -> Result<usize, Failure> {
    let tree = categories::all(store).await?;
    let mut read = 1;
    let (mut names, mut cursor) = (Vec::new(), None);
    for _ in 0..MOST_PAGES {
        let page = products::browse(store, &page_of(store, None, cursor)).await?;
        read += 1;
        let shown = page.page.items.iter().map(|view| &view.product);
        names.extend(shown.flat_map(|product| [product.id.to_string(), product.slug.clone()]));
        let Some(next) = &page.page.next else { break };
        cursor = Some(next.clone());
    }
    for Category { slug, .. } in tree.iter().take(MOST_CATEGORIES) {
        // it may have been removed since
        read += usize::from(products::browse(store, &page_of(store, Some(slug), None)).await.is_ok());
    }
    for name in names {
        read += usize::from(products::product(store, &name).await.is_ok());
    }
    Ok(read)
}

/// The key of a page of a list, as it is asked for without filters.
fn page_of(store: &Store, category: Option<&String>, cursor: Option<String>) -> ListKey {
    let filter = ProductFilter {
        category: None,
        currency: store.terms.default_currency,
        min_price: None,
        max_price: None,
        sort: None,
    };
    ListKey { q: None, category: category.cloned(), filter, limit: DEFAULT_LIMIT, cursor }
}
