//! The routes, one file for each resource. A handler reads the request, calls a use case and renders the response.

mod access_tokens;
mod admin_api_keys;
mod admin_audit_log;
mod admin_caches;
mod admin_categories;
mod admin_dead_letters;
mod admin_discounts;
mod admin_emails;
mod admin_events;
mod admin_feature_flags;
mod admin_files;
mod admin_jobs;
mod admin_orders;
mod admin_products;
mod admin_reviews;
mod admin_roles;
mod admin_subscriptions;
mod admin_users;
mod admin_webhooks;
mod api_keys;
mod carts;
mod categories;
mod checkout;
mod documentation;
mod email_verifications;
mod feature_flags;
mod files;
mod health;
mod me;
mod notifications;
mod orders;
mod password_resets;
mod personal_data;
mod products;
mod rates;
mod reviews;
mod sandbox;
mod sessions;
mod subscriptions;
mod totp;
mod users;

use super::routing::Routes;

/// Returns the routes of each file.
pub fn each() -> Vec<Routes> {
    vec![
        access_tokens::routes(),
        admin_api_keys::routes(),
        admin_audit_log::routes(),
        admin_caches::routes(),
        admin_categories::routes(),
        admin_dead_letters::routes(),
        admin_emails::routes(),
        admin_events::routes(),
        admin_feature_flags::routes(),
        admin_files::routes(),
        admin_jobs::routes(),
        admin_discounts::routes(),
        admin_orders::routes(),
        admin_reviews::routes(),
        admin_roles::routes(),
        admin_products::routes(),
        admin_subscriptions::routes(),
        admin_users::routes(),
        admin_webhooks::routes(),
        api_keys::routes(),
        carts::routes(),
        categories::routes(),
        checkout::routes(),
        documentation::routes(),
        email_verifications::routes(),
        feature_flags::routes(),
        files::routes(),
        health::routes(),
        me::routes(),
        notifications::routes(),
        orders::routes(),
        password_resets::routes(),
        personal_data::routes(),
        rates::routes(),
        reviews::routes(),
        products::routes(),
        sandbox::routes(),
        sessions::routes(),
        subscriptions::routes(),
        totp::routes(),
        users::routes(),
    ]
}

/// Returns all routes.
pub fn all() -> Routes {
    each().into_iter().fold(Routes::default(), Routes::and)
}
