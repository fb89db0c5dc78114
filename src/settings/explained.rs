//! Explains that a setting has a value of another type, by the example file, which has a value of each setting.

use serde::Deserialize;
use serde::de::IntoDeserializer;
use toml::{Table, Value};

use super::{EXAMPLE, PREFIX, Settings};

/// Returns the message about the value at `key` of `table`. One of serde about its type or its range would name types
/// of Rust, and quote a text, which may contain a password: it becomes what is expected, with the variable of the
/// setting.
pub(super) fn explained(table: &Table, key: &str, message: &str) -> String {
    if let Some(text) = out_of_range(key, message) {
        return text;
    }
    let is_of_types = message.starts_with("invalid type: ") || message.starts_with("wanted ");
    let of_types = || {
        let example: Table = EXAMPLE.parse().ok()?;
        let (given, expected) = (value_at(table, key)?, value_at(&example, key)?);
        let (is, name) = (kind(given), kind(expected));
        let variable = variable(key);
        let expected = match expected {
            _ if is == name => return None,
            Value::Table(keys) => {
                return Some(format!("it is {is}, and a section is expected{}", listed(key, keys)));
            }
            Value::String(text) => words(table, key).unwrap_or_else(|| match text.as_str() {
                "" => name.to_owned(),
                text => format!("{name} such as \"{text}\""),
            }),
            Value::Array(_) => format!("{name} such as [\"one\", \"another\"]"),
            Value::Integer(number) => format!("{name} such as {number}"),
            Value::Float(number) => format!("{name} such as {number:?}"),
            Value::Boolean(_) | Value::Datetime(_) => name.to_owned(),
        };
        Some(format!("it is {is}, and {expected} is expected (as a variable: {variable})"))
    };
    is_of_types.then(of_types).flatten().unwrap_or_else(|| message.to_owned())
}

/// Returns the message about a whole number that is too small or too large; `None` for another fault.
fn out_of_range(key: &str, message: &str) -> Option<String> {
    let (number, expected) = message.strip_prefix("invalid value: integer `")?.split_once("`, expected ")?;
    let range = match expected {
        "a nonzero u32" => format!("from 1 to {}", u32::MAX),
        "u32" => format!("from 0 to {}", u32::MAX),
        "u64" => "from 0".to_owned(),
        _ => return None,
    };
    let variable = variable(key);
    Some(format!("it is {number}, and a whole number {range} is expected (as a variable: {variable})"))
}

/// Returns the value at a dotted key.
fn value_at<'a>(table: &'a Table, key: &str) -> Option<&'a Value> {
    let mut parts = key.split('.');
    let first = table.get(parts.next()?)?;
    parts.try_fold(first, |value, part| value.as_table()?.get(part))
}

/// Returns the variable of a key.
fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.to_uppercase().replace('.', "__"))
}

/// Returns the keys of a section, with the variable of one of them.
fn listed(section: &str, keys: &Table) -> String {
    let Some(last) = keys.keys().next_back() else { return String::new() };
    let names: Vec<_> = keys.keys().map(|key| format!("`{key}`")).collect();
    let variable = variable(&format!("{section}.{last}"));
    format!(", with the keys {} (as a variable: {variable})", names.join(", "))
}

/// Returns the words that a setting can have, if they are a few: what serde expects in place of an empty one.
fn words(table: &Table, key: &str) -> Option<String> {
    let mut emptied = table.clone();
    let mut parts = key.split('.');
    let first = emptied.get_mut(parts.next()?)?;
    let value = parts.try_fold(first, |value, part| value.as_table_mut()?.get_mut(part))?;
    *value = Value::String(String::new());
    let error = Settings::deserialize(emptied.into_deserializer()).err()?;
    let (_, words) = error.message().split_once("unknown variant ``, expected ")?;
    Some(words.to_owned())
}

/// Names the type of a value.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a text",
        Value::Integer(_) => "a whole number",
        Value::Float(_) => "a number with a fraction",
        Value::Boolean(_) => "a truth value (true or false)",
        Value::Datetime(_) => "a time",
        Value::Array(_) => "a list",
        Value::Table(_) => "a section",
    }
}
