//! Searches: by the words of products, ranked, with facets.
//!
//! A search looks at a window of the newest products that hold all words, ranks those, and when they are all shown
//! goes on with the window below: nothing is out of reach, and no page costs more than a few windows.

use serde::{Deserialize, Serialize};

use super::facets::Facets;
use super::listing::{ProductFilter, ProductSort};
use super::postings::{self, Matches};
use super::product_texts::{self, ProductText, token};
use crate::domain::product::ProductView;
use crate::domain::words::words;
use crate::infrastructure::repositories::database::{Connection, DatabaseError, ListError, Page, SigningKey};
use crate::infrastructure::repositories::product_repository::ProductRepository;

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

/// Where a page of a search begins.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct SearchPosition {
    /// The window's upper end.
    pub below: i64,
    /// The last product shown of the window.
    pub after: Option<Rank>,
    /// Whether the last word is the beginning of one.
    pub prefix: bool,
}

/// A product's place in its window, the smallest first.
pub(crate) type Rank = (i64, i64);

impl SearchPosition {
    /// Where the first page begins.
    pub const START: Self = Self { below: i64::MAX, after: None, prefix: false };
}

impl ProductRepository<'_> {
    /// A page of the products that hold all words of `q`. When none does, the last word may be the beginning of one.
    /// A question without words is a list.
    pub async fn search(
        &mut self,
        q: &str,
        filter: &ProductFilter,
        limit: usize,
        cursor: Option<&str>,
        key: &SigningKey,
    ) -> Result<Found, ListError> {
        let asked = asked(q);
        if asked.is_empty() {
            let page = self.list(filter, limit, cursor, key).await?;
            return Ok(Found { page, facets: None });
        }
        let cursors = key.cursors("search", &(&asked, filter))?;
        let mut place =
            cursor.map(|cursor| cursors.decode(cursor)).transpose()?.unwrap_or(SearchPosition::START);
        let searched: Vec<_> = filter.category.map(token).into_iter().chain(asked.iter().cloned()).collect();
        let name = asked.join(" ");
        let (mut shown, mut facets) = (Vec::new(), None);
        let mut next = None;
        for _ in 0..WINDOWS {
            let mut matches = find(self.0, &searched, &place, WINDOW).await?;
            if cursor.is_none() && facets.is_none() && matches.is_none() {
                place.prefix = true;
                matches = find(self.0, &searched, &place, WINDOW).await?;
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
            let room = limit - shown.len();
            let rest = ranked.len() > room;
            ranked.truncate(room);
            next = if rest {
                let after = ranked.last().map(|&(rank, _)| rank).or(place.after);
                Some(SearchPosition { below: top, after, ..place })
            } else {
                matches.more_below.map(|end| SearchPosition { below: end, after: None, ..place })
            };
            shown.extend(ranked.into_iter().map(|(_, id)| id));
            match next {
                // a window that is not full took long to find: the page is short rather than late
                Some(on) if shown.len() < limit && matches.seqs.len() == WINDOW => place = on,
                _ => break,
            }
        }
        let next = next.map(|place| cursors.encode(&place)).transpose()?;
        Ok(Found { page: Page { items: self.by_ids(&shown).await?, next }, facets })
    }
}

/// Matches of `words` from a place on.
pub(crate) async fn find(
    connection: &mut Connection,
    words: &[String],
    place: &SearchPosition,
    most: usize,
) -> Result<Matches, DatabaseError> {
    if place.prefix {
        postings::beginning(connection, words, place.below, most).await
    } else {
        postings::matching(connection, words, place.below, most).await
    }
}

/// The words of a question, each once.
pub(crate) fn asked(q: &str) -> Vec<String> {
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
