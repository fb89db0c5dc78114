//! Time-based one-time passwords (TOTP, RFC 6238) of authenticator apps, and the recovery codes in place of them.
//!
//! The parameters are those that all apps know: HMAC-SHA-1, six digits, a new code every 30 seconds. Collisions of
//! SHA-1 do not concern HMAC (RFC 4226, appendix B.2).

use aws_lc_rs::hmac;
use data_encoding::BASE32_NOPAD;
use jiff::{SignedDuration, Timestamp};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::ids::UserId;
use super::time::earlier;

/// The length of a secret in bytes, as RFC 4226 recommends (section 4, R6).
pub const SECRET_BYTES: usize = 20;
/// The number of recovery codes of a user.
pub const RECOVERY_CODES: usize = 10;
/// The length of a recovery code in bytes: 120 bits, which are not guessed. From 112 bits on, OWASP ASVS 5.0 (6.5.2)
/// requires no slow hash.
pub const RECOVERY_CODE_BYTES: usize = 15;
/// How long a secret can be confirmed.
const ENROLMENT: SignedDuration = SignedDuration::from_mins(15);
/// The wrong codes in a row after which further ones are delayed.
const FREE_FAILURES: i64 = 5;
/// The longest delay after a wrong code, in minutes.
const LONGEST_DELAY: i64 = 24 * 60;

/// After so many doublings a delay is longer than the longest.
const DOUBLINGS: i64 = 11;

/// The seconds for which a code is the current one.
const STEP_SECONDS: i64 = 30;
/// The digits of a code.
const DIGITS: usize = 6;
/// The steps before and after the current one whose codes are accepted, since clocks differ.
const SKEW: i64 = 1;

/// What the store has of the one-time passwords of a user. They are required from the time on that the user has in
/// `totp_since`.
#[derive(Clone, PartialEq, Eq)]
pub struct OneTimePasswords {
    /// The user.
    pub user_id: UserId,
    /// The encrypted secret.
    pub secret: Vec<u8>,
    /// The step of the last code that was used. No code of it or an earlier one is accepted again.
    pub last_step: i64,
    /// The number of wrong codes since the last right one.
    pub failures: i64,
    /// The time until which no code is accepted, UTC.
    pub blocked_until: Option<Timestamp>,
    /// The time at which the secret was generated, UTC.
    pub created_at: Timestamp,
}

impl OneTimePasswords {
    /// Returns whether the app can still be enrolled: the secret is not older than 15 minutes.
    pub fn can_be_confirmed(&self, now: Timestamp) -> bool {
        self.created_at >= earlier(now, ENROLMENT)
    }

    /// Returns the minutes for which no code is accepted after one more wrong one: none after the first four in a row,
    /// then 1, 2, 4, and so on up to a day. In a year fewer than 400 codes can be guessed.
    pub fn delay_after_failure(&self) -> Option<i64> {
        let over = self.failures + 1 - FREE_FAILURES;
        (over >= 0).then(|| LONGEST_DELAY.min(1 << over.min(DOUBLINGS)))
    }
}

/// Returns the step whose code is `text`, among the current one and those beside it; `None` if it is none of theirs.
pub fn matching_step(secret: &[u8], text: &str, now: Timestamp) -> Option<i64> {
    let digits: String = text.chars().filter(|char| *char != ' ').collect();
    let current = now.as_second().div_euclid(STEP_SECONDS);
    let mut found = None;
    for step in current - SKEW..=current + SKEW {
        // each is compared, so that the time says nothing
        if code(secret, step, DIGITS).as_bytes().ct_eq(digits.as_bytes()).into() {
            found = Some(step);
        }
    }
    found
}

/// Returns the code of a step: HOTP (RFC 4226, section 5.3) of the number of the step.
fn code(secret: &[u8], step: i64, digits: usize) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
    let tag = hmac::sign(&key, &step.to_be_bytes());
    let tag = tag.as_ref();
    let offset = tag.last().map_or(0, |byte| usize::from(byte & 0xf));
    let part = tag.get(offset..).and_then(|rest| rest.first_chunk()).copied().unwrap_or_default();
    let number = u32::from_be_bytes(part) & 0x7fff_ffff;
    let whole = format!("{number:0>10}");
    whole.get(whole.len() - digits..).unwrap_or_default().to_owned()
}

/// Returns the text of a secret, which a user can type into an app.
pub fn secret_text(secret: &[u8]) -> String {
    BASE32_NOPAD.encode(secret)
}

