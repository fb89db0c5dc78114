//! The URL of the broker that carries events: `database:`, `nats://…` or `amqp://…`.

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
        "neither `database:` nor the URL of a broker: nats://HOST, tls://HOST, amqp://HOST or amqps://HOST"
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

/// Omits the URL of a broker, which may contain a password.
impl fmt::Debug for EventsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Database => "Database",
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
}
