//! Sends traces and metrics to a collector: OTLP over HTTP in JSON.
//!
//! <https://opentelemetry.io/docs/specs/otlp/#otlphttp>

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Method, StatusCode};
use http_body_util::Full;
use tokio::time::timeout;

use super::certificate_authorities::CertificateAuthorities;
use super::connection::{ConnectError, Connector, Endpoint};

/// The longest time of an export, as the specification of OTLP exporters has it.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The URL of a collector: `http://HOST[:PORT]` or `https://…`, with a path before those of the signals if it has one.
#[derive(Clone, PartialEq, Eq)]
pub struct OtlpUrl(Endpoint);

/// A text is not the URL of a collector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidOtlpUrl {
    /// It is no HTTP URL, or has a user, a query or a fragment.
    #[error("not the URL of a collector, such as http://127.0.0.1:4318, without a user")]
    Form,
    /// It is the URL of one signal.
    #[error("the URL of one signal: omit `{0}`, which is added, as in http://127.0.0.1:4318")]
    Signal(&'static str),
}

impl FromStr for OtlpUrl {
    type Err = InvalidOtlpUrl;

    fn from_str(text: &str) -> Result<Self, InvalidOtlpUrl> {
        let mut endpoint: Endpoint = text.parse().map_err(|_| InvalidOtlpUrl::Form)?;
        if endpoint.path_and_query.contains('?') {
            return Err(InvalidOtlpUrl::Form);
        }
        // the paths of the signals follow
        let path = endpoint.path_and_query.trim_end_matches('/').len();
        endpoint.path_and_query.truncate(path);
        let mut ends = [OtlpSignal::Traces, OtlpSignal::Metrics].map(OtlpSignal::path).into_iter();
        match ends.find(|end| endpoint.path_and_query.ends_with(end)) {
            Some(end) => Err(InvalidOtlpUrl::Signal(end)),
            None => Ok(Self(endpoint)),
        }
    }
}

impl fmt::Debug for OtlpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Endpoint { is_https, authority, path_and_query, .. } = &self.0;
        write!(f, "http{}://{authority}{path_and_query}", if *is_https { "s" } else { "" })
    }
}

/// What is exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtlpSignal {
    /// Spans: an `ExportTraceServiceRequest`.
    Traces,
    /// Metrics: an `ExportMetricsServiceRequest`.
    Metrics,
}

impl OtlpSignal {
    /// Returns the path to which the signal is sent, below that of the URL.
    const fn path(self) -> &'static str {
        match self {
            Self::Traces => "/v1/traces",
            Self::Metrics => "/v1/metrics",
        }
    }
}

/// Why a collector did not take an export.
#[derive(Debug, thiserror::Error)]
pub enum OtlpError {
    /// It was not reached.
    #[error(transparent)]
    Connection(#[from] ConnectError),
    /// It refused the export.
    #[error("the response has the status {0}")]
    Refused(StatusCode),
    /// It took too long.
    #[error("no response within {} seconds", TIMEOUT.as_secs())]
    TimedOut,
}

/// Sends to a collector.
pub struct OtlpExporter {
    url: OtlpUrl,
    connector: Connector,
}

impl OtlpExporter {
    /// Returns an exporter to the collector at `url`, which may have any address. It trusts these authorities.
    pub fn new(url: OtlpUrl, authorities: &CertificateAuthorities) -> Self {
        Self { url, connector: Connector::new(authorities) }
    }

    /// Checks whether the collector accepts a connection, which is encrypted if its URL says so.
    pub async fn check(&self) -> Result<(), OtlpError> {
        let connected = timeout(TIMEOUT, self.connector.connect(&self.url.0, |_| true)).await;
        connected.map_err(|_| OtlpError::TimedOut)?.map(drop).map_err(OtlpError::from)
    }

    /// Sends a request in JSON, once.
    pub async fn export(&self, signal: OtlpSignal, body: Vec<u8>) -> Result<(), OtlpError> {
        timeout(TIMEOUT, self.send(signal, body)).await.unwrap_or(Err(OtlpError::TimedOut))
    }

    async fn send(&self, signal: OtlpSignal, body: Vec<u8>) -> Result<(), OtlpError> {
        let OtlpUrl(endpoint) = &self.url;
        let mut sender = self.connector.connect(endpoint, |_| true).await?;
        let path = format!("{}{}", endpoint.path_and_query, signal.path());
        let request = endpoint.request(Method::POST, &path);
        let request = request.header(CONTENT_TYPE, "application/json");
        let request = request.body(Full::new(Bytes::from(body))).map_err(|_| ConnectError::Name)?;
        // the body of the response is not read: it can only say that a part was refused
        let response = sender.send_request(request).await.map_err(ConnectError::Http)?;
        let status = response.status();
        if status.is_success() { Ok(()) } else { Err(OtlpError::Refused(status)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_has_a_host_and_no_user() {
        let url: OtlpUrl = "https://collector.example/otlp/".parse().unwrap();
        assert_eq!((url.0.port, url.0.path_and_query.as_str()), (443, "/otlp"));
        assert_eq!(format!("{url:?}"), "https://collector.example/otlp");
        let url: OtlpUrl = "http://127.0.0.1:4318".parse().unwrap();
        assert_eq!((url.0.port, url.0.path_and_query.as_str()), (4318, ""));
        for text in
            ["", "127.0.0.1:4318", "grpc://a:4317", "http://", "http://ann:b@c", "http://a:x", "http://a/?b"]
        {
            assert_eq!(text.parse::<OtlpUrl>(), Err(InvalidOtlpUrl::Form), "{text}");
        }
    }

    #[test]
    fn the_url_of_one_signal_is_refused_with_the_end_that_is_added() {
        for (text, end) in [
            ("http://127.0.0.1:4318/v1/traces", "/v1/traces"),
            ("https://collector.example/otlp/v1/metrics/", "/v1/metrics"),
        ] {
            let refused = text.parse::<OtlpUrl>().unwrap_err();
            assert_eq!(refused, InvalidOtlpUrl::Signal(end));
            assert!(refused.to_string().contains(&format!("omit `{end}`")), "{refused}");
        }
        assert!("https://collector.example/v1/traces/otlp".parse::<OtlpUrl>().is_ok());
    }
}
