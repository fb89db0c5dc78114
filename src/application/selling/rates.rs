//! What things cost beside their price: taxes and shipping.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::ids::ShippingMethodId;
use crate::domain::product::Translations;
use crate::domain::shipping::{ShippingMethod, ShippingRate};
use crate::domain::tax::{TaxClass, TaxRate, TaxRule};
use crate::infrastructure::exceptions::{Failure, Fault, ValidationException};
use crate::infrastructure::repositories::{ShippingRepository, TaxRepository, UnitOfWork};

use crate::application::Store;
use crate::application::catalogue::naming::check_translations;

/// What a way of shipping is to be.
#[derive(Debug, Clone)]
pub struct NewShippingMethod {
    /// The name it is asked for by.
    pub code: String,
    /// Its name for people.
    pub name: String,
    /// That name in other languages.
    pub translations: Translations,
    /// Its tax class.
    pub tax_class: TaxClass,
    /// Whether it can be chosen.
    pub active: bool,
    /// What it costs where.
    pub rates: Vec<ShippingRate>,
}

/// Every tax rule, by country and class.
pub async fn tax_rules(store: &Store) -> Result<Vec<TaxRule>, Failure> {
    Ok(TaxRepository(&mut store.database().read().await?).all().await?)
}

/// Puts these tax rules in the place of all that were there.
pub async fn set_tax_rules(work: &mut UnitOfWork, rules: &[TaxRule]) -> Result<Vec<TaxRule>, Failure> {
    let (mut faults, mut seen) = (ValidationException::none(), BTreeSet::new());
    for (i, TaxRule { country, tax_class, rate }) in rules.iter().enumerate() {
        faults.require(seen.insert((country, tax_class)), format!("/items/{i}"), Fault::Duplicate);
        let maximum = TaxRate::MAX_BASIS_POINTS.into();
        let place = format!("/items/{i}/rate/basis_points");
        faults.require(rate.validate().is_ok(), place, Fault::Maximum { maximum });
    }
    faults.check()?;
    TaxRepository::replace(work, rules).await?;
    Ok(TaxRepository(work).all().await?)
}

/// The ways of shipping in their order: all of them, or those that can be chosen.
pub async fn shipping_methods(store: &Store, all: bool) -> Result<Vec<ShippingMethod>, Failure> {
    let mut session = store.database().read().await?;
    let mut methods = ShippingRepository(&mut session);
    Ok(if all { methods.all().await? } else { methods.active().await? })
}

/// Puts these ways of shipping in the place of all that were there; their order is that of the list.
pub async fn set_shipping_methods(
    work: &mut UnitOfWork,
    methods: &[NewShippingMethod],
) -> Result<Vec<ShippingMethod>, Failure> {
    check(methods)?;
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

fn check(methods: &[NewShippingMethod]) -> Result<(), Failure> {
    let (mut faults, mut codes) = (ValidationException::none(), BTreeSet::new());
    for (i, method) in methods.iter().enumerate() {
        let at = format!("/items/{i}");
        faults.require(codes.insert(&method.code), format!("{at}/code"), Fault::Duplicate);
        check_translations(&method.translations, &at, &mut faults);
        let mut places = BTreeSet::new();
        for (j, rate) in method.rates.iter().enumerate() {
            let is_new = places.insert((rate.country, rate.currency));
            faults.require(is_new, format!("{at}/rates/{j}"), Fault::Duplicate);
        }
    }
    faults.check()
}
