//! What an administrator does with the catalogue: products and their stock.

use std::sync::Arc;

use axum::extract::State;
use axum::response::IntoResponse;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::application::catalogue::products::{self, ProductDraft};
use crate::application::idempotency::once;
use crate::domain::ids::{CategoryId, ProductId, VariantId};
use crate::domain::product::{ProductView, Stock};
use crate::infrastructure::exceptions::{Failure, NotFound};
use crate::infrastructure::repositories::{AdminProductFilter, InventoryRepository};
use crate::presentation::http::answer::{HandlerResult, created, versioned};
use crate::presentation::http::bodies::ProductRecord;
use crate::presentation::http::conditional::{IfMatch, IfNoneMatch, changed, fresh};
use crate::presentation::http::idempotency_key::Idempotent;
use crate::presentation::http::json::Json;
use crate::presentation::http::list::usual_limit;
use crate::presentation::http::principal::Admin;
use crate::presentation::http::query::{Path, Query};
use crate::presentation::http::routing::{Routes, routes};
use crate::presentation::http::state::AppState;

pub(super) fn routes() -> Routes {
    routes![list, create, get, update, retire, stock, set_stock]
}

/// Which products.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct ListParameters {
    /// Only those that hold these words.
    #[param(max_length = 200)]
    q: Option<String>,
    /// Only those in this category or below it.
    #[param(value_type = Option<Uuid>)]
    category_id: Option<CategoryId>,
    /// Only those that shoppers see, or that they do not see.
    active: Option<bool>,
    /// The most items of a page.
    #[serde(default = "usual_limit")]
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: usize,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

/// How many there are.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct StockInput {
    /// How many there are, those that orders have reserved included.
    #[schema(minimum = 0, maximum = 1_000_000_000)]
    stock: i64,
}

/// The stock of a variant.
#[derive(Debug, Serialize, ToSchema)]
struct StockBody {
    variant_id: VariantId,
    /// How many there are.
    stock: i64,
    /// How many of them orders have reserved.
    reserved: i64,
    /// How many can be bought now.
    available: i64,
    version: i64,
}

/// A page of products.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ProductRecords)]
struct Products<'a> {
    items: Vec<ProductRecord<'a>>,
    /// The `cursor` of the next page; null on the last one.
    next_cursor: Option<&'a str>,
}

/// All products, newest first.
#[utoipa::path(get, path = "/admin/v1/products", tag = "admin products", params(ListParameters),
    responses((status = 200, body = Products)))]
async fn list(_: Admin, State(app): State<AppState>, Query(wanted): Query<ListParameters>) -> HandlerResult {
    let filter = AdminProductFilter { q: wanted.q, category: wanted.category_id, active: wanted.active };
    let page = products::all_products(&app.store, &filter, wanted.limit, wanted.cursor.as_deref()).await?;
    let items = page.items.iter().map(ProductRecord::of).collect();
    Ok(Json(Products { items, next_cursor: page.next.as_deref() }).into_response())
}

/// Adds a product.
#[utoipa::path(post, path = "/admin/v1/products", tag = "admin products", request_body = ProductDraft,
    responses((status = 201, body = ProductRecord)))]
async fn create(who: Admin, State(app): State<AppState>, request: Idempotent<ProductDraft>) -> HandlerResult {
    let key = request.key(Some(who.user_id()));
    let draft = Arc::new(request.body);
    let render = created(|view: &ProductView| {
        let shown = versioned(view.product.version, &ProductRecord::of(view));
        (format!("/admin/v1/products/{}", view.product.id), shown)
    });
    let answer = once(&app.store, key, Arc::new(render), move |work| {
        let draft = Arc::clone(&draft);
        Box::pin(async move { products::create_product(work, &draft).await })
    });
    Ok(answer.await?.into_response())
}

/// A product, also one that shoppers do not see.
#[utoipa::path(get, path = "/admin/v1/products/{id}", tag = "admin products", params(("id" = Uuid, Path)),
    responses((status = 200, body = ProductRecord)))]
async fn get(
    _: Admin,
    State(app): State<AppState>,
    Path(id): Path<ProductId>,
    known: IfNoneMatch,
) -> HandlerResult {
    let view = products::any_product(&app.store, id).await?;
    fresh(view.product.version, &ProductRecord::of(&view), &known)
}

/// Describes a product anew. Variants that are not named any more are no longer sold.
#[utoipa::path(put, path = "/admin/v1/products/{id}", tag = "admin products", params(("id" = Uuid, Path)),
    request_body = ProductDraft, responses((status = 200, body = ProductRecord)))]
async fn update(
    _: Admin,
    State(app): State<AppState>,
    Path(id): Path<ProductId>,
    IfMatch(version): IfMatch,
    Json(draft): Json<ProductDraft>,
) -> HandlerResult {
    let draft = Arc::new(draft);
    let view = app.store.database().write_boxed(move |work| {
        let draft = Arc::clone(&draft);
        Box::pin(async move { products::update_product(work, id, version, &draft).await })
    });
    let view: Result<ProductView, Failure> = view.await;
    let view = view?;
    changed(view.product.version, &ProductRecord::of(&view))
}

/// Takes a product off the shelf. What was sold of it stays in the books.
#[utoipa::path(delete, path = "/admin/v1/products/{id}", tag = "admin products", params(("id" = Uuid, Path)),
    responses((status = 204)))]
async fn retire(
    _: Admin,
    State(app): State<AppState>,
    Path(id): Path<ProductId>,
    IfMatch(version): IfMatch,
) -> HandlerResult {
    let retired: Result<(), Failure> = app
        .store
        .database()
        .write_boxed(move |work| Box::pin(products::archive_product(work, id, version)))
        .await;
    retired?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// The stock of a variant.
#[utoipa::path(get, path = "/admin/v1/inventory/{variant_id}", tag = "admin inventory",
    params(("variant_id" = Uuid, Path)), responses((status = 200, body = StockBody)))]
async fn stock(_: Admin, State(app): State<AppState>, Path(id): Path<VariantId>) -> HandlerResult {
    let mut session = app.store.database().read().await?;
    let found = InventoryRepository(&mut session).stocks(&[id]).await?;
    stock_body(id, *found.get(&id).ok_or(NotFound::Variant)?)
}

/// Sets how many pieces of a variant there are, those that orders have reserved included; never below those.
#[utoipa::path(put, path = "/admin/v1/inventory/{variant_id}", tag = "admin inventory",
    params(("variant_id" = Uuid, Path)), request_body = StockInput, responses((status = 200, body = StockBody)))]
async fn set_stock(
    _: Admin,
    State(app): State<AppState>,
    Path(id): Path<VariantId>,
    IfMatch(version): IfMatch,
    Json(StockInput { stock }): Json<StockInput>,
) -> HandlerResult {
    let set: Result<Stock, Failure> = app
        .store
        .database()
        .write_boxed(move |work| Box::pin(products::set_stock(work, id, stock, version)))
        .await;
    stock_body(id, set?)
}

fn stock_body(variant_id: VariantId, found: Stock) -> HandlerResult {
    let Stock { stock, reserved, version } = found;
    changed(version, &StockBody { variant_id, stock, reserved, available: found.available(), version })
}
