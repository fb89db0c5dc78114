//! The access matrix: every operation, called by every kind of principal with every kind of credentials.
//!
//! The policies of the routes are stated here once more: a route that has another one, and a new route that is not for
//! users only, fail until it is decided here.

mod bodies;
mod callers;
mod order_tokens;
mod owners;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use undercroft::domain::api_key::SESSION_ONLY;
use undercroft::presentation::http::routes;
use uuid::Uuid;

use self::bodies::name_the_owners_in_bodies;
use self::callers::{Caller, Means, Row, Servers, rows};
use self::order_tokens::OrderTokens;
use self::owners::{bought_content, owners_reads, owners_writes};
use super::contract::resources_of;
use super::examples::{Operation, document, example, operations};
use crate::support::issuer::options;
use crate::support::passwords::create_key;
use crate::support::redis::redis_url;
use crate::support::{Shop, TestClient, TestResponse};

/// The operations for everyone, by which no credential is verified.
const PUBLIC: &[&str] = &[
    "GET /.well-known/jwks.json",
    "GET /health/live",
    "GET /health/ready",
    "GET /openapi.json",
    "GET /sandbox/3ds/{reference}",
    "GET /sandbox/emails",
    "GET /v1/categories",
    "GET /v1/categories/{id_or_slug}",
    "GET /v1/files/{id}",
    "GET /v1/products",
    "GET /v1/products/{id}",
    "GET /v1/products/{id}/reviews",
    "GET /v1/shipping-methods",
    "POST /sandbox/3ds/{reference}",
    "POST /v1/password-resets",
    "POST /v1/password-resets/confirm",
    "POST /v1/sessions",
    "POST /v1/users",
];
/// The operations for everyone, whose outcome depends on the user.
const ANYONE: &[&str] = &[
    "DELETE /v1/carts/{id}/discount",
    "DELETE /v1/carts/{id}/items/{variant_id}",
    "DELETE /v1/sessions",
    "GET /v1/carts/{id}",
    "GET /v1/downloads/{id}",
    "GET /v1/orders/{id}",
    "GET /v1/orders/{id}/files",
    "GET /v1/orders/{id}/invoice",
    "GET /v1/payments/{id}",
    "POST /v1/carts",
    "POST /v1/carts/{id}/checkout",
    "POST /v1/carts/{id}/items",
    "POST /v1/email-verifications",
    "POST /v1/feature-flags/evaluations",
    "POST /v1/orders/{id}/cancel",
    "PUT /v1/carts/{id}/delivery",
    "PUT /v1/carts/{id}/discount",
    "PUT /v1/carts/{id}/items/{variant_id}",
];
/// The operations that refuse no credential.
const WITH_ANY_CREDENTIAL: [&str; 2] = ["DELETE /v1/sessions", "POST /v1/email-verifications"];
/// The operations that require a session and take a token of the identity provider, too.
const WITH_SESSION_OR_ISSUER: [&str; 2] = ["DELETE /v1/me", "GET /v1/me/export"];
/// The operations of users and administrators that require a session: other credentials are refused.
const WITH_SESSION: &[&str] = &[
    "DELETE /admin/v1/api-keys/{id}",
    "DELETE /admin/v1/roles/{name}",
    "DELETE /admin/v1/users/{id}",
    "DELETE /admin/v1/users/{id}/sessions",
    "DELETE /admin/v1/users/{id}/totp",
    "DELETE /v1/me",
    "DELETE /v1/me/api-keys/{id}",
    "DELETE /v1/me/sessions",
    "DELETE /v1/me/sessions/{id}",
    "DELETE /v1/me/totp",
    "GET /admin/v1/api-keys",
    "GET /v1/me/api-keys",
    "GET /v1/me/api-keys/{id}",
    "GET /v1/me/export",
    "GET /v1/me/sessions",
    "PATCH /admin/v1/users/{id}",
    "POST /admin/v1/roles",
    "POST /v1/me/api-keys",
    "POST /v1/me/totp",
    "POST /v1/me/totp/confirm",
    "POST /v1/me/totp/recovery-codes",
    "POST /v1/sessions/token",
    "PUT /admin/v1/roles/{name}",
];
/// The reasons for which a credential is refused.
const REFUSALS: [&str; 8] = [
    "not_logged_in",
    "invalid_token",
    "not_allowed",
    "session_required",
    "session_or_api_key_required",
    "one_time_passwords_not_enrolled",
    "read_only_key",
    "foreign_origin",
];
/// The routes that are no operations of the document, and why everyone may get them.
const PAGES: [(&str, &str); 5] = [
    ("/docs", "it redirects to the viewer"),
    ("/docs/", "the viewer of the API document, which is public"),
    ("/docs/{*file}", "the files of the viewer, which are compiled in"),
    ("/problems", "the texts of all codes, which are compiled in"),
    ("/problems/{code}", "the texts of a code, to which the type of a problem document leads"),
];
/// The only permission of the staff, and of an API key with few scopes.
const FEW: &str = "products:read";
/// The ids in paths of resources without an owner, by the path before them.
const WITHOUT_OWNER: &[&str] = &["/v1/products", "/v1/files"];

