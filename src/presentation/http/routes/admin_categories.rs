//! The category tree, as administrators manage it.

use http::StatusCode;

use crate::application::catalogue::categories::{self, CreateCategory, MoveCategory, UpdateCategory};
use crate::domain::category::Category;
use crate::domain::ids::CategoryId;
use crate::infrastructure::exceptions::{CategoryNotFoundException, Conflict};
use crate::presentation::http::bodies::CategoryBody;
use crate::presentation::http::conditional::{IfMatch, IfNoneMatch};
use crate::presentation::http::idempotency_key::Idempotent;
use crate::presentation::http::json::Json;
use crate::presentation::http::list::List;
use crate::presentation::http::operation::any;
use crate::presentation::http::principal::Admin;
use crate::presentation::http::query::Path;
use crate::presentation::http::response::{HandlerResult, StoredResponse, created};
use crate::presentation::http::routing::{Routes, routes};
use crate::presentation::http::state::{AppState, State};

pub(super) fn routes() -> Routes {
    routes![
        list_categories,
        get_category: [any::<CategoryNotFoundException>()],
        create_category: [Conflict::AlreadyExists { field: "slug" }],
        update_category: [any::<CategoryNotFoundException>(), Conflict::AlreadyExists { field: "slug" }],
        move_category: [any::<CategoryNotFoundException>()],
        delete_category: [any::<CategoryNotFoundException>(), Conflict::CategoryInUse { products: 0, subcategories: 0 }],
    ]
}

/// List all categories
///
/// The list is not paginated. Siblings are in their order.
#[utoipa::path(get, path = "/admin/v1/categories", tag = "admin-categories",
    responses((status = 200, body = List<CategoryBody>)))]
async fn list_categories(_: Admin, State(app): State<AppState>) -> HandlerResult<Json<List<CategoryBody>>> {
    let all = categories::list(&app.store).await?;
    Ok(Json(List::whole(all, |category| CategoryBody::of(&category))))
}

/// Get a category
#[utoipa::path(get, path = "/admin/v1/categories/{id}", tag = "admin-categories", params(("id" = Uuid, Path)),
    responses((status = 200, body = CategoryBody)))]
async fn get_category(
    _: Admin,
    State(app): State<AppState>,
    Path(id): Path<CategoryId>,
    if_none_match: IfNoneMatch,
) -> HandlerResult {
    let category = categories::category(&app.store, id).await?;
    Ok(if_none_match.respond(category.version, &CategoryBody::of(&category)))
}

/// Create a category
#[utoipa::path(post, path = "/admin/v1/categories", tag = "admin-categories", request_body = CreateCategory,
    responses((status = 201, body = CategoryBody)))]
async fn create_category(
    admin: Admin,
    State(app): State<AppState>,
    request: Idempotent<CreateCategory>,
) -> HandlerResult<StoredResponse> {
    let location = |category: &Category| format!("/admin/v1/categories/{}", category.id);
    let (new, responder) =
        request.into_parts(Some(admin.user_id()), created(location, CategoryBody::response))?;
    categories::create(&app.store, new, responder).await
}

/// Update a category
#[utoipa::path(patch, path = "/admin/v1/categories/{id}", tag = "admin-categories", params(("id" = Uuid, Path)),
    request_body = UpdateCategory, responses((status = 200, body = CategoryBody)))]
async fn update_category(
    _: Admin,
    State(app): State<AppState>,
    Path(id): Path<CategoryId>,
    IfMatch(expected_version): IfMatch,
    Json(change): Json<UpdateCategory>,
) -> HandlerResult<StoredResponse> {
    let category = categories::update(&app.store, id, expected_version, change).await?;
    Ok(CategoryBody::response(&category))
}

/// Move a category
///
/// Moves a category with its subtree. Product lists and searches follow at once.
#[utoipa::path(post, path = "/admin/v1/categories/{id}/move", tag = "admin-categories",
    params(("id" = Uuid, Path)), request_body = MoveCategory, responses((status = 200, body = CategoryBody)))]
async fn move_category(
    _: Admin,
    State(app): State<AppState>,
    Path(id): Path<CategoryId>,
    IfMatch(expected_version): IfMatch,
    Json(target): Json<MoveCategory>,
) -> HandlerResult<StoredResponse> {
    let category = categories::move_to(&app.store, id, expected_version, target).await?;
    Ok(CategoryBody::response(&category))
}

/// Delete a category
///
/// The request fails with `in_use` if the category has products or subcategories, and their numbers.
#[utoipa::path(delete, path = "/admin/v1/categories/{id}", tag = "admin-categories", params(("id" = Uuid, Path)),
    responses((status = 204)))]
async fn delete_category(
    _: Admin,
    State(app): State<AppState>,
    Path(id): Path<CategoryId>,
    IfMatch(expected_version): IfMatch,
) -> HandlerResult<StatusCode> {
    categories::remove(&app.store, id, expected_version).await?;
    Ok(StatusCode::NO_CONTENT)
}
