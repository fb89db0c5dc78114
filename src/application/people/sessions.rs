//! Sessions: a user logs in with a password, and logs out.
//!
//! Logging in takes no idempotency key: the response holds the token, of which the store keeps only the hash. A
//! repeated request creates a second session.

use jiff::SignedDuration;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::domain::audit::SecurityAction;
use crate::domain::ids::{CartId, SessionId, UserId};
use crate::domain::user::{Session, User, token_hash};
use crate::infrastructure::exceptions::{Failure, NotFound, UnauthorizedAccessException};
use crate::infrastructure::guards::{Means, Principal};
use crate::infrastructure::middleware::{BegunSession, Ending, Partition, SessionStore};
use crate::infrastructure::repositories::{
    ApiKeyRepository, EndedSessions, SessionRepository, SigningKey, UnitOfWork, UserRepository,
    UserTokenRepository,
};

use super::known_devices;
use super::log_in_limits::{self, LogInClient};
use super::second_factor::{self, Refusal, SecondFactor};
use super::session_tokens;
use crate::application::emails::accounts::are_sent;
use crate::application::selling::cart;
use crate::application::{Mailing, Store, audit};
use crate::domain::time::{earlier, later};

/// The least time between two recorded uses of a session.
const USE_INTERVAL: SignedDuration = SignedDuration::from_mins(5);

/// The credentials of a user.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateSession {
    /// The e-mail address of the account, in any spelling.
    #[schema(max_length = 254)]
    pub email: String,
    /// The password.
    #[schema(value_type = String, max_length = 128)]
    pub password: SecretString,
    /// The code of the authenticator app, if the account has one-time passwords. Without it the request fails with
    /// the reason `one_time_password_required`; send it again with the code.
    #[schema(value_type = Option<String>, nullable = false, max_length = 16)]
    pub one_time_password: Option<SecretString>,
    /// A recovery code, in place of the one-time password.
    #[schema(value_type = Option<String>, nullable = false, max_length = 64)]
    pub recovery_code: Option<SecretString>,
    /// A guest's cart: it becomes the user's, or is merged into the user's open cart.
    pub cart_id: Option<CartId>,
}

/// A session that was created, with its token.
#[derive(Clone)]
pub struct CreatedSession {
    /// The token. The store keeps only its hash.
    pub token: String,
    /// The session.
    pub session: Session,
    /// The user.
    pub user: User,
    /// The token by which the device is known from now on; `None` if it was known.
    pub device: Option<String>,
}

/// Creates a session for the client that calls itself `user_agent`, and ends the one that the client has in its cookie.
/// An unknown address and a wrong password give the same failure after the same time; if too many log-ins have failed,
/// no password is checked.
pub async fn log_in(
    store: &Store,
    request: CreateSession,
    client: &LogInClient,
    user_agent: Option<String>,
) -> Result<CreatedSession, Failure> {
    // before an attempt counts, or a one-time password is used
    store.sessions().check().await?;
    let _permit = store.passwords.begin(client.address, &request.email)?;
    let (found, is_hidden) = by_address(store, &request.email).await?;
    let user_id = found.as_ref().map(|user| user.id);
    let attempt = log_in_limits::begin(store, &request.email, found.as_ref(), client).await?;
    let hash = found.as_ref().and_then(|user| user.password_hash.clone());
    // a hidden one is as one with a wrong password
    let check =
        async { Ok(store.passwords.matches(&request.password, hash.as_deref()).await? && !is_hidden) };
    let matches = attempt.outcome(check).await?;
    let (Some(user), Some(hash), true) = (found, hash, matches) else {
        record_refused(store, user_id).await?;
        return Err(UnauthorizedAccessException::WrongCredentials.into());
    };

    let renewed = store.passwords.renewed(&request.password, &hash).await?;
    let known = client.device.as_deref().and_then(|token| known_devices::verify(store, &user, token));
    let device = known.is_none().then(|| known_devices::issue(store, user.id, &hash));
    let former = match &client.session {
        Some(token) => Some(ending_of_token(store, token.expose_secret()).await?),
        None => None,
    };
    let factor = SecondFactor::of(request.one_time_password, request.recovery_code);
    let client = Client { user_agent, cart_id: request.cart_id, factor, former: former.clone() };
    let given =
        (store.mailing(), store.sessions().clone(), Hashes { stored: hash, renewed }, (user.id, client));
    let write =
        store.database().write(given, async |work, (mailing, sessions, hashes, (user_id, client))| {
            create(work, (mailing, sessions), *user_id, hashes, client).await
        });
    let created = write.await.and_then(|created| created.map_err(Refusal::of_log_in));
    let is_refused = |failure: &Failure| {
        matches!(failure.downcast_ref(), Some(UnauthorizedAccessException::WrongCredentials))
    };
    if created.as_ref().is_err_and(is_refused) {
        record_refused(store, user_id).await?;
    }
    let (begun, token, user) = created?;
    store.sessions().keep(&begun).await?;
    if let Some(former) = &former {
        store.sessions().remove_from_redis(former).await;
    }
    Ok(CreatedSession { token, session: begun.session, user, device })
}

