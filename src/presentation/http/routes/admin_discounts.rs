//! Discounts, as administrators manage them.

use http::StatusCode;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::application::selling::discounts::{self, CreateDiscount, UpdateDiscount};
use crate::domain::discount::{Discount, DiscountKind};
use crate::domain::ids::DiscountId;
use crate::domain::money::Money;
use crate::infrastructure::exceptions::{Conflict, NotFound};
use crate::presentation::http::conditional::{IfMatch, IfNoneMatch};
use crate::presentation::http::idempotency_key::Idempotent;
use crate::presentation::http::json::Json;
use crate::presentation::http::list::{List, ListQuery};
use crate::presentation::http::principal::Admin;
use crate::presentation::http::query::{Path, Query};
use crate::presentation::http::response::{HandlerResult, StoredResponse, created, tagged};
use crate::presentation::http::routing::{Routes, routes};
use crate::presentation::http::state::{AppState, State};

pub(super) fn routes() -> Routes {
    routes![
        list_discounts,
        get_discount: [NotFound::Discount],
        create_discount: [Conflict::AlreadyExists { field: "code" }],
        update_discount: [NotFound::Discount, Conflict::AlreadyExists { field: "code" }],
        delete_discount: [NotFound::Discount, Conflict::DiscountInUse],
    ]
}

/// A discount that shoppers redeem with its code.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Discount)]
struct DiscountBody {
    /// The id of the discount.
    id: DiscountId,
    /// The code by which the discount is redeemed. Letter case does not matter.
    code: String,
    /// How much the discount deducts.
    kind: DiscountKind,
    /// The least subtotal to which the discount applies.
    minimum: Option<Money>,
    /// The most orders that may use the discount.
    usage_limit: Option<i64>,
    /// The number of orders that used the discount.
    used: i64,
    /// The time from which the discount applies.
    starts_at: Option<Timestamp>,
    /// The time from which the discount no longer applies.
    ends_at: Option<Timestamp>,
    /// Whether the discount can be redeemed.
    active: bool,
    /// The time at which the discount was created.
    created_at: Timestamp,
    /// The time of the last change.
    updated_at: Timestamp,
}

/// List discounts
///
/// Newest discounts come first.
#[utoipa::path(get, path = "/admin/v1/discounts", tag = "admin-discounts",
    responses((status = 200, body = List<DiscountBody>)))]
async fn list_discounts(
    _: Admin,
    State(app): State<AppState>,
    Query(ListQuery { limit, cursor, .. }): Query<ListQuery>,
) -> HandlerResult<Json<List<DiscountBody>>> {
    let page = discounts::discounts(&app.store, limit, cursor.as_deref()).await?;
    Ok(Json(List::of(page, |discount| DiscountBody::of(&discount))))
}

/// Get a discount
#[utoipa::path(get, path = "/admin/v1/discounts/{id}", tag = "admin-discounts", params(("id" = Uuid, Path)),
    responses((status = 200, body = DiscountBody)))]
async fn get_discount(
    _: Admin,
    State(app): State<AppState>,
    Path(id): Path<DiscountId>,
    if_none_match: IfNoneMatch,
) -> HandlerResult {
    let discount = discounts::discount(&app.store, id).await?;
    Ok(if_none_match.respond(discount.version, &DiscountBody::of(&discount)))
}

/// Create a discount
#[utoipa::path(post, path = "/admin/v1/discounts", tag = "admin-discounts", request_body = CreateDiscount,
    responses((status = 201, body = DiscountBody)))]
async fn create_discount(
    admin: Admin,
    State(app): State<AppState>,
    request: Idempotent<CreateDiscount>,
) -> HandlerResult<StoredResponse> {
    let location = |discount: &Discount| format!("/admin/v1/discounts/{}", discount.id);
    let (new, responder) =
        request.into_parts(Some(admin.user_id()), created(location, DiscountBody::response))?;
    discounts::create(&app.store, new, responder).await
}

/// Update a discount
///
/// Orders that used the discount keep their price.
#[utoipa::path(patch, path = "/admin/v1/discounts/{id}", tag = "admin-discounts", params(("id" = Uuid, Path)),
    request_body = UpdateDiscount, responses((status = 200, body = DiscountBody)))]
async fn update_discount(
    _: Admin,
    State(app): State<AppState>,
    Path(id): Path<DiscountId>,
    IfMatch(expected_version): IfMatch,
    Json(change): Json<UpdateDiscount>,
) -> HandlerResult<StoredResponse> {
    let discount = discounts::update(&app.store, id, expected_version, change).await?;
    Ok(DiscountBody::response(&discount))
}

/// Delete a discount
///
/// The request fails with `in_use` if an order used the discount; such a discount can be deactivated.
#[utoipa::path(delete, path = "/admin/v1/discounts/{id}", tag = "admin-discounts", params(("id" = Uuid, Path)),
    responses((status = 204)))]
async fn delete_discount(
    _: Admin,
    State(app): State<AppState>,
    Path(id): Path<DiscountId>,
    IfMatch(expected_version): IfMatch,
) -> HandlerResult<StatusCode> {
    discounts::remove(&app.store, id, expected_version).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl DiscountBody {
    fn response(discount: &Discount) -> StoredResponse {
        tagged(discount.version, &Self::of(discount))
    }

    fn of(discount: &Discount) -> Self {
        Self {
            id: discount.id,
            code: discount.code.clone(),
            kind: discount.kind,
            minimum: discount.minimum,
            usage_limit: discount.usage_limit,
            used: discount.used,
            starts_at: discount.starts_at,
            ends_at: discount.ends_at,
            active: discount.active,
            created_at: discount.created_at,
            updated_at: discount.updated_at,
        }
    }
}
