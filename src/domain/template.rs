//! Message templates: texts with named placeholders in braces.

use std::borrow::Cow;

use serde_json::{Map, Value};

/// Replaces each `{name}` in a template by the argument of that name, or by nothing if there is none.
///
/// Arguments are inserted as they are: a placeholder within one is not replaced.
pub(crate) fn fill(template: &str, arguments: &Map<String, Value>) -> String {
    let mut text = String::with_capacity(template.len() + 16);
    let mut rest = template;
    while let Some((before, name, after)) = split_placeholder(rest) {
        text.push_str(before);
        text.push_str(&arguments.get(name).map_or_else(Cow::default, format_argument));
        rest = after;
    }
    text.push_str(rest);
    text
}

/// Splits a template at its first placeholder: the text before it, its name, the text after it.
fn split_placeholder(template: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = template.split_once('{')?;
    let (name, after) = rest.split_once('}')?;
    Some((before, name, after))
}

/// Formats a value for a reader: texts without quotes, lists separated by commas.
fn format_argument(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(text) => Cow::Borrowed(text),
        Value::Array(items) => items.iter().map(format_argument).collect::<Vec<_>>().join(", ").into(),
        other => other.to_string().into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn placeholders_are_replaced_by_their_arguments() {
        let arguments = json!({"n": 3, "list": ["a", 1], "text": "{n}"});
        let fill = |template| fill(template, arguments.as_object().unwrap());
        assert_eq!(fill("{n} of {list}"), "3 of a, 1");
        assert_eq!(fill("{text}"), "{n}", "an argument is not a template");
        assert_eq!(fill("{missing}. {open"), ". {open");
    }
}
