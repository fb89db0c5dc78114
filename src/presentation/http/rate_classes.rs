//! The classes of routes whose rate of requests has a limit of its own, and the middleware with the limits of the
//! settings.

use std::collections::BTreeMap;

use super::routing::Routes;
use crate::infrastructure::middleware::{Quota, RateClass, RateLimiter, RateLimitingMiddleware};
use crate::settings::RateLimitSettings;

/// The class of log-ins.
pub(super) const LOG_IN: RateClass = RateClass::Named("log_in");
/// The class of registrations.
pub(super) const SIGN_UP: RateClass = RateClass::Named("sign_up");
/// The class of requests that check the password of the user or create what is as powerful.
pub(super) const PASSWORD: RateClass = RateClass::Named("password");
/// The class of requests with a discount code, which could be guessed.
pub(super) const DISCOUNT_CODE: RateClass = RateClass::Named("discount_code");
/// The class of requests that create a cart, which anyone may do.
pub(super) const NEW_CART: RateClass = RateClass::Named("new_cart");
/// The class of checkouts.
pub(super) const CHECKOUT: RateClass = RateClass::Named("checkout");

/// Returns the limits of the settings for these routes; `None` if requests are not limited.
pub(super) fn limits(
    settings: &RateLimitSettings,
    limiter: RateLimiter,
    routes: &Routes,
) -> Option<RateLimitingMiddleware> {
    if !settings.enabled {
        return None;
    }
    let named = [
        (LOG_IN, settings.log_in),
        (SIGN_UP, settings.sign_up),
        (PASSWORD, settings.password),
        (DISCOUNT_CODE, settings.discount_code),
        (NEW_CART, settings.new_cart),
        (CHECKOUT, settings.checkout),
    ];
    let named: BTreeMap<_, Quota> =
        named.into_iter().filter_map(|(class, quota)| Some((name(class)?, quota?))).collect();
    let (general, user) = (settings.general, settings.user);
    Some(RateLimitingMiddleware { limiter, general, user, named, classes: routes.classes() })
}

fn name(class: RateClass) -> Option<&'static str> {
    match class {
        RateClass::Named(name) => Some(name),
        RateClass::General | RateClass::Exempt => None,
    }
}
