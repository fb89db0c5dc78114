//! The public keys of identity providers, by OpenID Connect Discovery 1.0: over HTTPS, or over HTTP from this machine.
//!
//! The operator names the issuer, so that its address may be private. A redirect is not followed.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use http::header::ACCEPT;
use http::{Method, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use serde::Deserialize;
use tokio::time::timeout;

use super::certificate_authorities::CertificateAuthorities;
use super::connection::{ConnectError, Connector, Endpoint};

/// The longest time for both requests.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The largest body, in bytes.
const LARGEST: usize = 256 << 10;

/// Fetches key sets. Clones share the configuration of TLS.
#[derive(Clone)]
pub struct KeySetClient(Connector);

/// Why a key set was not fetched.
#[derive(Debug, thiserror::Error)]
pub enum KeySetError {
    /// A URL is not HTTPS, or has a user, a password or a fragment.
    #[error("not an HTTPS URL with a host, without a user")]
    Url,
    /// The connection failed.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The request failed.
    #[error("the request failed")]
    Http(#[source] hyper::Error),
    /// The response has another status.
    #[error("the response has the status {0}")]
    Status(StatusCode),
    /// The body is larger than 256 KiB, or was not received.
    #[error("the body was not received, or is too large")]
    Body,
    /// The configuration is no JSON object with the members that are needed.
    #[error("the configuration of the issuer is invalid")]
    Configuration,
    /// The configuration is that of another issuer.
    #[error("the configuration is that of another issuer")]
    OtherIssuer,
    /// The responses took too long.
    #[error("no response within {} seconds", TIMEOUT.as_secs())]
    TimedOut,
}

/// The configuration of an issuer.
#[derive(Deserialize)]
struct Configuration {
    issuer: String,
    jwks_uri: String,
}

impl std::fmt::Debug for KeySetClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeySetClient").finish_non_exhaustive()
    }
}

impl Default for KeySetClient {
    fn default() -> Self {
        Self::new(&CertificateAuthorities::default())
    }
}

impl KeySetClient {
    /// Returns a client that trusts these authorities.
    pub fn new(authorities: &CertificateAuthorities) -> Self {
        Self(Connector::new(authorities))
    }

    /// Returns the JSON Web Key Set of an issuer.
    pub async fn fetch(&self, issuer: &str) -> Result<Bytes, KeySetError> {
        timeout(TIMEOUT, self.discover(issuer)).await.unwrap_or(Err(KeySetError::TimedOut))
    }

    async fn discover(&self, issuer: &str) -> Result<Bytes, KeySetError> {
        let url = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let body = self.get(&url).await?;
        let found: Configuration = serde_json::from_slice(&body).map_err(|_| KeySetError::Configuration)?;
        if found.issuer != issuer {
            return Err(KeySetError::OtherIssuer);
        }
        self.get(&found.jwks_uri).await
    }

    async fn get(&self, url: &str) -> Result<Bytes, KeySetError> {
        let endpoint: Endpoint = url.parse().map_err(|_| KeySetError::Url)?;
        let allowed = |address: IpAddr| endpoint.is_https || address.is_loopback();
        let mut sender = self.0.connect(&endpoint, allowed).await?;

        let request = endpoint.request(Method::GET, &endpoint.path_and_query);
        let request = request.header(ACCEPT, "application/json");
        let request = request.body(Full::new(Bytes::new())).map_err(|_| KeySetError::Url)?;
        let response = sender.send_request(request).await.map_err(KeySetError::Http)?;
        if response.status() != StatusCode::OK {
            return Err(KeySetError::Status(response.status()));
        }
        let body = Limited::new(response.into_body(), LARGEST).collect().await;
        Ok(body.map_err(|_| KeySetError::Body)?.to_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_url_of_keys_with_a_user_is_refused() {
        for url in ["https://ann:secret@127.0.0.1:9/keys", "http://ann@127.0.0.1:9/keys"] {
            let refused = KeySetClient::default().get(url).await;
            assert!(matches!(refused, Err(KeySetError::Url)), "{refused:?}");
        }
    }
}
