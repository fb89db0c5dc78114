//! Offers: the variants of a cart or an order with all that a quote needs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ProductRepository;
use crate::domain::ids::{CategoryId, ProductId, VariantId};
use crate::domain::money::Currency;
use crate::domain::product::{BillingInterval, ProductKind};
use crate::domain::tax::TaxClass;
use crate::infrastructure::repositories::database::{DatabaseError, FromRow, Json, Row, key_lists};

/// A variant as it is sold: name, prices, kind, tax class and available stock.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Offer {
    /// The id of the variant.
    pub variant_id: VariantId,
    /// The id of the product.
    pub product_id: ProductId,
    /// The SKU of the variant.
    pub sku: String,
    /// The product's name, with the variant's options.
    pub name: String,
    /// Whether both the product and the variant are active.
    pub active: bool,
    /// The price in each currency, in minor units.
    pub prices: BTreeMap<Currency, i64>,
    /// The kind of the product.
    pub kind: ProductKind,
    /// The interval between charges, if it is a subscription.
    pub billing_interval: Option<BillingInterval>,
    /// The least age of a buyer in years, if there is one.
    pub minimum_age: Option<i64>,
    /// The tax class of the product itself, if it has one.
    pub tax_class: Option<TaxClass>,
    /// The category of the product, if it has one.
    pub category_id: Option<CategoryId>,
    /// The available stock in pieces; `None` if it is not counted.
    pub available: Option<i64>,
}

impl FromRow for Offer {
    fn from_row(row: &mut Row<'_>) -> Result<Self, DatabaseError> {
        let (product_name, Json(options)) = row.read::<(String, Json<Vec<String>>)>()?;
        let name = if options.is_empty() {
            product_name
        } else {
            format!("{product_name} ({})", options.join(", "))
        };
        Ok(Self {
            name,
            variant_id: row.read()?,
            product_id: row.read()?,
            sku: row.read()?,
            active: row.read()?,
            prices: row.read::<Json<_>>()?.0,
            kind: row.read()?,
            billing_interval: row.read()?,
            minimum_age: row.read()?,
            tax_class: row.read()?,
            category_id: row.read()?,
            available: row.read()?,
        })
    }
}

impl ProductRepository<'_> {
    /// Returns the offers of variants, in no order; variants that do not exist are left out.
    pub async fn offers(&mut self, variants: &[VariantId]) -> Result<Vec<Offer>, DatabaseError> {
        let mut offers = Vec::with_capacity(variants.len());
        for (keys, list) in key_lists(variants) {
            let sql = format!(
                "SELECT p.name, v.options, v.id, v.product_id, v.sku, v.active AND p.active, v.prices, p.kind, \
                 p.billing_interval, p.minimum_age, p.tax_class, p.category_id, i.stock - i.reserved \
                 FROM variants v JOIN products p ON p.id = v.product_id JOIN inventory i ON i.variant_id = v.id \
                 WHERE v.id IN ({list})"
            );
            offers.extend(self.0.all::<Offer>(&sql, &keys).await?);
        }
        Ok(offers)
    }
}
