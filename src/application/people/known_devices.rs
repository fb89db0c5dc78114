//! Known devices: a client that has logged in to an account keeps a token, which the store signs and does not keep.
//!
//! The token only says that failed log-ins of strangers do not count for this client; it logs no one in. It is
//! valid for a year, and until the password changes: who knew a former password has no known device.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};
use subtle::ConstantTimeEq;
use uuid::Uuid;

use super::passwords::salt_of;
use crate::application::Store;
use crate::domain::ids::UserId;
use crate::domain::time::earlier;
use crate::domain::user::User;

/// The number of bytes of an id.
const ID: usize = 16;
/// The number of bytes of the signature that a token contains.
const SIGNATURE: usize = 24;
/// What the signature is for.
const PURPOSE: &str = "known device";
/// How long a token is valid.
pub const LIFETIME: SignedDuration = SignedDuration::from_hours(365 * 24);

/// Returns the token of a new device of a user whose password has this hash: the ids of the user and of the device,
/// which has the time, and a signature.
pub(super) fn issue(store: &Store, user_id: UserId, password_hash: &str) -> String {
    let device = store.database().context().ids.uuid();
    let mut token = [user_id.0.into_bytes(), device.into_bytes()].concat();
    let signature = sign(store, &token, password_hash);
    token.extend(signature.iter().take(SIGNATURE));
    URL_SAFE_NO_PAD.encode(token)
}

/// Returns the id of the device of a user that a token names; `None` if the store did not issue it for the user and the
/// present password, or too long ago.
pub(super) fn verify(store: &Store, user: &User, token: &str) -> Option<Vec<u8>> {
    let token = URL_SAFE_NO_PAD.decode(token).ok()?;
    let (content, signature) = token.split_at_checked(2 * ID)?;
    let expected = sign(store, content, user.password_hash.as_deref()?);
    let is_signed: bool = expected.get(..SIGNATURE)?.ct_eq(signature).into();
    let (user_id, device) = content.split_at_checked(ID)?;
    let is_known =
        is_signed && user_id == user.id.0.as_bytes() && issued_at(device)? > earlier(store.now(), LIFETIME);
    is_known.then(|| device.to_owned())
}

/// Signs what a token says for the present password, of which the hash changes with its parameters, and the salt does
/// not.
fn sign(store: &Store, content: &[u8], password_hash: &str) -> Vec<u8> {
    let salt = salt_of(password_hash).unwrap_or_else(|| password_hash.as_bytes().to_vec());
    let signed = [content, &salt].concat();
    store.database().signing_key().sign(PURPOSE, &signed).to_vec()
}

/// Returns the time at which the id of a device was created.
fn issued_at(device: &[u8]) -> Option<Timestamp> {
    let (seconds, nanoseconds) = Uuid::from_slice(device).ok()?.get_timestamp()?.to_unix();
    Timestamp::new(i64::try_from(seconds).ok()?, i32::try_from(nanoseconds).ok()?).ok()
}
