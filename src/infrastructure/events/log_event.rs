//! A warning or an error was logged.

use uuid::Uuid;

use super::event_bus::Signal;

/// What replaces a secret or an address.
const HIDDEN: &str = "***";
/// The least number of characters of a word that may be a token.
const TOKEN: usize = 32;

/// A warning or an error was logged: a signal. The texts that it returns contain no e-mail addresses, tokens or secrets
/// of webhooks, even if the line of the log does.
#[derive(Clone, PartialEq, Eq)]
pub struct LogEvent {
    /// The level: `warn` or `error`.
    pub level: &'static str,
    /// The module that logged it.
    pub target: String,
    message: String,
    fields: Vec<(&'static str, String)>,
}

impl Signal for LogEvent {
    const TYPE: &'static str = "log";
}

impl LogEvent {
    /// Returns the event of a line.
    pub fn new(
        level: &'static str,
        target: &str,
        message: String,
        fields: Vec<(&'static str, String)>,
    ) -> Self {
        Self { level, target: target.to_owned(), message, fields }
    }

    /// Returns the message.
    pub fn message(&self) -> String {
        redacted(&self.message)
    }

    /// Returns the other fields, by their names.
    pub fn fields(&self) -> impl Iterator<Item = (&'static str, String)> {
        self.fields.iter().map(|(name, value)| (*name, redacted(value)))
    }
}

impl std::fmt::Debug for LogEvent {
    /// Without the texts, which are not redacted.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { level, target, .. } = self;
        f.debug_struct("LogEvent").field("level", level).field("target", target).finish_non_exhaustive()
    }
}

/// Returns a text without e-mail addresses, users of URLs, tokens and secrets.
fn redacted(text: &str) -> String {
    let (mut shown, mut after_scheme) = (String::with_capacity(text.len()), false);
    for part in text.split_inclusive(is_separator) {
        let word = part.trim_end_matches(is_separator);
        let is_hidden = !word.is_empty() && (after_scheme || is_secret(word));
        shown.push_str(if is_hidden { HIDDEN } else { word });
        shown.push_str(&part[word.len()..]);
        after_scheme = word.eq_ignore_ascii_case("bearer") || after_scheme && word.is_empty();
    }
    shown
}

fn is_separator(c: char) -> bool {
    c.is_whitespace() || "\"'`,;=()[]{}<>".contains(c)
}

fn is_secret(word: &str) -> bool {
    let is_token = word.len() >= TOKEN
        && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.+/".contains(&byte))
        && word.bytes().any(|byte| byte.is_ascii_digit())
        && Uuid::try_parse(word).is_err();
    is_token || word.contains('@') || word.starts_with("whsec_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_secrets_are_hidden_and_ids_are_not() {
        let id = Uuid::from_u128(7);
        for (text, shown) in [
            ("no user ann@example.org", "no user ***"),
            ("cannot connect to postgres://ann:secret@db/store (refused)", "cannot connect to *** (refused)"),
            ("authorization=\"Bearer abc\", retried", "authorization=\"Bearer ***\", retried"),
            ("the key whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "the key ***"),
            ("token 3q2-7wAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "token ***"),
            ("events were not delivered, retrying", "events were not delivered, retrying"),
            (&format!("order {id}"), &format!("order {id}")),
        ] {
            assert_eq!(redacted(text), shown);
        }
    }
}
