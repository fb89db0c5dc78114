//! Arbitrary input is accepted or refused with its faults, without panics and internal errors.

use proptest::prelude::*;
use serde_json::Value;
use undercroft::{
    infrastructure::exceptions::{Failure, Fault, Location, ValidationException},
    presentation::http::{json, query},
};

use super::{Filter, Parcel, good};

/// Any JSON, whose names include those of a parcel's members.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        prop::sample::select(leaves(&good())),
    ];
    leaf.prop_recursive(6, 64, 8, |inner| {
        let name = prop_oneof![prop::sample::select(names(&good())), any::<String>()];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(name, inner, 0..12)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// The valid parcel with some members replaced or removed.
fn nearly_valid() -> impl Strategy<Value = Value> {
    let changes =
        prop::collection::vec((prop::sample::select(names(&good())), prop::option::of(any_json())), 0..3);
    changes.prop_map(|changes| {
        let mut parcel = good();
        for (name, change) in changes {
            match change {
                Some(value) => parcel[name] = value,
                None => drop(parcel.as_object_mut().unwrap().remove(&name)),
            }
        }
        parcel
    })
}

fn names(value: &Value) -> Vec<String> {
    match value {
        Value::Object(members) => {
            members.iter().flat_map(|(name, value)| [vec![name.clone()], names(value)].concat()).collect()
        }
        Value::Array(items) => items.iter().flat_map(names).collect(),
        _ => Vec::new(),
    }
}

fn leaves(value: &Value) -> Vec<Value> {
    match value {
        Value::Object(members) => members.values().flat_map(leaves).collect(),
        Value::Array(items) => items.iter().flat_map(leaves).collect(),
        leaf => vec![leaf.clone()],
    }
}

/// Accepted input is what serde accepts; refused input has a fault of the client, whose location exists.
fn check(body: &[u8]) -> Result<(), TestCaseError> {
    match json::parse::<Parcel>(body) {
        Ok(parcel) => {
            let sent: Parcel = serde_json::from_slice(body).expect("serde accepts it too");
            prop_assert_eq!(serde_json::to_value(parcel).unwrap(), serde_json::to_value(sent).unwrap());
        }
        Err(failure) => {
            prop_assert!(failure.status().is_client_error(), "{}", failure);
            check_locations(body, &failure)?;
        }
    }
    Ok(())
}

fn check_locations(body: &[u8], failure: &Failure) -> Result<(), TestCaseError> {
    let Some(input) = failure.downcast_ref::<ValidationException>() else { return Ok(()) };
    let body: Value = serde_json::from_slice(body).unwrap();
    prop_assert!(!input.faults().is_empty());
    for (location, fault) in input.faults() {
        let Location::Pointer(pointer) = location else { panic!("{location:?} is not in a body") };
        let exists = body.pointer(pointer).is_some();
        prop_assert_eq!(exists, *fault != Fault::Required, "{} {:?}", pointer, fault);
    }
    Ok(())
}

proptest! {
    #[test]
    fn any_json_is_accepted_or_refused_with_its_faults(value in any_json()) {
        check(value.to_string().as_bytes())?;
    }

    #[test]
    fn a_nearly_valid_body_is_accepted_or_refused_with_its_faults(value in nearly_valid()) {
        check(value.to_string().as_bytes())?;
    }

    #[test]
    fn any_bytes_are_accepted_or_refused_with_their_faults(bytes in any::<Vec<u8>>()) {
        check(&bytes)?;
    }

    #[test]
    fn any_query_is_accepted_or_refused_with_its_faults(query in "[a-z&=%0-9+;\\[\\]~/.-]{0,60}") {
        let uri = format!("/filter?shop=01890a5d-ac96-774b-bcce-b302099a8057&{query}").parse().unwrap();
        if let Err(failure) = query::parse::<Filter>(&uri) {
            prop_assert_eq!(failure.code(), "validation");
        }
    }
}
