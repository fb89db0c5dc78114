//! Tax rules and shipping methods: read, and replaced by administrators.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use utoipa::ToSchema;

use crate::domain::country::Country;
use crate::domain::ids::ShippingMethodId;
use crate::domain::product::Translations;
use crate::domain::shipping::{ShippingMethod, ShippingRate};
use crate::domain::tax::{TaxClass, TaxRate, TaxRule};
use crate::infrastructure::exceptions::{Failure, Fault, ValidationException};
use crate::infrastructure::repositories::{ShippingRepository, TaxRepository, UnitOfWork};

use crate::application::catalogue::naming::check_translated_names;
use crate::application::{Store, active_by_default};

/// All tax rules of the store.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplaceTaxRules {
    /// The tax rules, at most one for each country and tax class. Without a rule for its tax class in the country of
    /// the delivery, a product is sold without tax.
    #[schema(max_items = 10_000)]
    pub items: Vec<TaxRule>,
}

/// All shipping methods of the store.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplaceShippingMethods {
    /// The shipping methods in the order in which shoppers see them.
    #[schema(max_items = 100)]
    pub items: Vec<ReplaceShippingMethod>,
}

/// A shipping method of the store.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplaceShippingMethod {
    /// The code by which a checkout chooses the shipping method. A method whose code exists already keeps its id.
    #[schema(min_length = 1, max_length = 64, example = "express")]
    pub code: String,
    /// The name in the base language of the store.
    #[schema(min_length = 1, max_length = 200)]
    pub name: String,
    /// The name in other languages, by BCP 47 tag. There are no descriptions.
    #[serde(default)]
    pub translations: Translations,
    /// The tax class of the shipping costs. If omitted, it is `standard`.
    #[serde(default)]
    pub tax_class: TaxClass,
    /// Whether shoppers can choose the shipping method.
    #[serde(default = "active_by_default")]
    #[schema(default = true)]
    pub active: bool,
    /// The costs by country. The method is not available in a country without a rate.
    #[schema(max_items = 1_000)]
    pub rates: Vec<ShippingRate>,
}

/// Returns all tax rules, by country and tax class.
pub async fn tax_rules(store: &Store) -> Result<Vec<TaxRule>, Failure> {
    Ok(TaxRepository(&mut store.database().read().await?).all().await?)
}

/// Tax classes in use without a rule, other than `zero`: what has them is sold without tax.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingTaxRules {
    /// Those that no rule names.
    pub everywhere: Vec<TaxClass>,
    /// Those that a rule of another country names, by each country that has a rule.
    pub by_country: BTreeMap<Country, Vec<TaxClass>>,
}

/// Returns the tax classes in use without a rule; `None` if there are no rules.
pub async fn missing_tax_rules(store: &Store) -> Result<Option<MissingTaxRules>, Failure> {
    let mut connection = store.database().read().await?;
    let mut taxes = TaxRepository(&mut connection);
    let rules = taxes.all().await?;
    if rules.is_empty() {
        return Ok(None);
    }
    let is_named = |class: &TaxClass| rules.iter().any(|rule| rule.tax_class == *class);
    let (named, everywhere): (Vec<_>, Vec<_>) = taxes.classes_in_use().await?.into_iter().partition(is_named);
    let has_rule = |country: Country, class: &TaxClass| {
        rules.iter().any(|rule| rule.country == country && rule.tax_class == *class)
    };
    let mut by_country: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for country in rules.iter().map(|rule| rule.country).collect::<BTreeSet<_>>() {
        for class in named.iter().filter(|class| !has_rule(country, class)) {
            by_country.entry(country).or_default().push(class.clone());
        }
    }
    Ok(Some(MissingTaxRules { everywhere, by_country }))
}

/// Replaces all tax rules.
pub async fn replace_tax_rules(store: &Store, rules: ReplaceTaxRules) -> Result<Vec<TaxRule>, Failure> {
    check_tax_rules(&rules.items)?;
    let write = store.database().write(rules.items, async |work, rules| {
        TaxRepository::replace(work, rules).await?;
        TaxRepository(work).all().await.map_err(Failure::from)
    });
    write.await
}

fn check_tax_rules(rules: &[TaxRule]) -> Result<(), Failure> {
    let (mut faults, mut seen) = (ValidationException::none(), BTreeSet::new());
    for (i, TaxRule { country, tax_class, rate }) in rules.iter().enumerate() {
        faults.require(seen.insert((country, tax_class)), format!("/items/{i}"), Fault::Duplicate);
        let maximum = TaxRate::MAX_BASIS_POINTS.into();
        let pointer = format!("/items/{i}/rate/basis_points");
        faults.require(rate.validate().is_ok(), pointer, Fault::Maximum { maximum });
    }
    faults.check()
}

/// Returns the shipping methods in their order: all of them, or those that shoppers can choose.
pub async fn shipping_methods(store: &Store, all: bool) -> Result<Vec<ShippingMethod>, Failure> {
    let mut connection = store.database().read().await?;
    let mut methods = ShippingRepository(&mut connection);
    Ok(if all { methods.all().await? } else { methods.active().await? })
}

/// Replaces all shipping methods; their order is that of the list.
pub async fn replace_shipping_methods(
    store: &Store,
    methods: ReplaceShippingMethods,
) -> Result<Vec<ShippingMethod>, Failure> {
    check_shipping_methods(&methods.items)?;
    let write = store
        .database()
        .write(methods.items, async |work, methods| replace_shipping_methods_in(work, methods).await);
    write.await
}

async fn replace_shipping_methods_in(
    work: &mut UnitOfWork,
    methods: &[ReplaceShippingMethod],
) -> Result<Vec<ShippingMethod>, Failure> {
    let before = ShippingRepository(work).all().await?;
    let known: BTreeMap<String, ShippingMethodId> =
        before.into_iter().map(|method| (method.code, method.id)).collect();
    let methods: Vec<ShippingMethod> = (0..)
        .zip(methods.iter().cloned())
        .map(|(position, method)| ShippingMethod {
            id: known.get(&method.code).copied().unwrap_or_else(|| work.id()),
            code: method.code,
            name: method.name,
            translations: method.translations,
            tax_class: method.tax_class,
            position,
            active: method.active,
            rates: method.rates,
        })
        .collect();
    ShippingRepository::replace(work, &methods).await?;
    Ok(methods)
}

fn check_shipping_methods(methods: &[ReplaceShippingMethod]) -> Result<(), Failure> {
    let (mut faults, mut codes) = (ValidationException::none(), BTreeSet::new());
    for (i, method) in methods.iter().enumerate() {
        let at = format!("/items/{i}");
        faults.require(codes.insert(&method.code), format!("{at}/code"), Fault::Duplicate);
        check_translated_names(&method.translations, &at, &mut faults);
        check_rates(&method.rates, &at, &mut faults);
    }
    faults.check()
}

/// Adds the faults of the member `rates` of the shipping method at a JSON pointer: a second rate for a country and a
/// currency.
pub(crate) fn check_rates(rates: &[ShippingRate], at: &str, faults: &mut ValidationException) {
    let mut known = BTreeSet::new();
    for (index, rate) in rates.iter().enumerate() {
        let is_new = known.insert((rate.country, rate.currency));
        faults.require(is_new, format!("{at}/rates/{index}"), Fault::Duplicate);
    }
}
