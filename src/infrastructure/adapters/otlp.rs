//! Sends traces and metrics to a collector: OTLP over HTTP in JSON.
//!
//! <https://opentelemetry.io/docs/specs/otlp/#otlphttp>

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, USER_AGENT};
use http::{Request, StatusCode, Uri};
use http_body_util::Full;
use tokio::time::timeout;

use super::connection::{AGENT, ConnectError, Connector};

/// The longest time of an export, as the specification of OTLP exporters has it.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The URL of a collector: `http://HOST[:PORT]` or `https://…`, with a path before those of the signals if it has one.
#[derive(Clone, PartialEq, Eq)]
pub struct OtlpUrl {
    is_https: bool,
    authority: String,
    host: String,
    port: u16,
    /// Without a slash at the end.
    path: String,
}

/// A text is not the URL of a collector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the URL of a collector, such as http://127.0.0.1:4318, without a user")]
pub struct InvalidOtlpUrl;

impl FromStr for OtlpUrl {
    type Err = InvalidOtlpUrl;

    fn from_str(text: &str) -> Result<Self, InvalidOtlpUrl> {
        let url: Uri = text.parse().map_err(|_| InvalidOtlpUrl)?;
        let (is_https, port) = match url.scheme_str() {
            Some("http") => (false, 80),
            Some("https") => (true, 443),
            _ => return Err(InvalidOtlpUrl),
        };
        let authority = url.authority().ok_or(InvalidOtlpUrl)?;
        let has_port = authority.as_str().len() > authority.host().len() + 1;
        let is_plain = !authority.as_str().contains('@') && url.query().is_none();
        if !is_plain || authority.host().is_empty() || has_port && authority.port_u16().is_none() {
            return Err(InvalidOtlpUrl);
        }
        Ok(Self {
            is_https,
            authority: authority.to_string(),
            host: authority.host().to_owned(),
            port: authority.port_u16().unwrap_or(port),
            path: url.path().trim_end_matches('/').to_owned(),
        })
    }
}

impl fmt::Debug for OtlpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { is_https, authority, path, .. } = self;
        write!(f, "http{}://{authority}{path}", if *is_https { "s" } else { "" })
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
    /// Returns an exporter to the collector at `url`, which may have any address.
    pub fn new(url: OtlpUrl) -> Self {
        Self { url, connector: Connector::new() }
    }

    /// Sends a request in JSON, once.
    pub async fn export(&self, signal: OtlpSignal, body: Vec<u8>) -> Result<(), OtlpError> {
        timeout(TIMEOUT, self.send(signal, body)).await.unwrap_or(Err(OtlpError::TimedOut))
    }

    async fn send(&self, signal: OtlpSignal, body: Vec<u8>) -> Result<(), OtlpError> {
        let OtlpUrl { is_https, authority, host, port, path } = &self.url;
        let mut sender = self.connector.connect(host, *port, *is_https, |_| true).await?;
        let end = match signal {
            OtlpSignal::Traces => "/v1/traces",
            OtlpSignal::Metrics => "/v1/metrics",
        };
        let request = Request::post(format!("{path}{end}"))
            .header(HOST, authority)
            .header(USER_AGENT, AGENT)
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)))
            .map_err(|_| ConnectError::Name)?;
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
        assert_eq!((url.host.as_str(), url.port, url.path.as_str()), ("collector.example", 443, "/otlp"));
        assert_eq!(format!("{url:?}"), "https://collector.example/otlp");
        assert_eq!("http://127.0.0.1:4318".parse::<OtlpUrl>().unwrap().port, 4318);
        for text in
            ["", "127.0.0.1:4318", "grpc://a:4317", "http://", "http://ann:b@c", "http://a:x", "http://a/?b"]
        {
            assert_eq!(text.parse::<OtlpUrl>(), Err(InvalidOtlpUrl), "{text}");
        }
    }
}
