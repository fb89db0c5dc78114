//! The settings of the log.

use serde::Deserialize;
use tracing_subscriber::filter::{LevelFilter, Targets};

use super::readers::log_level;

/// `[log]`: the log.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogSettings {
    /// The format of log lines.
    pub format: LogFormat,
    /// The log level, with the exceptions of single modules.
    #[serde(deserialize_with = "log_level")]
    pub level: Targets,
    /// What the log shows of the addresses of clients.
    pub client_address: LoggedAddress,
}

impl Default for LogSettings {
    fn default() -> Self {
        let level = Targets::new().with_default(LevelFilter::INFO);
        Self { format: LogFormat::Text, level, client_address: LoggedAddress::default() }
    }
}

/// The format of log lines.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text with colours, if standard error is a terminal.
    Text,
    /// One JSON object per line.
    Json,
}

/// What the log shows of the address of a client.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum LoggedAddress {
    /// The address.
    Full,
    /// Its network: /24 of IPv4, /48 of IPv6.
    #[default]
    Truncated,
    /// It does not show it.
    None,
}

impl LoggedAddress {
    /// How many bits of an address of IPv4 and of IPv6 its network has.
    pub const NETWORK: [u8; 2] = [24, 48];

    /// Returns whether the log shows addresses, or their networks.
    pub fn is_shown(self) -> bool {
        self != Self::None
    }

    /// Returns how many bits the log shows of an address of IPv4 and of IPv6; `None` if it shows none.
    pub fn bits(self) -> Option<[u8; 2]> {
        match self {
            Self::Full => Some([32, 128]),
            Self::Truncated => Some(Self::NETWORK),
            Self::None => None,
        }
    }
}
