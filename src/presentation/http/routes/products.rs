//! The catalogue, as shoppers see it: product lists, searches and products.

use std::collections::BTreeSet;

use http::HeaderValue;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::application::catalogue::products as catalogue;
use crate::domain::ids::CategoryId;
use crate::domain::language::Language;
use crate::domain::money::{Currency, Money};
use crate::domain::product::ProductView;
use crate::infrastructure::cache::{Form, ListKey};
use crate::infrastructure::exceptions::{CategoryNotFoundException, Failure, NotFound, Technical};
use crate::infrastructure::middleware::Languages;
use crate::infrastructure::repositories::{Facets, ProductFilter, ProductSort, normalized_query};
use crate::presentation::http::bodies::ProductBody;
use crate::presentation::http::cache_status::FromCache;
use crate::presentation::http::conditional::{NO_VERSION, form};
use crate::presentation::http::list::ListQuery;
use crate::presentation::http::operation::any;
use crate::presentation::http::principal::Public;
use crate::presentation::http::query::{Path, Query};
use crate::presentation::http::response::HandlerResult;
use crate::presentation::http::routing::{Routes, routes};
use crate::presentation::http::state::{AppState, State};

/// The base texts in the name of a form: no language tag.
const BASE_TEXTS: &str = "*";

pub(super) fn routes() -> Routes {
    routes![
        list_products: [any::<CategoryNotFoundException>()],
        get_product: [NotFound::Product],
    ]
}

/// Which products are listed, and how.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ProductQuery {
    /// Only products that contain these words; without a word, all. The last word may be the beginning of a word.
    #[param(max_length = 200)]
    q: Option<String>,
    /// Only products in the subtree of this category, given by id or slug.
    #[param(max_length = 200)]
    category: Option<String>,
    /// Only products whose lowest price is at least this amount, in minor units.
    #[param(minimum = 0)]
    min_price: Option<i64>,
    /// Only products whose lowest price is at most this amount, in minor units.
    #[param(minimum = 0)]
    max_price: Option<i64>,
    /// The currency of the prices. If omitted, it is the store's default currency. Products without a price in the
    /// currency are not listed.
    #[param(value_type = Option<String>, format = "currency", pattern = "^[A-Z]{3}$")]
    currency: Option<Currency>,
    /// The order. If omitted, newest products come first, or the most relevant ones if `q` is given.
    #[param(inline)]
    sort: Option<Sort>,
}

/// How a product is returned.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct CurrencyQuery {
    /// The currency of the prices. If omitted, it is the store's default currency.
    #[param(value_type = Option<String>, format = "currency", pattern = "^[A-Z]{3}$")]
    currency: Option<Currency>,
}

/// The order of a product list.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Sort {
    /// Newest products first.
    Newest,
    /// Lowest price first.
    PriceAsc,
    /// Highest price first.
    PriceDesc,
}

/// A page of products.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ProductList)]
struct ProductListBody<'a> {
    /// The products of this page.
    items: Vec<ProductBody<'a>>,
    /// The `cursor` of the next page; `null` on the last page.
    next_cursor: Option<&'a str>,
    /// The numbers of matches by category and price, on the first page of a search. Only the newest 200 matches are
    /// counted.
    facets: Option<FacetsBody>,
}

/// The matches of a search by category and by price.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Facets)]
struct FacetsBody {
    /// The matches by category, most first.
    categories: Vec<CategoryFacet>,
    /// The matches by price range, lowest first.
    prices: Vec<PriceFacet>,
}

/// The matches in a category.
#[derive(Debug, Serialize, ToSchema)]
struct CategoryFacet {
    /// The category.
    category_id: CategoryId,
    /// The number of matches.
    count: usize,
}

/// The matches in a price range.
#[derive(Debug, Serialize, ToSchema)]
struct PriceFacet {
    /// The lowest price in the range.
    from: Money,
    /// The lowest price above the range.
    until: Money,
    /// The number of matches.
    count: usize,
}

/// List or search products
///
/// Lists the active products, or those that contain the words of `q`. Texts are in the best language of
/// `Accept-Language` that they have, or in the base language of the store.
#[utoipa::path(get, path = "/v1/products", tag = "products",
    responses((status = 200, body = ProductListBody)))]
