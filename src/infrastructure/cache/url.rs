//! The URL of the cache: `memory:` or `redis://…`.

use std::fmt;
use std::str::FromStr;

use ::redis::IntoConnectionInfo;

/// Where the processes of a store have what they may lose.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum CacheUrl {
    /// Each in its own memory.
    #[default]
    Memory,
    /// Redis or Valkey: `redis://`, or `rediss://` with TLS.
    Redis(String),
}

/// A text is not the URL of a cache. It is not shown, because it may contain a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "neither `memory:` nor the URL of Redis: redis://HOST or rediss://HOST, whose path, if it has one, is the \
     number of a database, as in redis://HOST/1"
)]
pub struct InvalidCacheUrl;

impl FromStr for CacheUrl {
    type Err = InvalidCacheUrl;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "memory:" {
            return Ok(Self::Memory);
        }
        let is_redis = text.starts_with("redis://") || text.starts_with("rediss://");
        if is_redis && text.into_connection_info().is_ok() {
            return Ok(Self::Redis(text.to_owned()));
        }
        Err(InvalidCacheUrl)
    }
}

/// Without the user, the password and the host.
impl fmt::Debug for CacheUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Memory => "memory:",
            Self::Redis(_) => "redis://…",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_urls_of_memory_and_redis_are_read_and_others_refused() {
        assert_eq!("memory:".parse(), Ok(CacheUrl::Memory));
        for url in ["redis://127.0.0.1", "redis://:secret@cache.internal:6380/3", "rediss://cache.internal"] {
            let parsed: CacheUrl = url.parse().unwrap();
            assert_eq!(parsed, CacheUrl::Redis(url.into()));
            assert!(!format!("{parsed:?}").contains("secret"));
        }
        for url in
            ["", "memory", "redis:", "redis://", "redis://host/x", "http://host", "redis+unix:///tmp/x"]
        {
            assert_eq!(url.parse::<CacheUrl>(), Err(InvalidCacheUrl), "{url}");
        }
    }
}
