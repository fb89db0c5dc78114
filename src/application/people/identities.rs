//! Users of an identity provider: its tokens are accepted, and its subjects are users of the store.

use std::fmt::Display;

use serde_json::Value;

use crate::application::features::{self, Feature};
use crate::application::{IdentityTerms, Store};
use crate::domain::audit::SecurityAction;
use crate::domain::email::{is_email, is_same_mailbox};
use crate::domain::events::UserRegistered;
use crate::domain::feature_flag::EvaluationContext;
use crate::domain::permission::Permissions;
use crate::domain::user::{Role, User};
use crate::infrastructure::exceptions::Failure;
use crate::infrastructure::guards::{IssuerToken, Means, Principal};
use crate::infrastructure::middleware::jwt::{Claims, TrustedIssuer};
use crate::infrastructure::repositories::{IdentityRepository, UnitOfWork, UserRepository, current_trace};

/// Why the subject of a valid token is no user and does not become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum Refusal {
    /// The settings allow no new subjects.
    #[error("its subject is not linked, and `create_users` and `link_by_email` are off")]
    NoNewSubjects,
    /// It states no e-mail address.
    #[error("its subject is not linked, and it has no `email`")]
    NoEmail,
    /// The issuer has not verified the address.
    #[error("its subject is not linked, and its `email_verified` is not `true`")]
    UnverifiedEmail,
    /// No user has the address, and the settings allow no new users.
    #[error("no user has its e-mail address, and `create_users` is off")]
    CreatesNoUsers,
    /// No user has the address, and customers do not register.
    #[error("no user has its e-mail address, and the feature flag `sign_up` is off")]
    SignUpOff,
    /// A user has the address, and the settings link no user by it.
    #[error("a user has its e-mail address, and `link_by_email` is off")]
    LinksNoUsers,
    /// The user with the address has not verified it.
    #[error("the user with its e-mail address has not verified it")]
    NotVerified,
    /// The user with the address is an administrator.
    #[error("the user with its e-mail address is an administrator")]
    Administrator,
    /// The address of the user is another mailbox with the same key, or was changed meanwhile.
    #[error("the user with its e-mail address has another spelling of it, or was changed meanwhile")]
    OtherAddress,
}

/// Returns the user of a token of the issuer; `None` if the token is not valid, or its subject is no user and does not
/// become one.
pub(super) async fn by_text(
    store: &Store,
    issuer: &TrustedIssuer,
    text: &str,
) -> Result<Option<Principal>, Failure> {
    let claims = match issuer.verify(text, store.now()).await {
        Ok(claims) => claims,
        Err(error) => {
            log_refusal(&error);
            return Ok(None);
        }
    };
    let token = IssuerToken {
        provider: issuer.name().to_owned(),
        subject: claims.subject().to_owned(),
        expires_at: claims.expires_at(),
    };
    let found = match linked(store, &token).await? {
        Some(user) => Ok(user),
        None => link_now(store, &token, &claims).await?,
    };
    match found {
        Ok(user) => Ok(Some(by_user(user, token))),
        Err(refusal) => {
            log_refusal(&refusal);
            Ok(None)
        }
    }
}

/// Logs why a token of an identity provider was refused, for operators: the client does not get the reason. The line
/// has the trace of the request, and nothing of the token.
pub(super) fn log_refusal(reason: &impl Display) {
    let trace_id = current_trace().map(|trace| trace.trace_id());
    tracing::info!(%reason, trace_id = trace_id.as_deref(), "a token of an identity provider was refused");
}

/// Returns the user of a token of the issuer that was verified before; `None` if the token has expired, or its subject
/// is not linked any more.
pub(super) async fn by_token(store: &Store, token: &IssuerToken) -> Result<Option<Principal>, Failure> {
    if token.expires_at <= store.now() {
        return Ok(None);
    }
    Ok(linked(store, token).await?.map(|user| by_user(user, token.clone())))
}

/// Returns the user to whom the subject of a token is linked, with the version of the user's data.
async fn linked(store: &Store, token: &IssuerToken) -> Result<Option<(User, i64)>, Failure> {
    let mut connection = store.database().read().await?;
    Ok(IdentityRepository(&mut connection).user(&token.provider, &token.subject).await?)
}

/// Returns a user, at a version of the user's data, with a token of the issuer, by which an administrator has no
/// permission.
fn by_user(user: (User, i64), token: IssuerToken) -> Principal {
    Principal::new(user, Means::IssuerToken(token), Permissions::NONE)
}

