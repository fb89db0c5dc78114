//! What shoppers find: lists, searches, products.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::VARY;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::application::catalogue::products as catalogue;
use crate::domain::ids::CategoryId;
use crate::domain::money::{Currency, Money};
use crate::infrastructure::repositories::{Facets, ProductFilter, ProductSort};
use crate::presentation::http::answer::HandlerResult;
use crate::presentation::http::bodies::ProductBody;
use crate::presentation::http::conditional::{IfNoneMatch, fresh};
use crate::presentation::http::json::Json;
use crate::presentation::http::languages::Languages;
use crate::presentation::http::list::usual_limit;
use crate::presentation::http::principal::Public;
use crate::presentation::http::query::{Path, Query};
use crate::presentation::http::routing::{Routes, routes};
use crate::presentation::http::state::AppState;

pub(super) fn routes() -> Routes {
    routes![browse, get]
}

/// Which products, and how.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct ListParameters {
    /// Only those that hold these words; the last may be the beginning of one.
    #[param(max_length = 200)]
    q: Option<String>,
    /// Only those in this category, by id or slug, or below it.
    #[param(max_length = 200)]
    category: Option<String>,
    /// Only those that cost at least so much, in minor units, by their lowest price.
    #[param(minimum = 0)]
    min_price: Option<i64>,
    /// Only those that cost at most so much, in minor units, by their lowest price.
    #[param(minimum = 0)]
    max_price: Option<i64>,
    /// The currency of the prices; the store's own if it is not said. A product without a price in it is not listed.
    #[param(value_type = Option<String>, format = "currency")]
    currency: Option<Currency>,
    /// The order; a list is newest first, and a search goes by relevance.
    #[param(inline)]
    sort: Option<Sort>,
    /// The most items of a page. A page may have fewer and still not be the last.
    #[serde(default = "usual_limit")]
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: usize,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

/// The currency of the prices.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct Priced {
    /// The store's own if it is not said.
    #[param(value_type = Option<String>, format = "currency")]
    currency: Option<Currency>,
}

/// The order of a list.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Sort {
    /// What came last first.
    Newest,
    /// What costs least first.
    PriceAsc,
    /// What costs most first.
    PriceDesc,
}

/// A page of products.
#[derive(Debug, Serialize, ToSchema)]
struct Products<'a> {
    items: Vec<ProductBody<'a>>,
    /// The `cursor` of the next page; null on the last one.
    next_cursor: Option<&'a str>,
    /// With the first page of a search: what its matches are, counted over the newest 200.
    facets: Option<FacetsBody>,
}

/// What the matches of a search are.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Facets)]
struct FacetsBody {
    /// Matches in each category, most first.
    categories: Vec<CategoryFacet>,
    /// Matches in each range of prices, cheapest first.
    prices: Vec<PriceFacet>,
}

/// Matches in a category.
#[derive(Debug, Serialize, ToSchema)]
struct CategoryFacet {
    category_id: CategoryId,
    count: usize,
}

/// Matches in a range of prices.
#[derive(Debug, Serialize, ToSchema)]
struct PriceFacet {
    /// The least price in it.
    from: Money,
    /// The least price above it.
    until: Money,
    count: usize,
}

/// A page of products, of all or of those that hold some words.
#[utoipa::path(get, path = "/v1/products", tag = "products", params(ListParameters),
    responses((status = 200, body = Products)))]
async fn browse(
    _: Public,
    State(app): State<AppState>,
    Query(wanted): Query<ListParameters>,
    languages: Languages,
) -> HandlerResult {
    let currency = wanted.currency.unwrap_or(app.store.policy.default_currency);
    let category = match &wanted.category {
        Some(name) => Some(catalogue::category_id(&app.store, name).await?),
        None => None,
    };
    let filter = ProductFilter {
        category,
        currency,
        min_price: wanted.min_price,
        max_price: wanted.max_price,
        sort: wanted.sort.map(|sort| match sort {
            Sort::Newest => ProductSort::Newest,
            Sort::PriceAsc => ProductSort::PriceAscending,
            Sort::PriceDesc => ProductSort::PriceDescending,
        }),
    };
    let found = catalogue::browse(&app.store, wanted.q, filter, wanted.limit, wanted.cursor).await?;
    let body = Products {
        items: found.page.items.iter().map(|view| ProductBody::of(view, &languages, currency)).collect(),
        next_cursor: found.page.next.as_deref(),
        facets: found.facets.map(|facets| FacetsBody::of(facets, currency)),
    };
    Ok(by_language(Json(body).into_response()))
}

/// A product, by id or slug.
#[utoipa::path(get, path = "/v1/products/{id}", tag = "products", params(("id" = String, Path), Priced),
    responses((status = 200, body = ProductBody)))]
async fn get(
    _: Public,
    State(app): State<AppState>,
    Path(name): Path<String>,
    Query(priced): Query<Priced>,
    languages: Languages,
    known: IfNoneMatch,
) -> HandlerResult {
    let view = catalogue::product(&app.store, &name).await?;
    let currency = priced.currency.unwrap_or(app.store.policy.default_currency);
    let body = ProductBody::of(&view, &languages, currency);
    Ok(by_language(fresh(view.product.version, &body, &known)?))
}

/// Says that the answer depends on the language that was asked for.
fn by_language(mut response: Response) -> Response {
    response.headers_mut().insert(VARY, HeaderValue::from_static("accept-language"));
    response
}

impl FacetsBody {
    fn of(facets: Facets, currency: Currency) -> Self {
        let categories = facets.categories.into_iter();
        let prices = facets.prices.into_iter();
        Self {
            categories: categories.map(|(category_id, count)| CategoryFacet { category_id, count }).collect(),
            prices: prices
                .map(|band| PriceFacet {
                    from: Money::new(band.from, currency),
                    until: Money::new(band.until, currency),
                    count: band.count,
                })
                .collect(),
        }
    }
}
