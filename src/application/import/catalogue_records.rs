//! Puts what is sold, on which terms and to whom, into the store, unless it is there.

use std::collections::BTreeMap;

use crate::application::catalogue::naming::{check_names, check_translations};
use crate::domain::category::Category;
use crate::domain::discount::Discount;
use crate::domain::events::ProductChanged;
use crate::domain::ids::VariantId;
use crate::domain::product::Product;
use crate::domain::shipping::ShippingMethod;
use crate::domain::tax::TaxRule;
use crate::domain::user::{Preferences, User};
use crate::infrastructure::exceptions::ValidationException;
use crate::infrastructure::repositories::{ProductRepository, TaxRepository, UnitOfWork};

use super::apply::{Applied, Denied};
use super::report::Counts;

pub(crate) async fn category(work: &mut UnitOfWork, category: &Category) -> Result<Applied, Denied> {
    check_names(&category.slug, &category.translations)?;
    let is_new = work.insert_new(category).await?;
    if !is_new && work.find::<Category>(category.id).await?.is_none() {
        return Err(Denied::Refused(format!("the slug {} is another category's", category.slug)));
    }
    Ok(Applied::new(is_new, Counts { categories: 1, ..Counts::default() }))
}

pub(crate) async fn tax_rule(work: &mut UnitOfWork, rule: &TaxRule) -> Result<Applied, Denied> {
    let is_new = TaxRepository::insert_new(work, rule).await?;
    Ok(Applied::new(is_new, Counts { tax_rules: 1, ..Counts::default() }))
}

pub(crate) async fn shipping_method(
    work: &mut UnitOfWork,
    method: &ShippingMethod,
) -> Result<Applied, Denied> {
    let mut faults = ValidationException::none();
    check_translations(&method.translations, "", &mut faults);
    faults.check()?;
    let is_new = work.insert_new(method).await?;
    if !is_new && work.find::<ShippingMethod>(method.id).await?.is_none() {
        return Err(Denied::Refused(format!("the code {} is another way's", method.code)));
    }
    Ok(Applied::new(is_new, Counts { shipping_methods: 1, ..Counts::default() }))
}

pub(crate) async fn product(
    work: &mut UnitOfWork,
    product: &Product,
    stock: &BTreeMap<VariantId, i64>,
) -> Result<Applied, Denied> {
    let counts = Counts { products: 1, ..Counts::default() };
    if work.exists::<Product>(product.id).await? {
        return Ok(Applied::new(false, counts));
    }
    check_names(&product.slug, &product.translations)?;
    ProductRepository::insert(work, product, stock).await?;
    work.publish(&ProductChanged { product_id: product.id }).await?;
    Ok(Applied::new(true, counts))
}

pub(crate) async fn discount(work: &mut UnitOfWork, discount: &Discount) -> Result<Applied, Denied> {
    let is_new = work.insert_new(discount).await?;
    if !is_new && work.find::<Discount>(discount.id).await?.is_none() {
        return Err(Denied::Refused(format!("the code {} is another discount's", discount.code)));
    }
    Ok(Applied::new(is_new, Counts { discounts: 1, ..Counts::default() }))
}

/// A customer can log in once they have set a password: none is imported.
pub(crate) async fn customer(
    work: &mut UnitOfWork,
    user: &User,
    wishes: Option<&Preferences>,
) -> Result<Applied, Denied> {
    let is_new = work.insert_new(user).await?;
    if !is_new && work.find::<User>(user.id).await?.is_none() {
        return Err(Denied::Refused("the e-mail address is another user's".to_owned()));
    }
    if let Some(wishes) = wishes.filter(|_| is_new) {
        work.insert(wishes).await?;
    }
    Ok(Applied::new(is_new, Counts { customers: 1, ..Counts::default() }))
}
