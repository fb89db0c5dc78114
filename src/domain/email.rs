//! E-mails to customers and administrators, and the addresses of e-mails.

use std::borrow::Cow;

use idna::AsciiDenyList;
use idna::uts46::{DnsLength, Hyphens, Uts46};
use jiff::{SignedDuration, Timestamp};
use unicode_normalization::UnicodeNormalization;
use uuid::Uuid;

use super::ids::{EmailId, UserId, UserTokenId};
use super::state::states;
use super::text::{is_invisible, is_line};
use super::trace::TraceContext;

/// The greatest length of an e-mail address in bytes (RFC 5321 section 4.5.3.1.3, less the angle brackets).
const LONGEST_EMAIL: usize = 254;

/// The waits before the attempts after the first: about a day in all.
const WAITS: [SignedDuration; 6] = [
    SignedDuration::from_mins(1),
    SignedDuration::from_mins(5),
    SignedDuration::from_mins(30),
    SignedDuration::from_hours(2),
    SignedDuration::from_hours(6),
    SignedDuration::from_hours(16),
];

states! {
    /// The status of an e-mail.
    EmailStatus, "e-mail", {
        /// The e-mail is to be sent.
        Pending = "pending" -> [Sent, Failed],
        /// The mail server accepted the e-mail.
        Sent = "sent" -> [],
        /// The mail server refused the e-mail for good, or every attempt failed.
        Failed = "failed" -> [Pending],
    }
}

states! {
    /// The kind of a notice that tells the owner of an account what concerns its security. Those that are to be sent
    /// are sent also after the account was erased: who did it may have caused them.
    SecurityNotice, "security notice", {
        /// The account was erased: the last one.
        AccountErased = "account_erased" -> [],
        /// An API key was created.
        ApiKeyCreated = "api_key_created" -> [],
        /// Another address was requested.
        EmailChangeRequested = "email_change_requested" -> [],
        /// The account has another address; sent to the former one.
        EmailChanged = "email_changed" -> [],
        /// Logging in requires no one-time password any more.
        OneTimePasswordsDisabled = "one_time_passwords_disabled" -> [],
        /// Logging in requires a one-time password.
        OneTimePasswordsEnabled = "one_time_passwords_enabled" -> [],
        /// The password was right, and several one-time passwords were wrong.
        OneTimePasswordsRefused = "one_time_passwords_refused" -> [],
        /// The password was changed.
        PasswordChanged = "password_changed" -> [],
        /// A recovery code was used.
        RecoveryCodeUsed = "recovery_code_used" -> [],
        /// The recovery codes were replaced.
        RecoveryCodesReplaced = "recovery_codes_replaced" -> [],
    }
}

/// An e-mail, as plain text.
#[derive(Clone, PartialEq, Eq)]
pub struct Email {
    /// The id, from which the header `Message-ID` follows: a repeated attempt has the same.
    pub id: EmailId,
    /// The user to whom it is sent; `None` for a guest.
    pub user_id: Option<UserId>,
    /// The event that it is about; `None` if there is none. There is one e-mail for each.
    pub event_id: Option<Uuid>,
    /// The kind, such as `order_paid`.
    pub kind: String,
    /// The address to which it is sent.
    pub recipient: String,
    /// The subject.
    pub subject: String,
    /// The text.
    pub body: String,
    /// The status.
    pub status: EmailStatus,
    /// The number of attempts that have ended.
    pub attempts: i64,
    /// The time of the next attempt; `None` if there is none.
    pub due_at: Option<Timestamp>,
    /// Why the last attempt failed.
    pub error: Option<String>,
    /// When the e-mail was created.
    pub created_at: Timestamp,
    /// When the e-mail was sent or failed.
    pub ended_at: Option<Timestamp>,
    /// The token that replaces `{token}` in the text when the e-mail is handed to the mail server.
    pub token_id: Option<UserTokenId>,
    /// The trace of the request or job that caused the e-mail.
    pub trace: Option<TraceContext>,
    /// Under which [`limit_key`] the e-mail is counted; `None` if such e-mails have no limit.
    pub limit_key: Option<String>,
}

impl std::fmt::Debug for Email {
    /// Without the address and the text, which are personal data.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { id, kind, status, attempts, .. } = self;
        f.debug_struct("Email")
            .field("id", id)
            .field("kind", kind)
            .field("status", status)
            .field("attempts", attempts)
            .finish_non_exhaustive()
    }
}

/// Returns the wait after so many failed attempts; `None` if there is no further one.
pub fn wait_after(attempts: i64) -> Option<SignedDuration> {
    usize::try_from(attempts - 1).ok().and_then(|failed| WAITS.get(failed)).copied()
}

