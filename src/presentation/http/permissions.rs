//! The permission that each operation of administrators requires.

use http::Method;

use crate::domain::permission::{Action, Permission, Resource};
use crate::domain::state::State;

/// The path below which the operations of administrators are.
const ADMIN: &str = "/admin/v1/";

/// The operations that require another permission than the one that follows from their paths.
const STATED: [(&str, &str, Permission); 3] = [
    // money leaves the store
    ("POST", "/admin/v1/orders/{id}/refund", Permission::write(Resource::Refunds)),
    ("GET", "/admin/v1/permissions", Permission::read(Resource::Roles)),
    // it changes the roles of a user
    ("PATCH", "/admin/v1/users/{id}", Permission::write(Resource::Roles)),
];

/// The resources that have the names, addresses or orders of people.
const OF_PEOPLE: [Resource; 4] =
    [Resource::Emails, Resource::Orders, Resource::Subscriptions, Resource::Users];

/// Returns whether an operation that requires this permission reads the data of people, which the audit log records.
pub(super) fn reads_people(permission: Permission) -> bool {
    permission.action == Action::Read && OF_PEOPLE.contains(&permission.resource)
}

/// Returns the permission that an operation of administrators requires: to read, if its method only reads, or to write
/// the resource that the first segment of its path names.
///
/// # Panics
///
/// If the path is not below `/admin/v1/`, there is no such [`Resource`], or no one can have the permission: a store
/// with such a route does not start.
pub(super) fn required(method: &Method, path: &str) -> Permission {
    if let Some((.., stated)) = STATED.iter().find(|(other, at, _)| method == other && path == *at) {
        return *stated;
    }
    let segment = path.strip_prefix(ADMIN).and_then(|rest| rest.split('/').next());
    let Some(resource) = segment.and_then(Resource::parse) else {
        panic!("{path} is about no resource that domain/permission.rs has");
    };
    let is_safe = method.is_safe();
    let permission = if is_safe { Permission::read(resource) } else { Permission::write(resource) };
    assert!(permission.is_used(), "{path} requires {permission}, which domain/permission.rs does not offer");
    permission
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_permission_follows_from_the_path_and_the_method_unless_it_is_stated() {
        for (method, path, name) in [
            (Method::GET, "/admin/v1/products", "products:read"),
            (Method::HEAD, "/admin/v1/products/{id}", "products:read"),
            (Method::POST, "/admin/v1/products", "products:write"),
            (Method::DELETE, "/admin/v1/products/{id}", "products:write"),
            (Method::GET, "/admin/v1/webhook-endpoints/{id}/deliveries", "webhook-endpoints:read"),
            (Method::POST, "/admin/v1/orders/{id}/capture", "orders:write"),
            (Method::POST, "/admin/v1/orders/{id}/refund", "refunds:write"),
            (Method::GET, "/admin/v1/users/{id}", "users:read"),
            (Method::PATCH, "/admin/v1/users/{id}", "roles:write"),
            (Method::DELETE, "/admin/v1/users/{id}", "users:write"),
        ] {
            assert_eq!(required(&method, path).to_string(), name, "{method} {path}");
        }
    }

    #[test]
    #[should_panic(expected = "is about no resource")]
    fn a_path_of_an_unknown_resource_has_no_permission() {
        required(&Method::GET, "/admin/v1/sheep");
    }

    #[test]
    #[should_panic(expected = "does not offer")]
    fn a_route_whose_permission_is_not_offered_has_none() {
        required(&Method::DELETE, "/admin/v1/events/{id}");
    }
}
