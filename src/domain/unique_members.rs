//! JSON whose objects have each member once: parsers differ in which of two members with the same name they use (RFC
//! 8259 section 4).

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value, map::Entry};

/// A JSON value. The members of each object in it differ, at every depth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UniqueValue(pub Value);

/// A JSON object. Its members differ, and so do those of each object in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UniqueMembers(pub Map<String, Value>);

impl<'de> Deserialize<'de> for UniqueValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader).map(Self)
    }
}

impl<'de> Deserialize<'de> for UniqueMembers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match UniqueValue::deserialize(deserializer)? {
            UniqueValue(Value::Object(members)) => Ok(Self(members)),
            UniqueValue(_) => Err(D::Error::custom("expected an object")),
        }
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("not a finite number"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(UniqueValue(item)) = list.next_element()? {
            items.push(item);
        }
        Ok(items.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some(name) = object.next_key::<String>()? {
            match members.entry(name) {
                Entry::Vacant(member) => {
                    let UniqueValue(value) = object.next_value()?;
                    member.insert(value);
                }
                Entry::Occupied(member) => {
                    return Err(A::Error::custom(format_args!(
                        "the member {:?} is there twice",
                        member.key()
                    )));
                }
            }
        }
        Ok(members.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_without_repeated_members_is_read_as_by_serde_json() {
        let text = r#"{"a": {"b": [{"c": 1}, {"c": 2}]}, "b": null}"#;
        let UniqueMembers(members) = serde_json::from_str(text).unwrap();
        assert_eq!(Value::Object(members), serde_json::from_str::<Value>(text).unwrap());
    }

    #[test]
    fn a_repeated_member_is_refused_at_every_depth() {
        for text in [
            r#"{"jwk": 1, "jwk": 1}"#,
            r#"{"alg": "EdDSA", "jwk": {"jwk": "a", "jwk": "b"}}"#,
            r#"{"sub": "ann", "roles": [[{"jwk": "a", "jwk": "a"}]]}"#,
        ] {
            let error = serde_json::from_str::<UniqueMembers>(text).unwrap_err().to_string();
            assert!(error.starts_with(r#"the member "jwk" is there twice"#), "{error}");
        }
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for text in ["[]", "null", "1", "\"a\"", "[{}]"] {
            let error = serde_json::from_str::<UniqueMembers>(text).unwrap_err().to_string();
            assert_eq!(error, "expected an object", "{text}");
        }
    }
}
