//! The operations of the API document, and example bodies that are valid by their schemas.

use http::Method;
use serde_json::{Map, Value, json};
use undercroft::presentation::http::openapi;
use uuid::Uuid;

/// The OpenAPI document.
pub fn document() -> Value {
    serde_json::from_slice(&openapi::document()).unwrap()
}

/// An operation of the document.
#[derive(Debug, Clone)]
pub struct Operation {
    /// Its method.
    pub method: Method,
    /// Its path, with its parameters in braces.
    pub path: String,
    /// The operation object of the document.
    pub described: Value,
}

/// Every operation.
pub fn operations(document: &Value) -> Vec<Operation> {
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, described) in item.as_object().unwrap() {
            let method = method.to_uppercase().parse().unwrap();
            operations.push(Operation { method, path: path.clone(), described: described.clone() });
        }
    }
    assert!(operations.len() > 20, "only {} operations", operations.len());
    operations
}

impl std::fmt::Display for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

impl Operation {
    /// Whether guests may call it.
    pub fn is_open(&self) -> bool {
        let schemes = self.described["security"].as_array().unwrap();
        schemes.is_empty() || schemes.contains(&json!({}))
    }

    /// Whether only administrators may call it.
    pub fn is_for_administrators(&self) -> bool {
        self.path.starts_with("/admin/")
    }

    /// The path, each parameter replaced by what `fill` makes of its name.
    pub fn path_with(&self, fill: impl Fn(&str) -> String) -> String {
        let part = |part: &str| match part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
            Some(name) => fill(name),
            None => part.to_owned(),
        };
        self.path.split('/').map(part).collect::<Vec<_>>().join("/")
    }

    /// The path with its required parameters, to resources that do not exist.
    pub fn path_to_missing(&self, document: &Value) -> String {
        let missing = Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001);
        self.path_to(document, |_| missing.to_string())
    }

    /// The path with its required parameters; `fill` gives those of the path. A stream is as short as possible.
    pub fn path_to(&self, document: &Value, fill: impl Fn(&str) -> String) -> String {
        let path = self.path_with(fill);
        let query: Vec<_> = self
            .parameters("query")
            .filter(|parameter| parameter["required"] == true || parameter["name"] == "seconds")
            .map(|parameter| {
                let value = example(document, &parameter["schema"]);
                let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                format!("{}={value}", parameter["name"].as_str().unwrap())
            })
            .collect();
        if query.is_empty() { path } else { format!("{path}?{}", query.join("&")) }
    }

    /// The parameters in this location: `path`, `query` or `header`.
    pub fn parameters<'a>(&'a self, location: &'a str) -> impl Iterator<Item = &'a Value> {
        self.described["parameters"].as_array().into_iter().flatten().filter(move |one| one["in"] == location)
    }

    /// Whether it has a query parameter of this name.
    pub fn has_query(&self, name: &str) -> bool {
        self.parameters("query").any(|parameter| parameter["name"] == name)
    }

    /// The schema of its body, if it has one.
    pub fn body(&self) -> Option<&Value> {
        self.described.pointer("/requestBody/content/application~1json/schema")
    }
}

/// A valid value of a schema, with the required members only.
pub fn example(document: &Value, schema: &Value) -> Value {
    let schema = resolve(document, schema);
    let given = schema.get("example").or_else(|| schema["examples"].get(0));
    if let Some(given) = given.or_else(|| schema["enum"].get(0)).or_else(|| schema.get("const")) {
        return given.clone();
    }
    for choice in ["oneOf", "anyOf"] {
        if let Some(choices) = schema[choice].as_array() {
            let real = choices.iter().find(|choice| choice["type"] != "null").unwrap();
            return example(document, real);
        }
    }
    if let Some(all) = schema["allOf"].as_array() {
        let parts = all.iter().map(|part| example(document, part));
        return Value::Object(parts.flat_map(|part| part.as_object().cloned().unwrap_or_default()).collect());
    }
    let types = match &schema["type"] {
        Value::Array(types) => types.iter().filter_map(Value::as_str).collect(),
        Value::String(only) => vec![only.as_str()],
        _ => Vec::new(),
    };
    match types.first().copied() {
        Some("object") => object(document, schema),
        Some("array") => {
            let least = schema["minItems"].as_u64().unwrap_or(0);
            (0..least).map(|_| example(document, &schema["items"])).collect()
        }
        Some("string") => text(schema).into(),
        Some("integer" | "number") => schema.get("minimum").cloned().unwrap_or_else(|| json!(1)),
        Some("boolean") => false.into(),
        _ => Value::Null,
    }
}

fn object(document: &Value, schema: &Value) -> Value {
    let mut members = Map::new();
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        members.insert(name.to_owned(), example(document, &schema["properties"][name]));
    }
    Value::Object(members)
}

fn text(schema: &Value) -> String {
    let fitting = match schema["format"].as_str() {
        Some("uuid") => "01900000-0000-7000-8000-000000000001",
        Some("email") => "ann@shop.example",
        Some("country") => "DE",
        Some("currency") => "EUR",
        Some("date") => "2000-02-29",
        Some("date-time") => "2030-01-01T00:00:00Z",
        _ => "x",
    };
    let least = schema["minLength"].as_u64().unwrap_or(0);
    fitting.repeat(usize::try_from(least).unwrap().div_ceil(fitting.len()).max(1))
}

/// The schema that a reference leads to, or the schema itself.
pub fn resolve<'a>(document: &'a Value, mut schema: &'a Value) -> &'a Value {
    while let Some(reference) = schema["$ref"].as_str() {
        schema = document.pointer(reference.trim_start_matches('#')).unwrap();
    }
    schema
}
