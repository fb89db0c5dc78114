//! Users of an identity provider: its tokens are accepted, and its subjects are users of the store.

use serde_json::Value;

use crate::application::features::{self, Feature};
use crate::application::{IdentityTerms, Store};
use crate::domain::audit::SecurityAction;
use crate::domain::email::{is_email, is_same_mailbox};
use crate::domain::events::UserRegistered;
use crate::domain::feature_flag::EvaluationContext;
use crate::domain::user::{Role, User};
use crate::infrastructure::exceptions::Failure;
use crate::infrastructure::guards::{IssuerToken, Means, Principal};
use crate::infrastructure::middleware::jwt::{Claims, TrustedIssuer};
use crate::infrastructure::repositories::{
    IdentityRepository, StaffRoleRepository, UnitOfWork, UserRepository,
};

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
            tracing::debug!(%error, "a token of the issuer was refused");
            return Ok(None);
        }
    };
    let token = IssuerToken {
        provider: issuer.name().to_owned(),
        subject: claims.subject().to_owned(),
        expires_at: claims.expires_at(),
    };
    let found = match (linked(store, &token).await?, verified_email(&claims)) {
        (None, Some(email)) => link_now(store, &token, email).await?,
        (found, _) => found,
    };
    match found {
        Some(user) => by_user(store, user, token).await.map(Some),
        None => Ok(None),
    }
}

/// Returns the user of a token of the issuer that was verified before; `None` if the token has expired, or its subject
/// is not linked any more.
pub(super) async fn by_token(store: &Store, token: &IssuerToken) -> Result<Option<Principal>, Failure> {
    if token.expires_at <= store.now() {
        return Ok(None);
    }
    match linked(store, token).await? {
        Some(user) => by_user(store, user, token.clone()).await.map(Some),
        None => Ok(None),
    }
}

/// Returns the user to whom the subject of a token is linked, with the version of the user's data.
async fn linked(store: &Store, token: &IssuerToken) -> Result<Option<(User, i64)>, Failure> {
    let mut connection = store.database().read().await?;
    Ok(IdentityRepository(&mut connection).user(&token.provider, &token.subject).await?)
}

/// Returns a user, at a version of the user's data, with a token of the issuer.
async fn by_user(store: &Store, user: (User, i64), token: IssuerToken) -> Result<Principal, Failure> {
    let mut connection = store.database().read().await?;
    let permissions = StaffRoleRepository(&mut connection).permissions_of(&user.0).await?;
    Ok(Principal::new(user, Means::IssuerToken(token), permissions))
}

/// Returns the e-mail address of a token, if the issuer states that it is verified.
fn verified_email(claims: &Claims) -> Option<String> {
    let is_verified = claims.get("email_verified") == Some(&Value::Bool(true));
    claims.text("email").filter(|email| is_verified && is_email(email)).map(str::to_owned)
}

/// Links the subject of a token as [`link`] does. If that is not possible, nothing is written: a store that cannot
/// write, such as a standby, refuses the token.
async fn link_now(store: &Store, token: &IssuerToken, email: String) -> Result<Option<(User, i64)>, Failure> {
    let terms = store.terms.identities;
    if !terms.creates_users && !terms.links_by_email {
        return Ok(None);
    }
    let mut connection = store.database().read().await?;
    let known = UserRepository(&mut connection).by_email(&email).await?;
    drop(connection);
    let may_link = known.as_ref().is_some_and(|user| terms.links_by_email && is_linkable(user, &email));
    let creates_users = known.is_none() && terms.creates_users && may_sign_up(store).await?;
    if !may_link && !creates_users {
        // another request may have linked the subject meanwhile
        return linked(store, token).await;
    }
    let terms = IdentityTerms { creates_users, ..terms };
    let given = (token.provider.clone(), token.subject.clone(), email, terms);
    let write = store.database().write(given, async |work, (provider, subject, email, terms)| {
        link(work, (provider, subject), email, *terms).await
    });
    let Some(user) = write.await? else { return Ok(None) };
    let mut connection = store.database().read().await?;
    let version = UserRepository(&mut connection).data_version(user.id).await?;
    Ok(Some((user, version)))
}

/// Returns whether customers register: a subject that becomes a new customer does.
async fn may_sign_up(store: &Store) -> Result<bool, Failure> {
    Ok(features::evaluate(store, Feature::SignUp, &EvaluationContext::default()).await?.value)
}

/// Returns whether a subject with a verified e-mail address may be linked to a user.
fn is_linkable(user: &User, email: &str) -> bool {
    let has_email = user.erased_at.is_none() && is_same_mailbox(&user.email, email);
    // an address that is not verified may have been registered by someone else
    has_email && user.email_verified_at.is_some() && user.role == Role::Customer
}

/// Links a subject to the customer with its e-mail address, or to a new customer, if the terms allow it.
async fn link(
    work: &mut UnitOfWork,
    (provider, subject): (&str, &str),
    email: &str,
    terms: IdentityTerms,
) -> Result<Option<User>, Failure> {
    work.lock_name(&format!("identity {provider} {subject}")).await?;
    if let Some((known, _)) = IdentityRepository(work).user(provider, subject).await? {
        return Ok(Some(known));
    }
    let user = match UserRepository(work).by_email(email).await? {
        Some(user) if terms.links_by_email => {
            // as it is when it is linked: it may have been erased, have another address, or be an administrator
            let user = work.lock::<User>(user.id).await?;
            user.filter(|user| is_linkable(user, email))
        }
        None if terms.creates_users => create(work, email).await?,
        Some(_) | None => None,
    };
    if let Some(user) = &user {
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
