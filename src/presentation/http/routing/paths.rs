//! The operations of a path in the API document, and their ids.

use http::Method;
use utoipa::openapi::path::{Operation, PathItem};

/// The id of an operation: `adminListOrders` for the function `list_orders` of a path below `/admin`.
pub(super) fn operation_id(path: &str, function: &str) -> String {
    let prefix = if path.starts_with("/admin/") { "admin_" } else { "" };
    let name = format!("{prefix}{function}");
    let mut words = name.split('_').filter_map(|word| word.split_at_checked(1));
    let first = words.next().map(|(letter, rest)| letter.to_owned() + rest).unwrap_or_default();
    words.fold(first, |id, (letter, rest)| id + &letter.to_uppercase() + rest)
}

/// The operations of a path with their methods.
pub(super) fn operations(item: &mut PathItem) -> impl Iterator<Item = (Method, &mut Operation)> {
    let PathItem { get, put, post, delete, patch, .. } = item;
    let methods = [
        (Method::GET, get),
        (Method::PUT, put),
        (Method::POST, post),
        (Method::DELETE, delete),
        (Method::PATCH, patch),
    ];
    methods.into_iter().filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}
