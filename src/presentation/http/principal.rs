//! Principals: the extractors with which a handler begins. Each is the proof that the principal may call the handler;
//! those that refuse one are guards, whose facts are the credentials of the request.

use std::sync::Arc;

use axum::extract::{FromRequestParts, MatchedPath};
use http::{HeaderValue, request::Parts};
use secrecy::SecretString;

use super::actor::guest_of;
use super::guarded::{DescribeGuard, Guarded, LoadFacts};
use super::late_body::Verification;
use super::operation::OperationDescription;
use super::refusals;
use super::routing::{Access, Argument, Policy};
use super::state::AppState;
use crate::application::Store;
use crate::application::people::authentication;
use crate::domain::ids::UserId;
use crate::infrastructure::exceptions::{Failure, Technical, UnauthorizedAccessException};
use crate::infrastructure::guards::{
    AdminFacts, AdminGuard, And, AuthenticationGuard, Credentials, Guard, IssuerGuard, Means, Or, Principal,
    SessionGuard,
};
use crate::infrastructure::middleware::{
    ActingUser, Credential, Partition, RequestLimits, RequestUser, RequiredPermission, SessionCookie,
    VerifyCredential, authenticate, check_same_site,
};
use crate::settings::CookieAttributes;

/// The cookie with the token of a session.
pub const SESSION_COOKIE: &str = "undercroft_session";
/// The cookie with the token of a session that browsers send over HTTPS only: browsers accept a name with this
/// prefix only from the host itself, so no other host of the domain can set it.
pub const SECURE_SESSION_COOKIE: &str = "__Host-undercroft_session";

/// Any principal; no credential is verified.
#[derive(Debug, Clone, Copy)]
pub struct Public;

/// The proof that no other site caused the request, for a route that needs no token.
#[derive(Debug, Clone, Copy)]
pub struct SameSite;

/// The proof that no other site made a browser send the session cookie as the credential of the request.
#[derive(Debug, Clone, Copy)]
pub struct OwnCookie;

/// Any principal: a user, or a guest (`None`).
#[derive(Debug, Clone)]
pub struct Anyone(pub Option<AuthenticationGuard>);

/// A user.
pub type LoggedIn = Guarded<AuthenticationGuard>;

/// A user with a session, for what an API key or an access token is not enough for.
pub type WithSession = Guarded<SessionGuard>;

/// A user with a session, or with a token of the identity provider, since an account of it may have no password: for
/// what concerns the own data.
pub type WithSessionOrIssuer = Guarded<Or<SessionGuard, IssuerGuard>, ((), ())>;

/// An administrator who has the permission that the route requires.
pub type Admin = Guarded<AdminGuard>;

/// An administrator with a session.
pub type AdminWithSession = Guarded<And<AdminGuard, SessionGuard>, ((), ())>;

/// Any principal, with the texts of the request that may be credentials, none of which is verified or refused: for a
/// route that needs none.
#[derive(Debug, Clone)]
pub struct CredentialHolder(pub Vec<SecretString>);

impl Policy for CredentialHolder {
    const ACCESS: Access = Access::Anyone;

    fn describe(_: &mut OperationDescription<'_>) {}
}

impl Policy for Public {
    const ACCESS: Access = Access::Public;
}

impl Policy for Anyone {
    const ACCESS: Access = Access::Anyone;
}

impl DescribeGuard for AuthenticationGuard {
    const ACCESS: Access = Access::LoggedIn;
}

impl DescribeGuard for SessionGuard {
    const ACCESS: Access = Access::LoggedIn;
}

impl DescribeGuard for IssuerGuard {
    const ACCESS: Access = Access::LoggedIn;
}

impl DescribeGuard for AdminGuard {
    const ACCESS: Access = Access::Admin;
}

impl Anyone {
    /// The id of the user; `None` for a guest.
    pub fn user_id(&self) -> Option<UserId> {
        self.0.as_ref().map(|guard| guard.user_id())
    }
}

impl WithSessionOrIssuer {
    /// Returns the user, and by what the user authenticated.
    pub fn principal(&self) -> &Principal {
        match &**self {
            Or::First(session) => session,
            Or::Second(issuer) => issuer,
        }
    }
}

impl Admin {
    /// Returns whether the credential is still valid, and the user still is an administrator with the permission: for
    /// responses that take long.
    pub async fn is_still_allowed(&self, store: &Store) -> Result<bool, Failure> {
        let credentials = authentication::reload(store, self).await?;
        let facts = AdminFacts { credentials, required: self.permission() };
        Ok(AdminGuard::check(facts).is_ok())
    }
}

impl<S: Sync> FromRequestParts<S> for Public {
    type Rejection = Failure;

    async fn from_request_parts(_: &mut Parts, _: &S) -> Result<Self, Failure> {
        Ok(Self)
    }
}

impl Argument for SameSite {
    fn describe(operation: &mut OperationDescription<'_>) {
        operation.fails(UnauthorizedAccessException::ForeignOrigin);
    }
}

impl<S: Sync> FromRequestParts<S> for SameSite {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        check_same_site(parts)?;
        Ok(Self)
    }
}

impl Argument for OwnCookie {
    fn describe(operation: &mut OperationDescription<'_>) {
        operation.fails(UnauthorizedAccessException::ForeignOrigin);
    }
}

impl<S: Sync> FromRequestParts<S> for OwnCookie {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        // no other site can send a token in `Authorization`
        if let Some(Credential::Cookie(_)) = Credential::any_of(parts).next() {
            check_same_site(parts)?;
        }
        Ok(Self)
    }
}

