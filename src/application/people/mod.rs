//! Users, their sessions, preferences and notifications.

pub mod accounts;
pub mod notification_text;
pub mod notifications;
pub mod notify;
pub mod passwords;
pub mod preferences;
pub mod profile;
pub mod sessions;
pub mod users;
