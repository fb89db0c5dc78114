//! Problem documents in the API document: a schema for what all of them have, and one for each code.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};
use utoipa::openapi::schema::{AllOfBuilder, ArrayBuilder, OneOfBuilder, Schema, SchemaType};
use utoipa::openapi::{
    ContentBuilder, ObjectBuilder, Ref, RefOr, Response, ResponseBuilder, Type, schema::SchemaFormat,
};

use crate::infrastructure::exceptions::{
    Failure, Fault, NotReady, PROBLEM_JSON, Technical, ValidationException, failure_examples, fault_examples,
};

/// The name of the schema that all problem documents have in common.
const PROBLEM: &str = "Problem";
/// The name of the response to a failure that an operation does not announce.
const UNEXPECTED: &str = "UnexpectedProblem";
/// The name of the schema of a fault.
const FAULT: &str = "Fault";

/// The members that problem documents of one code, or faults of one code, have beside those of all.
const FACTS: [(&str, &str); 36] = [
    ("allowed", "The allowed values, for the code `not_allowed`."),
    ("available", "The number of pieces that can be bought."),
    ("category", "The id or slug of the category."),
    ("column", "The column of the first error in the body, from 1."),
    (
        "country",
        "The country to which the order would be shipped (ISO 3166-1), for the code `does_not_ship`.",
    ),
    ("currency", "The currency of the cart (ISO 4217), for the codes `does_not_ship` and `not_sold_in`."),
    ("discount_code", "The discount code."),
    ("ended_at", "The time at which the subscription ended."),
    ("ends_at", "The time at which the first of the holds ends at the latest."),
    ("example", "A value with the required format, for the code `format`."),
    ("expected", "What was expected instead."),
    ("field", "The member whose value exists already."),
    ("format", "The required format, for the code `format`."),
    ("from", "The present status."),
    ("header", "The name of the header."),
    ("limit", "The greatest size of a body in bytes."),
    ("line", "The line of the first error in the body, from 1."),
    ("max_items", "The greatest number of items, for the code `too_many`."),
    ("max_length", "The greatest number of characters, for the code `too_long`."),
    ("maximum", "The greatest value, for the codes `maximum` and `too_many_pieces`."),
    ("min_items", "The least number of items, for the code `too_few`."),
    ("min_length", "The least number of characters, for the code `too_short`."),
    ("minimum", "The least value."),
    (
        "minimum_age",
        "The age in years that the buyer must have, for the reasons `age_restricted` and `birth_date_required`.",
    ),
    ("options", "The number of options of the product, for the code `option_values`."),
    ("permission", "The permission that the administrator does not have, for the reason `not_allowed`."),
    ("products", "The number of products of the category."),
    ("reason", "The reason, for programs."),
    ("requested", "The number of pieces that were requested."),
    ("reserved", "The number of pieces that orders have reserved."),
    ("size", "The number of bytes of the resource."),
    ("sku", "The merchant's code of the variant."),
    ("subcategories", "The number of categories directly below the category."),
    ("to", "The status that was requested."),
    ("until", "The end of the time in which the buyer could cancel the order."),
    ("what", "The kind of the resource."),
];

/// The further members that are ids.
const IDS: [(&str, &str); 2] = [("user_id", "The id of the user."), ("variant_id", "The id of the variant.")];

/// The response with one of these failures. Each alternative has another `code`, by which typed clients distinguish
/// them.
pub(super) fn response(failures: &[Failure]) -> Response {
    let titles: Vec<String> =
        failures.iter().map(|failure| format!("`{}`: {}", failure.code(), title(failure))).collect();
    let schemas = failures.iter().map(|failure| Ref::from_schema_name(schema_name(failure.code())));
    let schema: RefOr<Schema> = match failures {
        [only] => Ref::from_schema_name(schema_name(only.code())).into(),
        _ => schemas.fold(OneOfBuilder::new(), OneOfBuilder::item).into(),
    };
    let content = ContentBuilder::new().schema(Some(schema)).build();
    ResponseBuilder::new().description(titles.join("; ") + ".").content(PROBLEM_JSON, content).build()
}