/// Returns the user with an e-mail address, and whether the user is a customer who may not log in yet: logging in to an
/// account that was registered by someone else than the owner of the address would say that the address had no account.
/// Takes the same queries for each address.
async fn by_address(store: &Store, email: &str) -> Result<(Option<User>, bool), Failure> {
    let mut connection = store.database().read().await?;
    let found = UserRepository(&mut connection).by_email(email).await?;
    // also for an unknown address: the time must not tell which are not verified
    let hides =
        store.terms.accounts.hide_registered_addresses && are_sent(&mut connection, &store.terms).await?;
    let is_hidden = hides && found.as_ref().is_some_and(User::is_unverified_customer);
    Ok((found, is_hidden))
}

/// Records that a user, or an address without an account, was refused: few of each user, and of all addresses without
/// one together, which are as many as a stranger likes. The others are counted, which takes the same time.
async fn record_refused(store: &Store, user_id: Option<UserId>) -> Result<(), Failure> {
    let by = user_id.map_or(audit::STRANGERS, |id| Partition::User(id.0));
    let is_recorded = audit::count_recorded(store, "recorded_log_ins", by).await.is_ok();
    let write = store.database().write((user_id, is_recorded), async |work, &(user_id, is_recorded)| {
        if is_recorded {
            work.record(SecurityAction::LogInRefused, user_id);
        } else {
            work.count_unrecorded();
        }
        Ok(())
    });
    write.await
}

/// Records an action that changed nothing, such as an attempt with a wrong password.
pub(super) async fn record(
    store: &Store,
    action: SecurityAction,
    user_id: Option<UserId>,
) -> Result<(), Failure> {
    let write = store.database().write((action, user_id), async |work, &(action, user_id)| {
        work.record(action, user_id);
        Ok(())
    });
    write.await
}

/// The client that logs in.
struct Client {
    user_agent: Option<String>,
    cart_id: Option<CartId>,
    factor: SecondFactor,
    /// The end of the session that the client had.
    former: Option<Ending>,
}

/// The hashes of the password with which a user logs in.
struct Hashes {
    /// The stored hash.
    stored: String,
    /// The hash with the parameters of today, if the stored one has others.
    renewed: Option<String>,
}

impl Hashes {
    /// Returns whether a hash is one of them: logging in at the same time may have stored the renewed one.
    fn contain(&self, hash: &str) -> bool {
        self.stored == hash || self.renewed.as_deref() == Some(hash)
    }
}