/// Returns the URI that an app reads from a QR code, with the store as the issuer and the user's e-mail address as the
/// account.
pub fn otpauth_uri(secret: &[u8], issuer: &str, account: &str) -> String {
    let [issuer, account] = [issuer, account].map(|text| utf8_percent_encode(text, NON_ALPHANUMERIC));
    let secret = secret_text(secret);
    let parameters = format!("algorithm=SHA1&digits={DIGITS}&period={STEP_SECONDS}");
    format!("otpauth://totp/{issuer}:{account}?secret={secret}&issuer={issuer}&{parameters}")
}

/// Returns the text of a recovery code, in groups of four characters.
pub fn recovery_code_text(code: [u8; RECOVERY_CODE_BYTES]) -> String {
    let text = BASE32_NOPAD.encode(&code).to_lowercase();
    let groups: Vec<_> = text.as_bytes().chunks(4).map(String::from_utf8_lossy).collect();
    groups.join("-")
}

/// Returns the SHA-256 hash of a recovery code, which the store keeps. Letter case, spaces and hyphens do not matter. A
/// slow hash is for secrets that can be guessed.
pub fn recovery_code_hash(text: &str) -> Vec<u8> {
    let plain: String = text.chars().filter(|char| !matches!(char, ' ' | '-')).collect();
    Sha256::digest(plain.to_uppercase()).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"12345678901234567890";

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn the_codes_are_those_of_rfc_6238() {
        // appendix B, the lines of SHA-1
        for (second, expected) in [
            (59, "94287082"),
            (1_111_111_109, "07081804"),
            (1_111_111_111, "14050471"),
            (1_234_567_890, "89005924"),
            (2_000_000_000, "69279037"),
            (20_000_000_000, "65353130"),
        ] {
            assert_eq!(code(SECRET, second / STEP_SECONDS, 8), expected, "{second}");
        }
    }

    #[test]
    fn the_codes_are_those_of_rfc_4226() {
        // appendix D
        let expected = [
            "755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871",
            "520489",
        ];
        for (step, expected) in (0..).zip(expected) {
            assert_eq!(code(SECRET, step, DIGITS), expected, "{step}");
        }
    }

    #[test]
    fn the_code_of_one_step_before_or_after_matches_and_no_other() {
        for (second, step) in
            [(0, Some(1)), (30, Some(1)), (89, Some(1)), (90, None), (i64::from(u16::MAX), None)]
        {
            assert_eq!(matching_step(SECRET, "287082", at(second)), step, "{second}");
        }
        assert_eq!(matching_step(SECRET, "287 082", at(30)), Some(1), "as apps show it");
        for wrong in ["", "28708", "2870822", "28708x", "\u{662}87082", "94287082"] {
            assert_eq!(matching_step(SECRET, wrong, at(59)), None, "{wrong}");
        }
    }

    #[test]
    fn the_uri_names_the_issuer_and_the_account() {
        assert_eq!(
            otpauth_uri(SECRET, "Ann & Co", "ann@example.org"),
            "otpauth://totp/Ann%20%26%20Co:ann%40example%2Eorg?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\
             &issuer=Ann%20%26%20Co&algorithm=SHA1&digits=6&period=30"
        );
    }

    #[test]
    fn a_recovery_code_is_read_in_each_spelling() {
        let text = recovery_code_text([7; RECOVERY_CODE_BYTES]);
        assert_eq!(text.len(), 29, "{text}");
        let hash = recovery_code_hash(&text);
        assert_eq!(recovery_code_hash(&text.to_uppercase().replace('-', " ")), hash);
        assert_ne!(recovery_code_hash(&recovery_code_text([8; RECOVERY_CODE_BYTES])), hash);
    }

    #[test]
    fn wrong_codes_are_delayed_longer_and_longer() {
        let after = |failures| {
            let user_id = UserId(uuid::Uuid::nil());
            let created_at = Timestamp::UNIX_EPOCH;
            OneTimePasswords {
                user_id,
                secret: Vec::new(),
                last_step: 0,
                failures,
                blocked_until: None,
                created_at,
            }
            .delay_after_failure()
        };
        assert_eq!(
            [0, 3, 4, 5, 6, 14, 15, 99].map(after),
            [None, None, Some(1), Some(2), Some(4), Some(1_024), Some(1_440), Some(1_440)]
        );
    }
}
