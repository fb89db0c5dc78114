//! Users, their sessions, preferences and notifications.

pub mod accounts;
pub mod common_passwords;
pub mod email_addresses;
mod known_devices;
pub mod log_in_limits;
pub mod notification_text;
pub mod notifications;
pub mod notify;
pub mod password_resets;
pub mod passwords;
pub mod personal_data;
pub mod preferences;
pub mod profile;
pub mod sessions;
pub(crate) mod tokens;
pub mod users;