/// Creates the session and ends the one before, unless the second factor is refused, which is counted. Returns it with
/// its token and user.
async fn create(
    work: &mut UnitOfWork,
    (mailing, sessions): (&Mailing, &SessionStore),
    user_id: UserId,
    hashes: &Hashes,
    client: &Client,
) -> Result<Result<(BegunSession, String, User), Refusal>, Failure> {
    let is_proven = |user: &User| user.password_hash.as_deref().is_some_and(|hash| hashes.contain(hash));
    let locked = work.lock::<User>(user_id).await?.filter(is_proven);
    let user = locked.ok_or(UnauthorizedAccessException::WrongCredentials)?;
    if let Err(refusal) = second_factor::verify(work, mailing, &user, &client.factor).await? {
        return Ok(Err(refusal));
    }
    if let Some(renewed) = &hashes.renewed {
        UserRepository::set_password_hash(work, user.id, renewed).await?;
    }
    if let Some(former) = &client.former {
        end_one(work, former).await?;
    }
    let (token, now) = (session_tokens::new(work, &mailing.key), work.now());
    let session = Session {
        user_agent: client.user_agent.clone(),
        ..Session::new(token_hash(&token), user.id, now, later(now, mailing.terms.session))
    };
    let begun = sessions.begin(work, session).await?;
    work.record(SecurityAction::LoggedIn, Some(user.id));
    if let Some(cart_id) = client.cart_id {
        cart::merge(work, &mailing.terms, user.id, cart_id).await?;
    }
    Ok(Ok((begun, token, user)))
}

/// Gives a session another token and ends all other sessions of the user. Returns the token, which is valid if
/// [`SessionStore::end_in_redis`] says so after the commit.
pub(super) async fn rotate(
    work: &mut UnitOfWork,
    key: &SigningKey,
    (user_id, hash): (UserId, &[u8]),
) -> Result<(EndedSessions, String), Failure> {
    let token = session_tokens::new(work, key);
    let ended = SessionRepository::end_others_of(work, user_id, (hash, &token_hash(&token))).await?;
    Ok((ended, token))
}

/// Ends all sessions of a user, except the one whose token has this hash, if there is one. After the commit, call
/// [`SessionStore::end_in_redis`].
pub(super) async fn end_others(
    work: &mut UnitOfWork,
    user_id: UserId,
    kept: Option<&[u8]>,
) -> Result<EndedSessions, Failure> {
    Ok(match kept {
        Some(hash) => SessionRepository::end_others_of(work, user_id, (hash, hash)).await?,
        None => SessionRepository::end_all_of(work, user_id).await?,
    })
}

/// Returns the user with the session that has this hash of its token, and what the user may do now; `None` if the
/// session has ended. The use is recorded, at most once in [`USE_INTERVAL`].
pub async fn by_token_hash(store: &Store, token_hash: &[u8]) -> Result<Option<Principal>, Failure> {
    let found = store.sessions().by_token_hash(token_hash).await?;
    let Some((session, (user, permissions))) = found.filter(|(session, _)| is_live(store, session)) else {
        return Ok(None);
    };
    let before = earlier(store.now(), USE_INTERVAL);
    if session.used_at() <= before
        && let Err(failure) = store.sessions().record_use(token_hash, before).await
    {
        // a store that cannot write, such as a standby, still serves reads
        tracing::debug!(failure = %failure.report(), "the use of a session was not recorded");
    }
    Ok(Some(Principal::new(user, Means::Session(session), permissions)))
}

/// Returns a session of a user by its id, with the version of the user's data; `None` if the session has ended.
pub(super) async fn by_id(
    store: &Store,
    user_id: UserId,
    id: SessionId,
) -> Result<Option<(Session, i64)>, Failure> {
    let found = store.sessions().by_id(user_id, id).await?;
    Ok(found.filter(|(session, _)| is_live(store, session)))
}

/// Returns the sessions of a user that have not ended, the newest first.
pub async fn of_user(store: &Store, user_id: UserId) -> Result<Vec<Session>, Failure> {
    let mut sessions = store.sessions().of_user(user_id).await?;
    sessions.retain(|session| is_live(store, session));
    Ok(sessions)
}

