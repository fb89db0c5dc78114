//! The credential of a request, which is verified once, and only if the request needs it.
//!
//! It comes in `Authorization: Bearer …` or in a cookie. A browser sends the cookie with every request, also with one
//! that another site caused. Therefore a request that changes something and has a cookie must come from the same origin
//! or from one that the settings name: browsers state it in `Sec-Fetch-Site` or `Origin`. A client that sends neither
//! is not a browser.

use std::future::Future;

use http::header::{AUTHORIZATION, COOKIE, HOST, ORIGIN};
use http::{Extensions, HeaderMap, HeaderValue, request::Parts};
use serde::Deserialize;
use url::Url;

use super::client::Client;
use super::named_origins::FromNamedOrigin;
use crate::infrastructure::exceptions::{Failure, UnauthorizedAccessException};

/// A credential, which is not verified.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Credential<'a> {
    /// What follows `Bearer` in `Authorization`.
    Bearer(&'a str),
    /// The value of the session cookie.
    Cookie(&'a str),
}

/// The longest credential that is read, in bytes: an extension of the request.
#[derive(Clone, Copy, Debug)]
pub(super) struct LongestCredential(pub(super) usize);

/// The session cookie of a service: an extension of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionCookie {
    /// The name.
    pub name: &'static str,
    /// Whether browsers send it over HTTPS only.
    pub secure: bool,
    /// With which requests that another site causes browsers send it.
    pub same_site: SameSiteCookie,
}

/// With which requests that another site causes browsers send a cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SameSiteCookie {
    /// With none, not even if a user follows a link.
    Strict,
    /// If a user follows a link.
    Lax,
    /// With all, over HTTPS only.
    None,
}

/// Verifies the credentials of a service.
pub trait VerifyCredential: Sync {
    /// What a verified credential proves: a type of its own for each verifier of a service.
    type Principal: Clone + Send + Sync + 'static;

    /// Verifies the credential of a request.
    fn verify(
        &self,
        parts: &Parts,
        credential: Credential<'_>,
    ) -> impl Future<Output = Result<Self::Principal, Failure>> + Send;
}

/// What was verified: an extension of the request.
#[derive(Clone)]
struct Verified<P>(P);

/// Returns what the credential of a request proves, `None` if it has none. The first call verifies it.
///
/// What was verified is kept for the request by the type of the principal alone: two verifiers that the same request
/// calls have principals of different types, or the second gets what the first has verified.
///
/// # Errors
///
/// That of the verification, and those of [`Credential::of`].
pub async fn authenticate<V: VerifyCredential>(
    verifier: &V,
    parts: &mut Parts,
) -> Result<Option<V::Principal>, Failure> {
    if let Some(Verified(known)) = parts.extensions.get::<Verified<V::Principal>>() {
        return Ok(Some(known.clone()));
    }
    let Some(credential) = Credential::of(parts)? else { return Ok(None) };
    let principal = verifier.verify(parts, credential).await?;
    parts.extensions.insert(Verified(principal.clone()));
    Ok(Some(principal))
}

impl<'a> Credential<'a> {
    /// Reads the credential of a request.
    ///
    /// # Errors
    ///
    /// [`UnauthorizedAccessException::InvalidToken`] if `Authorization` is repeated, of another scheme or too long, and
    /// [`UnauthorizedAccessException::ForeignOrigin`] for a cookie that may not be used with the request.
    pub fn of(parts: &'a Parts) -> Result<Option<Self>, UnauthorizedAccessException> {
        if parts.headers.contains_key(AUTHORIZATION) {
            return Self::bearer(parts).map(Some).ok_or(UnauthorizedAccessException::InvalidToken);
        }
        let Some(cookie) = Self::cookie(parts) else { return Ok(None) };
        if !parts.method.is_safe() {
            check_same_site(parts)?;
        }
        Ok(Some(cookie))
    }

    /// Reads all that may be a credential of a request, for what is done without one, too: that of `Authorization`,
    /// and that of the cookie, whichever site caused the request. What cannot be read is skipped.
    pub fn any_of(parts: &'a Parts) -> impl Iterator<Item = Self> {
        Self::bearer(parts).into_iter().chain(Self::cookie(parts))
    }

    fn bearer(parts: &'a Parts) -> Option<Self> {
        let mut values = parts.headers.get_all(AUTHORIZATION).iter();
        let (scheme, text) = values.next()?.to_str().ok()?.split_once(' ')?;
        let is_bearer = scheme.eq_ignore_ascii_case("bearer") && values.next().is_none();
        (is_bearer && text.len() <= longest(parts)).then(|| Self::Bearer(text.trim()))
    }