impl<S: Sync> FromRequestParts<S> for CredentialHolder {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        Ok(Self(Credential::any_of(parts).map(|credential| credential.text().into()).collect()))
    }
}

/// The credentials of the request, which are verified once.
impl<G: Guard<Facts = Credentials>> LoadFacts<G> for AppState {
    async fn load_facts(&self, parts: &mut Parts) -> Result<Credentials, Failure> {
        let credentials = authenticate(self, parts).await?.unwrap_or(Credentials::Missing);
        if let Credentials::Valid(principal) = &credentials {
            Verification::note(parts, self, principal);
        }
        Ok(credentials)
    }
}

impl VerifyCredential for AppState {
    type Principal = Credentials;

    /// Verifies a credential, sets the user of the request, and counts the request for the user or the user's API
    /// keys. A browser still sends the cookie of an ended session. An API key that only reads is refused with a method
    /// that may change something, whatever the route requires.
    async fn verify(&self, parts: &Parts, credential: Credential<'_>) -> Result<Credentials, Failure> {
        let credentials = match credential {
            Credential::Bearer(text) if authentication::may_link(&self.store, text) => {
                let store = self.store.acting(Arc::new(guest_of(parts, self.client_address)));
                authentication::credentials(&store, text).await?
            }
            Credential::Bearer(text) => authentication::credentials(&self.store, text).await?,
            Credential::Cookie(text) => authentication::session_credentials(&self.store, text).await?,
        };
        if let Credentials::Valid(principal) = &credentials {
            RequestUser::set(&parts.extensions, acting_user(principal));
            if let Some(limits) = parts.extensions.get::<RequestLimits>() {
                limits.count_user(partition(principal)).await?;
            }
            if principal.means.is_read_only() && !parts.method.is_safe() {
                return Err(UnauthorizedAccessException::ReadOnlyKey.into());
            }
        }
        Ok(credentials)
    }
}

/// The credentials of the request, and the permission that its route requires. Who sends it is noted, for the case that
/// it is refused.
impl LoadFacts<AdminGuard> for AppState {
    async fn load_facts(&self, parts: &mut Parts) -> Result<AdminFacts, Failure> {
        let Some(&RequiredPermission(required)) = parts.extensions.get() else {
            let route =
                parts.extensions.get::<MatchedPath>().map_or_else(|| parts.uri.path(), MatchedPath::as_str);
            return Err(Technical::internal(format!("the route {route} states no permission")).into());
        };
        let credentials = LoadFacts::<AuthenticationGuard>::load_facts(self, parts).await;
        refusals::note(parts, self);
        Ok(AdminFacts { credentials: credentials?, required })
    }
}

impl FromRequestParts<AppState> for Anyone {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Self, Failure> {
        let credentials = LoadFacts::<AuthenticationGuard>::load_facts(app, parts).await?;
        match credentials {
            // the principal of a cookie that is not valid any more is a guest
            Credentials::Invalid if matches!(Credential::of(parts), Ok(Some(Credential::Cookie(_)))) => {
                Ok(Self(None))
            }
            Credentials::Missing => Ok(Self(None)),
            other => AuthenticationGuard::check(other).map(|user| Self(Some(user))),
        }
    }
}

fn acting_user(principal: &Principal) -> ActingUser {
    let (session_id, api_key_id) = match &principal.means {
        Means::Session(session) => (Some(session.id()), None),
        Means::ApiKey(api_key) => (None, Some(api_key.id)),
        Means::AccessToken { session_id } => (Some(*session_id), None),
        Means::IssuerToken(_) => (None, None),
    };
    ActingUser { user_id: principal.user.id, session_id, api_key_id }
}

/// For whom the rate of requests is limited: all API keys of a user together, so that programs do not lock out the
/// user.
fn partition(principal: &Principal) -> Partition {
    match &principal.means {
        Means::ApiKey(_) => Partition::ApiKeysOf(principal.user.id.0),
        Means::Session(_) | Means::AccessToken { .. } | Means::IssuerToken(_) => {
            Partition::User(principal.user.id.0)
        }
    }
}

/// The value of `Set-Cookie` with the token of a session, for a number of seconds.
pub fn session_cookie(app: &AppState, token: &str, seconds: i64) -> Option<HeaderValue> {
    session_cookie_of(app.cookies).header(token, seconds)
}

/// The values of `Set-Cookie` by which the browser removes the cookie of a session, also that of an earlier setting,
/// which has the other name.
pub(super) fn removed_session_cookies(app: &AppState) -> impl Iterator<Item = HeaderValue> {
    let cookie = session_cookie_of(app.cookies);
    [SESSION_COOKIE, SECURE_SESSION_COOKIE].into_iter().filter_map(move |name| {
        let secure = cookie.secure || name == SECURE_SESSION_COOKIE;
        SessionCookie { name, secure, ..cookie }.header("", 0)
    })
}

/// The session cookie by the settings.
pub(super) fn session_cookie_of(attributes: CookieAttributes) -> SessionCookie {
    let names = CookieNames { plain: SESSION_COOKIE, secure: SECURE_SESSION_COOKIE };
    let CookieAttributes { secure, same_site } = attributes;
    SessionCookie { name: cookie_name(attributes, names), secure, same_site }
}

/// The names of a cookie.
#[derive(Debug, Clone, Copy)]
pub(super) struct CookieNames {
    /// The name over HTTP.
    pub(super) plain: &'static str,
    /// The name if browsers send it over HTTPS only.
    pub(super) secure: &'static str,
}

/// Returns the name of a cookie by the settings.
pub(super) fn cookie_name(attributes: CookieAttributes, names: CookieNames) -> &'static str {
    if attributes.secure { names.secure } else { names.plain }
}
