//! The tokens of sessions: 256 random bits, and a tag by which the store knows a token that it issued without having
//! it. A text that it did not issue is not written down when someone logs out with it.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use subtle::ConstantTimeEq;

use crate::infrastructure::repositories::{SigningKey, UnitOfWork};

/// The number of random bytes.
const RANDOM: usize = 32;
/// The number of bytes of the tag.
const TAG: usize = 8;
/// What the tag is for.
const PURPOSE: &str = "session token";

/// Returns a new token.
pub(super) fn new(work: &UnitOfWork, key: &SigningKey) -> String {
    let mut random = [0; RANDOM];
    work.secret(&mut random);
    let token = random.into_iter().chain(key.sign(PURPOSE, &random).into_iter().take(TAG));
    URL_SAFE_NO_PAD.encode(token.collect::<Vec<_>>())
}

/// Returns whether the store issued a text as a token, whatever has become of its session. Those of a version before
/// have no tag.
pub(super) fn is_issued(key: &SigningKey, text: &str) -> bool {
    let Ok(token) = URL_SAFE_NO_PAD.decode(text) else { return false };
    let Some((random, tag)) = token.split_at_checked(RANDOM) else { return false };
    let expected = key.sign(PURPOSE, random);
    expected.get(..TAG).is_some_and(|expected| expected.ct_eq(tag).into())
}
