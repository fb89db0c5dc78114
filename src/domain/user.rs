//! Users, their sessions and their preferences.

use jiff::{SignedDuration, Timestamp, civil::Date};
use sha2::{Digest, Sha256};

use super::ids::{SessionId, UserId};
use super::money::Currency;
use super::permission::Permissions;
use super::state::states;
use super::time::earlier;

states! {
    /// The role of a user.
    Role, "role", {
        /// Buys from the store.
        Customer = "customer" -> [],
        /// Manages the store.
        Admin = "admin" -> [],
    }
}

/// The least length of a password in characters.
pub const SHORTEST_PASSWORD: usize = 8;
/// The greatest length of a password in characters, since hashing takes longer for longer passwords.
pub const LONGEST_PASSWORD: usize = 128;

/// A user with an account.
#[derive(Clone, PartialEq, Eq)]
pub struct User {
    /// The id.
    pub id: UserId,
    /// The e-mail address, as the user wrote it. Users are found by its [keys](super::email::stored_email_keys).
    pub email: String,
    /// The name; empty if the user gave none.
    pub name: String,
    /// The Argon2id hash of the password in PHC form. A user without one cannot log in with a password.
    pub password_hash: Option<String>,
    /// The role.
    pub role: Role,
    /// The name of the role of the staff of an administrator; one without it may do everything.
    pub staff_role: Option<String>,
    /// The birth date, for products with a minimum age.
    pub birth_date: Option<Date>,
    /// The time at which the e-mail address was verified, UTC.
    pub email_verified_at: Option<Timestamp>,
    /// The time since which logging in requires a one-time password, UTC; `None` if it does not.
    pub totp_since: Option<Timestamp>,
    /// The time at which the personal data was removed, UTC.
    pub erased_at: Option<Timestamp>,
    /// The number of changes, from 1.
    pub version: i64,
    /// The time at which the user registered, UTC.
    pub created_at: Timestamp,
    /// The time of the last change, UTC.
    pub updated_at: Timestamp,
}

impl std::fmt::Debug for User {
    /// Writes no personal data, since the text may be logged.
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
            staff_role: None,
            birth_date: None,
            email_verified_at: None,
            totp_since: None,
            erased_at: None,
            version: 1,
            created_at,
            updated_at: created_at,
        }
    }

    /// Returns whether the user is a customer whose e-mail address is not verified: it may be someone else's. That of
    /// an administrator was chosen by the operator.
    pub fn is_unverified_customer(&self) -> bool {
        self.role == Role::Customer && self.email_verified_at.is_none()
    }

    /// Returns what the user may do as an administrator; `of_role` are the permissions of the role of the staff.
    pub fn permissions(&self, of_role: Option<Permissions>) -> Permissions {
        match (self.role, &self.staff_role) {
            (Role::Customer, _) => Permissions::NONE,
            (Role::Admin, None) => Permissions::ALL,
            (Role::Admin, Some(_)) => of_role.unwrap_or_default(),
        }
    }

    /// Returns the age in full years on a day; `None` without a birth date.
    pub fn age_on(&self, day: Date) -> Option<i64> {
        let birth = self.birth_date?;
        let years = i64::from(day.year()) - i64::from(birth.year());
        let had_birthday = (day.month(), day.day()) >= (birth.month(), birth.day());
        Some(if had_birthday { years } else { years - 1 })
    }
}

/// Returns the SHA-256 hash of a session's token. The store keeps only the hash.
pub fn token_hash(token: &str) -> Vec<u8> {
    Sha256::digest(token).to_vec()
}

/// Returns the id of the session whose token has this hash.
pub fn session_id(token_hash: &[u8]) -> SessionId {
    let digest = Sha256::new().chain_update("session").chain_update(token_hash).finalize();
    let mut bytes = [0; 16];
    bytes.iter_mut().zip(digest).for_each(|(byte, from)| *byte = from);
    SessionId(uuid::Builder::from_custom_bytes(bytes).into_uuid())
}

/// The data of a user at one moment: the account, the preferences, orders with their payments, notifications.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct UserData {
    /// The user.
    pub user_id: UserId,
    /// The number of changes of the data.
    pub version: i64,
}

/// The preferences of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preferences {
    /// The user.
    pub user_id: UserId,
    /// The language, a BCP 47 tag.
    pub locale: Option<String>,
    /// The currency of the prices that the user sees.
    pub currency: Option<Currency>,
    /// Whether the user agrees to receive marketing messages.
    pub marketing_consent: bool,
    /// The time at which marketing consent was last given or withdrawn, UTC.
    pub consent_at: Option<Timestamp>,
    /// The number of changes, from 1.
    pub version: i64,
    /// The time of the last change, UTC.
    pub updated_at: Timestamp,
}

impl Preferences {
    /// Returns the preferences of a user of whom none were saved: of version 0, and empty.
    pub fn none(user_id: UserId) -> Self {
        Self {
            user_id,
            locale: None,
            currency: None,
            marketing_consent: false,
            consent_at: None,
            version: 0,
            updated_at: Timestamp::UNIX_EPOCH,
        }
    }
}

/// A session of a user. Only the client knows the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The SHA-256 hash of the token.
    pub token_hash: Vec<u8>,
    /// The user.
    pub user_id: UserId,
    /// The time at which the session was created, UTC.
    pub created_at: Timestamp,
    /// The time at which the session ends, UTC.
    pub expires_at: Timestamp,
    /// The time of the last use that was recorded, UTC; `None` if none was since the session was created.
    pub last_used_at: Option<Timestamp>,
    /// What the client that logged in called itself.
    pub user_agent: Option<String>,
}

impl Session {
    /// Returns a session that was not used yet.
    pub fn new(token_hash: Vec<u8>, user_id: UserId, created_at: Timestamp, expires_at: Timestamp) -> Self {
        Self { token_hash, user_id, created_at, expires_at, last_used_at: None, user_agent: None }
    }

    /// Returns the id, by which the owner names the session. It follows from the hash of the token and does not
    /// reveal it (a UUID version 8, RFC 9562 section 5.8).
    pub fn id(&self) -> SessionId {
        session_id(&self.token_hash)
    }

    /// Returns whether the session has not ended by itself at `now`: it has not expired, and was used within the time
    /// `idle`.
    pub fn is_live(&self, now: Timestamp, idle: SignedDuration) -> bool {
        self.expires_at > now && self.used_at() > earlier(now, idle)
    }

    /// Returns the time of the last use that is known: the creation, if no later one was recorded.
    pub fn used_at(&self) -> Timestamp {
        self.last_used_at.unwrap_or(self.created_at)
    }
}
