//! Products and their stock, as administrators manage them.

use axum::response::IntoResponse;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::application::catalogue::{product_draft::ProductDraft, products, stock};
use crate::domain::ids::{CategoryId, ProductId, VariantId};
use crate::domain::product::{ProductView, Stock};
use crate::infrastructure::exceptions::{Conflict, NotFound};
use crate::infrastructure::repositories::AdminProductFilter;
use crate::presentation::http::bodies::AdminProductBody;
use crate::presentation::http::conditional::{IfMatch, IfNoneMatch};
use crate::presentation::http::idempotency_key::Idempotent;
use crate::presentation::http::json::Json;
use crate::presentation::http::list::ListQuery;
use crate::presentation::http::principal::Admin;
use crate::presentation::http::query::{Path, Query};
use crate::presentation::http::response::{HandlerResult, StoredResponse, created, tagged};
use crate::presentation::http::routing::{Routes, routes};
use crate::presentation::http::state::{AppState, State};

/// The most bytes of a product with its variants and translations.
const PRODUCT_BYTES: usize = 1 << 20;

pub(super) fn routes() -> Routes {
    routes![
        list_products,
        create_product: [Conflict::AlreadyExists { field: "slug" }, Conflict::Stale],
        get_product: [NotFound::Product],
        replace_product: [NotFound::Product, Conflict::AlreadyExists { field: "slug" }, Conflict::Stale],
        deactivate_product: [NotFound::Product, Conflict::Stale],
        get_stock: [NotFound::Variant],
        set_stock: [NotFound::Variant, Conflict::StockReserved { reserved: 1 }],
    ]
    .accept_bodies(PRODUCT_BYTES)
}

/// Which products are listed.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ProductQuery {
    /// Only products that contain these words; without a word, all.
    #[param(max_length = 200)]
    q: Option<String>,
    /// Only products in the subtree of this category.
    #[param(value_type = Option<Uuid>)]
    category_id: Option<CategoryId>,
    /// Only products that are active, or only products that are not.
    active: Option<bool>,
}

/// The new stock of a variant.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SetStock {
    /// The number of pieces, reserved ones included; `null` if they are not counted.
    #[serde(deserialize_with = "Option::deserialize")]
    #[schema(required, minimum = 0, maximum = 1_000_000_000)]
    stock: Option<i64>,
}

/// The stock of a variant.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Stock)]
struct StockBody {
    /// The variant.
    variant_id: VariantId,
    /// The number of pieces, reserved ones included; `null` if they are not counted.
    stock: Option<i64>,
    /// The number of pieces that pending orders have reserved.
    reserved: i64,
    /// The number of pieces that can be bought; `null` if they are not counted, and any number can be.
    available: Option<i64>,
    /// The version of the stock.
    version: i64,
}

/// A page of products.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AdminProductList)]
struct ProductListBody<'a> {
    /// The products of this page.
    items: Vec<AdminProductBody<'a>>,
    /// The `cursor` of the next page; `null` on the last page.
    next_cursor: Option<&'a str>,
}

/// List products
///
/// Lists all products, inactive ones included; newest products come first.
#[utoipa::path(get, path = "/admin/v1/products", tag = "admin-products",
    responses((status = 200, body = ProductListBody)))]
async fn list_products(
    _: Admin,
    State(app): State<AppState>,
    Query(ListQuery { filter, limit, cursor }): Query<ListQuery<ProductQuery>>,
) -> HandlerResult {
    let ProductQuery { q, category_id: category, active } = filter;
    let filter = AdminProductFilter { q, category, active };
    let page = products::all_products(&app.store, &filter, limit, cursor.as_deref()).await?;
    let items = page.items.iter().map(AdminProductBody::of).collect();
    Ok(Json(ProductListBody { items, next_cursor: page.next.as_deref() }).into_response())
}

/// Create a product
#[utoipa::path(post, path = "/admin/v1/products", tag = "admin-products", request_body = ProductDraft,
    responses((status = 201, body = AdminProductBody)))]