/// Returns whether a session has not ended by itself.
fn is_live(store: &Store, session: &Session) -> bool {
    session.is_live(store.now(), store.terms.session_idle)
}

/// Ends a session of a user.
///
/// # Errors
///
/// [`NotFound::Session`].
pub async fn end(store: &Store, user_id: UserId, id: SessionId) -> Result<(), Failure> {
    let sessions = of_user(store, user_id).await?;
    let session = sessions.into_iter().find(|session| session.id() == id).ok_or(NotFound::Session)?;
    end_by_token_hash(store, session.token_hash).await
}

/// Ends the session of a token, if it has not ended before. Any other text is none.
pub(super) async fn end_by_token(store: &Store, token: &str) -> Result<(), Failure> {
    end_now(store, ending_of_token(store, token).await?).await
}

/// Ends the session whose token, which the store has issued, has this hash, if it has not ended before.
pub(super) async fn end_by_token_hash(store: &Store, token_hash: Vec<u8>) -> Result<(), Failure> {
    end_now(store, ending(store, token_hash, true).await?).await
}

async fn end_now(store: &Store, ending: Ending) -> Result<(), Failure> {
    let write = store.database().write(ending.clone(), async |work, ending| end_one(work, ending).await);
    write.await?;
    store.sessions().remove_from_redis(&ending).await;
    Ok(())
}

/// Begins to end the session of a token, if it has not ended before.
async fn ending_of_token(store: &Store, token: &str) -> Result<Ending, Failure> {
    let is_issued = session_tokens::is_issued(store.database().signing_key(), token);
    ending(store, token_hash(token), is_issued).await
}

/// Begins to end the session whose token has this hash. One that is not known, and whose token `is_issued` by the
/// store, may come back with a snapshot of Redis: it is ended, too.
async fn ending(store: &Store, token_hash: Vec<u8>, is_issued: bool) -> Result<Ending, Failure> {
    let latest = is_issued.then(|| later(store.now(), store.terms.session));
    store.sessions().ending(token_hash, latest).await
}

/// Ends a session in a transaction, and records it if the session was valid.
async fn end_one(work: &mut UnitOfWork, ending: &Ending) -> Result<(), Failure> {
    if let Some(user_id) = SessionStore::end(work, ending).await? {
        work.record(SecurityAction::LoggedOut, Some(user_id));
    }
    Ok(())
}

/// Ends all sessions of a user, and the tokens that were sent to the user by e-mail. If `with_api_keys`, revokes all
/// API keys of the user, too.
pub async fn log_out_everywhere(store: &Store, user_id: UserId, with_api_keys: bool) -> Result<(), Failure> {
    let given = (user_id, with_api_keys);
    let write = store.database().write(given, async |work, &(user_id, with_api_keys)| {
        end_everywhere(work, user_id, with_api_keys).await
    });
    end_in_redis(store, &write.await?).await;
    Ok(())
}

/// Ends all sessions of a user, and the tokens that were sent to the user by e-mail, in an open transaction.
/// If `with_api_keys`, revokes all API keys of the user, too. After the commit, call [`end_in_redis`].
pub(super) async fn end_everywhere(
    work: &mut UnitOfWork,
    user_id: UserId,
    with_api_keys: bool,
) -> Result<EndedSessions, Failure> {
    work.record(SecurityAction::LoggedOutEverywhere, Some(user_id));
    // a stranger with a session may have requested them
    UserTokenRepository::end_all_of(work, user_id).await?;
    // the user is locked from then on, so that no key is created meanwhile
    let ended = SessionRepository::end_all_of(work, user_id).await?;
    if with_api_keys {
        ApiKeyRepository::remove_all_of(work, user_id).await?;
    }
    Ok(ended)
}

/// Removes what Redis has of sessions that a transaction ended, after its commit.
pub(super) async fn end_in_redis(store: &Store, ended: &EndedSessions) {
    store.sessions().end_in_redis(ended).await;
}
