//! Lists: a page of items and the cursor of the next page.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::infrastructure::repositories::Page;

/// A page of a list.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct List<T> {
    /// The items of this page.
    pub items: Vec<T>,
    /// The `cursor` of the next page; null on the last one.
    pub next_cursor: Option<String>,
}

impl<T> List<T> {
    /// A list that has but one page.
    pub fn whole<U>(items: Vec<U>, body: impl FnMut(U) -> T) -> Self {
        Self::of(Page { items, next: None }, body)
    }

    /// The page, each item as it looks outside.
    pub fn of<U>(page: Page<U>, body: impl FnMut(U) -> T) -> Self {
        let Page { items, next } = page.map(body);
        Self { items, next_cursor: next }
    }
}

/// The part of a list that is asked for. A list with filters has these two among its own parameters.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Slice {
    /// The most items of a page.
    #[serde(default = "usual_limit")]
    #[param(minimum = 1, maximum = 100, default = 20)]
    pub limit: usize,
    /// The `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// The most items of a page when it is not said.
pub fn usual_limit() -> usize {
    20
}
