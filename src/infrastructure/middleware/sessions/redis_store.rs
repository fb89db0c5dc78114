//! Sessions in Redis or Valkey, each under its id, with a sorted set of those of a user in an epoch.
//!
//! The keys begin with a number that follows from the secret of the store, so that several stores can use one Redis. A
//! session is removed by Redis when it expires.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ::redis::{Cmd, Script, cmd};
use jiff::Timestamp;

use super::MAX_SESSIONS;
use super::sealed_session::KnownSession;
use crate::domain::digest::first_u64;
use crate::domain::ids::{SessionId, UserId};
use crate::domain::user::Session;
use crate::infrastructure::cache::{Patience, Redis, RedisCheckError, RedisUnavailable};
use crate::infrastructure::repositories::SigningKey;

/// A request that waits for longer fails. Each command may be run twice.
pub(super) const PATIENCE: Patience = Patience {
    response: Duration::from_millis(500),
    slow: None,
    pause: PAUSE,
    longest_pause: PAUSE,
    sends_again: true,
};
/// The wait before a Redis that had no response is asked again.
const PAUSE: Duration = Duration::from_millis(250);

/// Keeps a session, and ends the oldest ones of the user if there are too many. The keys are those of the session and
/// of the sessions of the user; the arguments the bytes, the time to live in milliseconds, the id, the time of the
/// beginning, the most sessions, and what comes before an id in a key.
const PUT: &str = "
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
if redis.call('TYPE', KEYS[2]).ok ~= 'zset' then
    redis.call('DEL', KEYS[2])
end
redis.call('ZADD', KEYS[2], ARGV[4], ARGV[3])
if redis.call('PTTL', KEYS[2]) < tonumber(ARGV[2]) then
    redis.call('PEXPIRE', KEYS[2], ARGV[2])
end
for _, id in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1 - tonumber(ARGV[5]))) do
    redis.call('DEL', ARGV[6] .. id)
    redis.call('ZREM', KEYS[2], id)
end
";

/// Replaces the bytes of a session, unless others are there by now.
const REPLACE: &str = "
if redis.call('GET', KEYS[1]) == ARGV[1] then
    redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
end
";

/// Removes the sessions of a user in an epoch, except the one with the id in the second argument.
const REMOVE_ALL: &str = "
if redis.call('TYPE', KEYS[1]).ok == 'zset' then
    for _, id in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
        if id ~= ARGV[2] then
            redis.call('DEL', ARGV[1] .. id)
        end
    end
end
redis.call('DEL', KEYS[1])
";

/// The sessions of a store in Redis.
pub(super) struct SessionsInRedis {
    redis: Arc<Redis>,
    /// Signs what Redis has.
    key: SigningKey,
    /// What the keys begin with.
    prefix: String,
    put: Script,
    replace: Script,
    remove_all: Script,
}

/// What Redis does when its memory is full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Eviction {
    /// It keeps everything, and refuses to keep more.
    Never,
    /// It removes keys by this policy.
    By(String),
    /// It does not say.
    Unknown,
}

impl SessionsInRedis {
    /// Returns the sessions of the store with this secret in a Redis.
    pub(super) fn new(redis: Arc<Redis>, key: SigningKey) -> Self {
        let number = first_u64(&key.sign("the keys of sessions", &[]));
        Self {
            redis,
            key,
            prefix: format!("undercroft:session:{number:016x}:"),
            put: Script::new(PUT),
            replace: Script::new(REPLACE),
            remove_all: Script::new(REMOVE_ALL),
        }
    }

    pub(super) fn redis(&self) -> Arc<Redis> {
        Arc::clone(&self.redis)
    }

    pub(super) async fn ping(&self) -> Result<(), RedisUnavailable> {
        self.redis.command(&cmd("PING")).await
    }

    pub(super) async fn eviction(&self) -> Result<Eviction, RedisCheckError> {
        let mut info = cmd("INFO");
        info.arg("memory");
        self.redis.check().await?;
        // it may be forbidden
        let text: String = self.redis.command(&info).await.unwrap_or_default();
        let policy = text.lines().find_map(|line| line.strip_prefix("maxmemory_policy:")).map(str::trim);
        Ok(match policy {
            Some("noeviction") => Eviction::Never,
            Some(policy) => Eviction::By(policy.to_owned()),
            None => Eviction::Unknown,
        })
    }

    /// Returns the session with this id.
    pub(super) async fn find(&self, id: SessionId) -> Result<Option<KnownSession>, RedisUnavailable> {
        let found = self.bytes(&[id]).await?.into_iter().next().flatten();
        Ok(found.and_then(|bytes| KnownSession::open(id, &bytes, &self.key)))
    }

