//! The priorities of requests while the server is overloaded.

use http::Method;

use crate::application::Store;
use crate::infrastructure::middleware::{OverloadMiddleware, Priority};
use crate::settings::OverloadSettings;

/// Where shoppers buy and pay, by the beginnings of paths. To create a cart is among them: if it were refused as often
/// as browsing, most of what was accepted before it would have been in vain.
const BUYING: [&str; 4] = ["/v1/carts", "/v1/me/cart", "/v1/payments/", "/sandbox/3ds/"];
/// What administrators do.
const ADMINISTRATION: &str = "/admin/";
/// What tells whether the server lives.
const HEALTH: &str = "/health/";

/// Returns what refuses requests to a store while the server is overloaded, if the settings say so.
pub fn overload(settings: OverloadSettings, store: &Store) -> Option<OverloadMiddleware> {
    let limiter = store.infrastructure.overload.clone().filter(|_| settings.enabled)?;
    Some(OverloadMiddleware { limiter, priority })
}

/// Returns the priority of requests of this method to a path of the router: checkouts and payments before what
/// shoppers browse, and that before what administrators read.
fn priority(method: &Method, route: Option<&str>) -> Priority {
    match route {
        Some(path) if path.starts_with(HEALTH) => Priority::Exempt,
        Some(path) if BUYING.iter().any(|start| path.starts_with(start)) => Priority::High,
        Some(path) if path.starts_with(ADMINISTRATION) && method.is_safe() => Priority::Low,
        Some(_) => Priority::Normal,
        None => Priority::Low,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::presentation::http::routes;

    #[test]
    fn the_paths_of_each_priority_exist() {
        let document = routes::all().into_document();
        let exists = |start: &str| document.paths.paths.keys().any(|path| path.starts_with(start));
        for start in BUYING.into_iter().chain([ADMINISTRATION, HEALTH]) {
            assert!(exists(start), "{start}");
        }
    }

    #[test]
    fn checkouts_come_before_browsing_and_that_before_what_administrators_read() {
        let of = |method, path| priority(&method, Some(path));
        assert_eq!(of(Method::POST, "/v1/carts/{id}/checkout"), Priority::High);
        assert_eq!(of(Method::POST, "/v1/carts"), Priority::High);
        assert_eq!(of(Method::GET, "/v1/products"), Priority::Normal);
        assert_eq!(of(Method::GET, "/admin/v1/orders"), Priority::Low);
        assert_eq!(of(Method::POST, "/admin/v1/products"), Priority::Normal);
        assert_eq!(of(Method::GET, "/health/ready"), Priority::Exempt);
        assert_eq!(priority(&Method::GET, None), Priority::Low);
    }
}
