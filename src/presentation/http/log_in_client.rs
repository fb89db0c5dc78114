//! The client of a request that has a password: its address, its cookie of a known device, and that of its session.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use http::HeaderValue;
use http::request::Parts;

use super::principal::{CookieNames, cookie_name};
use super::routing::Argument;
use super::state::AppState;
use crate::application::people::known_devices::LIFETIME;
use crate::application::people::log_in_limits::LogInClient;
use crate::infrastructure::middleware::{Client, Credential, SameSiteCookie, cookie_value};

/// The cookie with the token of a known device.
const DEVICE_COOKIES: CookieNames =
    CookieNames { plain: "undercroft_device", secure: "__Host-undercroft_device" };

impl Argument for LogInClient {}

impl FromRequestParts<AppState> for LogInClient {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Self, Infallible> {
        let address = parts.extensions.get::<Client>().map(|client| client.address);
        let device =
            cookie_value(&parts.headers, cookie_name(app.cookies, DEVICE_COOKIES)).map(str::to_owned);
        let session = Credential::any_of(parts).find_map(|credential| match credential {
            Credential::Cookie(text) => Some(text.into()),
            Credential::Bearer(_) => None,
        });
        Ok(Self { address, device, session })
    }
}

/// The value of `Set-Cookie` with the token of a known device.
pub(super) fn device_cookie(app: &AppState, token: &str) -> Option<HeaderValue> {
    let same_site = match app.cookies.same_site {
        // no link of another site leads to where it is read
        SameSiteCookie::Lax => SameSiteCookie::Strict,
        // that of a shop on another site, whose requests send no strict cookies, is `None`
        other => other,
    };
    let name = cookie_name(app.cookies, DEVICE_COOKIES);
    // the prefix requires the path of the whole host
    let path = if name == DEVICE_COOKIES.secure { "/" } else { "/v1/sessions" };
    same_site.header((name, token), path, LIFETIME.as_secs(), app.cookies.secure)
}
