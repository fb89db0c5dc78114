//! Validates a value by walking through it along its schema.

use serde_json::{Map, Number, Value};
use utoipa::{
    Number as Bound,
    openapi::{
        KnownFormat, RefOr, SchemaFormat,
        schema::{AdditionalProperties, Array, ArrayItems, Object, Schema as Node, SchemaType, Type},
    },
};

use super::pointer::escaped;
use super::{Schema, format};
use crate::domain::text::{is_line, is_text, is_visible};
use crate::infrastructure::exceptions::Fault;

/// The most faults that are listed.
pub(crate) const MAX_FAULTS: usize = 100;
/// The greatest length in bytes of a name that the schema does not contain.
pub(crate) const MAX_NAME: usize = 256;

/// Returns the faults of a value, each with its JSON pointer.
pub(super) fn faults(schema: &Schema, value: &Value) -> Vec<(String, Fault)> {
    let mut walk = Walk { schema, faults: Vec::new() };
    walk.node(&schema.root, value, At::Root);
    walk.faults
}

/// A location in the value. It is converted to a JSON pointer only for a fault.
#[derive(Clone, Copy)]
pub(super) enum At<'a> {
    Root,
    Field(&'a At<'a>, &'a str),
    Item(&'a At<'a>, usize),
}

impl At<'_> {
    /// Returns the JSON pointer.
    pub(super) fn pointer(&self) -> String {
        match self {
            Self::Root => String::new(),
            Self::Field(parent, name) => format!("{}/{}", parent.pointer(), escaped(name)),
            Self::Item(parent, index) => format!("{}/{index}", parent.pointer()),
        }
    }
}

pub(super) struct Walk<'a> {
    pub(super) schema: &'a Schema,
    pub(super) faults: Vec<(String, Fault)>,
}

