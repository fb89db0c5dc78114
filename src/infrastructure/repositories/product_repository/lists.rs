//! Lists and searches: the catalogue's index has the ids of a page, whose products are then read.

use serde::{Deserialize, Serialize};

use super::{ProductRepository, rows};
use crate::domain::ids::ProductId;
use crate::domain::product::{Product, ProductView};
use crate::infrastructure::repositories::catalogue_index::{
    AdminProductFilter, Facets, ProductFilter, admin_search, listing, query_words, search,
};
use crate::infrastructure::repositories::database::{DatabaseError, ListError, Page, PageRequest, Root};

/// A page of search results.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SearchResults {
    /// The products, best first.
    pub page: Page<ProductView>,
    /// The facets of the newest matches, regardless of the price range; on the first page only.
    pub facets: Option<Facets>,
}

impl ProductRepository<'_> {
    /// Returns a page of the active products that a filter includes.
    pub async fn list(
        &mut self,
        filter: &ProductFilter,
        request: &PageRequest<'_>,
    ) -> Result<Page<ProductView>, ListError> {
        let page = listing::page(self.0, filter, request).await?;
        Ok(self.views(page).await?)
    }

    /// Returns a page of the products that contain all words of `q`. If there are none, the last word is a prefix. A
    /// query without words returns a list.
    pub async fn search(
        &mut self,
        q: &str,
        filter: &ProductFilter,
        request: &PageRequest<'_>,
    ) -> Result<SearchResults, ListError> {
        let query = query_words(q);
        if query.is_empty() {
            return Ok(SearchResults { page: self.list(filter, request).await?, facets: None });
        }
        let (page, facets) = search::page(self.0, &query, filter, request).await?;
        Ok(SearchResults { page: self.views(page).await?, facets })
    }

    /// Returns a page of all products, active or not, newest first.
    pub async fn list_all(
        &mut self,
        filter: &AdminProductFilter,
        request: &PageRequest<'_>,
    ) -> Result<Page<ProductView>, ListError> {
        let query = filter.query();
        if !query.is_empty() {
            let page = admin_search::page(self.0, &query, filter, request).await?;
            return Ok(self.views(page).await?);
        }
        let page = self.0.newest::<Root<Product>>(filter, filter.conditions(), request).await?;
        Ok(Page { items: rows::with_variants(self.0, page.items).await?, next: page.next })
    }

    /// Reads the products of a page.
    async fn views(&mut self, page: Page<ProductId>) -> Result<Page<ProductView>, DatabaseError> {
        Ok(Page { items: self.by_ids(&page.items).await?, next: page.next })
    }
}
