//! Sends messages to webhook endpoints, signed as the Standard Webhooks specification states.
//!
//! The URLs come from administrators, so a message is only sent to public addresses, and over HTTPS. A URL whose host
//! is another address, in any form that URLs have for it, or this machine is refused when the endpoint is created, and
//! again at each message. The address that the name of the host resolves to is checked and then connected to, without a
//! second resolution. A redirect is not followed: it is a failure. Settings allow any address and HTTP for development.
//!
//! <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>

mod address;
mod signature;

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http_body_util::Full;
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use tokio::time::timeout;
use url::Url;
use uuid::Uuid;

use self::address::{is_public, may_be_public};
pub use self::signature::new_secret;
use self::signature::sign;
use super::certificate_authorities::CertificateAuthorities;
use super::connection::{ConnectError, Connector, Endpoint};
use crate::domain::trace::TraceContext;
use crate::domain::webhook::WebhookSecret;

/// The longest time from the resolution of the host to the head of the response.
pub const TIMEOUT: Duration = Duration::from_secs(15);
/// The longest wait that a `Retry-After` can ask for, in seconds.
const LONGEST_RETRY_AFTER: i64 = 24 * 60 * 60;

/// Sends messages to webhook endpoints. Clones share everything.
#[derive(Clone)]
pub struct WebhookClient {
    connector: Connector,
    allow_private: bool,
}

/// A message to an endpoint.
#[derive(Debug)]
pub struct WebhookMessage<'a> {
    /// The URL of the endpoint.
    pub url: &'a str,
    /// The id of the message, the same for each attempt.
    pub id: Uuid,
    /// The time of the attempt.
    pub at: Timestamp,
    /// The media type of the body.
    pub media_type: &'static str,
    /// The body.
    pub body: &'a str,
    /// The trace in which it is sent.
    pub trace: Option<TraceContext>,
}

/// The response of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WebhookResponse {
    /// The status.
    pub status: u16,
    /// The wait in seconds that the endpoint asks for, a day at most.
    pub retry_after: Option<i64>,
}

impl WebhookResponse {
    /// Returns whether the endpoint acknowledged the message.
    pub fn is_acknowledged(self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// Why a URL cannot be that of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEndpoint {
    /// It is not an HTTPS URL with a host, or has a user, a password or a fragment.
    #[error("not an HTTPS URL with a host")]
    Url,
    /// It is an HTTP URL, or the host is this machine or an address that is not public: settings allow both.
    #[error("not HTTPS and a public address, which `webhooks.allow_private` would allow")]
    Private,
}

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// The URL is invalid, or the host has no public address.
    #[error(transparent)]
    Endpoint(#[from] InvalidEndpoint),
    /// The name of the host cannot be resolved.
    #[error("the name of the host cannot be resolved")]
    Resolve(#[source] std::io::Error),
    /// The connection failed.
    #[error("the connection failed")]
    Connect(#[source] std::io::Error),
    /// The endpoint does not speak HTTP/1.1.
    #[error("the request failed")]
    Http(#[source] hyper::Error),
    /// The response took too long.
    #[error("no response within {} seconds", TIMEOUT.as_secs())]
    TimedOut,
}

impl From<ConnectError> for WebhookError {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::NotAllowed => InvalidEndpoint::Private.into(),
            ConnectError::Name => InvalidEndpoint::Url.into(),
            ConnectError::Resolve(error) => Self::Resolve(error),
            ConnectError::Failed(error) => Self::Connect(error),
            ConnectError::Http(error) => Self::Http(error),
        }
    }
}

impl WebhookClient {
    /// Returns a client that trusts these authorities. `allow_private` allows addresses that are not public, and HTTP.
    pub(crate) fn new(allow_private: bool, authorities: &CertificateAuthorities) -> Self {
        Self { connector: Connector::new(authorities), allow_private }
    }

    /// Checks the URL of an endpoint, as far as it can be checked without a resolution of its host.
    pub fn check(&self, url: &str) -> Result<(), InvalidEndpoint> {
        self.parse(url).map(drop)
    }

    /// Sends a message, signed with each of the secrets; returns the response, whatever its status.
    pub async fn send(
        &self,
        message: &WebhookMessage<'_>,
        secrets: impl Iterator<Item = &WebhookSecret>,
    ) -> Result<WebhookResponse, WebhookError> {
        let signatures: Vec<_> = secrets.map(|secret| sign(secret, message)).collect();
        timeout(TIMEOUT, self.exchange(message, &signatures.join(" ")))
            .await
            .unwrap_or(Err(WebhookError::TimedOut))
    }

    async fn exchange(
        &self,
        message: &WebhookMessage<'_>,
        signatures: &str,
    ) -> Result<WebhookResponse, WebhookError> {
        let endpoint = self.parse(message.url)?;
        let mut sender = self.connector.connect(&endpoint, |address| self.allows(address)).await?;

        let mut request = endpoint
            .request(Method::POST, &endpoint.path_and_query)
            .header(CONTENT_TYPE, message.media_type)
            .header("webhook-id", message.id.to_string())
            .header("webhook-timestamp", message.at.as_second())
            .header("webhook-signature", signatures);
        if let Some(trace) = message.trace {
            request = request.header("traceparent", trace.to_string());
        }
        let body = Full::new(Bytes::copy_from_slice(message.body.as_bytes()));
        let request = request.body(body).map_err(|_| InvalidEndpoint::Url)?;
        // the body of the response is not read: its status says whether the message is acknowledged
        let response = sender.send_request(request).await.map_err(WebhookError::Http)?;
        let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let retry_after = retry_after.and_then(|text| seconds_after(text, message.at));
        Ok(WebhookResponse { status: response.status().as_u16(), retry_after })
    }

    /// Returns the endpoint of a URL, whose host is not resolved.
    fn parse(&self, url: &str) -> Result<Endpoint, InvalidEndpoint> {
        let endpoint: Endpoint = url.parse().map_err(|_| InvalidEndpoint::Url)?;
        // numbers such as 2130706433 and 0x7f.1 are addresses, as for the resolution
        let url = Url::parse(url).map_err(|_| InvalidEndpoint::Url)?;
        let may_be_public = url.host().is_some_and(|host| may_be_public(&host));
        if self.allow_private || endpoint.is_https && may_be_public {
            Ok(endpoint)
        } else {
            Err(InvalidEndpoint::Private)
        }
    }

    /// Returns whether messages may be sent to an address.
    fn allows(&self, address: IpAddr) -> bool {
        self.allow_private || is_public(address)
    }
}

impl std::fmt::Debug for WebhookClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebhookClient").field("allow_private", &self.allow_private).finish_non_exhaustive()
    }
}

