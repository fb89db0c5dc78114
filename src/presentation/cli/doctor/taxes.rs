//! The check of `doctor` that what is sold is taxed.

use super::Finding;
use crate::application::Store;
use crate::application::selling::rates::{MissingTaxRules, missing_tax_rules};
use crate::domain::tax::TaxClass;

/// Checks that the tax classes in use have rules, in each country that has any.
pub(super) async fn taxes(store: &Store) -> Vec<Finding> {
    let MissingTaxRules { everywhere, by_country } = match missing_tax_rules(store).await {
        Ok(Some(missing)) => missing,
        Ok(None) => return vec![Finding::ok("taxes", "there are no tax rules: no tax is charged")],
        Err(failure) => {
            return vec![Finding::problem("taxes", failure.report().to_string(), "check the database")];
        }
    };
    let names = |classes: &[TaxClass]| {
        let names: Vec<_> = classes.iter().map(|class| format!("`{class}`")).collect();
        let noun = if classes.len() == 1 { "class" } else { "classes" };
        format!("the {noun} {}", names.join(", "))
    };
    let mut findings = Vec::new();
    if !everywhere.is_empty() {
        let found = format!("no tax rule names {}: what has it is sold without tax", names(&everywhere));
        findings.push(Finding::warning("taxes", found, "add the rules, or correct the tax class"));
    }
    for (country, classes) in by_country {
        let classes = names(&classes);
        let found = format!("{country} has no rule for {classes}: what has it is sold there without tax");
        let advice = "if there is no tax, add a rule with 0 basis points; otherwise, one with the rate";
        findings.push(Finding::warning("taxes", found, advice));
    }
    if findings.is_empty() {
        let found = "each tax class in use has a rule in each country that has any";
        findings.push(Finding::ok("taxes", found));
    }
    findings
}
