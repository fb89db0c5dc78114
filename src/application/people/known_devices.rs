//! Known devices: a client that has logged in to an account keeps a token, which the store signs and does not keep.
//!
//! The token only says that failed log-ins of strangers do not count for this client; it logs no one in.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use subtle::ConstantTimeEq;

use crate::application::Store;
use crate::domain::ids::UserId;

/// The number of bytes of an id.
const ID: usize = 16;
/// The number of bytes of the signature that a token contains.
const SIGNATURE: usize = 24;
/// What the signature is for.
const PURPOSE: &str = "known device";

/// Returns the token of a new device of a user: the ids of the user and of the device, and a signature.
pub(super) fn issue(store: &Store, user_id: UserId) -> String {
    let device = store.database().context().ids.uuid();
    let mut token = [user_id.0.into_bytes(), device.into_bytes()].concat();
    let signature = store.database().signing_key().sign(PURPOSE, &token);
    token.extend(signature.iter().take(SIGNATURE));
    URL_SAFE_NO_PAD.encode(token)
}

/// Returns the id of the device of a user that a token names; `None` if the store did not issue it for the user.
pub(super) fn verify(store: &Store, user_id: UserId, token: &str) -> Option<Vec<u8>> {
    let token = URL_SAFE_NO_PAD.decode(token).ok()?;
    let (content, signature) = token.split_at_checked(2 * ID)?;
    let expected = store.database().signing_key().sign(PURPOSE, content);
    let is_signed: bool = expected.get(..SIGNATURE)?.ct_eq(signature).into();
    let (user, device) = content.split_at_checked(ID)?;
    (is_signed && user == user_id.0.as_bytes()).then(|| device.to_owned())
}
