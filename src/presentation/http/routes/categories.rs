//! The category tree, as shoppers see it.

use axum::extract::State;

use crate::application::catalogue::categories;
use crate::domain::category::Branch;
use crate::infrastructure::exceptions::CategoryNotFoundException;
use crate::presentation::http::answer::HandlerResult;
use crate::presentation::http::bodies::BranchBody;
use crate::presentation::http::conditional::{IfNoneMatch, fresh};
use crate::presentation::http::list::List;
use crate::presentation::http::principal::Public;
use crate::presentation::http::query::Path;
use crate::presentation::http::routing::{Routes, routes};
use crate::presentation::http::state::AppState;

pub(super) fn routes() -> Routes {
    routes![list, get]
}

/// The version of what has none of its own: only its tag tells it apart.
const NONE: i64 = 0;

/// The whole tree, siblings in their order.
#[utoipa::path(get, path = "/v1/categories", tag = "categories",
    responses((status = 200, body = List<BranchBody>)))]
async fn list(_: Public, State(app): State<AppState>, known: IfNoneMatch) -> HandlerResult {
    let tree = categories::categories(&app.store).await?;
    let items = tree.iter().map(BranchBody::of).collect();
    fresh(NONE, &List { items, next_cursor: None }, &known)
}

/// A category by its id or slug, with those below it.
#[utoipa::path(get, path = "/v1/categories/{id_or_slug}", tag = "categories",
    params(("id_or_slug" = String, Path)), responses((status = 200, body = BranchBody)))]
async fn get(
    _: Public,
    State(app): State<AppState>,
    Path(id_or_slug): Path<String>,
    known: IfNoneMatch,
) -> HandlerResult {
    let tree = categories::categories(&app.store).await?;
    let found = Branch::find(&tree, &id_or_slug);
    let branch = found.ok_or_else(|| CategoryNotFoundException { category: id_or_slug.clone() })?;
    fresh(NONE, &BranchBody::of(branch), &known)
}
