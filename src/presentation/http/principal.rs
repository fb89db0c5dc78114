//! Principals: the extractors with which a handler begins. Each is the proof that the principal may call the handler;
//! those that refuse one are guards, whose facts are the credentials of the request.
//!
//! The token of a session comes in `Authorization: Bearer …` or in a cookie. A browser sends the cookie with every
//! request, also with one that another site caused. Therefore a request that changes something and has a cookie must
//! come from the same origin or from one that the settings name: browsers state it in `Sec-Fetch-Site` or `Origin`. A
//! client that sends neither is not a browser.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::header::{AUTHORIZATION, COOKIE, HOST, ORIGIN};
use http::{HeaderMap, HeaderValue, Uri, request::Parts};

use super::actor::{ActingUser, RequestUser};
use super::guarded::{DescribeGuard, Guarded, LoadFacts};
use super::operation::OperationDescription;
use super::routing::{Access, Argument, Policy};
use super::state::AppState;
use crate::application::Store;
use crate::application::people::sessions;
use crate::domain::ids::UserId;
use crate::domain::user::token_hash;
use crate::infrastructure::exceptions::{Failure, UnauthorizedAccessException};
use crate::infrastructure::guards::{AdminGuard, AuthenticationGuard, Credentials, Guard, Principal};
use crate::infrastructure::middleware::{Client, FromNamedOrigin, Partition, RequestLimits};
use crate::settings::{CookieSameSite, HttpSettings};

/// The cookie with the token of a session.
pub const SESSION_COOKIE: &str = "undercroft_session";

/// Any principal; tokens are not read.
#[derive(Debug, Clone, Copy)]
pub struct Public;

/// The proof that no other site caused the request, for a route that needs no token.
#[derive(Debug, Clone, Copy)]
pub struct SameSite;

/// Any principal: a user with a session, or a guest (`None`).
#[derive(Debug, Clone)]
pub struct Anyone(pub Option<AuthenticationGuard>);

/// A user with a session.
pub type LoggedIn = Guarded<AuthenticationGuard>;

/// An administrator with a session.
pub type Admin = Guarded<AdminGuard>;

/// Any principal, with the hash of the token, which is not verified.
#[derive(Debug, Clone)]
pub struct TokenHolder(pub Option<Vec<u8>>);

impl Policy for TokenHolder {
    const ACCESS: Access = Access::Anyone;
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

impl DescribeGuard for AdminGuard {
    const ACCESS: Access = Access::Admin;
}

impl Anyone {
    /// The id of the user; `None` for a guest.
    pub fn user_id(&self) -> Option<UserId> {
        self.0.as_ref().map(AuthenticationGuard::user_id)
    }
}

impl Admin {
    /// Returns whether the session has not ended since, and the user is still an administrator: for responses that take
    /// long.
    pub async fn is_still_allowed(&self, store: &Store) -> Result<bool, Failure> {
        let found = sessions::by_token_hash(store, &self.session.token_hash).await?;
        let found = found.map(|(session, user)| Principal::new(user, session));
        Ok(AdminGuard::check(credentials(found)).is_ok())
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
        check_same_site(parts).map(|()| Self)
    }
}

impl<S: Sync> FromRequestParts<S> for TokenHolder {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        Ok(Self(Token::of(parts)?.map(|token| token_hash(token.text))))
    }
}

/// The credentials of the request, which are loaded once.
impl<G: Guard<Facts = Credentials>> LoadFacts<G> for AppState {
    async fn load_facts(&self, parts: &mut Parts) -> Result<Credentials, Failure> {
        if let Some(known) = parts.extensions.get::<Credentials>() {
            return Ok(known.clone());
        }
        let loaded = match Token::of(parts)? {
            Some(token) => credentials(token.session(self, parts).await?),
            None => Credentials::Missing,
        };
        parts.extensions.insert(loaded.clone());
        Ok(loaded)
    }
}

impl FromRequestParts<AppState> for Anyone {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Self, Failure> {
        let credentials = LoadFacts::<AuthenticationGuard>::load_facts(app, parts).await?;
        match credentials {
            // A browser still sends the cookie of an ended session. The principal is a guest.
            Credentials::Invalid if !parts.headers.contains_key(AUTHORIZATION) => Ok(Self(None)),
            Credentials::Missing => Ok(Self(None)),
            other => AuthenticationGuard::check(other).map(|user| Self(Some(user))),
        }
    }
}

/// Returns the credentials of a token, with the principal that was found by it.
fn credentials(found: Option<Principal>) -> Credentials {
    found.map_or(Credentials::Invalid, |principal| Credentials::Valid(Arc::new(principal)))
}

/// The value of `Set-Cookie` with the token of a session, for a number of seconds. With 0 the browser removes the
/// cookie.
pub fn session_cookie(app: &AppState, token: &str, seconds: i64) -> Option<HeaderValue> {
    let attributes = attributes(&app.http);
    let text = format!("{SESSION_COOKIE}={token}; Path=/; Max-Age={seconds}; HttpOnly; {attributes}");
    HeaderValue::from_str(&text).ok()
}

/// Returns the attributes of a cookie that depend on the settings.
fn attributes(http: &HttpSettings) -> &'static str {
    match (http.cookie_same_site, http.secure_cookies) {
        (CookieSameSite::Strict, true) => "SameSite=Strict; Secure",
        (CookieSameSite::Strict, false) => "SameSite=Strict",
        (CookieSameSite::Lax, true) => "SameSite=Lax; Secure",
        (CookieSameSite::Lax, false) => "SameSite=Lax",
        // browsers refuse it without `Secure`
        (CookieSameSite::None, _) => "SameSite=None; Secure",
    }
}

/// The token of a request.
struct Token<'a> {
    text: &'a str,
}

