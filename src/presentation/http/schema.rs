//! Checks JSON against the schema that the API documents, so that the two cannot differ, and lists every fault.
//!
//! Understood are what the derives of utoipa write: `type`, `properties`, `required`, `additionalProperties`,
//! `items`, `enum`, `oneOf`, `anyOf`, `allOf`, `$ref`, the inclusive bounds of numbers, the bounds of lengths and
//! counts, and `format`. A `pattern` is for readers only: give the text a format that `format.rs` knows.
//! Beyond the schema, no text may hold a control character other than a tab or a line break: a NUL cannot be stored
//! on every database, and none of them belongs in a log.

mod choice;
mod format;
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

use crate::infrastructure::exceptions::Fault;

/// What is computed once for each type and never changes; as many entries as the program has types of requests.
static SCHEMAS: LazyLock<RwLock<HashMap<TypeId, &'static Schema>>> = LazyLock::new(RwLock::default);

/// A schema with all that it refers to.
pub struct Schema {
    root: RefOr<Node>,
    components: BTreeMap<String, RefOr<Node>>,
}

impl Schema {
    /// The schema of a type of body.
    pub fn of<T: ToSchema + 'static>() -> &'static Self {
        once(TypeId::of::<T>(), || {
            // a type that contains itself refers to itself
            let mut components = vec![(T::name().into_owned(), T::schema())];
            T::schemas(&mut components);
            Self { root: T::schema(), components: components.into_iter().collect() }
        })
    }

    /// The schema of a type of parameters, as an object that has only these. An enum among them must be
    /// `#[param(inline)]`, since parameters do not bring what they refer to.
    pub fn of_parameters<T: IntoParams + 'static>() -> &'static Self {
        // a type may be both a body and parameters
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

    /// All that is wrong with `value`, by JSON pointer; a hundred faults at most.
    pub fn faults(&self, value: &Value) -> Vec<(String, Fault)> {
        walk::faults(self, value)
    }

    /// The schema of a property.
    pub(super) fn property(&self, name: &str) -> Option<&Node> {
        match self.resolve(&self.root)? {
            Node::Object(object) => self.resolve(object.properties.get(name)?),
            _ => None,
        }
    }

    /// What a reference refers to; `None` if that did not come with the schema.
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