/// Returns the e-mail address of a token, which the issuer must state to be verified.
fn verified_email(claims: &Claims) -> Result<String, Refusal> {
    let email = claims.text("email").filter(|email| is_email(email)).ok_or(Refusal::NoEmail)?;
    let is_verified = claims.get("email_verified") == Some(&Value::Bool(true));
    if is_verified { Ok(email.to_owned()) } else { Err(Refusal::UnverifiedEmail) }
}

/// Links the subject of a token as [`link`] does. If that is not possible, nothing is written: a store that cannot
/// write, such as a standby, refuses the token.
async fn link_now(
    store: &Store,
    token: &IssuerToken,
    claims: &Claims,
) -> Result<Result<(User, i64), Refusal>, Failure> {
    let terms = store.terms.identities;
    if !terms.creates_users && !terms.links_by_email {
        return Ok(Err(Refusal::NoNewSubjects));
    }
    let email = match verified_email(claims) {
        Ok(email) => email,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let mut connection = store.database().read().await?;
    let known = UserRepository(&mut connection).by_email(&email).await?;
    drop(connection);
    let allowed = match &known {
        Some(user) if terms.links_by_email => check_linkable(user, &email),
        Some(_) => Err(Refusal::LinksNoUsers),
        None if terms.creates_users => check_sign_up(store).await?,
        None => Err(Refusal::CreatesNoUsers),
    };
    if let Err(refusal) = allowed {
        // another request may have linked the subject meanwhile
        return Ok(linked(store, token).await?.ok_or(refusal));
    }
    let terms = IdentityTerms { creates_users: known.is_none(), ..terms };
    let given = (token.provider.clone(), token.subject.clone(), email, terms);
    let write = store.database().write(given, async |work, (provider, subject, email, terms)| {
        link(work, (provider, subject), email, *terms).await
    });
    let user = match write.await? {
        Ok(user) => user,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let mut connection = store.database().read().await?;
    let version = UserRepository(&mut connection).data_version(user.id).await?;
    Ok(Ok((user, version)))
}

/// Checks that customers register: a subject that becomes a new customer does.
async fn check_sign_up(store: &Store) -> Result<Result<(), Refusal>, Failure> {
    let sign_up = features::evaluate(store, Feature::SignUp, &EvaluationContext::default()).await?;
    Ok(if sign_up.value { Ok(()) } else { Err(Refusal::SignUpOff) })
}

/// Checks that a subject with a verified e-mail address may be linked to a user.
fn check_linkable(user: &User, email: &str) -> Result<(), Refusal> {
    if user.erased_at.is_some() || !is_same_mailbox(&user.email, email) {
        return Err(Refusal::OtherAddress);
    }
    // an address that is not verified may have been registered by someone else
    if user.email_verified_at.is_none() {
        return Err(Refusal::NotVerified);
    }
    if user.role == Role::Customer { Ok(()) } else { Err(Refusal::Administrator) }
}

/// Links a subject to the customer with its e-mail address, or to a new customer, if the terms allow it.
async fn link(
    work: &mut UnitOfWork,
    (provider, subject): (&str, &str),
    email: &str,
    terms: IdentityTerms,
) -> Result<Result<User, Refusal>, Failure> {
    work.lock_name(&format!("identity {provider} {subject}")).await?;
    if let Some((known, _)) = IdentityRepository(work).user(provider, subject).await? {
        return Ok(Ok(known));
    }
    let user = match UserRepository(work).by_email(email).await? {
        Some(user) if terms.links_by_email => {
            // as it is when it is linked: it may have been erased, have another address, or be an administrator
            let user = work.lock::<User>(user.id).await?;
            let user = user.ok_or(Refusal::OtherAddress);
            user.and_then(|user| check_linkable(&user, email).map(|()| user))
        }
        Some(_) => Err(Refusal::LinksNoUsers),
        None if terms.creates_users => create(work, email).await?.ok_or(Refusal::OtherAddress),
        None => Err(Refusal::CreatesNoUsers),
    };
    if let Ok(user) = &user {
        IdentityRepository::link(work, (provider, subject), user.id).await?;
        work.record(SecurityAction::IdentityLinked, Some(user.id));
    }
    Ok(user)
}

/// Creates a customer whose address is verified; `None` if the address was taken meanwhile.
async fn create(work: &mut UnitOfWork, email: &str) -> Result<Option<User>, Failure> {
    let now = work.now();
    let user = User {
        email_verified_at: Some(now),
        ..User::new(work.id(), email.to_owned(), String::new(), Role::Customer, now)
    };
    if !UserRepository::insert_unique_email(work, &user).await? {
        return Ok(None);
    }
    work.record(SecurityAction::Registered, Some(user.id));
    work.publish(&UserRegistered { user_id: user.id }).await?;
    Ok(Some(user))
}
