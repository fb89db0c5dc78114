//! API keys: programs act by them for the user who created them.
//!
//! A key is `uck_`, 44 random digits of base 62, and a checksum of 6 digits. Programs that search for leaked secrets
//! find it by its form, and a mistyped key is refused without a query. Only the client has the key; the store keeps its
//! hash.

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::ids::{ApiKeyId, UserId};
use super::permission::{Permission, Permissions, Resource};

/// The beginning of every key.
pub const API_KEY_PREFIX: &str = "uck_";
/// The number of random bytes of a key.
pub const API_KEY_BYTES: usize = 32;
/// The most keys of a user.
pub const MAX_API_KEYS: i64 = 100;

/// The permissions that no key can have: all that they allow requires a session.
pub const SESSION_ONLY: [Permission; 3] = [
    Permission::read(Resource::ApiKeys),
    Permission::write(Resource::ApiKeys),
    Permission::write(Resource::Roles),
];

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// The digits of 16 bytes.
const HALF: usize = 22;
/// The digits of the checksum.
const CHECKSUM: usize = 6;
/// The characters of a key that lists show.
const HINT: usize = 12;

/// A key of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// The id.
    pub id: ApiKeyId,
    /// The user for whom the key acts.
    pub user_id: UserId,
    /// The name, by which the user knows what uses the key.
    pub name: String,
    /// The beginning of the key.
    pub hint: String,
    /// The SHA-256 hash of the key.
    pub key_hash: Vec<u8>,
    /// The permissions of the key. It has those of them that its user has, too.
    pub scopes: Permissions,
    /// Whether the key only reads: it is refused with a method that may change something.
    pub read_only: bool,
    /// The time at which the key was created, UTC.
    pub created_at: Timestamp,
    /// The time at which the key expires, UTC; `None` if it does not.
    pub expires_at: Option<Timestamp>,
    /// The time of the last use that was recorded, UTC; `None` if there was none.
    pub last_used_at: Option<Timestamp>,
}

/// The text of a key, which the client gets once.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKeyText(String);

impl std::fmt::Debug for ApiKeyText {
    /// Writes the hint alone, since the text may be logged.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}…", self.hint())
    }
}

impl ApiKeyText {
    /// Returns the key of these random bytes.
    pub fn new(secret: [u8; API_KEY_BYTES]) -> Self {
        let mut text = API_KEY_PREFIX.to_owned();
        for half in secret.chunks_exact(16) {
            let number = half.iter().fold(0, |number, &byte| number << 8 | u128::from(byte));
            push_digits(&mut text, number, HALF);
        }
        let checksum = checksum(&text);
        push_digits(&mut text, checksum, CHECKSUM);
        Self(text)
    }

    /// Returns the key of a text; `None` if its form or its checksum is wrong.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix(API_KEY_PREFIX)?;
        let has_form =
            digits.len() == 2 * HALF + CHECKSUM && digits.bytes().all(|digit| DIGITS.contains(&digit));
        let (content, stated) = text.split_at_checked(text.len().checked_sub(CHECKSUM)?)?;
        let mut expected = String::new();
        push_digits(&mut expected, checksum(content), CHECKSUM);
        (has_form && stated == expected).then(|| Self(text.to_owned()))
    }

    /// Returns the whole key.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Returns the beginning, by which the user recognizes the key.
    pub fn hint(&self) -> &str {
        self.0.get(..HINT).unwrap_or_default()
    }

    /// Returns the SHA-256 hash of the key.
    pub fn hash(&self) -> Vec<u8> {
        Sha256::digest(&self.0).to_vec()
    }
}

/// Appends the last `count` digits of a number in base 62.
fn push_digits(text: &mut String, mut number: u128, count: usize) {
    let mut digits = [b'0'; HALF];
    for digit in digits.iter_mut().take(count).rev() {
        *digit =
            usize::try_from(number % 62).ok().and_then(|index| DIGITS.get(index)).copied().unwrap_or(b'0');
        number /= 62;
    }
    text.extend(digits.iter().take(count).copied().map(char::from));
}

/// Returns the CRC-32 of a text (ISO 3309), as in the tokens of GitHub.
fn checksum(text: &str) -> u128 {
    crc32fast::hash(text.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_its_form_and_a_checksum() {
        // computed by another program
        let key = ApiKeyText::new([0xff; 32]);
        assert_eq!(key.expose(), "uck_7n42DGM5Tflk9n8mt7Fhc77n42DGM5Tflk9n8mt7Fhc71e1l6Z");
        assert_eq!(key.hint(), "uck_7n42DGM5");
        assert_eq!(ApiKeyText::parse(key.expose()), Some(key.clone()));
        assert_eq!(format!("{key:?}"), "uck_7n42DGM5…");
        assert_ne!(ApiKeyText::new([0; 32]).hash(), key.hash());
    }

    #[test]
    fn a_text_that_differs_in_one_character_is_no_key() {
        let key = ApiKeyText::new([7; 32]).expose().to_owned();
        for index in 0..key.len() {
            for other in ['0', 'z', '-', ' '] {
                let mut changed: Vec<char> = key.chars().collect();
                let was = std::mem::replace(&mut changed[index], other);
                let text: String = changed.into_iter().collect();
                assert!(was == other || ApiKeyText::parse(&text).is_none(), "{text}");
            }
        }
        for text in
            ["", "uck_", "uck_ä", &key[1..], &key[..key.len() - 1], &format!("{key}0"), &format!(" {key}")]
        {
            assert_eq!(ApiKeyText::parse(text), None, "{text}");
        }
    }
}