/// A reference to the response to all other failures.
pub(super) fn default_response() -> RefOr<Response> {
    Ref::from_response_name(UNEXPECTED).into()
}

/// The responses that operations refer to.
pub(super) fn responses() -> BTreeMap<String, RefOr<Response>> {
    let is_unexpected = |failure: &Failure| failure.is::<Technical>() || failure.is::<NotReady>();
    let unexpected: Vec<Failure> = failure_examples().into_iter().filter(is_unexpected).collect();
    let mut response = response(&unexpected);
    response.description = format!(
        "A failure of the store or of a vendor. Its `instance` identifies the occurrence in the log of the store. {}",
        response.description
    );
    [(UNEXPECTED.to_owned(), response.into())].into()
}

/// The schemas of problem documents: the common one, that of a fault, and one for each code.
pub(super) fn schemas() -> BTreeMap<String, RefOr<Schema>> {
    let mut by_code: BTreeMap<&str, Vec<Failure>> = BTreeMap::new();
    for failure in failure_examples() {
        by_code.entry(failure.code()).or_default().push(failure);
    }
    let specific = by_code.values().map(|examples| (schema_name(examples[0].code()), specific(examples)));
    [(PROBLEM.to_owned(), problem()), (FAULT.to_owned(), fault())].into_iter().chain(specific).collect()
}

/// The schema of what all problem documents have in common.
fn problem() -> RefOr<Schema> {
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .description(Some("A failure (RFC 9457). Each code has further members."))
        .property("type", text("A URI reference that identifies the code: `/problems/` and the code, with its texts and statuses."))
        .property("title", text("A short text for people, the same for all failures with the code."))
        .property("status", object(Type::Integer, "The HTTP status."))
        .property("detail", text("A text for people about this failure."))
        .property("code", text("The code, for programs."))
        .property(
            "instance",
            text("The id of this failure in the log of the store, for failures of the store."),
        )
        .required("type")
        .required("title")
        .required("status")
        .required("code")
        .into()
}

/// The schema of the problem documents with the code of these examples.
fn specific(examples: &[Failure]) -> RefOr<Schema> {
    let code = examples[0].code();
    let statuses: BTreeSet<u16> = examples.iter().map(|failure| failure.status().as_u16()).collect();
    let mut members = ObjectBuilder::new()
        .schema_type(Type::Object)
        .property(
            "code",
            ObjectBuilder::new()
                .schema_type(Type::String)
                .description(Some("The code, for programs."))
                .enum_values(Some([code])),
        )
        .required("code")
        .property(
            "status",
            ObjectBuilder::new()
                .schema_type(Type::Integer)
                .description(Some("The HTTP status."))
                .enum_values(Some(statuses)),
        )
        .required("status");

    let details: Vec<Map<String, Value>> = examples.iter().map(Failure::details).collect();
    let names: BTreeSet<&String> = details.iter().flat_map(Map::keys).collect();
    for name in names {
        let values: Vec<&Value> = details.iter().filter_map(|details| details.get(name)).collect();
        members = members.property(name, fact(name, &values));
        if values.len() == details.len() {
            members = members.required(name);
        }
    }
    let title = title(&examples[0]);
    AllOfBuilder::new()
        .item(Ref::from_schema_name(PROBLEM))
        .item(members)
        .description(Some(format!("{title}.")))
        .into()
}

