//! The settings of the rate limits.

use serde::Deserialize;

use super::readers::quota;
use crate::infrastructure::middleware::Quota;

/// `[rate_limits]`: how often something may be done. A limit that is `None` does not limit.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RateLimitSettings {
    /// Whether requests are limited at all.
    pub enabled: bool,
    /// All requests of an address.
    #[serde(deserialize_with = "quota")]
    pub general: Option<Quota>,
    /// All requests of a user.
    #[serde(deserialize_with = "quota")]
    pub user: Option<Quota>,
    /// Log-ins from an address, also those that succeed.
    #[serde(deserialize_with = "quota")]
    pub log_in: Option<Quota>,
    /// Log-ins that fail, for an account from one address or known device; and wrong current passwords in one session.
    #[serde(deserialize_with = "quota")]
    pub failed_log_ins: Option<Quota>,
    /// Log-ins that fail, from one address.
    #[serde(deserialize_with = "quota")]
    pub failed_log_ins_address: Option<Quota>,
    /// Log-ins that fail, for an account from all addresses together; and wrong current passwords in all sessions of a
    /// user together.
    #[serde(deserialize_with = "quota")]
    pub failed_log_ins_account: Option<Quota>,
    /// Registrations from an address.
    #[serde(deserialize_with = "quota")]
    pub sign_up: Option<Quota>,
    /// Changes of accounts from an address, which may check a password, and new API keys.
    #[serde(deserialize_with = "quota")]
    pub password: Option<Quota>,
    /// Discount codes from an address.
    #[serde(deserialize_with = "quota")]
    pub discount_code: Option<Quota>,
    /// Carts that are created from an address.
    #[serde(deserialize_with = "quota")]
    pub new_cart: Option<Quota>,
    /// Checkouts from an address.
    #[serde(deserialize_with = "quota")]
    pub checkout: Option<Quota>,
}

impl Default for RateLimitSettings {
    fn default() -> Self {
        let quota = |text: &str| text.parse().ok();
        Self {
            enabled: true,
            general: quota("6000/minute"),
            user: quota("1200/minute"),
            log_in: quota("60/minute"),
            failed_log_ins: quota("20/hour"),
            failed_log_ins_address: quota("200/hour"),
            failed_log_ins_account: quota("100/hour"),
            sign_up: quota("120/hour"),
            password: quota("30/minute"),
            discount_code: quota("60/minute"),
            new_cart: quota("120/minute"),
            checkout: quota("120/minute"),
        }
    }
}
