//! The lines of categories, tax rules and shipping methods.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{LineType, id, required, slug_or_derived};
use crate::application::active_by_default;
use crate::application::records::identity::Identity;
use crate::domain::category::Category;
use crate::domain::country::Country;
use crate::domain::product::{Translations, names_only};
use crate::domain::shipping::{ShippingMethod, ShippingRate};
use crate::domain::tax::{TaxClass, TaxRate, TaxRule};

/// The line of a category; it comes after its parent's, and siblings come in their order.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::application) struct CategoryLine {
    r#type: LineType,
    id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    parent: Option<String>,
    slug: Option<String>,
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tax_class: Option<TaxClass>,
    #[serde(default, skip_serializing_if = "Translations::is_empty")]
    translations: Translations,
    created_at: Option<Timestamp>,
}

impl From<Category> for CategoryLine {
    fn from(category: Category) -> Self {
        Self {
            r#type: LineType::Category,
            id: category.id.to_string(),
            parent: category.parent_id.map(|parent| parent.to_string()),
            slug: Some(category.slug),
            name: category.name,
            tax_class: category.tax_class,
            translations: names_only(category.translations),
            created_at: Some(category.created_at),
        }
    }
}

impl CategoryLine {
    /// Returns the category; one without a date was created at `default_created_at`.
    pub(in crate::application) fn category(self, default_created_at: Timestamp) -> Result<Category, String> {
        let category_id = id(&self.id, "/id", Identity::category)?;
        let parent = self.parent.map(|parent| id(&parent, "/parent", Identity::category)).transpose()?;
        if parent == Some(category_id) {
            return Err("/parent: the category itself".to_owned());
        }
        Ok(Category {
            parent_id: parent,
            tax_class: self.tax_class,
            translations: names_only(self.translations),
            ..Category::new(
                category_id,
                slug_or_derived(self.slug, &self.name)?,
                required(self.name, "/name")?,
                self.created_at.unwrap_or(default_created_at),
            )
        })
    }
}

/// The line of a tax rule: the rate of a tax class in a country.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::application) struct TaxRuleLine {
    r#type: LineType,
    country: Country,
    tax_class: TaxClass,
    basis_points: u32,
    inclusive: bool,
}

impl From<TaxRule> for TaxRuleLine {
    fn from(rule: TaxRule) -> Self {
        Self {
            r#type: LineType::TaxRule,
            country: rule.country,
            tax_class: rule.tax_class,
            basis_points: rule.rate.basis_points,
            inclusive: rule.rate.inclusive,
        }
    }
}

impl TaxRuleLine {
    /// Returns the tax rule.
    pub(in crate::application) fn rule(self) -> Result<TaxRule, String> {
        let rate = TaxRate { basis_points: self.basis_points, inclusive: self.inclusive };
        rate.validate().map_err(|error| format!("/basis_points: {error}"))?;
        Ok(TaxRule { country: self.country, tax_class: self.tax_class, rate })
    }
}

/// The line of a shipping method.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::application) struct ShippingMethodLine {
    r#type: LineType,
    id: String,
    code: String,
    name: String,
    #[serde(default, skip_serializing_if = "Translations::is_empty")]
    translations: Translations,
    #[serde(default)]
    tax_class: TaxClass,
    #[serde(default)]
    position: i64,
    #[serde(default = "active_by_default")]
    active: bool,
    rates: Vec<ShippingRate>,
}

impl From<ShippingMethod> for ShippingMethodLine {
    fn from(method: ShippingMethod) -> Self {
        Self {
            r#type: LineType::ShippingMethod,
            id: method.id.to_string(),
            code: method.code,
            name: method.name,
            translations: names_only(method.translations),
            tax_class: method.tax_class,
            position: method.position,
            active: method.active,
            rates: method.rates,
        }
    }
}

impl ShippingMethodLine {
    /// Returns the shipping method.
    pub(in crate::application) fn method(self) -> Result<ShippingMethod, String> {
        for (index, rate) in self.rates.iter().enumerate() {
            if !rate.is_valid() {
                return Err(format!("/rates/{index}: an amount is negative or too large"));
            }
        }
        Ok(ShippingMethod {
            id: id(&self.id, "/id", Identity::shipping_method)?,
            code: required(self.code, "/code")?,
            name: required(self.name, "/name")?,
            translations: names_only(self.translations),
            tax_class: self.tax_class,
            position: self.position,
            active: self.active,
            rates: self.rates,
        })
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::ids::CategoryId;
    use crate::domain::product::Texts;

    #[test]
    fn a_description_that_a_category_was_given_before_is_not_exported() {
        let id = CategoryId(Uuid::nil());
        let mut category = Category::new(id, "tea".into(), "Tea".into(), Timestamp::UNIX_EPOCH);
        let translated = Texts { name: "Tee".into(), description: "Getränk".into() };
        category.translations.insert("de".into(), translated);
        let exported = CategoryLine::from(category).translations;
        assert_eq!(exported["de"], Texts { name: "Tee".into(), description: String::new() });
    }
}
