//! Taxes and shipping: seen by shoppers where they choose, set by administrators as a whole.

use axum::extract::State;
use axum::response::IntoResponse;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::application::selling::rates::{self, NewShippingMethod};
use crate::domain::ids::ShippingMethodId;
use crate::domain::product::Translations;
use crate::domain::shipping::{ShippingMethod, ShippingRate};
use crate::domain::tax::{TaxClass, TaxRule};
use crate::presentation::http::answer::HandlerResult;
use crate::presentation::http::json::Json;
use crate::presentation::http::list::List;
use crate::presentation::http::principal::{Admin, Public};
use crate::presentation::http::routing::{Routes, routes};
use crate::presentation::http::state::AppState;

pub(super) fn routes() -> Routes {
    routes![shipping_methods, tax_rules, set_tax_rules, all_shipping_methods, set_shipping_methods]
}

/// Every tax rule.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct TaxRules {
    /// One a country and tax class.
    #[schema(max_items = 10_000)]
    items: Vec<TaxRule>,
}

/// Every way of shipping.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ShippingMethods {
    /// In the order in which they are offered.
    #[schema(max_items = 100)]
    items: Vec<NewMethod>,
}

/// What a way of shipping is to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewShippingMethod)]
struct NewMethod {
    /// The name it is asked for by.
    #[schema(min_length = 1, max_length = 64, example = "express")]
    code: String,
    /// Its name for people, in the store's base language.
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    /// That name in other languages, by BCP 47 tag.
    #[serde(default)]
    translations: Translations,
    /// Its tax class; `standard` if it is left out.
    #[serde(default)]
    tax_class: TaxClass,
    /// Whether it can be chosen.
    #[serde(default = "on")]
    #[schema(default = true)]
    active: bool,
    /// What it costs where; it does not go where no rate is for.
    #[schema(max_items = 1_000)]
    rates: Vec<ShippingRate>,
}

/// A way of shipping.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ShippingMethod)]
struct MethodBody {
    /// Its id.
    id: ShippingMethodId,
    /// The name it is asked for by.
    code: String,
    /// Its name for people, in the store's base language.
    name: String,
    /// That name in other languages, by BCP 47 tag.
    translations: Translations,
    /// Its tax class.
    tax_class: TaxClass,
    /// Whether it can be chosen.
    active: bool,
    /// What it costs where.
    rates: Vec<ShippingRate>,
}

fn on() -> bool {
    true
}

/// The ways of shipping that can be chosen, in their order.
#[utoipa::path(get, path = "/v1/shipping-methods", tag = "shipping",
    responses((status = 200, body = List<MethodBody>)))]
async fn shipping_methods(_: Public, State(app): State<AppState>) -> HandlerResult {
    let methods = rates::shipping_methods(&app.store, false).await?;
    Ok(Json(List::whole(methods, MethodBody::of)).into_response())
}

/// Every tax rule, by country and class.
#[utoipa::path(get, path = "/admin/v1/taxes", tag = "admin rates",
    responses((status = 200, body = List<TaxRule>)))]
async fn tax_rules(_: Admin, State(app): State<AppState>) -> HandlerResult {
    Ok(Json(List::whole(rates::tax_rules(&app.store).await?, |rule| rule)).into_response())
}

/// Puts these tax rules in the place of all that were there.
#[utoipa::path(put, path = "/admin/v1/taxes", tag = "admin rates", request_body = TaxRules,
    responses((status = 200, body = List<TaxRule>)))]
async fn set_tax_rules(
    _: Admin,
    State(app): State<AppState>,
    Json(TaxRules { items }): Json<TaxRules>,
) -> HandlerResult {
    let write = app.store.database().write_boxed(move |work| {
        let items = items.clone();
        Box::pin(async move { rates::set_tax_rules(work, &items).await })
    });
    Ok(Json(List::whole(write.await?, |rule| rule)).into_response())
}

/// Every way of shipping, also those that cannot be chosen.
#[utoipa::path(get, path = "/admin/v1/shipping-methods", tag = "admin rates",
    responses((status = 200, body = List<MethodBody>)))]
async fn all_shipping_methods(_: Admin, State(app): State<AppState>) -> HandlerResult {
    let methods = rates::shipping_methods(&app.store, true).await?;
    Ok(Json(List::whole(methods, MethodBody::of)).into_response())
}

/// Puts these ways of shipping in the place of all that were there. One whose code stays keeps its id.
#[utoipa::path(put, path = "/admin/v1/shipping-methods", tag = "admin rates", request_body = ShippingMethods,
    responses((status = 200, body = List<MethodBody>)))]
async fn set_shipping_methods(
    _: Admin,
    State(app): State<AppState>,
    Json(ShippingMethods { items }): Json<ShippingMethods>,
) -> HandlerResult {
    let methods: Vec<NewShippingMethod> = items.into_iter().map(NewMethod::into_method).collect();
    let write = app.store.database().write_boxed(move |work| {
        let methods = methods.clone();
        Box::pin(async move { rates::set_shipping_methods(work, &methods).await })
    });
    Ok(Json(List::whole(write.await?, MethodBody::of)).into_response())
}

impl NewMethod {
    fn into_method(self) -> NewShippingMethod {
        let Self { code, name, translations, tax_class, active, rates } = self;
        NewShippingMethod { code, name, translations, tax_class, active, rates }
    }
}

impl MethodBody {
    fn of(method: ShippingMethod) -> Self {
        let ShippingMethod { id, code, name, translations, tax_class, position: _, active, rates } = method;
        Self { id, code, name, translations, tax_class, active, rates }
    }
}
