//! The administrator's search: among all products, active or not, newest first.

use serde::Serialize;

use super::postings::Matches;
use super::product_texts::{self, marked, token};
use super::search::{SearchPosition, find, query_words};
use crate::domain::ids::{CategoryId, ProductId};
use crate::infrastructure::repositories::database::{
    Conditions, Connection, DatabaseError, ListError, Page, PageRequest,
};

/// Which products an administrator's list includes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct AdminProductFilter {
    /// Only those that contain these words.
    pub q: Option<String>,
    /// Only those in the subtree of this category.
    pub category: Option<CategoryId>,
    /// Only the active or the inactive ones.
    pub active: Option<bool>,
}

impl AdminProductFilter {
    /// Returns the words that a search of the list looks for, that of the category first. A list without any is no
    /// search.
    pub(crate) fn query(&self) -> Vec<String> {
        let words = query_words(self.q.as_deref().unwrap_or_default());
        self.category.map(token).into_iter().chain(words).collect()
    }

    /// Returns the conditions on the products of a list that is no search.
    pub fn conditions(&self) -> Conditions<'static> {
        Conditions::default().compare_some("active =", self.active)
    }
}

/// Returns a page of the products that contain all words of `query`. If there are none, the last word is a prefix,
/// unless it is that of a category.
pub(crate) async fn page(
    connection: &mut Connection,
    query: &[String],
    filter: &AdminProductFilter,
    request: &PageRequest<'_>,
) -> Result<Page<ProductId>, ListError> {
    let (cursors, position) = request.cursors("product search", filter)?;
    let mut position = position.unwrap_or(SearchPosition::START);

    let mut matches = all_matches(connection, query, filter.active, &position, request.limit).await?;
    let has_words = query.len() > usize::from(filter.category.is_some());
    if request.cursor.is_none() && matches.is_empty() && has_words {
        position.prefix = true;
        matches = all_matches(connection, query, filter.active, &position, request.limit).await?;
    }

    let texts = product_texts::by_seqs(connection, &matches.seqs).await?;
    let next = matches.more_below.map(|below| cursors.encode(&SearchPosition { below, ..position }));
    Ok(Page { items: texts.iter().map(|text| text.product_id).collect(), next: next.transpose()? })
}

/// Returns the matches among the active products, the inactive ones, or both.
async fn all_matches(
    connection: &mut Connection,
    words: &[String],
    active: Option<bool>,
    position: &SearchPosition,
    most: usize,
) -> Result<Matches, DatabaseError> {
    let mut all = Matches::default();
    for active in [true, false].into_iter().filter(|&state| active.is_none_or(|active| active == state)) {
        let words: Vec<_> = words.iter().map(|word| marked(word, active)).collect();
        all = all.union(find(connection, &words, position, most).await?);
    }
    Ok(all.cut(most))
}
