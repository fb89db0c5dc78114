//! Parameters of the query and the path. A fault names its parameter.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::convert::Infallible;

use axum::extract::{
    FromRequestParts, Path as AxumPath, RawPathParams, path::ErrorKind, rejection::PathRejection,
};
use http::{Uri, request::Parts};
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;
use serde_json::{Map, Number, Value};
use utoipa::{
    IntoParams,
    openapi::{
        RefOr,
        path::ParameterIn,
        schema::{ArrayItems, Schema as Node, SchemaType, Type},
    },
};

use super::{operation::OperationDescription, routing::Argument};
use crate::application::schema::{MAX_FAULTS, MAX_NAME, Schema};
use crate::domain::text::is_line;
use crate::infrastructure::exceptions::{Failure, Fault, Location, Technical, ValidationException};

/// The parameters of the query, validated against the schema in the API document. An unknown parameter, a repeated one
/// that is not a list, and a value outside of its bounds are faults; all of them are listed.
#[derive(Debug, Clone, Copy)]
pub struct Query<T>(pub T);

/// Any parameters of the query, none of which is read: for what programs of others call and pages open, which may add
/// some. An operation without this argument and [`Query`] refuses all of them.
#[derive(Debug, Clone, Copy)]
pub struct AnyQuery;

/// The parameters of the path. One argument fails with the first of them that does not have its type: a handler with an
/// argument for each, whose type is a struct with that parameter alone, lists the faults of all.
#[derive(Debug, Clone, Copy)]
pub struct Path<T>(pub T);

impl<T: IntoParams> Argument for Query<T> {
    fn describe(operation: &mut OperationDescription<'_>) {
        operation.parameters(T::into_params(|| Some(ParameterIn::Query)));
        operation.fails_validation();
    }
}

impl Argument for AnyQuery {
    fn describe(operation: &mut OperationDescription<'_>) {
        operation.ignores_query();
    }
}

impl<T> Argument for Path<T> {
    fn describe(operation: &mut OperationDescription<'_>) {
        operation.fails_validation();
    }
}

/// Parses and validates a query; fails with all its faults, at most 100.
pub fn parse<T: DeserializeOwned + IntoParams + 'static>(uri: &Uri) -> Result<T, Failure> {
    if uri.query().is_none_or(str::is_empty)
        && let Ok(none) = T::deserialize(Value::Object(Map::new()))
    {
        // no parameter is required
        return Ok(none);
    }
    let schema = Schema::of_parameters::<T>();
    let (value, found) = collect(schema, uri);
    let of_schema = schema.faults(&value).into_iter().map(|(pointer, fault)| (parameter(&pointer), fault));
    // what could not be read is not missing
    let of_schema: Vec<_> = of_schema.filter(|(name, _)| found.get(name) != Some(&Fault::Invalid)).collect();
    let mut input = ValidationException::none();
    for (name, fault) in found.into_iter().chain(of_schema).take(MAX_FAULTS) {
        input.add(Location::Parameter(name), fault);
    }
    input.check()?;
    serde_path_to_error::deserialize(value).map_err(|error| {
        let name = error.path().iter().next().map(ToString::to_string).unwrap_or_default();
        ValidationException::one(Location::Parameter(name), Fault::Invalid).into()
    })
}

/// Collects the parameters in an object. Each text is converted to the type in its schema if possible. Returns also the
/// faults of those that are not UTF-8 or repeated, by name.
fn collect(schema: &Schema, uri: &Uri) -> (Value, BTreeMap<String, Fault>) {
    let mut members = Map::new();
    let mut faults = BTreeMap::new();
    let parts = uri.query().unwrap_or_default().split('&').filter(|part| !part.is_empty());
    for (name, text) in parts.map(|part| part.split_once('=').unwrap_or((part, ""))) {
        let (Some(name), Some(text)) = (decoded(name), decoded(text)) else {
            let spaced = name.replace('+', " ");
            let name = percent_decode_str(&spaced).decode_utf8_lossy().chars().take(MAX_NAME).collect();
            faults.insert(name, Fault::Invalid);
            continue;
        };
        match schema.property(&name) {
            Some(Node::Array(array)) => {
                let item = match &array.items {
                    ArrayItems::RefOrSchema(node) => typed(node, text),
                    ArrayItems::False => Value::String(text),
                };
                if let Value::Array(items) = members.entry(name).or_insert_with(|| Value::Array(Vec::new())) {
                    items.push(item);
                }
            }
            node => {
                let value = node.map_or_else(|| Value::Null, |node| scalar(node, text));
                if members.insert(name.clone(), value).is_some() {
                    faults.entry(name).or_insert(Fault::Duplicate);
                }
            }
        }
    }
    (Value::Object(members), faults)
}

