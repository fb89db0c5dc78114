//! The category tree, as shoppers see it.

use crate::application::catalogue::categories;
use crate::infrastructure::exceptions::CategoryNotFoundException;
use crate::presentation::http::bodies::CategoryTreeBody;
use crate::presentation::http::cache_status::FromCache;
use crate::presentation::http::conditional::{NO_VERSION, form};
use crate::presentation::http::list::List;
use crate::presentation::http::operation::any;
use crate::presentation::http::principal::Public;
use crate::presentation::http::query::Path;
use crate::presentation::http::response::HandlerResult;
use crate::presentation::http::routing::{Routes, routes};
use crate::presentation::http::state::{AppState, State};

pub(super) fn routes() -> Routes {
    routes![
        list_categories,
        get_category: [any::<CategoryNotFoundException>()],
    ]
}

/// Get the category tree
///
/// Siblings are in their order.
#[utoipa::path(get, path = "/v1/categories", tag = "categories",
    responses((status = 200, body = List<CategoryTreeBody>)))]
async fn list_categories(_: Public, State(app): State<AppState>, from_cache: FromCache) -> HandlerResult {
    let categories = categories::all(&app.store).await?;
    let form = categories.form("tree", |categories| {
        let items = categories.tree().iter().map(CategoryTreeBody::of).collect();
        form(NO_VERSION, &List { items, next_cursor: None })
    })?;
    Ok(from_cache.respond_with(form, categories.status))
}

/// Get a category with its subtree
///
/// Returns the category with this id or slug.
#[utoipa::path(get, path = "/v1/categories/{id_or_slug}", tag = "categories",
    params(("id_or_slug" = String, Path, description = "The id or the slug of the category, without control characters.",
        pattern = r"^[^\x00-\x1F\x7F-\x9F]+$")), responses((status = 200, body = CategoryTreeBody)))]
async fn get_category(
    _: Public,
    State(app): State<AppState>,
    Path(id_or_slug): Path<String>,
    from_cache: FromCache,
) -> HandlerResult {
    let categories = categories::all(&app.store).await?;
    let found = categories
        .subtree_form(&id_or_slug, |subtree| form(NO_VERSION, &CategoryTreeBody::of(subtree)))
        .ok_or(CategoryNotFoundException { category: id_or_slug })?;
    let form = found?;
    Ok(from_cache.respond_with(form, categories.status))
}