/// The principals for whom an operation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Policy {
    Public,
    Anyone,
    Users,
    Administrators,
}

impl Policy {
    /// The policy that is stated above.
    fn stated(operation: &Operation) -> Self {
        let name = operation.to_string();
        match () {
            () if operation.path.starts_with("/admin/") => Self::Administrators,
            () if PUBLIC.contains(&name.as_str()) => Self::Public,
            () if ANYONE.contains(&name.as_str()) => Self::Anyone,
            () => Self::Users,
        }
    }

    /// The policy of the route, as the API document has it.
    fn documented(operation: &Operation) -> Self {
        let schemes = operation.described["security"].as_array().unwrap();
        match () {
            () if operation.described["x-required-role"] == "admin" => Self::Administrators,
            () if schemes.is_empty() => Self::Public,
            () if operation.is_open() => Self::Anyone,
            () => Self::Users,
        }
    }
}

#[test]
fn every_operation_has_the_policy_that_is_stated_for_it() {
    let document = document();
    let operations = operations(&document);
    for operation in &operations {
        assert_eq!(Policy::documented(operation), Policy::stated(operation), "{operation}");
    }
    let names: BTreeSet<_> = operations.iter().map(ToString::to_string).collect();
    for stated in PUBLIC.iter().chain(ANYONE).chain(WITH_SESSION) {
        assert!(names.contains(*stated), "{stated} does not exist");
    }
}

#[test]
fn every_public_page_outside_of_the_api_document_is_stated_with_its_reason() {
    assert_eq!(routes::all().undocumented(), PAGES.map(|(path, _)| path));
}

#[test]
fn what_requires_a_session_alone_is_no_scope_of_a_key() {
    let document = document();
    let (mut by_key, mut by_session) = (BTreeSet::new(), BTreeSet::new());
    for operation in operations(&document) {
        let required = &operation.described["x-required-permission"];
        let Some(required) = required.as_str() else { continue };
        let needs_session = WITH_SESSION.contains(&operation.to_string().as_str());
        if needs_session { &mut by_session } else { &mut by_key }.insert(required.to_owned());
    }
    let stated: BTreeSet<_> = SESSION_ONLY.iter().map(ToString::to_string).collect();
    assert_eq!(&by_session - &by_key, stated);
}

/// What the policy and the ownership of the resource require.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    /// The handler responds.
    Allowed,
    /// Refused with this status.
    Refused(u16),
}

