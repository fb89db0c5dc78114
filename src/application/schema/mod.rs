//! Validates JSON against the schema in the API document, so that the two cannot differ, and lists every fault.
//!
//! Supported is what the derives of utoipa write: `type`, `properties`, `required`, `additionalProperties`, `items`,
//! `enum`, `oneOf`, `anyOf`, `allOf`, `$ref`, the inclusive bounds of numbers, the bounds of lengths and counts, and
//! `format`. A `pattern` is documentation only: use a format that `format.rs` supports. Beside the schema, no text may
//! contain control characters: not every database stores a NUL, and they could forge lines of a log or a header. Only
//! those with the format `multiline` have tabs and line breaks. A text with a minimum length has a visible character.

mod choice;
pub(crate) mod event_type;
mod format;
pub(crate) mod pointer;
mod walk;

use std::{
    any::TypeId,
    collections::{BTreeMap, HashMap},
    sync::{LazyLock, PoisonError, RwLock},
};

use serde_json::Value;
use utoipa::{
    IntoParams, ToSchema,
    openapi::{
        ObjectBuilder, RefOr, Required,
        schema::{AdditionalProperties, Schema as Node},
    },
};

pub(crate) use self::walk::{MAX_FAULTS, MAX_NAME};
use crate::infrastructure::exceptions::{Failure, Fault, ValidationException};

/// The schemas by type. Each is computed once; there are as many as types of requests.
static SCHEMAS: LazyLock<RwLock<HashMap<TypeId, &'static Schema>>> = LazyLock::new(RwLock::default);

/// A schema with the schemas to which it refers.
pub struct Schema {
    root: RefOr<Node>,
    components: BTreeMap<String, RefOr<Node>>,
}

impl Schema {
    /// Returns the schema of a body.
    pub fn of<T: ToSchema + 'static>() -> &'static Self {
        once(TypeId::of::<T>(), || {
            // A recursive type refers to itself.
            let mut components = vec![(T::name().into_owned(), T::schema())];
            T::schemas(&mut components);
            Self { root: T::schema(), components: components.into_iter().collect() }
        })
    }

    /// Returns the schema of parameters: an object without other members. An enum has to be `#[param(inline)]`, since
    /// parameters do not contain the schemas to which they refer.
    pub fn of_parameters<T: IntoParams + 'static>() -> &'static Self {
        // The key differs from that of a body, since a type may be both.
        struct Parameters<T>(T);
        once(TypeId::of::<Parameters<T>>(), || {
            let mut object =
                ObjectBuilder::new().additional_properties(Some(AdditionalProperties::FreeForm(false)));
            for parameter in T::into_params(|| None) {
                if matches!(parameter.required, Required::True) {
                    object = object.required(&parameter.name);
                }
                object =
                    object.property(parameter.name, parameter.schema.unwrap_or(RefOr::T(Node::default())));
            }
            Self { root: object.into(), components: BTreeMap::new() }
        })
    }

    /// Returns the faults of a value, each with its JSON pointer; at most 100.
    pub fn faults(&self, value: &Value) -> Vec<(String, Fault)> {
        walk::faults(self, value)
    }

    /// Fails with all faults of a value, at most 100.
    pub fn check(&self, value: &Value) -> Result<(), Failure> {
        let mut exception = ValidationException::none();
        for (pointer, fault) in self.faults(value) {
            exception.add(pointer, fault);
        }
        exception.check()
    }

    /// Returns the schema of a property.
    pub(crate) fn property(&self, name: &str) -> Option<&Node> {
        match self.resolve(&self.root)? {
            Node::Object(object) => self.resolve(object.properties.get(name)?),
            _ => None,
        }
    }

    /// Resolves a reference; returns `None` if its target is missing.
    fn resolve<'a>(&'a self, mut node: &'a RefOr<Node>) -> Option<&'a Node> {
        loop {
            match node {
                RefOr::T(node) => return Some(node),
                RefOr::Ref(to) => {
                    let (_, name) = to.ref_location.rsplit_once('/')?;
                    node = self.components.get(name)?;
                }
            }
        }
    }
}

fn once(key: TypeId, make: impl FnOnce() -> Schema) -> &'static Schema {
    if let Some(schema) = SCHEMAS.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
        return schema;
    }
    let schema = make();
    SCHEMAS
        .write()
        .unwrap_or_else(PoisonError::into_inner)
        .entry(key)
        .or_insert_with(|| Box::leak(Box::new(schema)))
}
