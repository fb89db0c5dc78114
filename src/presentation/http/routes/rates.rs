//! Taxes and shipping methods.

use serde::Serialize;
use utoipa::ToSchema;

use crate::application::selling::rates::{self, ReplaceShippingMethods, ReplaceTaxRules};
use crate::domain::ids::ShippingMethodId;
use crate::domain::product::{Translations, names_only};
use crate::domain::shipping::{ShippingMethod, ShippingRate};
use crate::domain::tax::{TaxClass, TaxRule};
use crate::presentation::http::json::Json;
use crate::presentation::http::list::List;
use crate::presentation::http::principal::{Admin, Public};
use crate::presentation::http::response::HandlerResult;
use crate::presentation::http::routing::{Routes, routes};
use crate::presentation::http::state::{AppState, State};

/// The size of a body with the most tax rules, or with a rate of each of the most shipping methods for each country.
const RATES_BYTES: usize = 4 << 20;

pub(super) fn routes() -> Routes {
    routes![
        list_shipping_methods,
        list_tax_rules,
        replace_tax_rules,
        list_all_shipping_methods,
        replace_shipping_methods,
    ]
    .accept_bodies(RATES_BYTES)
    .publicly_cached()
}

/// A shipping method.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ShippingMethod)]
struct ShippingMethodBody {
    /// The id of the shipping method.
    id: ShippingMethodId,
    /// The code by which a checkout chooses the shipping method.
    code: String,
    /// The name in the base language of the store.
    name: String,
    /// The name in other languages, by BCP 47 tag.
    translations: Translations,
    /// The tax class of the shipping costs.
    tax_class: TaxClass,
    /// Whether shoppers can choose the shipping method.
    active: bool,
    /// The costs by country.
    rates: Vec<ShippingRate>,
}

/// List the shipping methods
///
/// Lists the shipping methods that a checkout can choose, in their order. The list is not paginated.
#[utoipa::path(get, path = "/v1/shipping-methods", tag = "shipping",
    responses((status = 200, body = List<ShippingMethodBody>)))]
async fn list_shipping_methods(
    _: Public,
    State(app): State<AppState>,
) -> HandlerResult<Json<List<ShippingMethodBody>>> {
    let methods = rates::shipping_methods(&app.store, false).await?;
    Ok(Json(List::whole(methods, ShippingMethodBody::of)))
}

/// List the tax rules
///
/// The list is in the order of country and tax class, and not paginated.
#[utoipa::path(get, path = "/admin/v1/taxes", tag = "admin-rates",
    responses((status = 200, body = List<TaxRule>)))]
async fn list_tax_rules(_: Admin, State(app): State<AppState>) -> HandlerResult<Json<List<TaxRule>>> {
    Ok(Json(List::whole(rates::tax_rules(&app.store).await?, |rule| rule)))
}

/// Replace the tax rules
///
/// Tax rules that the request does not contain are removed. What has a tax class without a rule in a country is sold
/// there without tax, also if another country has a rule for the class; `undercroft doctor` warns of it. If two
/// administrators replace the rules at the same time, the last request wins. Orders keep the tax that was charged.
#[utoipa::path(put, path = "/admin/v1/taxes", tag = "admin-rates", request_body = ReplaceTaxRules,
    responses((status = 200, body = List<TaxRule>)))]
async fn replace_tax_rules(
    _: Admin,
    State(app): State<AppState>,
    Json(rules): Json<ReplaceTaxRules>,
) -> HandlerResult<Json<List<TaxRule>>> {
    Ok(Json(List::whole(rates::replace_tax_rules(&app.store, rules).await?, |rule| rule)))
}

/// List all shipping methods
///
/// Lists the shipping methods, inactive ones included, in their order. The list is not paginated.
#[utoipa::path(get, path = "/admin/v1/shipping-methods", tag = "admin-rates",
    responses((status = 200, body = List<ShippingMethodBody>)))]
async fn list_all_shipping_methods(
    _: Admin,
    State(app): State<AppState>,
) -> HandlerResult<Json<List<ShippingMethodBody>>> {
    let methods = rates::shipping_methods(&app.store, true).await?;
    Ok(Json(List::whole(methods, ShippingMethodBody::of)))
}

/// Replace the shipping methods
///
/// Shipping methods that the request does not contain are removed; a method whose code exists already keeps its id. If
/// two administrators replace the methods at the same time, the last request wins. Orders keep the code and the price
/// of their shipping method.
#[utoipa::path(put, path = "/admin/v1/shipping-methods", tag = "admin-rates",
    request_body = ReplaceShippingMethods, responses((status = 200, body = List<ShippingMethodBody>)))]
async fn replace_shipping_methods(
    _: Admin,
    State(app): State<AppState>,
    Json(methods): Json<ReplaceShippingMethods>,
) -> HandlerResult<Json<List<ShippingMethodBody>>> {
    let methods = rates::replace_shipping_methods(&app.store, methods).await?;
    Ok(Json(List::whole(methods, ShippingMethodBody::of)))
}

impl ShippingMethodBody {
    fn of(method: ShippingMethod) -> Self {
        let ShippingMethod { id, code, name, translations, tax_class, position: _, active, rates } = method;
        let translations = names_only(translations);
        Self { id, code, name, translations, tax_class, active, rates }
    }
}