    fn cookie(parts: &'a Parts) -> Option<Self> {
        let cookie = parts.extensions.get::<SessionCookie>()?;
        let text = cookie_value(&parts.headers, cookie.name)?;
        (text.len() <= longest(parts)).then_some(Self::Cookie(text))
    }

    /// Returns the text.
    pub fn text(self) -> &'a str {
        match self {
            Self::Bearer(text) | Self::Cookie(text) => text,
        }
    }
}

impl SessionCookie {
    /// Returns the value of `Set-Cookie` with a token, for a number of seconds. With 0 the browser removes the cookie.
    pub fn header(&self, token: &str, seconds: i64) -> Option<HeaderValue> {
        self.same_site.header((self.name, token), "/", seconds, self.secure)
    }
}

impl SameSiteCookie {
    /// Returns the value of `Set-Cookie` with a name and a value, for requests to a path in a number of seconds, over
    /// HTTPS only if `secure`.
    pub fn header(
        self,
        (name, value): (&str, &str),
        path: &str,
        seconds: i64,
        secure: bool,
    ) -> Option<HeaderValue> {
        let attributes = match (self, secure) {
            (Self::Strict, true) => "SameSite=Strict; Secure",
            (Self::Strict, false) => "SameSite=Strict",
            (Self::Lax, true) => "SameSite=Lax; Secure",
            (Self::Lax, false) => "SameSite=Lax",
            // browsers refuse it without `Secure`
            (Self::None, _) => "SameSite=None; Secure",
        };
        let text = format!("{name}={value}; Path={path}; Max-Age={seconds}; HttpOnly; {attributes}");
        HeaderValue::from_str(&text).ok()
    }
}

/// Returns the greatest length of a credential.
fn longest(parts: &Parts) -> usize {
    parts.extensions.get().map_or(usize::MAX, |LongestCredential(longest)| *longest)
}

/// Returns the value of a cookie, which is of ASCII. Other cookies of the host may have any bytes, such as a name in
/// UTF-8.
pub fn cookie_value<'a>(headers: &'a HeaderMap, wanted: &str) -> Option<&'a str> {
    headers
        .get_all(COOKIE)
        .iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b';'))
        .filter_map(|pair| str::from_utf8(pair).ok().filter(|pair| pair.is_ascii()))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(name, value)| (name == wanted && !value.is_empty()).then_some(value))
}

/// Refuses a request of which a browser states that another site caused it, unless the settings name its origin.
///
/// # Errors
///
/// [`UnauthorizedAccessException::ForeignOrigin`].
pub fn check_same_site(parts: &Parts) -> Result<(), UnauthorizedAccessException> {
    let is_allowed = parts.extensions.get::<FromNamedOrigin>().is_some()
        || !is_cross_site(&parts.headers, &parts.extensions);
    if is_allowed { Ok(()) } else { Err(UnauthorizedAccessException::ForeignOrigin) }
}