/// Returns the seconds that a `Retry-After` asks to wait from a time on: its number, or those until its date (RFC 9110,
/// section 10.2.3).
fn seconds_after(text: &str, now: Timestamp) -> Option<i64> {
    let until = || rfc2822::parse(text).ok().map(|date| date.timestamp().duration_since(now).as_secs());
    let seconds = text.parse().ok().or_else(until)?;
    Some(seconds.clamp(0, LONGEST_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client_with(allow_private: bool) -> WebhookClient {
        WebhookClient::new(allow_private, &CertificateAuthorities::default())
    }

    #[test]
    fn retry_after_is_a_number_of_seconds_or_a_date() {
        let now = "1994-11-06T08:49:00Z".parse().unwrap();
        for (text, seconds) in [
            ("120", Some(120)),
            ("-1", Some(0)),
            ("999999999", Some(LONGEST_RETRY_AFTER)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(37)),
            ("Sun, 06 Nov 1994 08:48:37 GMT", Some(0)),
            ("soon", None),
        ] {
            assert_eq!(seconds_after(text, now), seconds, "{text}");
        }
    }

    #[test]
    fn only_https_urls_of_public_hosts_are_endpoints() {
        let client = client_with(false);
        for url in [
            "https://example.com",
            "https://example.com:8443/hooks?a=b",
            "https://[2606:4700::1111]/",
            "https://1.1.1.1/",
            "https://16843009/",
            "https://localhost.example.com/",
        ] {
            assert_eq!(client.check(url), Ok(()), "{url}");
        }
        for url in [
            "ftp://example.com/",
            "example.com/hooks",
            "/hooks",
            "https://",
            "https://user:secret@example.com/",
            "https://example.com/#part",
            "not a URL",
            "https://1.2.3.4.5/",
            "https://256.1.1.1/",
        ] {
            assert_eq!(client.check(url), Err(InvalidEndpoint::Url), "{url}");
        }
        for url in [
            "http://example.com/",
            "https://127.0.0.1/",
            "https://10.0.0.1/",
            "https://[::1]/",
            "https://169.254.169.254/x",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://0177.0.0.1:8443/",
            "https://127.0.0.1./",
            "https://[::ffff:127.0.0.1]/",
            "https://localhost/",
            "https://LOCALHOST.:8443/",
            "https://db.localhost/",
        ] {
            assert_eq!(client.check(url), Err(InvalidEndpoint::Private), "{url}");
        }
        assert_eq!(client_with(true).check("http://127.0.0.1:9/"), Ok(()));
    }

    #[tokio::test]
    async fn a_name_that_resolves_to_a_private_address_is_not_connected_to() {
        let client = client_with(false);
        let endpoint: Endpoint = "https://localhost/".parse().unwrap();
        let connected = client.connector.connect(&endpoint, |address| client.allows(address)).await;
        let failure = WebhookError::from(connected.map(drop).unwrap_err());
        assert!(matches!(failure, WebhookError::Endpoint(InvalidEndpoint::Private)), "{failure:?}");
    }

    #[tokio::test]
    async fn what_a_new_endpoint_cannot_have_is_not_sent_to_either() {
        let message = WebhookMessage {
            url: "https://2130706433/",
            id: Uuid::nil(),
            at: Timestamp::UNIX_EPOCH,
            media_type: "application/json",
            body: "{}",
            trace: None,
        };
        let sent = client_with(false).send(&message, std::iter::empty()).await;
        assert!(matches!(sent, Err(WebhookError::Endpoint(InvalidEndpoint::Private))), "{sent:?}");
    }
}