/// Returns the key of an e-mail address: two spellings of one address have the same key.
///
/// The key is the whole address in NFKC and lower case, with its domain in ASCII: `user@münchen.example` and
/// `user@xn--mnchen-3ya.example` are one address. The part before the `@` may be case-sensitive (RFC 5321 section 2.4),
/// but no provider uses that, and accounts for both `Ann@` and `ann@` would allow impersonation.
pub fn email_key(email: &str) -> String {
    ascii_email(&lower_case(email)).into_owned()
}

/// Returns the key under which e-mails of a topic to an address are counted, in any spelling of the address.
pub fn limit_key(topic: &str, email: &str) -> String {
    format!("{topic} {}", email_key(email))
}

/// Returns whether two spellings are of one mailbox: they have the same key, and what is before the `@` differs at most
/// in the case of letters. `ﬁn@example.org` and `fin@example.org` have the same key, so that they cannot be two
/// accounts, but may have two owners.
pub fn is_same_mailbox(one: &str, other: &str) -> bool {
    let local = |email: &str| {
        let (local, _) = email.trim().rsplit_once('@')?;
        Some(local.nfc().collect::<String>().to_lowercase())
    };
    local(one) == local(other) && email_key(one) == email_key(other)
}

/// Returns the keys by which the account of an e-mail address is stored. The first one is that of the spelling itself,
/// with its domain in its own letters or in ASCII; there is a second one for the other spelling of an internationalised
/// domain. An account is stored by the spelling in which its user wrote the address, so that one which was created
/// before the two were the same keeps its key.
///
/// A domain of ASCII that is written with another full stop, such as the one of Chinese (U+3002), is stored in ASCII.
/// The second key finds an account that was stored with that full stop.
pub fn stored_email_keys(email: &str) -> (String, Option<String>) {
    let lower = lower_case(email);
    let ascii = ascii_email(&lower).into_owned();
    let Some(unicode) = unicode_email(&ascii) else {
        let written = (lower != ascii).then_some(lower);
        return (ascii, written);
    };
    let is_ascii = lower.rsplit_once('@').is_some_and(|(_, domain)| domain.is_ascii());
    if is_ascii { (ascii, Some(unicode)) } else { (unicode, Some(ascii)) }
}

/// Returns an address in NFKC and lower case.
fn lower_case(email: &str) -> String {
    email.trim().nfkc().collect::<String>().to_lowercase().nfkc().collect()
}

/// Returns an address with its internationalised domain in its own letters; `None` for other addresses.
fn unicode_email(ascii: &str) -> Option<String> {
    let (local, domain) = ascii.rsplit_once('@')?;
    let (unicode, is_domain) = Uts46::new().to_unicode(domain.as_bytes(), AsciiDenyList::URL, Hyphens::Allow);
    (is_domain.is_ok() && unicode != domain).then(|| format!("{local}@{unicode}"))
}

/// Returns an e-mail address with its domain in ASCII (RFC 5890 section 2.3.2.1), with which every mail server delivers
/// to it; the address itself if its domain is none.
pub fn ascii_email(email: &str) -> Cow<'_, str> {
    let converted = email.rsplit_once('@').and_then(|(local, domain)| Some((local, ascii_domain(domain)?)));
    match converted {
        Some((_, Cow::Borrowed(_))) | None => email.into(),
        Some((local, domain)) => format!("{local}@{domain}").into(),
    }
}

/// Returns a domain in ASCII, with each label converted by UTS 46; `None` if a label has characters that no domain has,
/// or is no valid encoding. The lengths of labels are not checked.
fn ascii_domain(domain: &str) -> Option<Cow<'_, str>> {
    Uts46::new().to_ascii(domain.as_bytes(), AsciiDenyList::URL, Hyphens::Allow, DnsLength::Ignore).ok()
}

/// Returns whether a text has the form of an e-mail address: one `@`, no space, no invisible character, by which two
/// addresses would look alike, before the `@` no dot at an end or after another one (RFC 5321 section 4.1.2), and a
/// domain with a dot, whose labels are valid in ASCII. Its key must have this form, too: characters such as `﹫` stand
/// for others. Before the `@` there are none of these at all, such as `ａ` for `a`: who has such an address could
/// register that of another. Whether the address exists is not checked.
pub fn is_email(text: &str) -> bool {
    let folded: String = text.nfkc().collect();
    has_form(text) && (folded == text || has_form(&folded) && has_plain_local_part(text))
}

/// Returns whether what is before the `@` has no character that stands for others.
fn has_plain_local_part(text: &str) -> bool {
    text.rsplit_once('@').is_some_and(|(local, _)| local.nfkc().eq(local.nfc()))
}

