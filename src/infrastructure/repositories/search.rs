//! Searches: by the words of products, ranked, with facets; and the administrator's list of all products.
//!
//! A search looks at a window of the newest products that hold all words, ranks those, and when they are all shown
//! goes on with the window below: nothing is out of reach, and no page costs more than a few windows.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::error::StoreError;
use super::facets::Facets;
use super::listing::{self, ProductFilter, ProductSort};
use super::page::{CursorKey, ListError, Page, newest_first};
use super::postings::{self, Matches};
use super::product_repository::ProductRepository;
use super::product_rows;
use super::product_texts::{self, ProductText, marked, token};
use super::session::Session;
use super::value::{Param, params};
use crate::domain::ids::{CategoryId, ProductId};
use crate::domain::product::{Product, ProductView};
use crate::domain::words::words;

/// Products in a window.
const WINDOW: usize = 200;
/// Windows that a page looks at.
const WINDOWS: usize = 4;
/// Words of a question that count.
const WORDS: usize = 8;

/// A page of what a search found.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The products, best first.
    pub page: Page<ProductView>,
    /// What the newest matches are, before the range of prices narrows them; with the first page alone.
    pub facets: Option<Facets>,
}

/// Which products an administrator's list shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AdminProductFilter {
    /// Only those that hold these words.
    pub q: Option<String>,
    /// Only those in this category or below it.
    pub category: Option<CategoryId>,
    /// Only those that shoppers see, or that they do not see.
    pub active: Option<bool>,
}

/// Where a page of a search begins.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct Place {
    /// The window's upper end.
    below: i64,
    /// The last product shown of the window.
    after: Option<Rank>,
    /// Whether the last word is the beginning of one.
    prefix: bool,
}

/// A product's place in its window, the smallest first.
type Rank = (i64, i64);

const START: Place = Place { below: i64::MAX, after: None, prefix: false };

