//! Parses JSON more strictly than `serde_json`: a name that is repeated in an object is an error.
//!
//! Parsers differ in which of two members with the same name they use (RFC 8259 section 4), so that a proxy and the
//! store could read two different orders from one body. `serde_json` refuses values that are nested more than 128 deep.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value, map::Entry};

use crate::infrastructure::exceptions::RejectedRequest;

/// Parses a body.
pub(super) fn parse(body: &[u8]) -> Result<Value, RejectedRequest> {
    serde_json::from_slice::<Document>(body)
        .map(|document| document.0)
        .map_err(|error| RejectedRequest::MalformedJson { line: error.line(), column: error.column() })
}

struct Document(Value);

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader).map(Self)
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
        while let Some(Document(item)) = list.next_element()? {
            items.push(item);
        }
        Ok(items.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some(name) = object.next_key::<String>()? {
            let Entry::Vacant(member) = members.entry(name) else {
                return Err(A::Error::custom("a name is repeated"));
            };
            member.insert(object.next_value::<Document>()?.0);
        }
        Ok(members.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_without_repeated_names_is_parsed_as_by_serde_json() {
        for text in
            [r#"{"a":[1,-2,1.5,"\u00e9\n",null,true,{}],"b":{"c":18446744073709551615}}"#, "0", "\"\"", "[]"]
        {
            assert_eq!(parse(text.as_bytes()).unwrap(), serde_json::from_str::<Value>(text).unwrap());
        }
    }

    #[test]
    fn a_repeated_name_is_refused_with_its_location() {
        let error = parse(b"{\n  \"a\": 1,\n  \"\\u0061\": 2\n}").unwrap_err();
        assert_eq!(error, RejectedRequest::MalformedJson { line: 3, column: 10 });
    }

    #[test]
    fn a_value_nested_too_deep_is_refused() {
        assert!(parse("[".repeat(100_000).as_bytes()).is_err());
        assert!(parse("{\"a\":".repeat(100_000).as_bytes()).is_err());
    }

    #[test]
    fn a_text_that_is_not_json_is_refused() {
        for text in ["", " ", "{", "{}x", "1e999", "nul", "\"\\ud800\"", "\u{feff}{}", "'a'", "[1,]", "NaN"] {
            assert!(parse(text.as_bytes()).is_err(), "{text:?}");
        }
        assert!(parse(b"\"\xff\"").is_err());
    }
}