impl Row {
    /// What is expected of an operation; `is_owned` if its resource is that of the owner.
    fn expects(&self, operation: &Operation, is_owned: bool) -> Expected {
        let has_order_token = matches!(self.means, Means::OrderToken | Means::OrderTokenInQuery);
        let is_known = !has_order_token && !matches!(self.caller, Caller::Guest | Caller::EndedSession);
        let has_session = matches!(self.means, Means::Bearer | Means::Cookie);
        let name = operation.to_string();
        let takes_issuer = WITH_SESSION_OR_ISSUER.contains(&name.as_str());
        let has_session = has_session || self.means == Means::IssuerToken && takes_issuer;
        let is_refused = !has_session && WITH_SESSION.contains(&name.as_str());
        let is_administrator = matches!(self.caller, Caller::Administrator | Caller::Staff);
        let has_few = self.caller == Caller::Staff || self.means == Means::ApiKeyOfFewScopes;
        let is_in_scope = match self.means {
            Means::AccessToken | Means::IssuerToken => false,
            _ => !has_few || operation.described["x-required-permission"] == FEW,
        };
        match Policy::stated(operation) {
            Policy::Public => return Expected::Allowed,
            Policy::Anyone if WITH_ANY_CREDENTIAL.contains(&operation.to_string().as_str()) => {
                return Expected::Allowed;
            }
            _ if self.means == Means::ReadOnlyApiKey && !operation.method.is_safe() => {
                return Expected::Refused(403);
            }
            Policy::Anyone if self.caller == Caller::EndedSession && self.means != Means::Cookie => {
                return Expected::Refused(401);
            }
            Policy::Users | Policy::Administrators if !is_known => return Expected::Refused(401),
            Policy::Users if is_refused => return Expected::Refused(403),
            Policy::Administrators if is_administrator && is_in_scope && !is_refused => {
                return Expected::Allowed;
            }
            Policy::Administrators => return Expected::Refused(403),
            Policy::Anyone | Policy::Users => {}
        }
        let is_of_order = operation.has_query("token");
        let is_foreign = is_owned && (self.caller != Caller::Owner || has_order_token && !is_of_order);
        if is_foreign { Expected::Refused(404) } else { Expected::Allowed }
    }
}

