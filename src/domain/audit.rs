//! The audit log: who did what in the administration of the store and for the security of accounts. An entry contains
//! the hash of the one before it, so that a changed, removed or moved entry is found. It has ids, names of tables and
//! columns, and no other values: neither secrets nor personal data.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;
use uuid::Uuid;

use super::ids::{ApiKeyId, SessionId, UserId};
use super::state::states;

states! {
    /// The kind of an actor.
    ActorKind, "actor", {
        /// A user with a session.
        User = "user" -> [],
        /// A client without a session.
        Guest = "guest" -> [],
        /// A command on the command line.
        Command = "command" -> [],
        /// The store itself, such as a job.
        Store = "store" -> [],
    }
}

states! {
    /// An action that concerns the security of an account. The subject of its entry is the user, or the API key.
    SecurityAction, "security action", {
        /// An account was created.
        Registered = "user.registered" -> [],
        /// Someone registered with the address of an account, and the response does not say so.
        RegistrationAttempted = "registration.attempted" -> [],
        /// A user logged in.
        LoggedIn = "session.created" -> [],
        /// A password was wrong, or the e-mail address has no account; then there is no subject.
        LogInRefused = "session.refused" -> [],
        /// A session was ended by its user.
        LoggedOut = "session.ended" -> [],
        /// All sessions of a user were ended.
        LoggedOutEverywhere = "sessions.ended" -> [],
        /// The account at an identity provider was linked to a user.
        IdentityLinked = "identity.linked" -> [],
        /// The account at an identity provider is linked to its user no more.
        IdentityUnlinked = "identity.unlinked" -> [],
        /// An API key was created.
        ApiKeyCreated = "api_key.created" -> [],
        /// An API key was revoked.
        ApiKeyRevoked = "api_key.revoked" -> [],
        /// A password was changed by its owner.
        PasswordChanged = "password.changed" -> [],
        /// One-time passwords are required from now on.
        OneTimePasswordsEnabled = "totp.enabled" -> [],
        /// One-time passwords are not required any more.
        OneTimePasswordsDisabled = "totp.disabled" -> [],
        /// A one-time password or a recovery code was wrong.
        OneTimePasswordRefused = "totp.refused" -> [],
        /// A recovery code was used.
        RecoveryCodeUsed = "recovery_code.used" -> [],
        /// The recovery codes were replaced.
        RecoveryCodesReplaced = "recovery_codes.replaced" -> [],
        /// The password in a request of its owner was wrong.
        PasswordRefused = "password.refused" -> [],
        /// A token that resets a password was sent.
        PasswordResetRequested = "password.reset_requested" -> [],
        /// A password was set by a token.
        PasswordReset = "password.reset" -> [],
        /// A token that changes an e-mail address was sent.
        EmailChangeRequested = "email.change_requested" -> [],
        /// An e-mail address was changed.
        EmailChanged = "email.changed" -> [],
        /// An e-mail address was verified.
        EmailVerified = "email.verified" -> [],
        /// A user was given another role.
        RoleChanged = "role.changed" -> [],
        /// A user became an administrator, with a new password.
        AdministratorMade = "administrator.made" -> [],
        /// The personal data of a user was removed.
        Erased = "user.erased" -> [],
        /// A user exported the own data.
        DataExported = "user.exported" -> [],
    }
}

states! {
    /// What was done to a row.
    RowChange, "change", {
        /// It was inserted.
        Inserted = "inserted" -> [],
        /// It was updated.
        Updated = "updated" -> [],
        /// It was removed.
        Removed = "removed" -> [],
    }
}

/// The number of the first entry.
pub const FIRST_ENTRY: i64 = 1;
/// The hash before that of the first entry.
pub const NO_HASH: [u8; 32] = [0; 32];

/// Who acts with the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// The kind.
    pub kind: ActorKind,
    /// The user, if it is known.
    pub user_id: Option<UserId>,
    /// The session of the user.
    pub session_id: Option<SessionId>,
    /// The API key by which the user acts.
    pub api_key_id: Option<ApiKeyId>,
    /// The id of the request.
    pub request_id: Option<Uuid>,
    /// The network of the client's address.
    pub network: Option<String>,
    /// The administrative action, of which every transaction is recorded.
    pub administration: Option<Administration>,
}

/// An administrative action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Administration {
    /// The id of the operation in the API document, such as `adminUpdateProduct`, or the command.
    pub action: Arc<str>,
    /// The resource that a request names by its path.
    pub subject_id: Option<Uuid>,
}

impl Actor {
    /// Returns an actor of whom only the kind is known.
    pub fn new(kind: ActorKind) -> Self {
        Self {
            kind,
            user_id: None,
            session_id: None,
            api_key_id: None,
            request_id: None,
            network: None,
            administration: None,
        }
    }

    /// Returns a command on the command line, such as `admin create`.
    pub fn command(name: &str) -> Self {
        let administration = Administration { action: format!("undercroft {name}").into(), subject_id: None };
        Self { administration: Some(administration), ..Self::new(ActorKind::Command) }
    }
}

