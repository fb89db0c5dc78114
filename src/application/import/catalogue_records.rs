//! Adds categories, tax rules, shipping methods, products, discounts and customers to the store, unless they are there.
//! Products that are there are updated if the import says so.

use std::collections::HashMap;

use crate::application::records::{ImportedCustomer, ImportedProduct};
use crate::domain::category::Category;
use crate::domain::discount::Discount;
use crate::domain::events::ProductChanged;
use crate::domain::shipping::ShippingMethod;
use crate::domain::tax::TaxRule;
use crate::domain::user::User;
use crate::infrastructure::repositories::{
    CategoryRepository, ProductRepository, SaveError, Table, UnitOfWork, UserRepository,
};

use super::bounds;
use super::outcome::{RecordError, RecordOutcome};
use super::product_updates;
use super::report::Counts;
use super::write_options::{ExistingProducts, WriteOptions};

type Outcome = Result<RecordOutcome, RecordError>;

pub(super) async fn category(work: &mut UnitOfWork, category: &Category) -> Outcome {
    bounds::check_category(category)?;
    let taken = || format!("another category has the slug {}", category.slug);
    let is_added = !work.exists::<Category>(category.id).await?;
    if is_added && !CategoryRepository::insert_new(work, category).await? {
        return Err(RecordError::Refused(taken()));
    }
    Ok(RecordOutcome::new(is_added, Counts { categories: 1, ..Counts::default() }))
}

pub(super) async fn tax_rule(work: &mut UnitOfWork, rule: &TaxRule) -> Outcome {
    let is_added = work.insert_new(rule).await?;
    Ok(RecordOutcome::new(is_added, Counts { tax_rules: 1, ..Counts::default() }))
}

pub(super) async fn shipping_method(work: &mut UnitOfWork, method: &ShippingMethod) -> Outcome {
    bounds::check_shipping_method(method)?;
    let taken = || format!("another shipping method has the code {}", method.code);
    let is_added = insert_new(work, method, method.id, taken).await?;
    Ok(RecordOutcome::new(is_added, Counts { shipping_methods: 1, ..Counts::default() }))
}

pub(super) async fn product(
    work: &mut UnitOfWork,
    options: &WriteOptions,
    product: &ImportedProduct,
) -> Outcome {
    let outcomes = products(work, options, &[product]).await?;
    Ok(outcomes.into_iter().next().unwrap_or_default())
}

/// Adds those of several products that are not there, and updates the others if the options say so; all are refused if
/// the store refuses one.
pub(super) async fn products(
    work: &mut UnitOfWork,
    options: &WriteOptions,
    products: &[&ImportedProduct],
) -> Result<Vec<RecordOutcome>, RecordError> {
    let ids: Vec<_> = products.iter().map(|imported| imported.product.id).collect();
    let existing = ProductRepository(work).currencies(&ids).await?;
    let is_new = |imported: &&ImportedProduct| !existing.contains_key(&imported.product.id);
    let (new, known): (Vec<_>, Vec<_>) = products.iter().copied().partition(is_new);

    add_products(work, options, &new).await?;
    let updated = match options.existing {
        ExistingProducts::Keep => HashMap::new(),
        ExistingProducts::Update => product_updates::update_all(work, &options.context, &known).await?,
    };

    let outcome = |imported: &&ImportedProduct| {
        let counts = Counts { products: 1, ..Counts::default() };
        let id = imported.product.id;
        let mut currencies = existing.get(&id).cloned().unwrap_or_default();
        if is_new(imported) || updated.contains_key(&id) {
            currencies.extend(imported.product.currencies());
        }
        let outcome = if is_new(imported) {
            let stock = imported.stock.values().copied().collect();
            RecordOutcome { stock, ..RecordOutcome::new(true, counts) }
        } else if let Some(&stock) = updated.get(&id) {
            RecordOutcome { updated: counts, stock, ..RecordOutcome::default() }
        } else {
            RecordOutcome::new(false, counts)
        };
        RecordOutcome { currencies, ..outcome }
    };
    Ok(products.iter().map(outcome).collect())
}

/// Adds products, each created at the time of its record. Their events are published now, so that subscribers which
/// began later than that get them.
async fn add_products(
    work: &mut UnitOfWork,
    options: &WriteOptions,
    products: &[&ImportedProduct],
) -> Result<(), RecordError> {
    let mut added = Vec::with_capacity(products.len());
    for imported in products {
        let product = &imported.product;
        let pieces = imported.pieces();
        bounds::check_product(product, &pieces)?;
        added.push((product, pieces));
    }
    let added: Vec<_> = added.iter().map(|(product, pieces)| (*product, pieces)).collect();

    ProductRepository::insert_all(work, &added).await.map_err(|error| match error {
        SaveError::SlugTaken => {
            let slugs: Vec<_> = added.iter().map(|(product, _)| product.slug.as_str()).collect();
            RecordError::Refused(format!("another product has the slug {}", slugs.join(" or ")))
        }
        error => error.into(),
    })?;
    work.set_context(options.context.clone());
    for (product, _) in added {
        work.publish(&ProductChanged { product_id: product.id }).await?;
    }
    Ok(())
}

pub(super) async fn discount(work: &mut UnitOfWork, discount: &Discount) -> Outcome {
    bounds::check_discount(discount)?;
    let taken = || format!("another discount has the code {}", discount.code);
    let is_added = insert_new(work, discount, discount.id, taken).await?;
    Ok(RecordOutcome::new(is_added, Counts { discounts: 1, ..Counts::default() }))
}

/// Adds a customer. Passwords are not imported: customers log in once they have set one.
pub(super) async fn customer(
    work: &mut UnitOfWork,
    options: &WriteOptions,
    customer: &ImportedCustomer,
) -> Outcome {
    bounds::check_customer(customer, options.context.clock.now())?;
    let ImportedCustomer { user, preferences } = customer;
    let is_added = UserRepository::insert_unique_email(work, user).await?;
    if !is_added && !work.exists::<User>(user.id).await? {
        return Err(RecordError::Refused("another user has the e-mail address".to_owned()));
    }
    if let Some(preferences) = preferences.as_ref().filter(|_| is_added) {
        work.insert(preferences).await?;
    }
    Ok(RecordOutcome::new(is_added, Counts { customers: 1, ..Counts::default() }))
}

/// Inserts a row unless there is one with its key; returns whether it was inserted. Refuses one whose other unique
/// value is taken.
async fn insert_new<T: Table>(
    work: &mut UnitOfWork,
    row: &T,
    key: T::Key,
    taken: impl FnOnce() -> String,
) -> Result<bool, RecordError> {
    let is_added = work.insert_new(row).await?;
    if !is_added && !work.exists::<T>(key).await? {
        return Err(RecordError::Refused(taken()));
    }
    Ok(is_added)
}
