//! Parses JSON more strictly than `serde_json`: a name that is repeated in an object is an error.
//!
//! Parsers differ in which of two members with the same name they use (RFC 8259 section 4), so that a proxy and the
//! store could read two different orders from one body. `serde_json` refuses values that are nested more than 128 deep.

use serde_json::Value;

use crate::domain::unique_members::UniqueValue;
use crate::infrastructure::exceptions::RejectedRequest;

/// Parses a body.
pub(super) fn parse(body: &[u8]) -> Result<Value, RejectedRequest> {
    serde_json::from_slice(body)
        .map(|UniqueValue(value)| value)
        .map_err(|error| RejectedRequest::MalformedJson { line: error.line(), column: error.column() })
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
