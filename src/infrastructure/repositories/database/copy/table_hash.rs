//! The hash of a table's content, the same on both engines, whichever of the types of its columns are known.

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::super::param::Param;

/// The SHA-256 of the rows of a table in the order of its key, and their number.
#[derive(Default)]
pub(in super::super) struct TableHash {
    digest: Sha256,
    pub(super) rows: i64,
}

impl TableHash {
    /// Adds a row.
    pub(in super::super) fn add(&mut self, row: &[Param<'_>]) {
        self.rows += 1;
        for value in row {
            self.add_value(value);
        }
    }

    /// Returns the hash of the rows that were added.
    pub(in super::super) fn finish(self) -> Vec<u8> {
        self.digest.finalize().to_vec()
    }

    /// Adds a value: a byte for its type on SQLite, which has fewer, its length and its bytes. Any text that is a JSON
    /// object or array is hashed like a JSON value.
    fn add_value(&mut self, value: &Param<'_>) {
        match value {
            Param::Null => self.add_bytes(b'0', &[]),
            Param::Bool(value) => self.add_number((*value).into()),
            Param::Int(value) => self.add_number(*value),
            Param::Time(value) => self.add_number(value.as_microsecond()),
            Param::Bytes(value) => self.add_bytes(b'x', value),
            Param::Uuid(value) => self.add_bytes(b'x', value.as_bytes()),
            Param::Text(value) => self.add_text(value),
            Param::Json(value) => self.add_text(value),
        }
    }

    fn add_number(&mut self, value: i64) {
        self.add_bytes(b'i', &value.to_be_bytes());
    }

    fn add_text(&mut self, text: &str) {
        let canonical = text.starts_with(['{', '[']).then(|| canonical(text)).flatten();
        self.add_bytes(b't', canonical.as_deref().unwrap_or(text).as_bytes());
    }

    fn add_bytes(&mut self, kind: u8, bytes: &[u8]) {
        self.digest.update([kind]);
        self.digest.update((bytes.len() as u64).to_be_bytes());
        self.digest.update(bytes);
    }
}

/// Returns a JSON text without spaces and with sorted members, since PostgreSQL stores neither; `None` if it is not
/// JSON.
fn canonical(text: &str) -> Option<String> {
    let value = serde_json::from_str(text).ok()?;
    let mut out = String::with_capacity(text.len());
    write(&value, &mut out);
    Some(out)
}

fn write(value: &Value, out: &mut String) {
    match value {
        Value::Array(items) => {
            out.push('[');
            for item in items {
                write(item, out);
                out.push(',');
            }
            out.push(']');
        }
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(name, _)| name.as_str());
            out.push('{');
            for (name, value) in members {
                out.push_str(&Value::from(name.as_str()).to_string());
                out.push(':');
                write(value, out);
                out.push(',');
            }
            out.push('}');
        }
        scalar => out.push_str(&scalar.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(row: &[Param<'_>]) -> Vec<u8> {
        let mut hash = TableHash::default();
        hash.add(row);
        hash.finish()
    }

    #[test]
    fn json_is_compared_by_its_value() {
        let json = |text: &str| hash(&[Param::Json(text.to_owned())]);
        assert_eq!(json(r#"{"a":1,"b":[true,null]}"#), json(r#"{"b": [true, null], "a": 1}"#));
        assert_ne!(json(r#"{"a":1}"#), json(r#"{"a":2}"#));
        assert_ne!(json("[1,2]"), json("[12]"));
    }

    #[test]
    fn a_value_does_not_extend_into_the_next_one() {
        assert_ne!(hash(&["ab".into(), "c".into()]), hash(&["a".into(), "bc".into()]));
        assert_ne!(hash(&["".into()]), hash(&[Param::Null]));
    }
}
