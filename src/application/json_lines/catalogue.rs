//! The lines of categories, tax rules and shipping methods.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{LineType, Rebased, id, rebased, required, slug_or_derived};
use crate::application::active_by_default;
use crate::application::records::identity::Identity;
use crate::domain::category::Category;
use crate::domain::country::Country;
use crate::domain::language::Language;
use crate::domain::product::{Texts, Translations, names_only};
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    language: Option<Language>,
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tax_class: Option<TaxClass>,
    #[serde(default, skip_serializing_if = "Translations::is_empty")]
    translations: Translations,
    created_at: Option<Timestamp>,
}

impl CategoryLine {
    /// Returns the line of a category whose name is in this language.
    pub(in crate::application) fn of(category: Category, language: Language) -> Self {
        Self {
            r#type: LineType::Category,
            id: category.id.to_string(),
            parent: category.parent_id.map(|parent| parent.to_string()),
            slug: Some(category.slug),
            language: Some(language),
            name: category.name,
            tax_class: category.tax_class,
            translations: names_only(category.translations),
            created_at: Some(category.created_at),
        }
    }

    /// Returns the category, with its name in the language `base`; one without a date was created at
    /// `default_created_at`.
    pub(in crate::application) fn category(
        self,
        default_created_at: Timestamp,
        base: Language,
    ) -> Result<Category, String> {
        let category_id = id(&self.id, "/id", Identity::category)?;
        let parent = self.parent.map(|parent| id(&parent, "/parent", Identity::category)).transpose()?;
        if parent == Some(category_id) {
            return Err("/parent: the category itself".to_owned());
        }
        let slug = slug_or_derived(self.slug, &self.name)?;
        let Rebased { texts: Texts { name, .. }, translations, .. } =
            rebased(name_of(self.name)?, names_only(self.translations), self.language, base);
        let created_at = self.created_at.unwrap_or(default_created_at);
        Ok(Category {
            parent_id: parent,
            tax_class: self.tax_class,
            translations,
            ..Category::new(category_id, slug, name, created_at)
        })
    }
}

/// Returns the base texts of what has a name alone. Refuses an empty one.
fn name_of(name: String) -> Result<Texts, String> {
    Ok(Texts { name: required(name, "/name")?, ..Texts::default() })
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    language: Option<Language>,
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

impl ShippingMethodLine {
    /// Returns the line of a shipping method whose name is in this language.
    pub(in crate::application) fn of(method: ShippingMethod, language: Language) -> Self {
        Self {
            r#type: LineType::ShippingMethod,
            id: method.id.to_string(),
            code: method.code,
            language: Some(language),
            name: method.name,
            translations: names_only(method.translations),
            tax_class: method.tax_class,
            position: method.position,
            active: method.active,
            rates: method.rates,
        }
    }

    /// Returns the shipping method, with its name in the language `base`.
    pub(in crate::application) fn method(self, base: Language) -> Result<ShippingMethod, String> {
        for (index, rate) in self.rates.iter().enumerate() {
            if !rate.is_valid() {
                return Err(format!("/rates/{index}: an amount is negative or too large"));
            }
        }
        let id = id(&self.id, "/id", Identity::shipping_method)?;
        let code = required(self.code, "/code")?;
        let Rebased { texts: Texts { name, .. }, translations, .. } =
            rebased(name_of(self.name)?, names_only(self.translations), self.language, base);
        Ok(ShippingMethod {
            id,
            code,
            name,
            translations,
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

    #[test]
    fn a_description_that_a_category_was_given_before_is_not_exported() {
        let id = CategoryId(Uuid::nil());
        let mut category = Category::new(id, "tea".into(), "Tea".into(), Timestamp::UNIX_EPOCH);
        let translated = Texts { name: "Tee".into(), description: "Getränk".into() };
        category.translations.insert("de".into(), translated);
        let exported = CategoryLine::of(category, Language::EN).translations;
        assert_eq!(exported["de"], Texts { name: "Tee".into(), description: String::new() });
    }
}