impl<'a> Token<'a> {
    /// Reads the token of a request. Fails for a cookie that may not be used with the request.
    fn of(parts: &'a Parts) -> Result<Option<Self>, Failure> {
        if let Some(value) = parts.headers.get(AUTHORIZATION) {
            let bearer = value.to_str().ok().and_then(|text| text.split_once(' '));
            return match bearer {
                Some((scheme, text)) if scheme.eq_ignore_ascii_case("bearer") => {
                    Ok(Some(Self { text: text.trim() }))
                }
                _ => Err(UnauthorizedAccessException::InvalidToken.into()),
            };
        }
        let Some(text) = cookie(&parts.headers, SESSION_COOKIE) else { return Ok(None) };
        if !parts.method.is_safe() {
            check_same_site(parts)?;
        }
        Ok(Some(Self { text }))
    }

    /// Returns the user with the session, sets the user of the request, and counts the request for the user.
    async fn session(&self, app: &AppState, parts: &Parts) -> Result<Option<Principal>, Failure> {
        let found = sessions::by_token_hash(&app.store, &token_hash(self.text)).await?;
        if let Some((session, user)) = &found {
            let acting = ActingUser { user_id: user.id, session_id: session.id() };
            RequestUser::set(&parts.extensions, acting);
            if let Some(limits) = parts.extensions.get::<RequestLimits>() {
                limits.count_user(Partition::User(user.id.0)).await?;
            }
        }
        Ok(found.map(|(session, user)| Principal::new(user, session)))
    }
}

/// Returns the value of a cookie.
pub(super) fn cookie<'a>(headers: &'a HeaderMap, wanted: &str) -> Option<&'a str> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(name, value)| (name == wanted && !value.is_empty()).then_some(value))
}

/// Refuses a request of which a browser states that another site caused it, unless the settings name its origin.
fn check_same_site(parts: &Parts) -> Result<(), Failure> {
    let is_allowed = parts.extensions.get::<FromNamedOrigin>().is_some() || !is_cross_site(parts);
    if is_allowed { Ok(()) } else { Err(UnauthorizedAccessException::ForeignOrigin.into()) }
}

/// Returns whether a browser states that another site caused the request. The host is that which the browser sees, also
/// behind a proxy.
fn is_cross_site(parts: &Parts) -> bool {
    let headers = &parts.headers;
    if let Some(site) = headers.get("sec-fetch-site") {
        return site != "same-origin" && site != "none";
    }
    let Some(origin) = headers.get(ORIGIN) else { return false };
    let origin = origin.to_str().ok().and_then(|text| text.parse::<Uri>().ok());
    let authority = origin.as_ref().and_then(Uri::authority).map(|authority| authority.as_str().as_bytes());
    let reported = parts.extensions.get::<Client>().and_then(|client| client.host.as_ref());
    let host = reported.or(headers.get(HOST)).map(HeaderValue::as_bytes);
    authority.is_none() || authority != host
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, Method, Request};

    fn parts(method: Method, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().method(method).uri("/").body(()).unwrap();
        for (name, value) in headers {
            request
                .headers_mut()
                .append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        request.into_parts().0
    }

    fn token(method: Method, headers: &[(&str, &str)]) -> Result<Option<String>, &'static str> {
        let parts = parts(method, headers);
        match Token::of(&parts) {
            Ok(token) => Ok(token.map(|token| token.text.to_owned())),
            Err(failure) => Err(failure.code()),
        }
    }

    #[test]
    fn a_token_is_read_from_the_header_or_from_its_cookie() {
        assert_eq!(token(Method::GET, &[]), Ok(None));
        assert_eq!(token(Method::GET, &[("authorization", "bearer abc")]), Ok(Some("abc".into())));
        let cookies = [("cookie", "a=b; x_undercroft_session=no"), ("cookie", "undercroft_session=abc; c=d")];
        assert_eq!(token(Method::GET, &cookies), Ok(Some("abc".into())));
        let both = [("cookie", "undercroft_session=abc"), ("authorization", "Bearer def")];
        assert_eq!(token(Method::POST, &both), Ok(Some("def".into())));
        assert_eq!(token(Method::GET, &[("cookie", "undercroft_session=")]), Ok(None));
        assert_eq!(token(Method::GET, &[("authorization", "Basic YTpi")]), Err("unauthorized_access"));
    }

    #[test]
    fn a_cookie_is_refused_for_a_change_that_another_site_caused() {
        let cookie = ("cookie", "undercroft_session=abc");
        let host = ("host", "shop.example:8080");
        for foreign in [
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
            ("origin", "https://evil.example"),
            ("origin", "http://shop.example"),
            ("origin", "null"),
        ] {
            assert!(token(Method::POST, &[cookie, host, foreign]).is_err(), "{foreign:?}");
            assert!(token(Method::DELETE, &[cookie, host, foreign]).is_err(), "{foreign:?}");
            assert!(token(Method::GET, &[cookie, host, foreign]).is_ok(), "reading is safe: {foreign:?}");
        }
        for own in [
            ("sec-fetch-site", "same-origin"),
            ("sec-fetch-site", "none"),
            ("origin", "http://shop.example:8080"),
        ] {
            assert!(token(Method::POST, &[cookie, host, own]).is_ok(), "{own:?}");
        }
        assert!(token(Method::POST, &[cookie, host]).is_ok(), "not a browser");
        let mut named = parts(Method::POST, &[cookie, host, ("sec-fetch-site", "cross-site")]);
        named.extensions.insert(FromNamedOrigin);
        assert!(Token::of(&named).is_ok());
        let bearer = ("authorization", "Bearer abc");
        assert!(token(Method::POST, &[bearer, host, ("origin", "https://evil.example")]).is_ok());
    }
}
