//! The administrator's list: all products, active or not, newest first.

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use super::listing::{self, ProductFilter};
use super::postings::{self, Matches};
use super::product_texts::{self, marked, token};
use super::search::{SearchPosition, find, query_words};
use crate::domain::ids::{CategoryId, ProductId};
use crate::domain::product::{Product, ProductView};
use crate::infrastructure::repositories::database::{
    DatabaseError, ListError, Page, Param, Root, SigningKey, newest_first, params,
};
use crate::infrastructure::repositories::product_repository::ProductRepository;
use crate::infrastructure::repositories::product_repository::rows as product_rows;

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

impl ProductRepository<'_> {
    /// Returns a page of all products, active or not, newest first.
    pub async fn list_all(
        &mut self,
        filter: &AdminProductFilter,
        limit: usize,
        cursor: Option<&str>,
        key: &SigningKey,
    ) -> Result<Page<ProductView>, ListError> {
        let cursors = key.cursors("all products", filter)?;
        let query = query_words(filter.q.as_deref().unwrap_or_default());
        if query.is_empty() && filter.category.is_none() {
            let after = cursor.map(|cursor| cursors.decode::<(Timestamp, Uuid)>(cursor)).transpose()?;
            let (condition, values) = of_state(filter.active);
            let page = self.0.newest::<Root<Product>>(condition, &values, limit, after, &cursors).await?;
            let items = product_rows::with_variants(self.0, page.items).await?;
            return Ok(Page { items, next: page.next });
        }
        let mut position =
            cursor.map(|cursor| cursors.decode(cursor)).transpose()?.unwrap_or(SearchPosition::START);
        let searched: Vec<_> = filter.category.map(token).into_iter().chain(query.iter().cloned()).collect();
        let mut matches = self.all_matches(&searched, filter.active, &position, limit).await?;
        if cursor.is_none() && matches.is_empty() && !query.is_empty() {
            position.prefix = true;
            matches = self.all_matches(&searched, filter.active, &position, limit).await?;
        }
        let texts = product_texts::by_seqs(self.0, &matches.seqs).await?;
        let ids: Vec<ProductId> = texts.iter().map(|text| text.product_id).collect();
        let next = matches
            .more_below
            .map(|below| cursors.encode(&SearchPosition { below, ..position }))
            .transpose()?;
        Ok(Page { items: self.by_ids(&ids).await?, next })
    }

    /// Returns the query plans of the first and of a later page of a list, a search and the administrator's list, for
    /// tests and benchmarks that they read an index.
    pub async fn explain(&mut self, filter: &ProductFilter) -> Result<Vec<Vec<String>>, DatabaseError> {
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

    /// Returns the matches among the active products, the inactive ones, or both.
    async fn all_matches(
        &mut self,
        words: &[String],
        active: Option<bool>,
        position: &SearchPosition,
        most: usize,
    ) -> Result<Matches, DatabaseError> {
        let mut all = Matches::default();
        for active in [true, false].into_iter().filter(|&state| active.is_none_or(|active| active == state)) {
            let words: Vec<_> = words.iter().map(|word| marked(word, active)).collect();
            all = all.union(find(self.0, &words, position, most).await?);
        }
        Ok(all.cut(most))
    }
}

/// Returns the condition of active or inactive products.
fn of_state(active: Option<bool>) -> (&'static str, Vec<Param<'static>>) {
    match active {
        Some(active) => ("active = $1", vec![active.into()]),
        None => ("TRUE", Vec::new()),
    }
}