impl ProductRepository<'_> {
    /// A page of the products that hold all words of `q`. When none does, the last word may be the beginning of one.
    /// A question without words is a list.
    pub async fn search(
        &mut self,
        q: &str,
        filter: &ProductFilter,
        limit: usize,
        cursor: Option<&str>,
        key: &CursorKey,
    ) -> Result<Found, ListError> {
        let asked = asked(q);
        if asked.is_empty() {
            let page = self.list(filter, limit, cursor, key).await?;
            return Ok(Found { page, facets: None });
        }
        let list = format!("search {asked:?} {filter:?}");
        let cursors = key.cursors(&list);
        let mut place = cursor.map(|cursor| cursors.decode(cursor)).transpose()?.unwrap_or(START);
        let searched: Vec<_> = filter.category.map(token).into_iter().chain(asked.iter().cloned()).collect();
        let name = asked.join(" ");
        let (mut shown, mut facets) = (Vec::new(), None);
        let mut next = None;
        for _ in 0..WINDOWS {
            let mut matches = self.matches(&searched, &place).await?;
            if cursor.is_none() && facets.is_none() && matches.is_none() {
                place.prefix = true;
                matches = self.matches(&searched, &place).await?;
            }
            let texts = product_texts::by_seqs(self.0, &matches.seqs).await?;
            if cursor.is_none() && facets.is_none() {
                facets = Some(Facets::of(&texts, filter.currency));
            }
            let mut ranked: Vec<_> = texts
                .iter()
                .filter_map(|text| Some((rank(text, filter, &asked, &name)?, text.product_id)))
                .filter(|(rank, _)| place.after.is_none_or(|after| *rank > after))
                .collect();
            ranked.sort_unstable_by_key(|&(rank, _)| rank);
            // new products must not push others out of a window that was shown in part
            let top = matches.seqs.first().map_or(place.below, |seq| seq + 1);
            let more = ranked.len() > limit - shown.len();
            ranked.truncate(limit - shown.len());
            next = match (more, ranked.last(), matches.more_below) {
                (true, last, _) => {
                    Some(Place { below: top, after: last.map(|&(rank, _)| rank).or(place.after), ..place })
                }
                (false, _, Some(end)) => Some(Place { below: end, after: None, ..place }),
                (false, _, None) => None,
            };
            shown.extend(ranked.into_iter().map(|(_, id)| id));
            match next {
                Some(below) if shown.len() < limit => place = below,
                _ => break,
            }
        }
        let next = next.map(|place| cursors.encode(&place));
        Ok(Found { page: Page { items: self.by_ids(&shown).await?, next }, facets })
    }

    /// A page of all products, newest first, also those that shoppers do not see.
    pub async fn list_all(
        &mut self,
        filter: &AdminProductFilter,
        limit: usize,
        cursor: Option<&str>,
        key: &CursorKey,
    ) -> Result<Page<ProductView>, ListError> {
        let list = format!("all products {filter:?}");
        let cursors = key.cursors(&list);
        let asked = asked(filter.q.as_deref().unwrap_or_default());
        if asked.is_empty() && filter.category.is_none() {
            let after = cursor.map(|cursor| cursors.decode::<(Timestamp, Uuid)>(cursor)).transpose()?;
            let (condition, values) = of_state(filter.active);
            let page = self.0.newest::<Product>(condition, &values, limit, after, &cursors).await?;
            let items = product_rows::with_variants(self.0, page.items).await?;
            return Ok(Page { items, next: page.next });
        }
        let mut place = cursor.map(|cursor| cursors.decode(cursor)).transpose()?.unwrap_or(START);
        let searched: Vec<_> = filter.category.map(token).into_iter().chain(asked.iter().cloned()).collect();
        let mut matches = self.all_matches(&searched, filter.active, &place, limit).await?;
        if cursor.is_none() && matches.is_none() && !asked.is_empty() {
            place.prefix = true;
            matches = self.all_matches(&searched, filter.active, &place, limit).await?;
        }
        let texts = product_texts::by_seqs(self.0, &matches.seqs).await?;
        let ids: Vec<ProductId> = texts.iter().map(|text| text.product_id).collect();
        let next = matches.more_below.map(|below| cursors.encode(&Place { below, ..place }));
        Ok(Page { items: self.by_ids(&ids).await?, next })
    }

    /// How the database walks to the pages of a list, of a search and of the administrator's list, the first page and
    /// a later one: for tests and measurements that hold it to walking an index.
    pub async fn explain(&mut self, filter: &ProductFilter) -> Result<Vec<Vec<String>>, StoreError> {
        let (mut plans, page) = (Vec::new(), 20);
        let word = params!["word", i64::MAX, 200_i64];
        plans.push(self.0.explain(postings::NEWEST, &word).await?);
        for after in [None, Some((0, Uuid::nil()))] {
            let (sql, values) = listing::statement(filter, after, page);
            plans.push(self.0.explain(&sql, &values).await?);
            for active in [None, Some(true)] {
                let (condition, values) = of_state(active);
                let after = after.map(|(_, product)| (Timestamp::UNIX_EPOCH, product));
                let (sql, values) = newest_first::<Product>(condition, &values, page, after);
                plans.push(self.0.explain(&sql, &values).await?);
            }
        }
        Ok(plans)
    }

    async fn matches(&mut self, words: &[String], place: &Place) -> Result<Matches, StoreError> {
        find(self.0, words, place, WINDOW).await
    }

    /// Matches among those that shoppers see, those they do not see, or both.
    async fn all_matches(
        &mut self,
        words: &[String],
        active: Option<bool>,
        place: &Place,
        most: usize,
    ) -> Result<Matches, StoreError> {
        let mut all = Matches::default();
        for active in [true, false].into_iter().filter(|&state| active.is_none_or(|active| active == state)) {
            let words: Vec<_> = words.iter().map(|word| marked(word, active)).collect();
            all = all.and(find(self.0, &words, place, most).await?);
        }
        Ok(all.cut(most))
    }
}

/// The condition on products that shoppers see, or that they do not see.
fn of_state(active: Option<bool>) -> (&'static str, Vec<Param<'static>>) {
    match active {
        Some(active) => ("active = $1", vec![active.into()]),
        None => ("TRUE", Vec::new()),
    }
}

async fn find(
    session: &mut Session,
    words: &[String],
    place: &Place,
    most: usize,
) -> Result<Matches, StoreError> {
    if place.prefix {
        postings::beginning(session, words, place.below, most).await
    } else {
        postings::matching(session, words, place.below, most).await
    }
}

/// The words of a question, each once.
fn asked(q: &str) -> Vec<String> {
    let mut asked: Vec<String> = Vec::new();
    for word in words(q) {
        if asked.len() < WORDS && !asked.contains(&word) {
            asked.push(word);
        }
    }
    asked
}

/// The place of a product in its window, if it has a price within the range.
fn rank(text: &ProductText, filter: &ProductFilter, asked: &[String], name: &str) -> Option<Rank> {
    let amount = *text.prices.get(&filter.currency)?;
    let by = match filter.sort {
        None if text.names.iter().any(|known| known == name) => 0,
        None if text.names.iter().any(|known| holds(known, asked)) => 1,
        None => 2,
        Some(ProductSort::Newest) => 0,
        Some(ProductSort::PriceAscending) => amount,
        Some(ProductSort::PriceDescending) => -amount,
    };
    filter.takes(amount).then_some((by, -text.seq))
}

fn holds(name: &str, asked: &[String]) -> bool {
    asked.iter().all(|word| name.split(' ').any(|known| known == word))
}