/// An entry of the audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// The number: 1, 2, 3 … without gaps.
    pub number: i64,
    /// The time of the action, UTC.
    pub occurred_at: Timestamp,
    /// The kind of the actor.
    pub actor: ActorKind,
    /// The user who acted.
    pub user_id: Option<UserId>,
    /// The session of the user.
    pub session_id: Option<SessionId>,
    /// The API key by which the user acted.
    pub api_key_id: Option<ApiKeyId>,
    /// The id of the request.
    pub request_id: Option<Uuid>,
    /// The network of the client's address.
    pub network: Option<String>,
    /// The action.
    pub action: String,
    /// The id of what the action changed.
    pub subject_id: Option<Uuid>,
    /// The rows that were written.
    pub changes: Vec<AuditChange>,
    /// The hash of the entry before it; zeros if it is the first.
    pub previous_hash: Vec<u8>,
    /// The hash.
    pub hash: Vec<u8>,
}

/// A row that was written, or several rows of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditChange {
    /// The table.
    pub table: String,
    /// The id of the row; `null` if it has none, or for several rows.
    pub id: Option<String>,
    /// What was done.
    pub change: RowChange,
    /// The columns that an update changed.
    pub columns: Vec<String>,
    /// The number of rows.
    pub rows: u64,
}

/// What is hashed of an entry. The order of the fields is part of the format. A field that is added later is omitted
/// if it has no value, so that the hashes of earlier entries stay the same.
#[derive(Serialize)]
struct Hashed<'a> {
    number: i64,
    occurred_at: i64,
    actor: ActorKind,
    user_id: Option<UserId>,
    session_id: Option<SessionId>,
    request_id: Option<Uuid>,
    network: Option<&'a str>,
    action: &'a str,
    subject_id: Option<Uuid>,
    changes: &'a [AuditChange],
    #[serde(skip_serializing_if = "Option::is_none")]
    api_key_id: Option<ApiKeyId>,
}

impl AuditEntry {
    /// Returns the SHA-256 hash of the hash before and of the content: JSON without spaces, its time in microseconds
    /// since 1970.
    pub fn computed_hash(&self) -> [u8; 32] {
        let hashed = Hashed {
            number: self.number,
            occurred_at: self.occurred_at.as_microsecond(),
            actor: self.actor,
            user_id: self.user_id,
            session_id: self.session_id,
            request_id: self.request_id,
            network: self.network.as_deref(),
            action: &self.action,
            subject_id: self.subject_id,
            changes: &self.changes,
            api_key_id: self.api_key_id,
        };
        // keys are text, so that it can always be written as JSON
        let json = serde_json::to_vec(&hashed).unwrap_or_default();
        Sha256::new().chain_update(&self.previous_hash).chain_update(json).finalize().into()
    }
}

/// A verification of the chain, entry by entry in the order of their numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainCheck {
    /// The number of the last entry that was checked; 0 before the first.
    pub number: i64,
    /// Its hash.
    pub hash: Vec<u8>,
}

/// What is wrong with a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BrokenChain {
    /// There is no entry with this number, and there are later ones.
    #[error("entry {0} is missing")]
    Missing(i64),
    /// The content of the entry is not what was hashed.
    #[error("entry {0} was changed")]
    Changed(i64),
    /// The entry does not contain the hash of the one before it.
    #[error("entry {0} does not follow the one before it")]
    Unlinked(i64),
    /// Entries after this number, which the counter has, are missing.
    #[error("entry {0} is the last, and the counter of the entries has another number: entries are missing")]
    Cut(i64),
    /// The log ends before an entry that was noted.
    #[error("entry {last} is the last, but entry {noted} was noted: entries are missing")]
    EndsBeforeNoted {
        /// The number of the last entry.
        last: i64,
        /// The number that was noted.
        noted: i64,
    },
    /// The entry has another hash than the one that was noted.
    #[error("entry {0} has another hash than the one that was noted")]
    Replaced(i64),
}

impl Default for ChainCheck {
    fn default() -> Self {
        Self { number: FIRST_ENTRY - 1, hash: NO_HASH.to_vec() }
    }
}

impl ChainCheck {
    /// Checks the next entry.
    pub fn next(&mut self, entry: &AuditEntry) -> Result<(), BrokenChain> {
        let expected = self.number + 1;
        if entry.number != expected {
            return Err(BrokenChain::Missing(expected));
        }
        if entry.previous_hash != self.hash {
            return Err(BrokenChain::Unlinked(expected));
        }
        if entry.hash != entry.computed_hash() {
            return Err(BrokenChain::Changed(expected));
        }
        self.number = entry.number;
        self.hash.clone_from(&entry.hash);
        Ok(())
    }
}

/// Returns the bytes of hexadecimal digits, as [`hex`] writes them.
pub fn bytes_of_hex(digits: &str) -> Option<Vec<u8>> {
    let value = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let bytes = digits.as_bytes().chunks(2).map(|pair| match *pair {
        [high, low] => Some((value(high)? << 4) | value(low)?),
        _ => None,
    });
    bytes.collect()
}

/// Returns bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // writing to a text does not fail
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests;
