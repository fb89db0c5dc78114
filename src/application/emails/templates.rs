//! The texts of e-mails: templates with arguments.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::domain::template::fill;
use crate::infrastructure::exceptions::{Failure, Technical};

/// The texts of a kind of e-mails.
#[derive(Debug, Deserialize)]
struct Template {
    subject: String,
    body: String,
}

static ENGLISH: LazyLock<HashMap<String, Template>> = LazyLock::new(|| {
    // A test parses the file, so the fallback is never used.
    serde_json::from_str(include_str!("../../../locales/en/emails.json")).unwrap_or_default()
});

/// Returns the subject and the text of an e-mail.
pub(super) fn texts(kind: &str, arguments: &Map<String, Value>) -> Result<(String, String), Failure> {
    let template = ENGLISH.get(kind).ok_or_else(|| Technical::internal(format!("no e-mail {kind}")))?;
    // a subject is one line
    let subject = fill(&template.subject, arguments).replace(['\r', '\n'], " ");
    Ok((subject, fill(&template.body, arguments)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::email::SecurityNotice;
    use crate::domain::state::State;

    #[test]
    fn the_subject_is_one_line() {
        let arguments = json!({"order_number": 7, "seller": "A\r\nBcc: b@example.com", "lines": "1 x Cup", "total": "5.00 EUR"});
        let (subject, body) = texts("order_paid", arguments.as_object().unwrap()).unwrap();
        assert_eq!(subject, "A  Bcc: b@example.com: your order 7");
        assert!(body.contains("1 x Cup"), "{body}");
    }

    #[test]
    fn each_kind_has_a_template_and_each_template_a_kind() {
        let mut kinds: Vec<_> = ENGLISH.keys().map(String::as_str).collect();
        kinds.sort_unstable();
        let known = [
            "account_erased",
            "api_key_created",
            "digest",
            "email_change",
            "email_change_requested",
            "email_changed",
            "email_verification",
            "one_time_passwords_disabled",
            "one_time_passwords_enabled",
            "one_time_passwords_refused",
            "order_cancelled",
            "order_delivered",
            "order_fulfilled",
            "order_paid",
            "order_payment_failed",
            "password_changed",
            "password_reset",
            "payment_refunded",
            "recovery_code_used",
            "recovery_codes_replaced",
            "registration_attempted",
            "registration_repeated",
            "subscription_cancelled",
            "subscription_expired",
            "subscription_past_due",
        ];
        assert_eq!(kinds, known);
        for notice in SecurityNotice::ALL {
            assert!(kinds.contains(&notice.name()), "{notice:?}");
        }
    }
}