async fn list_products(
    _: Public,
    State(app): State<AppState>,
    Query(ListQuery { filter: query, limit, cursor }): Query<ListQuery<ProductQuery>>,
    languages: Languages,
    from_cache: FromCache,
) -> HandlerResult {
    let currency = query.currency.unwrap_or(app.store.terms.default_currency);
    let filter = ProductFilter {
        category: None,
        currency,
        min_price: query.min_price,
        max_price: query.max_price,
        sort: query.sort.map(|sort| match sort {
            Sort::Newest => ProductSort::Newest,
            Sort::PriceAsc => ProductSort::PriceAscending,
            Sort::PriceDesc => ProductSort::PriceDescending,
        }),
    };
    let key = ListKey {
        q: query.q.as_deref().map(normalized_query),
        category: query.category,
        filter,
        limit,
        cursor,
    };
    let found = catalogue::browse(&app.store, &key).await?;
    let base = app.store.terms.base_language;
    let shown: Vec<_> = found.page.items.iter().map(|view| shown_language(view, &languages, base)).collect();
    let form = found.form(&form_name(currency, &shown), |found| {
        let items = found.page.items.iter().zip(&shown);
        let body = ProductListBody {
            items: items.map(|(view, &language)| ProductBody::of(view, language, currency)).collect(),
            next_cursor: found.page.next.as_deref(),
            facets: found.facets.as_ref().map(|facets| FacetsBody::of(facets, currency)),
        };
        in_languages(form(NO_VERSION, &body)?, &shown, base)
    })?;
    Ok(if key.q.is_some() {
        from_cache.respond_with_search(form, found.status)
    } else {
        from_cache.respond_with(form, found.status)
    })
}

/// Get a product by id or slug
///
/// Texts are in the best language of `Accept-Language` that they have, or in the base language of the store.
#[utoipa::path(get, path = "/v1/products/{id}", tag = "products", params(("id" = String, Path)),
    responses((status = 200, body = ProductBody)))]
async fn get_product(
    _: Public,
    State(app): State<AppState>,
    Path(id_or_slug): Path<String>,
    Query(query): Query<CurrencyQuery>,
    languages: Languages,
    from_cache: FromCache,
) -> HandlerResult {
    let product = catalogue::product(&app.store, &id_or_slug).await?;
    let currency = query.currency.unwrap_or(app.store.terms.default_currency);
    let base = app.store.terms.base_language;
    let language = shown_language(&product, &languages, base);
    let form = product.form(&form_name(currency, &[language]), |view| {
        let form = form(view.product.version, &ProductBody::of(view, language, currency))?;
        in_languages(form, &[language], base)
    })?;
    Ok(from_cache.respond_with(form, product.status))
}

/// Returns the language of the translation in which a product is shown; `None` for its base texts.
fn shown_language<'a>(view: &'a ProductView, languages: &Languages, base: Language) -> Option<&'a str> {
    languages.best(&view.product.translations.keys(), base.tag()).map(String::as_str)
}

/// The name of the form in which products are shown in a currency and these languages. A translation may have the tag
/// of the base language, and is not the base texts.
fn form_name(currency: Currency, shown: &[Option<&str>]) -> String {
    let mut name = String::with_capacity(4 + 3 * shown.len());
    name.push_str(currency.code());
    for language in shown {
        name.push(' ');
        name.push_str(language.unwrap_or(BASE_TEXTS));
    }
    name
}

/// Says in which languages the texts of the products in a form are.
fn in_languages(form: Form, shown: &[Option<&str>], base: Language) -> Result<Form, Failure> {
    let tags: BTreeSet<_> = shown.iter().map(|language| language.unwrap_or(base.tag())).collect();
    let tags: Vec<_> = tags.into_iter().collect();
    let languages = HeaderValue::try_from(tags.join(", ")).map_err(Technical::internal)?;
    Ok(Form { languages: Some(languages), ..form })
}

impl FacetsBody {
    fn of(facets: &Facets, currency: Currency) -> Self {
        let categories = facets.categories.iter();
        let prices = facets.prices.iter();
        Self {
            categories: categories
                .map(|&(category_id, count)| CategoryFacet { category_id, count })
                .collect(),
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
