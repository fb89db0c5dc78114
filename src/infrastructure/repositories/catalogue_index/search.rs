//! Searches: by the words of products, ranked, with facets.
//!
//! A search ranks a window of the newest products that contain all words, and continues with the window below when all
//! of them were returned: every match is reached, and a page reads a few windows at most.

use serde::{Deserialize, Serialize};

use super::facets::Facets;
use super::listing::{ProductFilter, ProductSort};
use super::postings::{self, Matches};
use super::product_texts::{self, ProductText, token};
use crate::domain::ids::ProductId;
use crate::domain::words::words;
use crate::infrastructure::repositories::database::{
    Connection, DatabaseError, ListError, Page, PageRequest,
};

/// The products in a window.
const WINDOW: usize = 200;
/// The most windows that a page reads.
const WINDOWS: usize = 4;
/// The most words of a query; further ones are ignored.
const WORDS: usize = 8;

/// The position of a search at which a page begins.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct SearchPosition {
    /// The `seq` below which the window begins.
    pub below: i64,
    /// The rank of the last product that was returned of the window.
    pub after: Option<Rank>,
    /// Whether the last word is a prefix.
    pub prefix: bool,
}

/// The rank of a product in its window, the smallest first.
pub(crate) type Rank = (i64, i64);

impl SearchPosition {
    /// The position of the first page.
    pub(crate) const START: Self = Self { below: i64::MAX, after: None, prefix: false };
}

/// Returns a page of the products that contain all words of `query`, and on the first page the facets. If there are
/// none, the last word is a prefix.
pub(crate) async fn page(
    connection: &mut Connection,
    query: &[String],
    filter: &ProductFilter,
    request: &PageRequest<'_>,
) -> Result<(Page<ProductId>, Option<Facets>), ListError> {
    let (cursors, position) = request.cursors("search", &(query, filter))?;
    let mut position = position.unwrap_or(SearchPosition::START);
    let words: Vec<_> = filter.category.map(token).into_iter().chain(query.iter().cloned()).collect();
    let name = query.join(" ");

    let (mut shown, mut facets, mut next) = (Vec::new(), None, None);
    for window in 0..WINDOWS {
        let is_first = request.cursor.is_none() && window == 0;
        let mut matches = find(connection, &words, &position, WINDOW).await?;
        if is_first && matches.is_empty() {
            position.prefix = true;
            matches = find(connection, &words, &position, WINDOW).await?;
        }

        let texts = product_texts::by_seqs(connection, &matches.seqs).await?;
        if is_first {
            facets = Some(Facets::of(&texts, filter.currency));
        }
        let ranked =
            texts.iter().filter_map(|text| Some((rank(text, filter, query, &name)?, text.product_id)));
        let best;
        (best, next) = best_of(ranked, &matches, position, request.limit - shown.len());
        shown.extend(best);
        match next {
            // a window that is not full was expensive to read: the page is short rather than slow
            Some(following) if shown.len() < request.limit && matches.seqs.len() == WINDOW => {
                position = following;
            }
            _ => break,
        }
    }
    let next = next.map(|position| cursors.encode(&position)).transpose()?;
    Ok((Page { items: shown, next }, facets))
}

/// Returns the best `most` products of a window after a position, and the position after them, if there may be more.
fn best_of(
    ranked: impl Iterator<Item = (Rank, ProductId)>,
    matches: &Matches,
    position: SearchPosition,
    most: usize,
) -> (Vec<ProductId>, Option<SearchPosition>) {
    let mut ranked: Vec<_> =
        ranked.filter(|(rank, _)| position.after.is_none_or(|after| *rank > after)).collect();
    ranked.sort_unstable_by_key(|&(rank, _)| rank);
    let has_more = ranked.len() > most;
    ranked.truncate(most);

    let next = if has_more {
        // new products must not displace others from a window of which a part was returned
        let below = matches.seqs.first().map_or(position.below, |seq| seq + 1);
        let after = ranked.last().map(|&(rank, _)| rank).or(position.after);
        Some(SearchPosition { below, after, ..position })
    } else {
        matches.more_below.map(|below| SearchPosition { below, after: None, ..position })
    };
    (ranked.into_iter().map(|(_, id)| id).collect(), next)
}

/// Returns the matches of `words` from a position on.
pub(crate) async fn find(
    connection: &mut Connection,
    words: &[String],
    position: &SearchPosition,
    most: usize,
) -> Result<Matches, DatabaseError> {
    if position.prefix {
        postings::matching_prefix(connection, words, position.below, most).await
    } else {
        postings::matching(connection, words, position.below, most).await
    }
}

/// Returns the words of a query, each once.
pub(crate) fn query_words(q: &str) -> Vec<String> {
    let mut query: Vec<String> = Vec::new();
    for word in words(q) {
        if query.len() < WORDS && !query.contains(&word) {
            query.push(word);
        }
    }
    query
}

/// Returns a query with the same results as `q`, the same for all that differ in what does not matter, such as case.
pub fn normalized_query(q: &str) -> String {
    query_words(q).join(" ")
}

/// Returns the rank of a product in its window, if it has a price within the range.
fn rank(text: &ProductText, filter: &ProductFilter, query: &[String], name: &str) -> Option<Rank> {
    let amount = *text.prices.get(&filter.currency)?;
    let by = match filter.sort {
        None if text.names.iter().any(|known| known == name) => 0,
        None if text.names.iter().any(|known| contains_all(known, query)) => 1,
        None => 2,
        Some(ProductSort::Newest) => 0,
        Some(ProductSort::PriceAscending) => amount,
        Some(ProductSort::PriceDescending) => -amount,
    };
    filter.includes(amount).then_some((by, -text.seq))
}

fn contains_all(name: &str, query: &[String]) -> bool {
    query.iter().all(|word| name.split(' ').any(|known| known == word))
}
