//! The URL of the sessions: `database:` or `redis://…`.

use std::fmt;
use std::str::FromStr;

use crate::infrastructure::cache::CacheUrl;

/// Where the sessions of a store are.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum SessionsUrl {
    /// In the database of the store.
    #[default]
    Database,
    /// In Redis or Valkey: `redis://`, or `rediss://` with TLS.
    Redis(String),
}

/// A text is not the URL of sessions. It is not shown, because it may contain a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "neither `database:` nor the URL of Redis: redis://HOST or rediss://HOST, whose path, if it has one, is the \
     number of a database, as in redis://HOST/1"
)]
pub struct InvalidSessionsUrl;

impl FromStr for SessionsUrl {
    type Err = InvalidSessionsUrl;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse() {
            Ok(CacheUrl::Redis(url)) => Ok(Self::Redis(url)),
            Ok(CacheUrl::Memory) | Err(_) if text == "database:" => Ok(Self::Database),
            Ok(CacheUrl::Memory) | Err(_) => Err(InvalidSessionsUrl),
        }
    }
}

/// Without the user, the password and the host.
impl fmt::Debug for SessionsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Database => "database:",
            Self::Redis(_) => "redis://…",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_urls_of_the_database_and_redis_are_read_and_others_refused() {
        assert_eq!("database:".parse(), Ok(SessionsUrl::Database));
        for url in ["redis://:secret@sessions.internal:6380/3", "rediss://sessions.internal"] {
            let parsed: SessionsUrl = url.parse().unwrap();
            assert_eq!(parsed, SessionsUrl::Redis(url.into()));
            assert!(!format!("{parsed:?}").contains("internal"));
        }
        for url in ["", "memory:", "database", "redis:", "redis://", "http://host"] {
            assert_eq!(url.parse::<SessionsUrl>(), Err(InvalidSessionsUrl), "{url}");
        }
    }
}
