//! Where a request to log in comes from: the address of the client, and the cookie of a known device.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use http::HeaderValue;
use http::request::Parts;

use super::routing::Argument;
use super::state::AppState;
use crate::application::people::known_devices::LIFETIME;
use crate::application::people::log_in_limits::LogInOrigin;
use crate::infrastructure::middleware::{Client, SameSiteCookie, cookie_value};
use crate::settings::CookieSameSite;

/// The cookie with the token of a known device.
const DEVICE_COOKIE: &str = "undercroft_device";

/// The origin of a request that has a password.
#[derive(Debug, Clone)]
pub(super) struct Origin(pub(super) LogInOrigin);

impl Argument for Origin {}

impl<S: Sync> FromRequestParts<S> for Origin {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let address = parts.extensions.get::<Client>().map(|client| client.address);
        let device = cookie_value(&parts.headers, DEVICE_COOKIE).map(str::to_owned);
        Ok(Self(LogInOrigin { address, device }))
    }
}

/// The value of `Set-Cookie` with the token of a known device.
pub(super) fn device_cookie(app: &AppState, token: &str) -> Option<HeaderValue> {
    let same_site = match app.http.cookie_same_site {
        // the shop is on another site, whose requests send no strict cookies
        CookieSameSite::None => SameSiteCookie::None,
        CookieSameSite::Strict | CookieSameSite::Lax => SameSiteCookie::Strict,
    };
    let attributes = same_site.attributes(app.http.secure_cookies);
    let seconds = LIFETIME.as_secs();
    let text =
        format!("{DEVICE_COOKIE}={token}; Path=/v1/sessions; Max-Age={seconds}; HttpOnly; {attributes}");
    HeaderValue::from_str(&text).ok()
}
