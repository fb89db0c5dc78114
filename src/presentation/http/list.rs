//! Lists: a page of items and the cursor of the next page.

use serde::{Deserialize, Serialize};
use utoipa::openapi::path::{Parameter, ParameterIn};
use utoipa::{IntoParams, ToSchema};

use crate::infrastructure::repositories::{DEFAULT_LIMIT, Page};

/// A page of a list.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct List<T> {
    /// The items of this page.
    pub items: Vec<T>,
    /// The `cursor` of the next page; `null` on the last page.
    pub next_cursor: Option<String>,
}

impl<T> List<T> {
    /// A list that has only one page.
    pub fn whole<U>(items: Vec<U>, body: impl FnMut(U) -> T) -> Self {
        Self::of(Page { items, next: None }, body)
    }

    /// A page, with the body of each item.
    pub fn of<U>(page: Page<U>, body: impl FnMut(U) -> T) -> Self {
        let Page { items, next } = page.map(body);
        Self { items, next_cursor: next }
    }
}

/// The query parameters of a list: the page, and the parameters of `F`.
#[derive(Debug, Clone, Deserialize)]
pub struct ListQuery<F = Unfiltered> {
    /// Which items are listed, and how.
    #[serde(flatten)]
    pub filter: F,
    /// The most items of the page.
    #[serde(default = "default_limit")]
    pub limit: usize,
    /// The `next_cursor` of the previous page.
    pub cursor: Option<String>,
}

/// The parameters of a list without filters.
#[derive(Debug, Clone, Copy, Deserialize, IntoParams)]
pub struct Unfiltered {}

/// The documentation of the parameters that every list has.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes parameters")]
struct PageQuery {
    /// The most items of the page. A page may have fewer items and still not be the last.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<usize>,
    /// The `next_cursor` of the previous page of the same list, with the same filters. If omitted, the first page is
    /// returned. A cursor that the store did not issue for this list is refused.
    #[param(pattern = "^[A-Za-z0-9_-]+$")]
    cursor: Option<String>,
}

impl<F: IntoParams> IntoParams for ListQuery<F> {
    fn into_params(parameter_in: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let mut parameters = F::into_params(&parameter_in);
        parameters.extend(PageQuery::into_params(&parameter_in));
        parameters
    }
}

/// The number of items of a page if `limit` is omitted.
fn default_limit() -> usize {
    DEFAULT_LIMIT
}