/// The owner's resource that an operation is about; `None` if it is about none.
fn owned<'a>(operation: &Operation, resources: &'a [(&'static str, String)]) -> Option<&'a str> {
    let has_kind = |(kind, _): &&(&str, String)| operation.path.starts_with(&format!("/v1/{kind}/{{id}}"));
    let found = resources.iter().find(has_kind).map(|(_, id)| id.as_str());
    let before = operation.path.split("/{id}").next().filter(|before| *before != operation.path);
    let is_known =
        before.is_none_or(|before| before.starts_with("/admin/") || WITHOUT_OWNER.contains(&before));
    assert!(found.is_some() || is_known, "{operation}: add a resource of its owner to the matrix");
    found
}

async fn call(client: &TestClient, operation: &Operation, path: &str, document: &Value) -> TestResponse {
    let body = operation.body().map(|schema| example(document, schema));
    client.send(operation.method.clone(), path, body).await
}

/// Asserts that a response is what is expected.
fn assert_expected(what: &str, expected: Expected, response: &TestResponse) {
    let problem = if response.status >= 400 { response.json() } else { Value::Null };
    let reason = problem["reason"].as_str().unwrap_or_default();
    let is_refused = REFUSALS.contains(&reason);
    match expected {
        Expected::Allowed => assert!(!is_refused && response.status < 500, "{what}: {response}"),
        Expected::Refused(status) => {
            assert_eq!(response.status, status, "{what}: {response}");
            assert_eq!(is_refused, status != 404, "{what}: {response}");
            assert_eq!(
                response.headers.contains_key("www-authenticate"),
                status == 401,
                "{what}: {response}"
            );
        }
    }
}

on_both_engines!(every_principal_reaches_what_its_policy_allows_and_nothing_of_others, options(true, false));
async fn every_principal_reaches_what_its_policy_allows_and_nothing_of_others(shop: &Shop) {
    let server = shop.server().await;
    let (owner, document) = (server.customer().await, document());
    let mut resources = resources_of(server, &owner).await;
    let session = owner.get("/v1/me/sessions").await.expect(200)["items"][0]["id"].clone();
    resources.push(("me/sessions", session.as_str().unwrap().to_owned()));
    let (content, bought_with) = bought_content(shop, server, &owner).await;
    resources.push(("downloads", content));
    let tokens = OrderTokens::of(shop, &resources, &bought_with).await;
    let key = create_key(server, &owner, json!({"name": "Own"})).await.expect(201)["id"].clone();
    resources.push(("me/api-keys", key.as_str().unwrap().to_owned()));
    let before = owners_reads(&owner, &resources).await;
    let account = owner.get("/v1/me").await.expect(200);
    let marks: Vec<&str> = resources
        .iter()
        .map(|(_, id)| id.as_str())
        .chain([&account["id"], &account["email"]].map(|member| member.as_str().unwrap()))
        .collect();
    let servers = Servers::of(shop).await;
    let rows = rows(&servers, &owner).await;
    let operations = operations(&document);
    let missing = Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001).to_string();
    let (mut refused, mut allowed, mut hidden) = (0, 0, BTreeMap::new());

    // first what must change nothing of the owner's
    for operation in &operations {
        let resource = owned(operation, &resources);
        let fill = |name: &str| resource.filter(|_| name == "id").unwrap_or(&missing).to_owned();
        let path = operation.path_to(&document, fill);
        for row in &rows {
            let expected = row.expects(operation, resource.is_some());
            if expected == Expected::Allowed && !operation.method.is_safe() {
                continue;
            }
            let what = format!("{operation} by {:?}, {:?}", row.caller, row.means);
            let (client, path) = tokens.add_to(row, operation, &path);
            let response = call(&client, operation, &path, &document).await;
            assert_expected(&what, expected, &response);
            let may_see = row.caller == Caller::Owner || path.starts_with("/admin/");
            let text = String::from_utf8_lossy(&response.body);
            let seen = marks.iter().find(|mark| expected == Expected::Allowed && text.contains(**mark));
            assert!(may_see || seen.is_none(), "{what} shows {seen:?} of the owner: {text}");
            refused += usize::from(expected != Expected::Allowed);
            if expected == Expected::Refused(404) {
                hidden.insert(operation.to_string(), response.json()["code"].clone());
            }
        }
    }
    let named = name_the_owners_in_bodies(&rows, &operations, (&marks, &missing), &document).await;
    assert_eq!(owners_reads(&owner, &resources).await, before, "a request of others changed something");

    // what is allowed, of resources that do not exist, by a new user each
    for operation in operations.iter().filter(|operation| !operation.method.is_safe()) {
        let path = operation.path_to_missing(&document);
        for row in rows.iter().filter(|row| row.expects(operation, false) == Expected::Allowed) {
            let what = format!("{operation} by {:?}, {:?}", row.caller, row.means);
            let (client, path) = tokens.add_to(&servers.newcomer_like(row).await, operation, &path);
            assert_expected(&what, Expected::Allowed, &call(&client, operation, &path, &document).await);
            allowed += 1;
        }
    }
    let enough = refused > 500 && allowed > 200 && named > 100;
    assert!(enough, "{refused} refused, {allowed} allowed, {named} with ids of the owner");

    let own = owners_writes((&rows, &tokens), &operations, &resources, (&missing, &hidden), &document).await;
    assert!(own > 40, "{own} writes of the owner");
}

// the routes do not know where sessions are, so that one engine is enough
#[tokio::test(flavor = "multi_thread")]
async fn every_principal_reaches_the_same_with_sessions_in_redis() {
    let Some(url) = redis_url().await else { return };
    let shop = Shop::on_sqlite(options(true, false).sessions(&url)).await;
    shop.run(every_principal_reaches_what_its_policy_allows_and_nothing_of_others).await;
}
