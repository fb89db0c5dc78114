//! The texts of problem documents: title and detail of each code, filled in with the details of the failure.

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::domain::template::fill;

/// The languages beside English that have texts, by BCP 47 tag.
pub const PROBLEM_LANGUAGES: [&str; 1] = ["de"];

// a test parses them, so an empty table is never served
static ENGLISH: LazyLock<Messages> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../../locales/en/problems.json")).unwrap_or_default()
});
static GERMAN: LazyLock<Messages> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../../locales/de/problems.json")).unwrap_or_default()
});

/// The messages of a language, by code: JSON such as
/// `{"no_shipping": {"title": "No shipping", "detail": "Nothing is sent to {country}."}}`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(transparent)]
pub struct Messages(HashMap<String, Message>);

/// The messages of one code. `reasons` has details for values of `reason` among the failure's details, `faults` has
/// those of field faults.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Message {
    title: String,
    detail: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    reasons: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    faults: BTreeMap<String, String>,
}

impl Messages {
    /// Returns the English messages.
    pub(super) fn english() -> &'static Self {
        &ENGLISH
    }

    /// Returns the messages of a language, if it has any.
    pub(super) fn of(language: &str) -> Option<&'static Self> {
        match language {
            "en" => Some(&ENGLISH),
            "de" => Some(&GERMAN),
            _ => None,
        }
    }

    /// Returns the messages of a code, in which the facts of a failure are names in braces.
    pub(super) fn message(&self, code: &str) -> Option<&Message> {
        self.0.get(code)
    }

    /// Returns the title of a code.
    pub(super) fn title(&self, code: &str) -> Option<&str> {
        self.0.get(code).map(|message| message.title.as_str())
    }

    /// Returns the detail of a code, filled in.
    pub(super) fn detail(&self, code: &str, details: &Map<String, Value>) -> Option<String> {
        let message = self.0.get(code)?;
        let reason = details.get("reason").and_then(Value::as_str);
        let template = reason.and_then(|reason| message.reasons.get(reason)).unwrap_or(&message.detail);
        Some(fill(template, details))
    }

    /// Returns the detail of a fault, filled in with its parameters.
    pub(super) fn fault(&self, code: &str, params: &Map<String, Value>) -> Option<String> {
        self.0.get("validation")?.faults.get(code).map(|template| fill(template, params))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::{fs, path::Path};

    use super::*;
    use crate::infrastructure::exceptions::Failure;
    use crate::infrastructure::exceptions::examples::{failure_examples, fault_examples};

    fn placeholders(template: &str) -> Vec<&str> {
        template.split('{').skip(1).map(|rest| rest.split_once('}').unwrap().0).collect()
    }

    #[test]
    fn every_code_and_reason_has_a_message_and_every_placeholder_its_detail() {
        for failure in failure_examples() {
            let (code, details) = (failure.code(), failure.details());
            let message = ENGLISH.0.get(code).unwrap_or_else(|| panic!("no message for {code}"));
            let template = match details.get("reason") {
                Some(reason) => &message.reasons[reason.as_str().unwrap()],
                None => &message.detail,
            };
            for name in placeholders(template).into_iter().chain(placeholders(&message.detail)) {
                assert!(details.contains_key(name), "{code} says {{{name}}} and has no such detail");
            }
            assert!(
                placeholders(&message.title).is_empty(),
                "{code}: a title is the same at each occurrence"
            );
            for reserved in ["type", "title", "status", "detail", "code", "instance"] {
                assert!(!details.contains_key(reserved), "{code} hides the member {reserved}");
            }
        }
        for fault in fault_examples() {
            let template = &ENGLISH.0["validation"].faults[fault.code()];
            for name in placeholders(template) {
                assert!(fault.params().contains_key(name), "{} says {{{name}}}", fault.code());
            }
        }
    }

    #[test]
    fn every_message_is_used() {
        let used: BTreeSet<String> = failure_examples()
            .iter()
            .map(|failure| match failure.details().get("reason") {
                Some(reason) => format!("{}.{}", failure.code(), reason.as_str().unwrap()),
                None => failure.code().to_owned(),
            })
            .chain(fault_examples().iter().map(|fault| format!("validation.{}", fault.code())))
            .collect();
        for (code, message) in &ENGLISH.0 {
            let under: Vec<_> = message.reasons.keys().chain(message.faults.keys()).collect();
            assert!(!under.is_empty() || used.contains(code), "{code} has a message and no failure");
            for reason in under {
                assert!(
                    used.contains(&format!("{code}.{reason}")),
                    "{code}.{reason} has a message and no failure"
                );
            }
        }
    }

    #[test]
    fn the_messages_of_each_language_have_the_placeholders_of_english() {
        /// The texts of a message by their names, each with its placeholders.
        fn texts(message: &Message) -> BTreeMap<String, BTreeSet<&str>> {
            let (reasons, faults) = (message.reasons.iter(), message.faults.iter());
            let named = reasons.chain(faults).map(|(name, text)| (name.clone(), text));
            let all = named.chain([("detail".to_owned(), &message.detail)]);
            all.map(|(name, text)| (name, placeholders(text).into_iter().collect())).collect()
        }
        for language in PROBLEM_LANGUAGES {
            let messages = Messages::of(language).unwrap();
            assert!(messages.0.len() >= 60, "{language}");
            for (code, message) in &messages.0 {
                let english = ENGLISH.0.get(code).unwrap_or_else(|| panic!("{language}: {code}"));
                assert_eq!(texts(message), texts(english), "{language}: {code}");
            }
        }
    }

    #[test]
    fn every_member_of_the_room_is_named_as_its_code() {
        let room = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/infrastructure/exceptions");
        let members = fs::read_dir(room).unwrap().filter_map(|entry| {
            entry.unwrap().file_name().into_string().unwrap().strip_suffix("_exception.rs").map(str::to_owned)
        });
        let codes: BTreeSet<_> = failure_examples().iter().map(Failure::code).collect();
        let mut count = 0;
        for member in members {
            assert!(codes.contains(member.as_str()), "no example has the code {member}");
            count += 1;
        }
        assert!(count >= 10, "only {count} members found");
    }
}
