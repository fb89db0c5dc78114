//! Every keyword in the documented schemas of requests is checked, and undocumented members are refused.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use utoipa::{OpenApi, ToSchema};

use super::{Filter, Parcel};

/// Keywords that are checked, and those that are for readers only.
const KEYWORDS: [&str; 26] = [
    "$ref",
    "additionalProperties",
    "allOf",
    "anyOf",
    "default",
    "deprecated",
    "description",
    "enum",
    "example",
    "examples",
    "format",
    "items",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minItems",
    "minLength",
    "minimum",
    "oneOf",
    "pattern",
    "properties",
    "propertyNames",
    "required",
    "title",
    "type",
];
const FORMATS: [&str; 11] = [
    "country",
    "currency",
    "date",
    "date-time",
    "double",
    "email",
    "int32",
    "int64",
    "language",
    "tax-class",
    "uuid",
];

/// The keywords of an API document that are not checked, and the requests that accept unknown members.
pub fn unchecked(document: &Value) -> Vec<String> {
    let mut found = Findings { document, seen: BTreeSet::new(), list: Vec::new() };
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let location = format!("{method} {path}");
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            for parameter in parameters.filter(|parameter| parameter["in"] == "query") {
                let location = format!("{location} {}", parameter["name"]);
                if parameter["schema"].get("$ref").is_some() {
                    found.list.push(format!("{location}: a parameter does not bring what it refers to"));
                }
                found.schema(&parameter["schema"], &location, true);
            }
            let content = &operation["requestBody"]["content"]["application/json"];
            if let Some(schema) = content.get("schema") {
                found.schema(schema, &location, false);
            }
        }
    }
    found.list
}

struct Findings<'a> {
    document: &'a Value,
    seen: BTreeSet<&'a str>,
    list: Vec<String>,
}

impl<'a> Findings<'a> {
    /// `open` is whether an object may have undocumented members: utoipa cannot forbid them in the variants of an enum,
    /// where serde does.
    fn schema(&mut self, schema: &'a Value, location: &str, open: bool) {
        let Some(keywords) = schema.as_object() else { return };
        if let Some(to) = schema["$ref"].as_str() {
            let pointer = to.trim_start_matches('#');
            match self.document.pointer(pointer) {
                None => self.list.push(format!("{location}: {to} is not there")),
                Some(schema) if self.seen.insert(to) => self.schema(schema, to, open),
                Some(_) => {}
            }
        }
        for keyword in keywords.keys().filter(|keyword| !KEYWORDS.contains(&keyword.as_str())) {
            self.list.push(format!("{location}: {keyword} is not checked"));
        }
        match schema["format"].as_str() {
            Some(format) if !FORMATS.contains(&format) => {
                self.list.push(format!("{location}: the format {format} is not checked"));
            }
            None if keywords.contains_key("pattern") => {
                self.list.push(format!("{location}: a pattern is not checked without a format"));
            }
            _ => {}
        }
        if keywords.contains_key("properties") && !keywords.contains_key("additionalProperties") && !open {
            self.list.push(format!("{location}: unknown members are accepted"));
        }
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            self.schema(property, &format!("{location}/{name}"), open);
        }
        self.schema(&schema["items"], &format!("{location}[]"), open);
        self.schema(&schema["additionalProperties"], &format!("{location}{{}}"), open);
        for choice in ["oneOf", "anyOf", "allOf"] {
            for alternative in schema[choice].as_array().into_iter().flatten() {
                self.schema(alternative, location, alternative.get("properties").is_some());
            }
        }
    }
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "only its schema is read")]
struct Careless {
    #[schema(pattern = "^a+$")]
    letters: String,
    #[schema(multiple_of = 5)]
    fives: i64,
    pair: (i64, String),
    #[schema(format = "poem")]
    text: String,
}

#[utoipa::path(post, path = "/parcels", request_body = Parcel, params(Filter))]
#[expect(dead_code, reason = "only its documentation is read")]
fn parcels() {}

#[utoipa::path(post, path = "/careless", request_body = Careless)]
#[expect(dead_code, reason = "only its documentation is read")]
fn careless() {}

#[test]
fn unchecked_keywords_are_found() {
    #[derive(OpenApi)]
    #[openapi(paths(parcels))]
    struct Good;
    #[derive(OpenApi)]
    #[openapi(paths(careless))]
    struct Bad;

    assert_eq!(unchecked(&json!(Good::openapi())), [""; 0]);
    let location = "#/components/schemas/Careless";
    let mut found = unchecked(&json!(Bad::openapi()));
    found.sort();
    assert_eq!(
        found,
        [
            "/fives: multipleOf is not checked",
            "/letters: a pattern is not checked without a format",
            "/pair: prefixItems is not checked",
            "/text: the format poem is not checked",
            ": unknown members are accepted",
        ]
        .map(|finding| format!("{location}{finding}"))
    );
}