    /// Returns the sessions of a user that were begun in an epoch, the newest first.
    pub(super) async fn of_user(
        &self,
        user_id: UserId,
        epoch: i64,
    ) -> Result<Vec<Session>, RedisUnavailable> {
        let mut list = cmd("ZREVRANGE");
        list.arg(self.index(user_id, epoch)).arg(0).arg(-1);
        let ids: Vec<Vec<u8>> = self.redis.command(&list).await?;
        let parsed = ids.iter().filter_map(|id| str::from_utf8(id).ok()?.parse().ok());
        let ids: Vec<SessionId> = parsed.take(MAX_SESSIONS as usize).collect();
        let found = self.bytes(&ids).await?;
        let known =
            ids.iter().zip(found).filter_map(|(id, bytes)| KnownSession::open(*id, &bytes?, &self.key));
        let own = known.filter(|known| known.session.user_id == user_id && known.epoch == epoch);
        Ok(own.map(|known| known.session).collect())
    }

    /// Keeps a session until it expires.
    pub(super) async fn put(
        &self,
        session: &Session,
        epoch: i64,
        now: Timestamp,
    ) -> Result<(), RedisUnavailable> {
        let known = KnownSession { session: session.clone(), epoch };
        let mut put = self.put.key(self.name(session.id()));
        put.key(self.index(session.user_id, epoch))
            .arg(known.seal(&self.key))
            .arg(millis_until(session.expires_at, now))
            .arg(session.id().to_string())
            .arg(session.created_at.as_microsecond())
            .arg(MAX_SESSIONS)
            .arg(&self.prefix);
        self.redis.run(&put).await
    }

    /// Records that a session is used now, unless a use since `before` is recorded, or it is changed at the same time.
    pub(super) async fn record_use(
        &self,
        id: SessionId,
        before: Timestamp,
        now: Timestamp,
    ) -> Result<(), RedisUnavailable> {
        let Some(bytes) = self.bytes(&[id]).await?.into_iter().next().flatten() else { return Ok(()) };
        let known =
            KnownSession::open(id, &bytes, &self.key).filter(|known| known.session.used_at() <= before);
        let Some(KnownSession { session, epoch }) = known else { return Ok(()) };
        let expires_at = session.expires_at;
        let used = KnownSession { session: Session { last_used_at: Some(now), ..session }, epoch };
        let mut replace = self.replace.key(self.name(id));
        replace.arg(bytes).arg(used.seal(&self.key)).arg(millis_until(expires_at, now));
        self.redis.run(&replace).await
    }

    /// Removes a session, which does not count as one of its user any more.
    pub(super) async fn remove(&self, id: SessionId) -> Result<(), RedisUnavailable> {
        let Some(KnownSession { session, epoch }) = self.find(id).await? else { return Ok(()) };
        let mut uncount = cmd("ZREM");
        uncount.arg(self.index(session.user_id, epoch)).arg(id.to_string());
        let () = self.redis.command(&uncount).await?;
        self.redis.command(&Cmd::del(self.name(id))).await
    }

    /// Removes the sessions of a user that were begun in an epoch, except one.
    pub(super) async fn remove_all_of(
        &self,
        (user_id, epoch): (UserId, i64),
        kept: Option<SessionId>,
    ) -> Result<(), RedisUnavailable> {
        let mut remove = self.remove_all.key(self.index(user_id, epoch));
        remove.arg(&self.prefix).arg(kept.map(|id| id.to_string()).unwrap_or_default());
        self.redis.run(&remove).await
    }

    /// Returns what Redis has of sessions. What is no text of bytes, such as a list, is as if it was not there.
    async fn bytes(&self, ids: &[SessionId]) -> Result<Vec<Option<Vec<u8>>>, RedisUnavailable> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut get = cmd("MGET");
        for id in ids {
            get.arg(self.name(*id));
        }
        self.redis.command(&get).await
    }

    fn name(&self, id: SessionId) -> String {
        format!("{}{id}", self.prefix)
    }

    /// The name of the sorted set of the sessions of a user that were begun in an epoch.
    fn index(&self, user_id: UserId, epoch: i64) -> String {
        format!("{}of:{user_id}:{epoch}", self.prefix)
    }
}

impl fmt::Debug for SessionsInRedis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionsInRedis").field("redis", &self.redis).finish_non_exhaustive()
    }
}

/// Redis refuses a time of zero.
fn millis_until(end: Timestamp, now: Timestamp) -> i64 {
    i64::try_from(end.duration_since(now).as_millis()).unwrap_or(i64::MAX).max(1)
}