/// The schema of a member with these example values.
fn fact(name: &str, values: &[&Value]) -> RefOr<Schema> {
    if name == "errors" {
        let faults = ArrayBuilder::new().items(Ref::from_schema_name(FAULT));
        return faults.description(Some("The faults, each with its location.")).into();
    }
    if IDS.iter().any(|(id, _)| *id == name) {
        let id =
            ObjectBuilder::new().schema_type(Type::String).format(Some(SchemaFormat::Custom("uuid".into())));
        return id.description(Some(description(name))).into();
    }
    if name == "reason" {
        let reasons: BTreeSet<&str> = values.iter().filter_map(|value| value.as_str()).collect();
        let reason = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(reasons));
        return reason.description(Some(description(name))).into();
    }
    match values[0] {
        Value::Object(_) if name == "totals" => Ref::from_schema_name("Totals").into(),
        Value::Number(_) => object(Type::Integer, description(name)).into(),
        Value::Object(_) => Ref::from_schema_name("Money").into(),
        _ => text(description(name)).into(),
    }
}

/// The schema of a fault of a request.
fn fault() -> RefOr<Schema> {
    let faults = fault_examples();
    let codes: BTreeSet<&str> = faults.iter().map(Fault::code).collect();
    let code = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(codes));
    let mut schema = ObjectBuilder::new()
        .schema_type(Type::Object)
        .description(Some(
            "A fault of a request. It has one location: `pointer`, `parameter` or `header`. The other members are \
             parameters of the code.",
        ))
        .property("pointer", text("The location in the body, a JSON pointer (RFC 6901)."))
        .property("parameter", text("The name of the parameter in the path or in the query."))
        .property("header", text("The name of the header."))
        .property("code", code.description(Some("The code, for programs.")))
        .property("detail", text("A text for people."))
        .required("code");
    let mut all = ValidationException::none();
    for fault in faults {
        all.add("", fault);
    }
    let details = Failure::from(all).details();
    let errors = details["errors"].as_array().into_iter().flatten().filter_map(Value::as_object);
    for (name, value) in errors.flatten().filter(|(name, _)| *name != "pointer" && *name != "code") {
        let member: RefOr<Schema> = match value {
            Value::Number(_) => object(Type::Number, description(name)).into(),
            Value::Array(_) => ArrayBuilder::new()
                .items(ObjectBuilder::new().schema_type(SchemaType::AnyValue))
                .description(Some(description(name)))
                .into(),
            _ => text(description(name)).into(),
        };
        schema = schema.property(name, member);
    }
    schema.into()
}

fn object(kind: Type, description: &str) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(kind).description(Some(description))
}

fn text(description: &str) -> ObjectBuilder {
    object(Type::String, description)
}

/// The description of a member. A test checks that every one has a description.
fn description(name: &str) -> &'static str {
    let found = FACTS.iter().chain(&IDS).find(|(fact, _)| *fact == name);
    found.map_or("", |(_, description)| *description)
}

/// The name of the schema of a code: `order_not_found` is `OrderNotFoundProblem`.
fn schema_name(code: &str) -> String {
    let words = code.split('_').filter_map(|word| word.split_at_checked(1));
    words.map(|(first, rest)| first.to_uppercase() + rest).collect::<String>() + PROBLEM
}

/// The title of the code of a failure.
fn title(failure: &Failure) -> String {
    let document: Value = serde_json::from_slice(&failure.document()).unwrap_or_default();
    document["title"].as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_member_of_a_problem_and_of_a_fault_is_described() {
        let document = serde_json::to_value(schemas()).unwrap();
        let mut members = 0;
        for (name, schema) in document.as_object().unwrap() {
            let own = schema.get("allOf").map_or(schema, |parts| &parts[1]);
            for (member, schema) in own["properties"].as_object().unwrap() {
                let is_described = schema["description"].as_str().is_some_and(|text| !text.is_empty());
                assert!(is_described || schema.get("$ref").is_some(), "{name}.{member}");
                members += 1;
            }
        }
        assert!(members > 60, "only {members} members found");
    }

    #[test]
    fn a_code_gives_the_name_of_its_schema() {
        assert_eq!(schema_name("order_not_found"), "OrderNotFoundProblem");
        assert_eq!(schema_name("stale"), "StaleProblem");
    }
}
