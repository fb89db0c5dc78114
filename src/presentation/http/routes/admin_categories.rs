//! The category tree, as administrators tend it.

use std::sync::Arc;

use axum::extract::State;
use axum::response::IntoResponse;
use http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::application::catalogue::categories::{self, CategoryChange, CategoryPosition, NewCategory};
use crate::application::idempotency::once;
use crate::domain::category::Category;
use crate::domain::ids::CategoryId;
use crate::domain::product::Translations;
use crate::domain::tax::TaxClass;
use crate::presentation::http::answer::{HandlerResult, created, versioned};
use crate::presentation::http::bodies::CategoryBody;
use crate::presentation::http::conditional::{IfMatch, IfNoneMatch, changed, fresh};
use crate::presentation::http::idempotency_key::Idempotent;
use crate::presentation::http::json::Json;
use crate::presentation::http::list::List;
use crate::presentation::http::patch::given;
use crate::presentation::http::principal::Admin;
use crate::presentation::http::query::Path;
use crate::presentation::http::routing::{Routes, routes};
use crate::presentation::http::state::AppState;

pub(super) fn routes() -> Routes {
    routes![list, get, create, change, move_to, remove]
}

/// What a category is to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewCategory)]
struct NewBody {
    /// Its name in the store's base language.
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    /// The readable part of its address; made of the name if it is left out.
    #[schema(min_length = 1, max_length = 120, example = "t-shirts")]
    slug: Option<String>,
    /// The category above it; the top if it is left out.
    parent_id: Option<CategoryId>,
    /// Its place among its siblings.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 1_000_000_000)]
    position: i64,
    /// The tax class of its products; that of the category above if it is left out.
    tax_class: Option<TaxClass>,
    /// Its name in other languages, by BCP 47 tag.
    #[serde(default)]
    translations: Translations,
}

/// What is to be another; what is left out stays as it is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CategoryChange)]
struct ChangeBody {
    /// Another name.
    #[schema(min_length = 1, max_length = 200)]
    name: Option<String>,
    /// Another slug.
    #[schema(min_length = 1, max_length = 120, example = "t-shirts")]
    slug: Option<String>,
    /// Another tax class; null takes that of the category above.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<TaxClass>)]
    tax_class: Option<Option<TaxClass>>,
    /// Its name in other languages, all of them.
    translations: Option<Translations>,
}

/// Where a category is to stand.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CategoryPositionBody {
    /// The category above it; null is the top.
    parent_id: Option<CategoryId>,
    /// Its place among its siblings.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 1_000_000_000)]
    position: i64,
}

/// All categories, siblings in their order.
#[utoipa::path(get, path = "/admin/v1/categories", tag = "admin categories",
    responses((status = 200, body = List<CategoryBody>)))]
async fn list(_: Admin, State(app): State<AppState>) -> HandlerResult {
    let all = categories::all(&app.store).await?;
    Ok(Json(List::whole(all, |category| CategoryBody::of(&category))).into_response())
}

/// A category.
#[utoipa::path(get, path = "/admin/v1/categories/{id}", tag = "admin categories", params(("id" = Uuid, Path)),
    responses((status = 200, body = CategoryBody)))]
async fn get(
    _: Admin,
    State(app): State<AppState>,
    Path(id): Path<CategoryId>,
    known: IfNoneMatch,
) -> HandlerResult {
    let category = categories::category(&app.store, id).await?;
    fresh(category.version, &CategoryBody::of(&category), &known)
}

/// Makes a category.
#[utoipa::path(post, path = "/admin/v1/categories", tag = "admin categories", request_body = NewBody,
    responses((status = 201, body = CategoryBody)))]
async fn create(who: Admin, State(app): State<AppState>, request: Idempotent<NewBody>) -> HandlerResult {
    let key = request.key(Some(who.user_id()));
    let NewBody { name, slug, parent_id, position, tax_class, translations } = request.body;
    let new = NewCategory { slug, name, parent_id, position, tax_class, translations };
    let render = created(|category: &Category| {
        let shown = versioned(category.version, &CategoryBody::of(category));
        (format!("/admin/v1/categories/{}", category.id), shown)
    });
    let answer = once(&app.store, key, Arc::new(render), move |work| {
        let new = new.clone();
        Box::pin(async move { categories::create(work, &new).await })
    });
    Ok(answer.await?.into_response())
}

/// Changes a category where it stands.
#[utoipa::path(patch, path = "/admin/v1/categories/{id}", tag = "admin categories", params(("id" = Uuid, Path)),
    request_body = ChangeBody, responses((status = 200, body = CategoryBody)))]
async fn change(
    _: Admin,
    State(app): State<AppState>,
    Path(id): Path<CategoryId>,
    IfMatch(seen): IfMatch,
    Json(ChangeBody { name, slug, tax_class, translations }): Json<ChangeBody>,
) -> HandlerResult {
    let change = CategoryChange { slug, name, tax_class, translations };
    let write = app
        .store
        .database()
        .write_boxed(move |work| Box::pin(categories::change(work, id, change.clone(), seen)));
    let category = write.await?;
    changed(category.version, &CategoryBody::of(&category))
}

/// Puts a category, with all below it, somewhere else. Lists and searches follow at once.
#[utoipa::path(post, path = "/admin/v1/categories/{id}/move", tag = "admin categories",
    params(("id" = Uuid, Path)), request_body = CategoryPositionBody, responses((status = 200, body = CategoryBody)))]
async fn move_to(
    _: Admin,
    State(app): State<AppState>,
    Path(id): Path<CategoryId>,
    IfMatch(seen): IfMatch,
    Json(CategoryPositionBody { parent_id, position }): Json<CategoryPositionBody>,
) -> HandlerResult {
    let spot = CategoryPosition { parent_id, position };
    let write =
        app.store.database().write_boxed(move |work| Box::pin(categories::move_to(work, id, spot, seen)));
    let category = write.await?;
    changed(category.version, &CategoryBody::of(&category))
}

/// Removes a category. One that has products or categories below it is `in_use`.
#[utoipa::path(delete, path = "/admin/v1/categories/{id}", tag = "admin categories", params(("id" = Uuid, Path)),
    responses((status = 204)))]
async fn remove(_: Admin, State(app): State<AppState>, Path(id): Path<CategoryId>) -> HandlerResult {
    let database = app.store.database();
    database.write_boxed(move |work| Box::pin(categories::remove(work, id))).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
