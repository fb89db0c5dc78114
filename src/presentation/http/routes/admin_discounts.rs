//! Discounts, as administrators make them.

use std::sync::Arc;

use axum::extract::State;
use axum::response::IntoResponse;
use http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::application::idempotency::once;
use crate::application::selling::discounts::{self, DiscountChange, NewDiscount};
use crate::domain::discount::{Discount, DiscountKind};
use crate::domain::ids::DiscountId;
use crate::domain::money::Money;
use crate::presentation::http::answer::{HandlerResult, created, versioned};
use crate::presentation::http::conditional::{IfMatch, IfNoneMatch, changed, fresh};
use crate::presentation::http::idempotency_key::Idempotent;
use crate::presentation::http::json::Json;
use crate::presentation::http::list::{List, Slice};
use crate::presentation::http::patch::given;
use crate::presentation::http::principal::Admin;
use crate::presentation::http::query::{Path, Query};
use crate::presentation::http::routing::{Routes, routes};
use crate::presentation::http::state::AppState;

pub(super) fn routes() -> Routes {
    routes![list, get, create, change, remove]
}

/// A discount that shoppers redeem by its code.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Discount)]
struct DiscountBody {
    /// Its id.
    id: DiscountId,
    /// The code, in whatever spelling it is redeemed.
    code: String,
    /// What it takes off.
    kind: DiscountKind,
    /// The goods subtotal from which it applies.
    minimum: Option<Money>,
    /// How many orders may use it.
    usage_limit: Option<i64>,
    /// How many orders have used it.
    used: i64,
    /// From when on it applies.
    starts_at: Option<Timestamp>,
    /// From when on it applies no longer.
    ends_at: Option<Timestamp>,
    /// Whether it is switched on.
    active: bool,
    /// When it was made.
    created_at: Timestamp,
    /// When it was last changed.
    updated_at: Timestamp,
}

/// What a discount is to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewDiscount)]
struct NewBody {
    /// The code; letter case does not count.
    #[schema(min_length = 1, max_length = 64)]
    code: String,
    /// What it takes off.
    kind: DiscountKind,
    /// The goods subtotal from which it applies.
    minimum: Option<Money>,
    /// How many orders may use it.
    #[schema(minimum = 1)]
    usage_limit: Option<i64>,
    /// From when on it applies.
    starts_at: Option<Timestamp>,
    /// From when on it applies no longer.
    ends_at: Option<Timestamp>,
    /// Whether it is switched on.
    #[serde(default = "on")]
    #[schema(default = true)]
    active: bool,
}

/// What is to be another; what is left out stays as it is, null takes it away.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = DiscountChange)]
struct ChangeBody {
    /// Another code.
    #[schema(min_length = 1, max_length = 64)]
    code: Option<String>,
    /// Something else that it takes off.
    kind: Option<DiscountKind>,
    /// Another goods subtotal from which it applies.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<Money>)]
    minimum: Option<Option<Money>>,
    /// Another number of orders that may use it.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<i64>, minimum = 1)]
    usage_limit: Option<Option<i64>>,
    /// Another start.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<Timestamp>)]
    starts_at: Option<Option<Timestamp>>,
    /// Another end.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<Timestamp>)]
    ends_at: Option<Option<Timestamp>>,
    /// On or off.
    active: Option<bool>,
}

fn on() -> bool {
    true
}

/// Discounts, newest first.
#[utoipa::path(get, path = "/admin/v1/discounts", tag = "admin discounts", params(Slice),
    responses((status = 200, body = List<DiscountBody>)))]
async fn list(
    _: Admin,
    State(app): State<AppState>,
    Query(Slice { limit, cursor }): Query<Slice>,
) -> HandlerResult {
    let page = discounts::discounts(&app.store, limit, cursor.as_deref()).await?;
    Ok(Json(List::of(page, |discount| DiscountBody::of(&discount))).into_response())
}

/// A discount.
#[utoipa::path(get, path = "/admin/v1/discounts/{id}", tag = "admin discounts", params(("id" = Uuid, Path)),
    responses((status = 200, body = DiscountBody)))]
async fn get(
    _: Admin,
    State(app): State<AppState>,
    Path(id): Path<DiscountId>,
    known: IfNoneMatch,
) -> HandlerResult {
    let discount = discounts::discount(&app.store, id).await?;
    fresh(discount.version, &DiscountBody::of(&discount), &known)
}

/// Makes a discount.
#[utoipa::path(post, path = "/admin/v1/discounts", tag = "admin discounts", request_body = NewBody,
    responses((status = 201, body = DiscountBody)))]
async fn create(who: Admin, State(app): State<AppState>, request: Idempotent<NewBody>) -> HandlerResult {
    let key = request.key(Some(who.user_id()));
    let NewBody { code, kind, minimum, usage_limit, starts_at, ends_at, active } = request.body;
    let new = NewDiscount { code, kind, minimum, usage_limit, starts_at, ends_at, active };
    let render = created(|discount: &Discount| {
        let shown = versioned(discount.version, &DiscountBody::of(discount));
        (format!("/admin/v1/discounts/{}", discount.id), shown)
    });
    let answer = once(&app.store, key, Arc::new(render), move |work| {
        let new = new.clone();
        Box::pin(async move { discounts::create(work, &new).await })
    });
    Ok(answer.await?.into_response())
}

/// Changes a discount. Orders that have used it keep what it took off.
#[utoipa::path(patch, path = "/admin/v1/discounts/{id}", tag = "admin discounts", params(("id" = Uuid, Path)),
    request_body = ChangeBody, responses((status = 200, body = DiscountBody)))]
async fn change(
    _: Admin,
    State(app): State<AppState>,
    Path(id): Path<DiscountId>,
    IfMatch(seen): IfMatch,
    Json(wanted): Json<ChangeBody>,
) -> HandlerResult {
    let ChangeBody { code, kind, minimum, usage_limit, starts_at, ends_at, active } = wanted;
    let change = DiscountChange { code, kind, minimum, usage_limit, starts_at, ends_at, active };
    let write = app
        .store
        .database()
        .write_boxed(move |work| Box::pin(discounts::change(work, id, change.clone(), seen)));
    let discount = write.await?;
    changed(discount.version, &DiscountBody::of(&discount))
}

/// Removes a discount. One that an order has used is `in_use`; it can be switched off.
#[utoipa::path(delete, path = "/admin/v1/discounts/{id}", tag = "admin discounts", params(("id" = Uuid, Path)),
    responses((status = 204)))]
async fn remove(_: Admin, State(app): State<AppState>, Path(id): Path<DiscountId>) -> HandlerResult {
    let database = app.store.database();
    database.write_boxed(move |work| Box::pin(discounts::remove(work, id))).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

impl DiscountBody {
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
