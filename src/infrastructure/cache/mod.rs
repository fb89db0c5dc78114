//! The cache room. So far it has only the connection to Redis, which processes share what they may lose by.

mod redis;
mod url;

pub use self::redis::{Redis, RedisUnavailable};
pub use self::url::{CacheUrl, InvalidCacheUrl};