/// Decodes a name or a value (`application/x-www-form-urlencoded`); `None` if it is not UTF-8.
fn decoded(text: &str) -> Option<String> {
    let spaced = text.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8().ok().map(Cow::into_owned)
}

fn typed(node: &RefOr<Node>, text: String) -> Value {
    match node {
        RefOr::T(node) => scalar(node, text),
        RefOr::Ref(_) => Value::String(text),
    }
}

/// Converts a text to the type in its schema. A text that cannot be converted stays a text, which is a fault of its
/// type.
fn scalar(node: &Node, text: String) -> Value {
    let accepts = |kind: Type| match node {
        Node::Object(object) => match &object.schema_type {
            SchemaType::Type(one) => *one == kind,
            SchemaType::Array(several) => several.contains(&kind),
            SchemaType::AnyValue => false,
        },
        _ => false,
    };
    let converted = if accepts(Type::Integer) {
        text.parse().map(|number: i64| Value::from(number)).ok()
    } else if accepts(Type::Number) {
        text.parse().ok().and_then(Number::from_f64).map(Value::Number)
    } else if accepts(Type::Boolean) {
        text.parse().map(Value::Bool).ok()
    } else {
        None
    };
    converted.unwrap_or(Value::String(text))
}

/// Returns the name of the parameter to which a pointer into the object of parameters refers.
fn parameter(pointer: &str) -> String {
    let name = pointer.trim_start_matches('/').split('/').next().unwrap_or_default();
    name.replace("~1", "/").replace("~0", "~")
}

impl<S: Sync, T: DeserializeOwned + IntoParams + 'static> FromRequestParts<S> for Query<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        parse(&parts.uri).map(Self)
    }
}

impl<S: Sync> FromRequestParts<S> for AnyQuery {
    type Rejection = Infallible;

    async fn from_request_parts(_: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self)
    }
}

impl<S: Sync + Send, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let mut input = ValidationException::none();
        let path = parts.uri.path();
        // only an escaped character, or one beyond ASCII, can be a control character
        if (path.contains('%') || !path.is_ascii())
            && let Ok(texts) = RawPathParams::from_request_parts(parts, state).await
        {
            for (name, _) in texts.iter().filter(|(_, text)| !is_line(text)) {
                input.add(Location::Parameter(name.to_owned()), Fault::Character);
            }
        }
        match AxumPath::from_request_parts(parts, state).await {
            Ok(AxumPath(value)) => input.check().map(|()| Self(value)),
            Err(PathRejection::FailedToDeserializePathParams(error)) => {
                let (name, fault) = match error.into_kind() {
                    // of a text, only the ids are parsed
                    ErrorKind::DeserializeError { key, .. } => {
                        (key, Fault::Format { format: "uuid".to_owned(), example: Fault::UUID_EXAMPLE })
                    }
                    ErrorKind::ParseErrorAtKey { key, .. } | ErrorKind::InvalidUtf8InPathParam { key } => {
                        (key, Fault::Invalid)
                    }
                    ErrorKind::ParseErrorAtIndex { index, .. } => {
                        (nth(parts, state, index).await, Fault::Invalid)
                    }
                    ErrorKind::ParseError { .. } => (nth(parts, state, 0).await, Fault::Invalid),
                    error => return Err(Technical::internal(error.to_string()).into()),
                };
                let name = Location::Parameter(name);
                // a control character is why it is not of the type, too
                if input.faults().iter().all(|(known, _)| *known != name) {
                    input.add(name, fault);
                }
                Err(input.into())
            }
            Err(error) => Err(Technical::internal(error).into()),
        }
    }
}

/// Returns the name of the parameter of the path at an index.
async fn nth<S: Sync + Send>(parts: &mut Parts, state: &S, index: usize) -> String {
    let texts = RawPathParams::from_request_parts(parts, state).await.ok();
    texts.and_then(|texts| texts.iter().nth(index).map(|(name, _)| name.to_owned())).unwrap_or_default()
}