async fn create_product(
    admin: Admin,
    State(app): State<AppState>,
    request: Idempotent<ProductDraft>,
) -> HandlerResult<StoredResponse> {
    let location = |view: &ProductView| format!("/admin/v1/products/{}", view.product.id);
    let (draft, responder) =
        request.into_parts(Some(admin.user_id()), created(location, AdminProductBody::response))?;
    products::create(&app.store, draft, responder).await
}

/// Get a product
///
/// Returns any product, also an inactive one.
#[utoipa::path(get, path = "/admin/v1/products/{id}", tag = "admin-products", params(("id" = Uuid, Path)),
    responses((status = 200, body = AdminProductBody)))]
async fn get_product(
    _: Admin,
    State(app): State<AppState>,
    Path(id): Path<ProductId>,
    if_none_match: IfNoneMatch,
) -> HandlerResult {
    let view = products::any_product(&app.store, id).await?;
    Ok(if_none_match.respond(view.product.version, &AdminProductBody::of(&view)))
}

/// Replace a product
///
/// Send the whole product: a member that is omitted gets the value that its description states, which for most is none.
/// Only `slug`, `metadata`, `images` and the stock stay as they are. The prices of a variant are replaced as a whole.
/// Variants that the request does not name are deactivated. To change a product, get it, change it, and remove the
/// members that only responses have: `id`, `version`, `created_at`, `updated_at`, `reserved` and `available` of the
/// variants, and `url` of the images.
#[utoipa::path(put, path = "/admin/v1/products/{id}", tag = "admin-products", params(("id" = Uuid, Path)),
    request_body = ProductDraft, responses((status = 200, body = AdminProductBody)))]
async fn replace_product(
    _: Admin,
    State(app): State<AppState>,
    Path(id): Path<ProductId>,
    IfMatch(expected_version): IfMatch,
    Json(draft): Json<ProductDraft>,
) -> HandlerResult<StoredResponse> {
    let view = products::replace(&app.store, id, expected_version, draft).await?;
    Ok(AdminProductBody::response(&view))
}

/// Deactivate a product
///
/// Shoppers no longer see the product. Orders keep what was sold of it.
#[utoipa::path(delete, path = "/admin/v1/products/{id}", tag = "admin-products", params(("id" = Uuid, Path)),
    responses((status = 204)))]
async fn deactivate_product(
    _: Admin,
    State(app): State<AppState>,
    Path(id): Path<ProductId>,
    IfMatch(expected_version): IfMatch,
) -> HandlerResult<StatusCode> {
    products::deactivate(&app.store, id, expected_version).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Get the stock of a variant
#[utoipa::path(get, path = "/admin/v1/inventory/{variant_id}", tag = "admin-inventory",
    params(("variant_id" = Uuid, Path)), responses((status = 200, body = StockBody)))]
async fn get_stock(
    _: Admin,
    State(app): State<AppState>,
    Path(id): Path<VariantId>,
    if_none_match: IfNoneMatch,
) -> HandlerResult {
    let found = stock::get(&app.store, id).await?;
    Ok(if_none_match.respond(found.version, &StockBody::of(id, found)))
}

/// Set the stock of a variant
///
/// The stock includes the pieces that orders have reserved, and cannot be less than those. A variant whose pieces are
/// not counted can always be bought.
#[utoipa::path(put, path = "/admin/v1/inventory/{variant_id}", tag = "admin-inventory",
    params(("variant_id" = Uuid, Path)), request_body = SetStock, responses((status = 200, body = StockBody)))]
async fn set_stock(
    _: Admin,
    State(app): State<AppState>,
    Path(id): Path<VariantId>,
    IfMatch(expected_version): IfMatch,
    Json(SetStock { stock }): Json<SetStock>,
) -> HandlerResult<StoredResponse> {
    Ok(StockBody::response(id, stock::set(&app.store, id, expected_version, stock).await?))
}

impl StockBody {
    fn response(variant_id: VariantId, found: Stock) -> StoredResponse {
        tagged(found.version, &Self::of(variant_id, found))
    }

    fn of(variant_id: VariantId, found: Stock) -> Self {
        let Stock { stock, reserved, version } = found;
        Self { variant_id, stock, reserved, available: found.available(), version }
    }
}
