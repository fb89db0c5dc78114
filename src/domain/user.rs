//! People with an account, their sessions and their preferences.

use jiff::{Timestamp, civil::Date};
use sha2::{Digest, Sha256};
use unicode_normalization::UnicodeNormalization;

use super::ids::UserId;
use super::money::Currency;
use super::state::states;

states! {
    /// What a user may do.
    Role, "role", {
        /// Shop.
        Customer = "customer" -> [],
        /// Run the store.
        Admin = "admin" -> [],
    }
}

/// How many characters a password has at least.
pub const SHORTEST_PASSWORD: usize = 8;
/// How many characters a password has at most: more do not make it safer, and each costs time to hash.
pub const LONGEST_PASSWORD: usize = 128;
/// The greatest length of an e-mail address in bytes (RFC 5321 section 4.5.3.1.3, less the angle brackets).
const LONGEST_EMAIL: usize = 254;

/// A person with an account.
#[derive(Clone, PartialEq, Eq)]
pub struct User {
    /// Their id.
    pub id: UserId,
    /// Their address, as they wrote it.
    pub email: String,
    /// Their name.
    pub name: String,
    /// Argon2id, in PHC form; `None` cannot log in by password.
    pub password_hash: Option<String>,
    /// What they may do.
    pub role: Role,
    /// For goods with a minimum age.
    pub birth_date: Option<Date>,
    /// When they proved that the address is theirs.
    pub email_verified_at: Option<Timestamp>,
    /// When their data was erased on request.
    pub erased_at: Option<Timestamp>,
    /// Goes up with every change.
    pub version: i64,
    /// When they registered.
    pub created_at: Timestamp,
    /// When they were last changed.
    pub updated_at: Timestamp,
}

impl std::fmt::Debug for User {
    /// Without personal data: a user may end up in a log line.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("User").field("id", &self.id).field("role", &self.role).finish_non_exhaustive()
    }
}

impl User {
    /// Returns a user without a password and without a birth date.
    pub fn new(id: UserId, email: String, name: String, role: Role, created_at: Timestamp) -> Self {
        Self {
            id,
            email,
            name,
            password_hash: None,
            role,
            birth_date: None,
            email_verified_at: None,
            erased_at: None,
            version: 1,
            created_at,
            updated_at: created_at,
        }
    }

    /// Their age in full years on a day.
    pub fn age_on(&self, day: Date) -> Option<i64> {
        let birth = self.birth_date?;
        let years = i64::from(day.year()) - i64::from(birth.year());
        let had_birthday = (day.month(), day.day()) >= (birth.month(), birth.day());
        Some(if had_birthday { years } else { years - 1 })
    }
}

/// The form by which an e-mail address is known: two spellings of one address have the same.
///
/// NFKC and lower case on the whole address: that the part before the @ may be case-sensitive (RFC 5321 §2.4)
/// is a right no provider uses, and telling `Ann@` from `ann@` would let one person impersonate another.
pub fn email_key(email: &str) -> String {
    email.trim().nfkc().collect::<String>().to_lowercase().nfkc().collect()
}

/// Whether mail could be sent there: one `@`, no space, a host with a dot. Only a letter that arrives proves more.
pub fn is_email(text: &str) -> bool {
    let Some((local, host)) = text.rsplit_once('@') else { return false };
    let is_label =
        |label: &str| (1..=63).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-');
    text.len() <= LONGEST_EMAIL
        && (1..=64).contains(&local.len())
        && !text.contains(|c: char| c.is_whitespace() || c.is_control() || "()<>[]:;,\\\"".contains(c))
        && !local.contains('@')
        && host.split('.').all(is_label)
        // the last label of an IP address is a number, that of a name never is
        && host.rsplit_once('.').is_some_and(|(_, top)| !top.bytes().all(|byte| byte.is_ascii_digit()))
}

/// SHA-256 of a session's token: all that the store keeps of it.
pub fn token_hash(token: &str) -> Vec<u8> {
    Sha256::digest(token).to_vec()
}

/// A user's wishes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preferences {
    /// Whose.
    pub user_id: UserId,
    /// The language they read, a BCP 47 tag.
    pub locale: Option<String>,
    /// The currency they see.
    pub currency: Option<Currency>,
    /// Whether they agreed to be sent offers.
    pub marketing_consent: bool,
    /// When they said so.
    pub consent_at: Option<Timestamp>,
    /// Goes up with every change.
    pub version: i64,
    /// When they were last changed.
    pub updated_at: Timestamp,
}

/// A log-in. The token itself is known to its holder alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// SHA-256 of the token.
    pub token_hash: Vec<u8>,
    /// Whose.
    pub user_id: UserId,
    /// Since when.
    pub created_at: Timestamp,
    /// Until when.
    pub expires_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_e_mail_address_is_one_that_mail_could_be_sent_to() {
        for good in
            ["ann@example.org", "a.b+c@sub.example.co.uk", "größe@bücher.example", "o'neil@example.org"]
        {
            assert!(is_email(good), "{good}");
        }
        let long = format!("{}@example.org", "a".repeat(65));
        for bad in [
            "",
            "@",
            "ann",
            "ann@",
            "@example.org",
            "ann@example",
            "a@b@example.org",
            "ann @example.org",
            "ann@exam ple.org",
            "ann@.org",
            "ann@example..org",
            "ann@-example.org",
            "ann@127.0.0.1",
            "ann@example.org, bob@example.org",
            "ann\n@example.org",
            &long,
        ] {
            assert!(!is_email(bad), "{bad:?}");
        }
    }
}