/// Returns whether a browser states that another origin caused the request. Scheme and host are those that the browser
/// sees, also behind a trusted proxy; a service whose cookies browsers send by HTTPS only is reached by that.
pub(super) fn is_cross_site(headers: &HeaderMap, extensions: &Extensions) -> bool {
    if let Some(site) = headers.get("sec-fetch-site") {
        return site != "same-origin" && site != "none";
    }
    let Some(origin) = headers.get(ORIGIN) else { return false };
    let client = extensions.get::<Client>();
    let is_secure = extensions.get::<SessionCookie>().is_some_and(|cookie| cookie.secure);
    let is_https = is_secure || client.is_some_and(|client| client.is_https);
    let scheme = if is_https { "https" } else { "http" };
    let host = client.and_then(|client| client.host.as_ref()).or(headers.get(HOST));
    let own = host.and_then(|host| Url::parse(&format!("{scheme}://{}", host.to_str().ok()?)).ok());
    let stated = origin.to_str().ok().and_then(|text| Url::parse(text).ok());
    // an unreadable one is that of no page; scheme, host in lower case, and port are compared
    stated.zip(own).is_none_or(|(stated, own)| stated.origin() != own.origin())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, Method, Request};

    const COOKIE: SessionCookie =
        SessionCookie { name: "shop_session", secure: false, same_site: SameSiteCookie::Lax };

    fn parts(method: Method, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().method(method).uri("/").body(()).unwrap();
        for (name, value) in headers {
            request
                .headers_mut()
                .append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        request.extensions_mut().insert(COOKIE);
        request.extensions_mut().insert(LongestCredential(100));
        request.into_parts().0
    }

    fn token(
        method: Method,
        headers: &[(&str, &str)],
    ) -> Result<Option<String>, UnauthorizedAccessException> {
        let parts = parts(method, headers);
        Ok(Credential::of(&parts)?.map(|credential| credential.text().to_owned()))
    }

    #[test]
    fn a_token_is_read_from_the_header_or_from_its_cookie() {
        assert_eq!(token(Method::GET, &[]), Ok(None));
        assert_eq!(token(Method::GET, &[("authorization", "bearer abc")]), Ok(Some("abc".into())));
        let cookies = [("cookie", "a=b; x_shop_session=no"), ("cookie", "shop_session=abc; c=d")];
        assert_eq!(token(Method::GET, &cookies), Ok(Some("abc".into())));
        let both = [("cookie", "shop_session=abc"), ("authorization", "Bearer def")];
        assert_eq!(token(Method::POST, &both), Ok(Some("def".into())));
        assert_eq!(token(Method::GET, &[("cookie", "shop_session=")]), Ok(None));
        let invalid = Err(UnauthorizedAccessException::InvalidToken);
        assert_eq!(token(Method::GET, &[("authorization", "Basic YTpi")]), invalid);
        let twice = [("authorization", "Bearer abc"), ("authorization", "Bearer def")];
        assert_eq!(token(Method::GET, &twice), invalid);
        let long = format!("Bearer {}", "a".repeat(101));
        assert_eq!(token(Method::GET, &[("authorization", &long)]), invalid);
    }

    #[test]
    fn a_cookie_is_found_beside_others_of_any_bytes() {
        let utf_8 = "name=Zo\u{eb}; shop_session=K\u{f6}ln; shop_session=abc".as_bytes();
        let latin_1 = b"name=Zo\xeb; shop_session=abc; city=K\xf6ln".as_slice();
        for line in [utf_8, latin_1] {
            let headers =
                HeaderMap::from_iter([(http::header::COOKIE, HeaderValue::from_bytes(line).unwrap())]);
            assert_eq!(cookie_value(&headers, "shop_session"), Some("abc"));
            assert_eq!(cookie_value(&headers, "name"), None);
        }
    }

    #[test]
    fn a_cookie_is_refused_for_a_change_that_another_site_caused() {
        let cookie = ("cookie", "shop_session=abc");
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
        for (is_https, host, origin, is_own) in [
            (true, "shop.example", "https://shop.example", true),
            (true, "Shop.Example:443", "https://shop.example", true),
            (false, "shop.example:80", "http://shop.example", true),
            (false, "[::1]:8080", "http://[::1]:8080", true),
            (true, "shop.example", "http://shop.example", false),
            (false, "shop.example", "https://shop.example", false),
            (true, "shop.example", "https://shop.example:8443", false),
            (true, "shop.example:80", "http://shop.example", false),
            (true, "shop.example", "https://shop.example.evil.example", false),
        ] {
            let mut asked = parts(Method::POST, &[cookie, ("origin", origin)]);
            let (address, host) = ([192, 0, 2, 7].into(), Some(host.parse().unwrap()));
            asked.extensions.insert(Client { address, is_https, host, is_proxied: false });
            assert_eq!(Credential::of(&asked).is_ok(), is_own, "{is_https} {asked:?}");
        }
        for (origin, is_own) in [("https://shop.example", true), ("http://shop.example", false)] {
            let secure = SessionCookie { secure: true, ..COOKIE };
            let mut asked = parts(Method::POST, &[cookie, ("host", "shop.example"), ("origin", origin)]);
            asked.extensions.insert(secure);
            assert_eq!(Credential::of(&asked).is_ok(), is_own, "TLS ends at a proxy: {origin}");
        }
        assert!(token(Method::POST, &[cookie, host]).is_ok(), "not a browser");
        let mut named = parts(Method::POST, &[cookie, host, ("sec-fetch-site", "cross-site")]);
        named.extensions.insert(FromNamedOrigin);
        assert!(Credential::of(&named).is_ok());
        let bearer = ("authorization", "Bearer abc");
        assert!(token(Method::POST, &[bearer, host, ("origin", "https://evil.example")]).is_ok());
    }
}
