//! The API document (OpenAPI 3.1), generated from the routes.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{ContactBuilder, InfoBuilder, LicenseBuilder, OpenApi, ServerBuilder};

use super::principal::{SECURE_SESSION_COOKIE, SESSION_COOKIE};
use super::problems;
use super::routes;
use super::routing::{BEARER, COOKIE};

/// The groups of operations in the order of the document, each with its description.
const TAGS: [(&str, &str); 38] = [
    ("products", "Product lists, searches and products."),
    ("categories", "The category tree."),
    ("carts", "Carts of guests and users."),
    ("shipping", "Shipping methods and their rates."),
    ("checkout", "From a cart to a paid order."),
    ("orders", "Orders of guests and users, with their invoices."),
    ("payments", "The payments of orders."),
    ("users", "Registration, verification of e-mail addresses and password resets."),
    ("sessions", "Log in and log out."),
    ("api-keys", "Keys by which programs act for the user."),
    ("account", "The user's own account and preferences."),
    ("reviews", "Reviews of products."),
    ("subscriptions", "Variants that are bought again every interval."),
    ("notifications", "Messages to users."),
    ("files", "The contents of files, such as images of products."),
    ("feature-flags", "Features that are on or off."),
    ("sandbox", "The sandbox payment provider and e-mails, for tests."),
    ("health", "The state of the server."),
    ("documentation", "This document."),
    ("admin-products", "Products, as administrators manage them."),
    ("admin-inventory", "The stock of variants."),
    ("admin-categories", "The category tree, as administrators manage it."),
    ("admin-discounts", "Discounts and their codes."),
    ("admin-rates", "Tax rules and shipping methods."),
    ("admin-orders", "Orders, as administrators manage them."),
    ("admin-subscriptions", "Subscriptions, as administrators manage them."),
    ("admin-reviews", "The moderation of reviews."),
    ("admin-users", "Users, as administrators manage them."),
    ("admin-roles", "What administrators with a role of the staff may do."),
    ("admin-api-keys", "API keys of all users."),
    ("admin-webhooks", "Servers that receive events, and the deliveries to them."),
    ("admin-emails", "E-mails to customers and administrators."),
    ("admin-files", "Files, as administrators manage them."),
    ("admin-feature-flags", "Features that administrators switch on and off, for all users or for some."),
    ("admin-caches", "What is kept of what shoppers read."),
    ("admin-jobs", "Work that the store does outside of requests."),
    ("admin-audit-log", "What administrators did, and what concerns the security of accounts."),
    ("admin-events", "Events, the subscribers to which they are delivered, and dead letters."),
];

/// Where a reference to a schema begins.
const SCHEMAS: &str = "#/components/schemas/";

/// Returns the document as JSON.
pub fn document() -> Vec<u8> {
    let mut document = routes::all().into_document();
    describe(&mut document);
    // Maps with text keys always have a JSON form.
    let mut document = serde_json::to_value(&document).unwrap_or_default();
    rename_schemas(&mut document);
    remove_null_bodies(&mut document);
    remove_unused_schemas(&mut document);
    serde_json::to_vec(&document).unwrap_or_default()
}

/// Adds what belongs to no single route.
fn describe(document: &mut OpenApi) {
    document.info = InfoBuilder::new()
        .title("Undercroft")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(include_str!("openapi.md")))
        .contact(Some(ContactBuilder::new().name(Some("The operator of the store")).build()))
        .license(Some(
            LicenseBuilder::new()
                .name(env!("CARGO_PKG_LICENSE"))
                .identifier(Some(env!("CARGO_PKG_LICENSE")))
                .build(),
        ))
        .build();
    document.servers = Some(vec![ServerBuilder::new().url("/").description(Some("This server.")).build()]);
    document.tags =
        Some(TAGS.map(|(name, text)| TagBuilder::new().name(name).description(Some(text)).build()).into());

    let components = document.components.get_or_insert_default();
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(
        "The token of a session, an access token, an API key, or a token of the identity provider.",
    ));
    components.add_security_scheme(BEARER, SecurityScheme::Http(bearer.build()));
    let cookie = ApiKeyValue::with_description(
        SESSION_COOKIE,
        &format!(
            "The token of a session, for browsers. Its name is `{SECURE_SESSION_COOKIE}` if browsers send it over HTTPS only."
        ),
    );
    components.add_security_scheme(COOKIE, SecurityScheme::ApiKey(ApiKey::Cookie(cookie)));
    components.schemas.extend(problems::schemas());
    components.responses.extend(problems::responses());
}

/// Names the schemas for which utoipa makes a name: the list of orders is `OrderList` instead of `List_Order`, and its
/// items refer to `Order` instead of repeating it.
fn rename_schemas(document: &mut Value) {
    let new_name = |name: &str| match name.strip_prefix("List_") {
        Some(item) => Some(format!("{item}List")),
        None => (name == "BTreeMap").then(|| "Translations".to_owned()),
    };
    if let Some(schemas) = document["components"]["schemas"].as_object_mut() {
        for (name, mut schema) in std::mem::take(schemas) {
            if let Some(item) = name.strip_prefix("List_") {
                schema["properties"]["items"]["items"] = json!({ "$ref": format!("{SCHEMAS}{item}") });
            }
            schemas.insert(new_name(&name).unwrap_or(name), schema);
        }
    }
    for_each_reference(document, &mut |reference| {
        if let Some(name) = reference.strip_prefix(SCHEMAS).and_then(new_name) {
            *reference = format!("{SCHEMAS}{name}");
        }
    });
}

/// Removes `null` from the schemas of optional bodies, to which utoipa adds it: a body may be omitted, and is an object
/// otherwise.
fn remove_null_bodies(document: &mut Value) {
    let paths = document["paths"].as_object_mut().into_iter().flat_map(|paths| paths.values_mut());
    for operation in paths.filter_map(Value::as_object_mut).flat_map(|path| path.values_mut()) {
        let schema = operation.pointer_mut("/requestBody/content/application~1json/schema");
        let Some(schema) = schema else { continue };
        let Some(choices) = schema.get_mut("oneOf").and_then(Value::as_array_mut) else { continue };
        choices.retain(|choice| choice["type"] != "null");
        if let [only] = &mut choices[..] {
            *schema = only.take();
        }
    }
}

/// Removes the schemas to which nothing refers: utoipa adds the name of each type alias.
fn remove_unused_schemas(document: &mut Value) {
    let mut used = BTreeSet::new();
    for_each_reference(document, &mut |reference| {
        used.extend(reference.strip_prefix(SCHEMAS).map(str::to_owned));
    });
    if let Some(schemas) = document["components"]["schemas"].as_object_mut() {
        schemas.retain(|name, _| used.contains(name));
    }
}

/// Calls `change` with each reference in a value.
fn for_each_reference(value: &mut Value, change: &mut impl FnMut(&mut String)) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match member {
                    Value::String(reference) if name == "$ref" => change(reference),
                    member => for_each_reference(member, change),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| for_each_reference(item, change)),
        _ => {}
    }
}
