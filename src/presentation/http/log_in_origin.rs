//! Where a request to log in comes from: the address of the client, and the cookie of a known device.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use http::HeaderValue;
use http::request::Parts;

use super::principal::is_secure;
use super::routing::Argument;
use super::state::AppState;
use crate::application::people::known_devices::LIFETIME;
use crate::application::people::log_in_limits::LogInOrigin;
use crate::infrastructure::middleware::{Client, SameSiteCookie, cookie_value};
use crate::settings::{CookieSameSite, HttpSettings};

/// The cookie with the token of a known device.
const DEVICE_COOKIE: &str = "undercroft_device";
/// The same, if browsers send it over HTTPS only.
const SECURE_DEVICE_COOKIE: &str = "__Host-undercroft_device";

/// The origin of a request that has a password.
#[derive(Debug, Clone)]
pub(super) struct Origin(pub(super) LogInOrigin);

impl Argument for Origin {}

impl FromRequestParts<AppState> for Origin {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Self, Infallible> {
        let address = parts.extensions.get::<Client>().map(|client| client.address);
        let device = cookie_value(&parts.headers, name_of(&app.http)).map(str::to_owned);
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
    let name = name_of(&app.http);
    // the prefix requires the path of the whole host
    let path = if is_secure(&app.http) { "/" } else { "/v1/sessions" };
    let text = format!("{name}={token}; Path={path}; Max-Age={seconds}; HttpOnly; {attributes}");
    HeaderValue::from_str(&text).ok()
}

/// Returns the name of the cookie by the settings.
fn name_of(http: &HttpSettings) -> &'static str {
    if is_secure(http) { SECURE_DEVICE_COOKIE } else { DEVICE_COOKIE }
}
