//! Users, their sessions, preferences and notifications.

pub mod access_tokens;
pub mod accounts;
pub mod api_keys;
pub mod authentication;
pub mod birth_dates;
pub mod common_passwords;
mod current_password;
pub mod email_addresses;
pub mod granting;
mod identities;
pub mod known_devices;
pub mod log_in_limits;
pub mod notification_text;
pub mod notifications;
pub mod notify;
pub mod one_time_passwords;
pub mod password_resets;
pub mod passwords;
pub mod personal_data;
pub mod preferences;
pub mod profile;
mod second_factor;
mod session_tokens;
pub mod sessions;
pub mod staff_roles;
pub(crate) mod tokens;
pub mod users;