impl Walk<'_> {
    fn add(&mut self, at: At<'_>, fault: Fault) {
        if self.faults.len() < MAX_FAULTS {
            self.faults.push((at.pointer(), fault));
        }
    }

    pub(super) fn node(&mut self, node: &RefOr<Node>, value: &Value, at: At<'_>) {
        match self.schema.resolve(node) {
            Some(Node::Object(object)) => self.object(object, value, at),
            Some(Node::Array(array)) => self.array(array, value, at),
            Some(Node::OneOf(one)) => self.alternatives(&one.items, value, at),
            Some(Node::AnyOf(any)) => self.alternatives(&any.items, value, at),
            Some(Node::AllOf(all)) => all.items.iter().for_each(|part| self.node(part, value, at)),
            _ => self.anything(value, at),
        }
    }

    /// Validates against what utoipa calls an object: every schema that is neither a list nor a choice.
    fn object(&mut self, object: &Object, value: &Value, at: At<'_>) {
        if let Some(fault) = misfit(&object.schema_type, value) {
            return self.add(at, fault);
        }
        if let Some(allowed) = &object.enum_values
            && !value.is_null()
            && !allowed.contains(value)
        {
            return self.add(at, Fault::NotAllowed { allowed: allowed.clone() });
        }
        match value {
            Value::String(text) => self.text(object, text, at),
            Value::Number(number) => self.number(object, number, at),
            Value::Object(members) => self.members(object, members, at),
            _ => self.anything(value, at),
        }
    }

    fn members(&mut self, object: &Object, members: &Map<String, Value>, at: At<'_>) {
        if let Some(max_items) = object.max_properties.filter(|max| members.len() > *max) {
            // The members of an object that has too many are not validated.
            return self.add(at, Fault::TooMany { max_items });
        }
        for name in object.required.iter().filter(|name| !members.contains_key(*name)) {
            self.add(At::Field(&at, name), Fault::Required);
        }
        for (name, value) in members {
            let here = At::Field(&at, name);
            let node = match (object.properties.get(name), object.additional_properties.as_deref()) {
                (Some(node), _) => Some(node),
                (None, Some(AdditionalProperties::RefOr(node))) if is_name(name) => Some(node),
                (None, Some(AdditionalProperties::FreeForm(true)) | None) if is_name(name) => None,
                (None, _) => {
                    self.add(here, Fault::Unknown);
                    continue;
                }
            };
            match node {
                Some(node) => self.node(node, value, here),
                None => self.anything(value, here),
            }
        }
    }

    fn array(&mut self, array: &Array, value: &Value, at: At<'_>) {
        if let Some(fault) = misfit(&array.schema_type, value) {
            return self.add(at, fault);
        }
        let Value::Array(items) = value else { return };
        if let Some(min_items) = array.min_items.filter(|min| items.len() < *min) {
            self.add(at, Fault::TooFew { min_items });
        }
        if let Some(max_items) = array.max_items.filter(|max| items.len() > *max) {
            // The items of a list that is too long are not validated.
            return self.add(at, Fault::TooMany { max_items });
        }
        for (index, item) in items.iter().enumerate() {
            let here = At::Item(&at, index);
            match &array.items {
                ArrayItems::RefOrSchema(node) => self.node(node, item, here),
                ArrayItems::False => self.anything(item, here),
            }
        }
    }

    fn text(&mut self, object: &Object, text: &str, at: At<'_>) {
        let allowed = if format::has_lines(object.format.as_ref()) { is_text } else { is_line };
        if !allowed(text) {
            self.add(at, Fault::Character);
        }
        // A text has at most as many characters as bytes.
        if let Some(max_length) =
            object.max_length.filter(|max| text.len() > *max && text.chars().count() > *max)
        {
            self.add(at, Fault::TooLong { max_length });
        } else if let Some(min_length) = object.min_length.filter(|min| text.chars().count() < *min) {
            self.add(at, Fault::TooShort { min_length });
        } else if object.min_length.is_some_and(|min| min > 0) && !is_visible(text) {
            self.add(at, Fault::Blank);
        } else if let Some((name, example)) =
            object.format.as_ref().and_then(|format| format::failed(format, text))
        {
            self.add(at, Fault::Format { format: name.to_owned(), example });
        }
    }

    fn number(&mut self, object: &Object, number: &Number, at: At<'_>) {
        let bounds = match object.format {
            Some(SchemaFormat::KnownFormat(KnownFormat::Int32)) => Some((i32::MIN.into(), i32::MAX.into())),
            _ if number.is_f64() => None,
            // Integers have at most 64 bits.
            _ => Some((i64::MIN, i64::MAX)),
        };
        let (least, most) = bounds.map(|(least, most)| (Number::from(least), Number::from(most))).unzip();
        let minimum = object.minimum.as_ref().and_then(plain).or(least);
        let maximum = object.maximum.as_ref().and_then(plain).or(most);
        if let Some(minimum) = minimum.filter(|minimum| is_less(number, minimum)) {
            self.add(at, Fault::Minimum { minimum });
        } else if let Some(maximum) = maximum.filter(|maximum| is_less(maximum, number)) {
            self.add(at, Fault::Maximum { maximum });
        }
    }

    /// Validates a value without a schema: only its texts and names are checked.
    fn anything(&mut self, value: &Value, at: At<'_>) {
        match value {
            Value::String(text) if !is_text(text) => self.add(at, Fault::Character),
            Value::Array(items) => {
                items.iter().enumerate().for_each(|(index, item)| self.anything(item, At::Item(&at, index)));
            }
            Value::Object(members) => {
                for (name, member) in members {
                    let here = At::Field(&at, name);
                    if is_name(name) { self.anything(member, here) } else { self.add(here, Fault::Unknown) }
                }
            }
            _ => {}
        }
    }
}

/// Returns the fault of a value that has none of the types.
fn misfit(types: &SchemaType, value: &Value) -> Option<Fault> {
    let types = match types {
        SchemaType::AnyValue => return None,
        SchemaType::Type(one) => std::slice::from_ref(one),
        SchemaType::Array(several) => several,
    };
    let (mut expected, mut integer) = ("null", false);
    for kind in types {
        let (name, fits) = match kind {
            Type::Object => ("object", value.is_object()),
            Type::Array => ("array", value.is_array()),
            Type::String => ("string", value.is_string()),
            Type::Boolean => ("boolean", value.is_boolean()),
            Type::Number => ("number", value.is_number()),
            Type::Integer => ("integer", value.is_i64() || value.is_u64()),
            Type::Null if value.is_null() => return None,
            Type::Null => continue,
        };
        if fits {
            return None;
        }
        expected = name;
        integer |= *kind == Type::Integer;
    }
    Some(if integer && value.is_number() { Fault::NotAnInteger } else { Fault::Type { expected } })
}

fn is_name(name: &str) -> bool {
    name.len() <= MAX_NAME && is_line(name)
}

fn plain(bound: &Bound) -> Option<Number> {
    match *bound {
        Bound::Int(int) => Some(int.into()),
        Bound::UInt(int) => Some(int.into()),
        Bound::Float(float) => Number::from_f64(float),
    }
}

fn is_less(left: &Number, right: &Number) -> bool {
    match (left.as_i128(), right.as_i128()) {
        (Some(left), Some(right)) => left < right,
        _ => left.as_f64() < right.as_f64(),
    }
}
