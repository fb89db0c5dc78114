//! What the store requires of carts and users.

use std::num::NonZeroU32;

use serde::Deserialize;

use super::non_zero;
use super::readers::{flag_or_auto, parsed_list, subtotals};
use crate::domain::age::AgeRule;
use crate::domain::cart::MAX_LINES;
use crate::domain::money::{Currency, Money};

/// `[requirements]`: what the store requires of carts and users.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RequirementSettings {
    /// The most lines of a cart; at most [`MAX_LINES`] count.
    pub cart_max_lines: NonZeroU32,
    /// The least subtotal of an order in each currency that has one.
    #[serde(deserialize_with = "subtotals")]
    pub cart_minimum_subtotals: Vec<Money>,
    /// The currencies that a cart may have; every one if there are none.
    #[serde(deserialize_with = "parsed_list")]
    pub cart_currencies: Vec<Currency>,
    /// The minimum ages of countries.
    #[serde(deserialize_with = "parsed_list")]
    pub minimum_ages: Vec<AgeRule>,
    /// Whether administrators need one-time passwords.
    pub administrators_use_one_time_passwords: bool,
    /// Whether no response says that an e-mail address has an account; `None` is `auto`: if there is a mail
    /// server, and a page to which its e-mails lead.
    #[serde(deserialize_with = "flag_or_auto")]
    pub hide_registered_addresses: Option<bool>,
    /// What requires a verified e-mail address.
    pub verified_email_for: Vec<VerifiedEmailFor>,
}

/// What may require a verified e-mail address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VerifiedEmailFor {
    /// A checkout.
    Checkout,
    /// A review.
    Reviews,
}

impl Default for RequirementSettings {
    fn default() -> Self {
        Self {
            cart_max_lines: non_zero(u32::try_from(MAX_LINES).unwrap_or(u32::MAX)),
            cart_minimum_subtotals: Vec::new(),
            cart_currencies: Vec::new(),
            minimum_ages: Vec::new(),
            administrators_use_one_time_passwords: false,
            hide_registered_addresses: None,
            verified_email_for: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{MailSettings, PageSettings, Settings};
    use super::*;

    #[test]
    fn registered_addresses_are_hidden_if_customers_can_verify_theirs_or_the_setting_says_so() {
        let hides = |url: Option<&str>, page: Option<&str>, setting: Option<bool>| {
            let url = url.map(|url| url.parse().unwrap());
            let mail = MailSettings { url, ..MailSettings::default() };
            let email_verification = page.map(str::to_owned);
            let pages = PageSettings { email_verification, ..PageSettings::default() };
            let requirements =
                RequirementSettings { hide_registered_addresses: setting, ..RequirementSettings::default() };
            Settings { requirements, pages, mail, ..Settings::default() }.hides_registered_addresses()
        };
        let (page, server) = (Some("https://shop.example/verify?token={token}"), Some("smtp://127.0.0.1"));
        for (url, page, by_default) in
            [(None, page, false), (Some("local:"), page, false), (server, None, false), (server, page, true)]
        {
            assert_eq!(hides(url, page, None), by_default, "{url:?} {page:?}");
            assert!(hides(url, page, Some(true)) && !hides(url, page, Some(false)), "{url:?} {page:?}");
        }
    }
}
