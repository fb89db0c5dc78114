//! Checks that the API document lists the failures with which the server responds.

use std::sync::LazyLock;

use http::Method;
use serde_json::Value;
use undercroft::presentation::http::openapi;

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| serde_json::from_slice(&openapi::document()).unwrap());

/// Asserts that the API document lists a failure among the responses of its operation.
///
/// Statuses from 500 are not listed, and an unknown path or method is not an operation.
#[track_caller]
pub fn assert_documented(method: &Method, path: &str, status: u16, body: &[u8]) {
    let problem: Value = serde_json::from_slice(body).unwrap_or_default();
    let Some(code) = problem["code"].as_str() else { return };
    if !(400..500).contains(&status) || ["route_not_found", "method_not_allowed"].contains(&code) {
        return;
    }
    let path = path.split('?').next().unwrap();
    let Some(operation) = operation(method, path) else { return };
    let description = &operation["responses"][status.to_string()]["description"];
    let documented = description.as_str().unwrap_or_default().split("; ");
    let is_documented = documented.into_iter().any(|entry| entry.starts_with(&format!("`{code}`:")));
    assert!(is_documented, "{method} {path}: {status} {code} is not among {description}");
}

/// Returns the operation of a method and a path; a literal path takes precedence over a template.
fn operation(method: &Method, path: &str) -> Option<&'static Value> {
    let method = method.as_str().to_lowercase();
    let paths = DOCUMENT["paths"].as_object().unwrap();
    let template = paths
        .keys()
        .filter(|template| matches(template, path))
        .min_by_key(|template| template.matches('{').count())?;
    paths[template].get(&method)
}

fn matches(template: &str, path: &str) -> bool {
    let (template, path) = (template.split('/'), path.split('/'));
    template.clone().count() == path.clone().count()
        && template.zip(path).all(|(part, actual)| part.starts_with('{') || part == actual)
}
