//! The URL of the broker that carries events: `database:`, `nats://…`, `amqp://…` or `kafka://…`.

use std::fmt;
use std::str::FromStr;

use http::Uri;
use thiserror::Error;

/// Where events are carried.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum EventsUrl {
    /// By the database alone: no broker.
    #[default]
    Database,
    /// Kafka: `kafka://` and one or more servers.
    #[cfg(feature = "kafka")]
    Kafka(KafkaUrl),
    /// NATS JetStream: `nats://`, or `tls://` with TLS.
    #[cfg(feature = "nats")]
    Nats(String),
    /// RabbitMQ: `amqp://`, or `amqps://` with TLS.
    #[cfg(feature = "rabbitmq")]
    RabbitMq(String),
}

/// Why a text is not the URL of a broker that the program can use.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvalidEventsUrl {
    /// The text has another scheme, or no host. It is not shown, because it may contain a password.
    #[error(
        "neither `database:` nor the URL of a broker: nats://HOST, tls://HOST, amqp://HOST, amqps://HOST or \
         kafka://HOST[,HOST…]"
    )]
    Malformed,
    /// The program was built without the Cargo feature of the broker.
    #[error("the URL of a broker for which this program was not built: build it with `--features {0}`")]
    NotBuilt(&'static str),
}

impl FromStr for EventsUrl {
    type Err = InvalidEventsUrl;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "database:" {
            return Ok(Self::Database);
        }
        let (scheme, _) = text.split_once("://").ok_or(InvalidEventsUrl::Malformed)?;
        let is_url = text.parse::<Uri>().is_ok_and(|url| url.host().is_some_and(|host| !host.is_empty()));
        match scheme {
            #[cfg(feature = "kafka")]
            "kafka" => KafkaUrl::parse(text).map(Self::Kafka).ok_or(InvalidEventsUrl::Malformed),
            #[cfg(not(feature = "kafka"))]
            "kafka" => Err(InvalidEventsUrl::NotBuilt("kafka")),
            _ if !is_url => Err(InvalidEventsUrl::Malformed),
            #[cfg(feature = "nats")]
            "nats" | "tls" => Ok(Self::Nats(text.to_owned())),
            #[cfg(not(feature = "nats"))]
            "nats" | "tls" => Err(InvalidEventsUrl::NotBuilt("nats")),
            #[cfg(feature = "rabbitmq")]
            "amqp" | "amqps" => Ok(Self::RabbitMq(text.to_owned())),
            #[cfg(not(feature = "rabbitmq"))]
            "amqp" | "amqps" => Err(InvalidEventsUrl::NotBuilt("rabbitmq")),
            _ => Err(InvalidEventsUrl::Malformed),
        }
    }
}

/// Returns the host and the port of a URL of NATS or RabbitMQ, without user and password.
#[cfg(any(feature = "nats", feature = "rabbitmq"))]
pub(super) fn host_and_port(url: &str) -> String {
    // the reader of the setting has checked it
    let url: Uri = url.parse().unwrap_or_default();
    let usual = match url.scheme_str() {
        Some("amqp") => 5672,
        Some("amqps") => 5671,
        _ => 4222,
    };
    format!("{}:{}", url.host().unwrap_or_default(), url.port_u16().unwrap_or(usual))
}

/// The parts of a URL of Kafka: `kafka://[USER:PASSWORD@]HOST[:PORT][,HOST[:PORT]…]`.
#[cfg(feature = "kafka")]
#[derive(Clone, PartialEq, Eq)]
pub struct KafkaUrl {
    /// The servers to begin with, separated by commas.
    pub(super) servers: String,
    /// The user and the password, decoded.
    pub(super) login: Option<(String, String)>,
}

#[cfg(feature = "kafka")]
impl KafkaUrl {
    fn parse(url: &str) -> Option<Self> {
        let decode = |text| percent_encoding::percent_decode_str(text).decode_utf8().ok().map(String::from);
        let is_server = |server: &str| {
            server.parse::<http::uri::Authority>().is_ok_and(|server| !server.host().is_empty())
        };
        let rest = url.strip_prefix("kafka://")?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (login, servers) = match rest.rsplit_once('@') {
            Some((login, servers)) => {
                let (user, password) = login.split_once(':')?;
                (Some((decode(user)?, decode(password)?)), servers)
            }
            None => (None, rest),
        };
        servers.split(',').all(is_server).then(|| Self { servers: servers.to_owned(), login })
    }
}

/// Omits the URL of a broker, which may contain a password.
impl fmt::Debug for EventsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Database => "Database",
            #[cfg(feature = "kafka")]
            Self::Kafka(_) => "Kafka",
            #[cfg(feature = "nats")]
            Self::Nats(_) => "Nats",
            #[cfg(feature = "rabbitmq")]
            Self::RabbitMq(_) => "RabbitMq",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_its_broker_and_is_not_shown() {
        assert_eq!("database:".parse(), Ok(EventsUrl::Database));
        let wrong = ["", "nats", "nats://", "http://localhost", "nats:/localhost"];
        for text in wrong {
            assert_eq!(text.parse::<EventsUrl>(), Err(InvalidEventsUrl::Malformed), "{text}");
        }
        #[cfg(feature = "nats")]
        {
            let url: EventsUrl = "nats://ann:secret@localhost:4222".parse().unwrap();
            assert_eq!(format!("{url:?}"), "Nats");
        }
    }

    #[cfg(feature = "kafka")]
    #[test]
    fn a_url_of_kafka_names_servers_and_a_login() {
        let url = KafkaUrl::parse("kafka://ann:a%40b@one:9092,[::1],three/").unwrap();
        assert_eq!(
            (url.servers.as_str(), url.login),
            ("one:9092,[::1],three", Some(("ann".into(), "a@b".into())))
        );
        let wrong = [
            "kafka://",
            "kafka://one,",
            "kafka://:9092",
            "kafka://ann@one",
            "kafka://one/topic",
            "kafka://one?a",
        ];
        for text in wrong {
            assert_eq!(text.parse::<EventsUrl>(), Err(InvalidEventsUrl::Malformed), "{text}");
        }
    }
}
