//! The line of a customer, without the password.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::{LineType, id};
use crate::application::records::identity::Identity;
use crate::application::records::{ImportedCustomer, placeholder_email};
use crate::domain::email::is_email;
use crate::domain::ids::UserId;
use crate::domain::money::Currency;
use crate::domain::user::{Preferences, User};

/// The line of a customer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::application) struct CustomerLine {
    r#type: LineType,
    id: String,
    email: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    email_verified_at: Option<Timestamp>,
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    birth_date: Option<Date>,
    created_at: Option<Timestamp>,
    // files of earlier versions have `wishes`
    #[serde(alias = "wishes", default, skip_serializing_if = "Option::is_none")]
    preferences: Option<PreferencesLine>,
}

/// The preferences within the line of a customer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PreferencesLine {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    locale: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    currency: Option<Currency>,
    #[serde(default)]
    marketing_consent: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    consent_at: Option<Timestamp>,
}

impl From<(User, Option<Preferences>)> for CustomerLine {
    fn from((user, preferences): (User, Option<Preferences>)) -> Self {
        Self {
            r#type: LineType::Customer,
            id: user.id.to_string(),
            email: Some(user.email),
            email_verified_at: user.email_verified_at,
            name: user.name,
            birth_date: user.birth_date,
            created_at: Some(user.created_at),
            preferences: preferences.map(PreferencesLine::from),
        }
    }
}

impl From<Preferences> for PreferencesLine {
    fn from(preferences: Preferences) -> Self {
        Self {
            locale: preferences.locale,
            currency: preferences.currency,
            marketing_consent: preferences.marketing_consent,
            consent_at: preferences.consent_at,
        }
    }
}

impl CustomerLine {
    /// Returns the customer; one without a date was created at `default_created_at`.
    pub(in crate::application) fn customer(
        self,
        default_created_at: Timestamp,
    ) -> Result<ImportedCustomer, String> {
        if self.email.as_deref().is_some_and(|email| !is_email(email)) {
            return Err("/email: not an e-mail address".to_owned());
        }
        let user_id = id(&self.id, "/id", Identity::customer)?;
        let created_at = self.created_at.unwrap_or(default_created_at);
        let email = self.email.unwrap_or_else(|| placeholder_email(&self.id, user_id.0));
        let mut customer = ImportedCustomer::new(user_id, email, self.name, created_at);
        customer.user.email_verified_at = self.email_verified_at;
        customer.user.birth_date = self.birth_date;
        customer.preferences = self.preferences.map(|line| line.preferences(user_id, created_at));
        Ok(customer)
    }
}

impl PreferencesLine {
    fn preferences(self, user_id: UserId, updated_at: Timestamp) -> Preferences {
        Preferences {
            user_id,
            locale: self.locale,
            currency: self.currency,
            marketing_consent: self.marketing_consent,
            consent_at: self.consent_at,
            version: 1,
            updated_at,
        }
    }
}
