//! What is sold, and on which terms.

use std::collections::BTreeMap;
use std::io::Write;

use super::{ExportError, Output};
use crate::application::json_lines::{
    CategoryLine, DiscountLine, LineType, ProductLine, ShippingMethodLine, TaxRuleLine, VariantLine,
};
use crate::domain::category::Category;
use crate::domain::discount::Discount;
use crate::domain::ids::CategoryId;
use crate::domain::money::Money;
use crate::domain::product::{ProductView, Stock, Variant};
use crate::domain::shipping::ShippingMethod;
use crate::infrastructure::repositories::{CategoryRepository, Connection, ProductRepository, TaxRepository};

/// Each after the one above it.
pub(super) async fn categories<W: Write>(
    connection: &mut Connection,
    out: &mut Output<W>,
) -> Result<(), ExportError> {
    let mut below: BTreeMap<Option<CategoryId>, Vec<Category>> = BTreeMap::new();
    for category in CategoryRepository(connection).tree().await? {
        below.entry(category.parent_id).or_default().push(category);
    }
    let mut open = below.remove(&None).unwrap_or_default();
    open.reverse();
    while let Some(category) = open.pop() {
        open.extend(below.remove(&Some(category.id)).into_iter().flatten().rev());
        out.write(&CategoryLine {
            r#type: LineType::Category,
            id: category.id.to_string(),
            parent: category.parent_id.map(|parent| parent.to_string()),
            slug: Some(category.slug),
            name: category.name,
            tax_class: category.tax_class,
            translations: category.translations,
            created_at: Some(category.created_at),
        })?;
    }
    Ok(())
}

pub(super) async fn tax_rules<W: Write>(
    connection: &mut Connection,
    out: &mut Output<W>,
) -> Result<(), ExportError> {
    for rule in TaxRepository(connection).all().await? {
        out.write(&TaxRuleLine {
            r#type: LineType::TaxRule,
            country: rule.country,
            tax_class: rule.tax_class,
            basis_points: rule.rate.basis_points,
            inclusive: rule.rate.inclusive,
        })?;
    }
    Ok(())
}

pub(super) async fn shipping_methods<W: Write>(
    connection: &mut Connection,
    out: &mut Output<W>,
) -> Result<(), ExportError> {
    let mut place = None;
    while let Some(piece) = connection.scan::<ShippingMethod>("id", &mut place, |row| row.id.into()).await? {
        for method in piece {
            out.write(&ShippingMethodLine {
                r#type: LineType::ShippingMethod,
                id: method.id.to_string(),
                code: method.code,
                name: method.name,
                translations: method.translations,
                tax_class: method.tax_class,
                position: method.position,
                active: method.active,
                rates: method.rates,
            })?;
        }
    }
    Ok(())
}

pub(super) async fn products<W: Write>(
    connection: &mut Connection,
    out: &mut Output<W>,
) -> Result<(), ExportError> {
    let mut place = None;
    while let Some(piece) = ProductRepository(connection).scan(&mut place).await? {
        for ProductView { product, stock } in piece {
            out.write(&ProductLine {
                r#type: LineType::Product,
                id: product.id.to_string(),
                slug: Some(product.slug),
                name: product.name,
                description: product.description,
                category: product.category_id.map(|category| category.to_string()),
                kind: product.kind,
                billing_interval: product.billing_interval,
                minimum_age: product.minimum_age,
                tax_class: product.tax_class,
                active: product.active,
                options: product.options,
                translations: product.translations,
                variants: product.variants.into_iter().zip(stock).map(variant).collect(),
                created_at: Some(product.created_at),
            })?;
        }
    }
    Ok(())
}

fn variant((variant, stock): (Variant, Stock)) -> VariantLine {
    VariantLine {
        id: Some(variant.id.to_string()),
        sku: variant.sku,
        options: variant.options,
        active: variant.active,
        prices: variant.prices.into_iter().map(|(currency, amount)| Money::new(amount, currency)).collect(),
        stock: stock.stock,
    }
}

pub(super) async fn discounts<W: Write>(
    connection: &mut Connection,
    out: &mut Output<W>,
) -> Result<(), ExportError> {
    let mut place = None;
    while let Some(piece) = connection.scan::<Discount>("id", &mut place, |row| row.id.into()).await? {
        for discount in piece {
            out.write(&DiscountLine {
                r#type: LineType::Discount,
                id: discount.id.to_string(),
                code: discount.code,
                kind: discount.kind,
                minimum: discount.minimum,
                usage_limit: discount.usage_limit,
                used: discount.used,
                starts_at: discount.starts_at,
                ends_at: discount.ends_at,
                active: discount.active,
                created_at: Some(discount.created_at),
            })?;
        }
    }
    Ok(())
}