fn has_form(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    let Some(domain) = ascii_domain(domain) else { return false };
    let is_label =
        |label: &str| (1..=63).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-');
    text.len().max(local.len() + 1 + domain.len()) <= LONGEST_EMAIL
        && (1..=64).contains(&local.len())
        && local.split('.').all(|atom| !atom.is_empty())
        && is_line(text)
        && !text.contains(|c: char| c.is_whitespace() || is_invisible(c) || "()<>[]:;,\\\"".contains(c))
        && !local.contains('@')
        && domain.split('.').all(is_label)
        // The last label of an IP address is a number, that of a domain never is.
        && domain.rsplit_once('.').is_some_and(|(_, top)| !top.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_e_mail_address_has_one_at_sign_and_a_host_with_a_dot() {
        for good in
            ["ann@example.org", "a.b+c@sub.example.co.uk", "größe@bücher.example", "o'neil@example.org"]
        {
            assert!(is_email(good), "{good}");
        }
        let long = format!("{}@example.org", "a".repeat(65));
        // in ASCII it has more than 63 bytes
        let letters = (0..20).filter_map(|number| char::from_u32(0x4e00 + number * 7919 % 20_000));
        let long_label = format!("ann@{}.example", letters.collect::<String>());
        for bad in [
            "",
            "@",
            "ann",
            "ann@",
            "@example.org",
            "ann@example",
            "a@b@example.org",
            ".a@example.org",
            "a.@example.org",
            "a..b@example.org",
            "ann @example.org",
            "ann@exam ple.org",
            "ann@.org",
            "ann@example..org",
            "ann@-example.org",
            "ann@127.0.0.1",
            "ann@example.org, bob@example.org",
            "ann\n@example.org",
            "ann\u{202e}@example.org",
            "a\u{200b}nn@example.org",
            "a\u{ad}nn@example.org",
            "ann@exa\u{2060}mple.org",
            "\u{feff}ann@example.org",
            "ann@xn--a.example",
            "a\u{fe6b}b@example.org",
            "\u{2024}a@example.org",
            "a\u{2026}b@example.org",
            "a\u{ff1c}b\u{ff1e}@example.org",
            "\u{ff42}oss@example.org",
            "\u{fb01}n@example.org",
            "ann@b\u{fc}cher%.example",
            "ann@b\u{e000}cher.example",
            &long,
            &long_label,
        ] {
            assert!(!is_email(bad), "{bad:?}");
        }
    }

    #[test]
    fn the_spellings_of_a_domain_are_one_address() {
        let key = "user@xn--mnchen-3ya.example";
        for spelling in [
            key,
            "user@münchen.example",
            " User@MÜNCHEN.example",
            "user@mu\u{308}nchen.example",
            "user@XN--MNCHEN-3YA.Example",
            "user@münchen\u{3002}example",
        ] {
            assert_eq!(email_key(spelling), key, "{spelling}");
        }
        assert_eq!(ascii_email("Größe@München.example"), "Größe@xn--mnchen-3ya.example");
        assert_eq!(ascii_email("Ann@Example.org"), "Ann@example.org");
        for (other, other_key) in [
            ("Größe@example.org", "größe@example.org"),
            ("Ann@a_b.example", "ann@a_b.example"),
            ("user@munchen.example", "user@munchen.example"),
            ("user@straße.example", "user@xn--strae-oqa.example"),
            ("no address", "no address"),
            ("ann@xn--a.example", "ann@xn--a.example"),
        ] {
            assert_eq!(email_key(other), other_key);
        }
        let (ascii, unicode) = (key.to_owned(), "user@münchen.example".to_owned());
        assert_eq!(stored_email_keys(key), (ascii.clone(), Some(unicode.clone())));
        assert_eq!(stored_email_keys(" User@MÜNCHEN\u{3002}Example"), (unicode, Some(ascii)));
        assert_eq!(stored_email_keys("Größe@example.org"), ("größe@example.org".to_owned(), None));
        let (ascii, written) = ("ann@example.org".to_owned(), "ann@example\u{3002}org".to_owned());
        for stop in ['\u{3002}', '\u{ff61}'] {
            let keys = stored_email_keys(&format!("Ann@Example{stop}org"));
            assert_eq!(keys, (ascii.clone(), Some(written.clone())));
        }
        assert_eq!(stored_email_keys("Ann@example\u{ff0e}org"), (ascii, None));
    }

    #[test]
    fn compatible_characters_may_be_of_another_mailbox() {
        let is_same = |other| is_same_mailbox("Fin@münchen.example", other);
        assert!(is_same("fin@xn--mnchen-3ya.example") && is_same(" FIN@M\u{fc}NCHEN.example"));
        assert!(!is_same("\u{fb01}n@münchen.example") && !is_same("fin@example.org") && !is_same("fin"));
        assert!(is_same_mailbox("ÖRN@example.org", "o\u{308}rn@example.org"));
        assert!(!is_same_mailbox("\u{17f}am@example.org", "sam@example.org"), "a long s");
    }
}
