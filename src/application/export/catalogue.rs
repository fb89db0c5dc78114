//! Exports the catalogue: categories, tax rules, shipping methods, products and discounts.

use std::collections::BTreeMap;
use std::io::Write;

use super::{ExportError, Output, write_rows};
use crate::application::json_lines::{
    CategoryLine, DiscountLine, ProductLine, ShippingMethodLine, TaxRuleLine,
};
use crate::domain::category::Category;
use crate::domain::discount::Discount;
use crate::domain::ids::CategoryId;
use crate::domain::shipping::ShippingMethod;
use crate::infrastructure::repositories::{CategoryRepository, Connection, ProductRepository, TaxRepository};

/// Exports the categories, each after its parent, and siblings in their order.
pub(super) async fn categories<W: Write>(
    connection: &mut Connection,
    out: &mut Output<W>,
) -> Result<(), ExportError> {
    let mut children: BTreeMap<Option<CategoryId>, Vec<Category>> = BTreeMap::new();
    for category in CategoryRepository(connection).tree().await? {
        children.entry(category.parent_id).or_default().push(category);
    }
    let mut open = children.remove(&None).unwrap_or_default();
    open.reverse();
    while let Some(category) = open.pop() {
        open.extend(children.remove(&Some(category.id)).into_iter().flatten().rev());
        out.write(&CategoryLine::of(category, out.language))?;
    }
    Ok(())
}

pub(super) async fn tax_rules<W: Write>(
    connection: &mut Connection,
    out: &mut Output<W>,
) -> Result<(), ExportError> {
    for rule in TaxRepository(connection).all().await? {
        out.write(&TaxRuleLine::from(rule))?;
    }
    Ok(())
}

pub(super) async fn shipping_methods<W: Write>(
    connection: &mut Connection,
    out: &mut Output<W>,
) -> Result<(), ExportError> {
    let id = |method: &ShippingMethod| method.id.into();
    write_rows(connection, out, id, |out, method| out.write(&ShippingMethodLine::of(method, out.language)))
        .await
}

pub(super) async fn products<W: Write>(
    connection: &mut Connection,
    out: &mut Output<W>,
) -> Result<(), ExportError> {
    let mut position = None;
    while let Some(batch) = ProductRepository(connection).scan(&mut position).await? {
        for view in batch {
            out.write(&ProductLine::of(view, out.language))?;
        }
    }
    Ok(())
}

pub(super) async fn discounts<W: Write>(
    connection: &mut Connection,
    out: &mut Output<W>,
) -> Result<(), ExportError> {
    let id = |discount: &Discount| discount.id.into();
    write_rows(connection, out, id, |out, discount| out.write(&DiscountLine::from(discount))).await
}
