//! The OpenAPI document, made of the routes themselves.

use utoipa::openapi::schema::{Schema, SchemaType};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{
    ContentBuilder, InfoBuilder, ObjectBuilder, OpenApi, Ref, RefOr, ResponseBuilder, Tag, Type,
};

use super::principal::SESSION_COOKIE;
use super::routes;
use super::routing::{BEARER, COOKIE, PROBLEM};
use crate::infrastructure::exceptions::PROBLEM_JSON;

/// In which order the parts of the API are shown: as a shopper meets them. Administrators' parts follow.
const TAGS: [&str; 16] = [
    "products",
    "categories",
    "carts",
    "shipping",
    "checkout",
    "orders",
    "payments",
    "users",
    "sessions",
    "me",
    "reviews",
    "subscriptions",
    "notifications",
    "sandbox",
    "health",
    "documentation",
];

/// The document as JSON.
pub fn document() -> Vec<u8> {
    let (_, mut document) = routes::all().into_parts();
    describe(&mut document);
    // maps with text keys always have a JSON form
    serde_json::to_vec(&document).unwrap_or_default()
}

/// Adds what belongs to no single route.
fn describe(document: &mut OpenApi) {
    document.info = InfoBuilder::new()
        .title("Undercroft")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(include_str!("openapi.md")))
        .build();
    document.tags = Some(TAGS.map(Tag::new).into());
    let components = document.components.get_or_insert_default();
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("A session's token."));
    components.add_security_scheme(BEARER, SecurityScheme::Http(bearer.build()));
    let cookie = ApiKeyValue::with_description(SESSION_COOKIE, "A session's token, as browsers send it.");
    components.add_security_scheme(COOKIE, SecurityScheme::ApiKey(ApiKey::Cookie(cookie)));
    components.schemas.insert(PROBLEM.to_owned(), problem());
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(PROBLEM))).build();
    let answer =
        ResponseBuilder::new().description("What went wrong (RFC 9457).").content(PROBLEM_JSON, content);
    components.responses.insert(PROBLEM.to_owned(), RefOr::T(answer.build()));
}

/// The schema of problem documents; each code adds members of its own.
fn problem() -> RefOr<Schema> {
    let text =
        |description: &str| ObjectBuilder::new().schema_type(Type::String).description(Some(description));
    ObjectBuilder::new()
        .schema_type(SchemaType::Type(Type::Object))
        .property("type", text("`/problems/` and the code."))
        .property("title", text("What it is, in the caller's language."))
        .property(
            "status",
            ObjectBuilder::new().schema_type(Type::Integer).description(Some("The HTTP status.")),
        )
        .property("detail", text("What it is this time, in the caller's language."))
        .property("code", text("What it is, for programs."))
        .property("instance", text("By what we find it in our log, if the fault is ours."))
        .required("type")
        .required("title")
        .required("status")
        .required("code")
        .into()
}
