//! The checks of servers of others that the settings name, and of other processes of the store, without the database.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::super::counted;
use super::Finding;
use crate::infrastructure::adapters::{KeySetClient, OtlpExporter};
use crate::infrastructure::exceptions::with_causes;
use crate::infrastructure::middleware::jwt::KeySet;
use crate::settings::Settings;

/// The longest wait for the metrics of another process.
const METRICS: Duration = Duration::from_secs(2);
/// The bytes of a response that are read to find the media type of metrics.
const HEAD: u64 = 1 << 10;

/// Checks whether the keys of the issuer are published. Without one there is no finding.
pub(super) async fn issuer(settings: &Settings) -> Option<Finding> {
    let authentication = &settings.authentication;
    let issuer = authentication.issuer.as_deref()?;
    let advice = "correct `authentication.issuer` in the settings, or repair the issuer; until then its tokens are refused";
    let body = match KeySetClient::new(&settings.ca_certificates).fetch(issuer).await {
        Ok(body) => body,
        Err(error) => {
            return Some(Finding::problem("issuer", format!("{issuer}: {}", with_causes(&error)), advice));
        }
    };
    let keys = match KeySet::parse(&body) {
        Ok(keys) => keys.count_for(&authentication.algorithms),
        Err(error) => {
            return Some(Finding::problem("issuer", format!("{issuer}: its keys are {error}"), advice));
        }
    };
    let found = format!("{issuer} has {}", counted(keys as u64, "key", "keys"));
    Some(if keys == 0 {
        let advice = "set `authentication.algorithms` to those by which the issuer signs; until then its tokens are refused";
        Finding::problem("issuer", format!("{found} for the algorithms of the settings"), advice)
    } else {
        Finding::ok("issuer", found)
    })
}

/// Checks whether the collector accepts a connection. Without one there is no finding.
pub(super) async fn collector(settings: &Settings) -> Option<Finding> {
    let url = settings.telemetry.otlp.clone()?;
    Some(match OtlpExporter::new(url.clone(), &settings.ca_certificates).check().await {
        Ok(()) => Finding::ok("telemetry", format!("{url:?} accepts connections")),
        Err(error) => Finding::warning(
            "telemetry",
            format!("{url:?}: {}", with_causes(&error)),
            "start the collector, or correct `telemetry.otlp` in the settings; until then traces and metrics are lost",
        ),
    })
}

/// Returns whether a process responds at an address as a server or worker does that serves metrics.
pub(super) async fn serves_metrics(address: SocketAddr) -> bool {
    let responds = async {
        let mut stream = TcpStream::connect(address).await?;
        let request = format!("GET /metrics HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut head = Vec::new();
        stream.take(HEAD).read_to_end(&mut head).await?;
        let head = String::from_utf8_lossy(&head);
        io::Result::Ok(head.starts_with("HTTP/1.1 200 ") && head.contains("application/openmetrics-text"))
    };
    matches!(timeout(METRICS, responds).await, Ok(Ok(true)))
}
