//! Sessions: kept in the database or in Redis, with the same results.
//!
//! A store keeps sessions and finds them; whether one has expired or was not used for too long is decided by those who
//! ask it, for both stores. What ends a session before is decided by the database alone, also for those in Redis: each
//! has the epoch of its user in which it was begun, and is refused in any other; a single one that was ended has a row.
//! The query that reads the user of a session looks for both. So Redis may lose, keep or restore what it likes: it
//! cannot make an ended session valid. What it has is signed with the secret of the store, so that it cannot make one
//! up either.
//!
//! While Redis is away, no session is found and none is missing: requests that have one fail, and can be repeated.
//! docs/decisions/0031-sessions-in-redis.md has the reasons.

mod redis_store;
mod sealed_session;
mod url;

use std::sync::Arc;

use ::redis::RedisError;
use jiff::Timestamp;

pub use self::redis_store::Eviction;
use self::redis_store::{PATIENCE, SessionsInRedis};
use self::sealed_session::KnownSession;
pub use self::url::{InvalidSessionsUrl, SessionsUrl};
use crate::domain::ids::{SessionId, UserId};
use crate::domain::user::{Session, session_id};
use crate::infrastructure::cache::{Redis, RedisCheckError, RedisUnavailable};
use crate::infrastructure::exceptions::Failure;
use crate::infrastructure::repositories::{
    Database, DatabaseError, EndedSession, EndedSessions, KeptSession, SessionRepository, UnitOfWork,
    UserOfSession,
};

/// The most sessions of a user; a further one ends the oldest.
const MAX_SESSIONS: u32 = 100;

/// Where the sessions of a store are. Clones share it.
#[derive(Debug, Clone)]
pub struct SessionStore {
    database: Database,
    /// `None` keeps them in the database.
    redis: Option<Arc<SessionsInRedis>>,
}

/// A session that a transaction began.
#[derive(Debug, Clone)]
pub struct BegunSession {
    /// The session.
    pub session: Session,
    /// The epoch of the user.
    epoch: i64,
}

/// A session that is to be ended.
#[derive(Debug, Clone)]
pub struct Ending {
    token_hash: Vec<u8>,
    /// The user, if the session is known.
    user_id: Option<UserId>,
    /// What ends it, if it is not in the database.
    elsewhere: Option<EndedSession>,
}

impl SessionStore {
    /// Keeps sessions in the database.
    pub fn in_database(database: Database) -> Self {
        Self { database, redis: None }
    }

    /// Keeps sessions in a Redis. Requests wait for it as long as its patience says, and fail after that.
    pub fn in_redis(redis: impl Into<Arc<Redis>>, database: Database) -> Self {
        let sessions = SessionsInRedis::new(redis.into(), database.signing_key().clone());
        Self { database, redis: Some(Arc::new(sessions)) }
    }

    /// Keeps sessions where a URL says. Redis need not be there yet. Call it on a runtime of Tokio.
    ///
    /// # Errors
    ///
    /// [`RedisError`] if the URL is none of Redis.
    ///
    /// # Panics
    ///
    /// With a URL of Redis, outside of a runtime of Tokio.
    pub fn open(url: &SessionsUrl, database: Database) -> Result<Self, RedisError> {
        Ok(match url {
            SessionsUrl::Database => Self::in_database(database),
            SessionsUrl::Redis(url) => {
                let redis = Redis::with_patience(url, PATIENCE)?.named("sessions", "sessions");
                Self::in_redis(redis, database)
            }
        })
    }

    /// Returns what Redis does when its memory is full; `None` if the sessions are in the database.
    pub async fn eviction(&self) -> Option<Result<Eviction, RedisCheckError>> {
        match &self.redis {
            Some(redis) => Some(redis.eviction().await),
            None => None,
        }
    }

    /// Returns the connection to the Redis of the sessions; `None` if they are in the database.
    pub fn redis(&self) -> Option<Arc<Redis>> {
        self.redis.as_deref().map(SessionsInRedis::redis)
    }

    /// Checks that sessions can be found. The database says so itself.
    ///
    /// # Errors
    ///
    /// [`RedisUnavailable`].
    pub async fn check(&self) -> Result<(), RedisUnavailable> {
        match &self.redis {
            Some(redis) => redis.ping().await,
            None => Ok(()),
        }
    }

    /// Returns the session whose token has this hash, unless it was ended, with its user.
    pub async fn by_token_hash(
        &self,
        token_hash: &[u8],
    ) -> Result<Option<(Session, UserOfSession)>, Failure> {
        let Some(redis) = &self.redis else {
            let mut connection = self.database.read().await?;
            return Ok(SessionRepository(&mut connection).by_token_hash(token_hash).await?);
        };
        self.find_in_redis(redis, session_id(token_hash)).await
    }

    /// Returns a session of a user by its id, unless it was ended, with the version of the user's data.
    pub async fn by_id(&self, user_id: UserId, id: SessionId) -> Result<Option<(Session, i64)>, Failure> {
        let Some(redis) = &self.redis else {
            let mut connection = self.database.read().await?;
            let sessions = SessionRepository(&mut connection).of_user_with_version(user_id).await?;
            return Ok(sessions.into_iter().find(|(session, _)| session.id() == id));
        };
        let found = self.find_in_redis(redis, id).await?.filter(|(session, _)| session.user_id == user_id);
        Ok(found.map(|(session, ((_, version), _))| (session, version)))
    }

    async fn find_in_redis(
        &self,
        redis: &SessionsInRedis,
        id: SessionId,
    ) -> Result<Option<(Session, UserOfSession)>, Failure> {
        let Some(KnownSession { session, epoch }) = redis.find(id).await? else { return Ok(None) };
        let mut connection = self.database.read().await?;
        let user = SessionRepository(&mut connection).user_of(&session, epoch).await?;
        Ok(user.map(|user| (session, user)))
    }

    /// Returns the sessions of a user that were not ended, the newest first.
    pub async fn of_user(&self, user_id: UserId) -> Result<Vec<Session>, Failure> {
        let mut connection = self.database.read().await?;
        let Some(redis) = &self.redis else {
            return Ok(SessionRepository(&mut connection).of_user(user_id).await?);
        };
        let epoch = SessionRepository(&mut connection).epoch(user_id).await?;
        drop(connection);
        let Some(epoch) = epoch else { return Ok(Vec::new()) };
        let sessions = redis.of_user(user_id, epoch).await?;
        let ids: Vec<_> = sessions.iter().map(Session::id).collect();
        let ended = SessionRepository(&mut self.database.read().await?).ended(&ids).await?;
        let has_ended = |session: &Session| ended.iter().any(|ended| ended.session_id == session.id());
        Ok(sessions.into_iter().filter(|session| !has_ended(session)).collect())
    }

    /// Begins a session in a transaction that has locked its user. After the commit, call [`SessionStore::keep`].
    pub async fn begin(
        &self,
        work: &mut UnitOfWork,
        session: Session,
    ) -> Result<BegunSession, DatabaseError> {
        let epoch = if self.redis.is_some() {
            SessionRepository(work).epoch(session.user_id).await?.unwrap_or_default()
        } else {
            work.insert(&session).await?;
            SessionRepository::keep_newest(work, session.user_id, MAX_SESSIONS.into()).await?;
            0
        };
        Ok(BegunSession { session, epoch })
    }

    /// Keeps a session whose transaction was committed. Until then it is not valid.
    ///
    /// # Errors
    ///
    /// [`RedisUnavailable`]: there is no session.
    pub async fn keep(&self, begun: &BegunSession) -> Result<(), RedisUnavailable> {
        match &self.redis {
            Some(redis) => redis.put(&begun.session, begun.epoch, self.now()).await,
            None => Ok(()),
        }
    }

    /// Records that a session is used now, unless a use since `before` is recorded.
    pub async fn record_use(&self, token_hash: &[u8], before: Timestamp) -> Result<(), Failure> {
        if let Some(redis) = &self.redis {
            return Ok(redis.record_use(session_id(token_hash), before, self.now()).await?);
        }
        let given = (token_hash.to_vec(), before);
        let write = self.database.write(given, async |work, (token_hash, before)| {
            SessionRepository::record_use(work, token_hash, *before).await
        });
        Ok(write.await?)
    }

    /// Begins to end the session whose token has this hash. One that is not known, although Redis responds, may come
    /// back with a snapshot of Redis: it is ended, too, if it expires before `latest`; `None` ends only a known one.
    ///
    /// # Errors
    ///
    /// That Redis is away, and those of the database.
    pub async fn ending(&self, token_hash: Vec<u8>, latest: Option<Timestamp>) -> Result<Ending, Failure> {
        if self.redis.is_none() {
            return Ok(Ending { token_hash, user_id: None, elsewhere: None });
        }
        let found = self.by_token_hash(&token_hash).await?.map(|(session, _)| session);
        let expires_at = found.as_ref().map(|session| session.expires_at).or(latest);
        let session_id = session_id(&token_hash);
        let elsewhere = expires_at.map(|expires_at| EndedSession { session_id, expires_at });
        Ok(Ending { token_hash, user_id: found.map(|session| session.user_id), elsewhere })
    }

    /// Ends a session in a transaction; returns its user, if it was valid. After the commit, call
    /// [`SessionStore::remove_from_redis`].
    pub async fn end(work: &mut UnitOfWork, ending: &Ending) -> Result<Option<UserId>, DatabaseError> {
        let removed = SessionRepository::remove(work, &ending.token_hash).await?;
        let Some(ended) = &ending.elsewhere else { return Ok(removed) };
        let is_new = work.insert_new(ended).await?;
        Ok(ending.user_id.filter(|_| is_new))
    }

    /// Removes what Redis has of a session that was ended. If it is away, the row in the database is enough.
    pub async fn remove_from_redis(&self, ending: &Ending) {
        if let (Some(redis), Some(ended)) = (&self.redis, ending.elsewhere) {
            log(redis.remove(ended.session_id).await.map_err(Failure::from));
        }
    }

    /// Removes from Redis the sessions that a committed transaction ended, and keeps the one that goes on. Returns
    /// whether that one is valid: otherwise its user logs in again.
    pub async fn end_in_redis(&self, ended: &EndedSessions) -> bool {
        let Some(redis) = &self.redis else {
            return ended.kept.as_ref().is_some_and(|kept| kept.is_stored);
        };
        let carried = match &ended.kept {
            Some(kept) => log(self.carry(redis, ended, kept).await).unwrap_or_default(),
            None => false,
        };
        let kept = ended.kept.as_ref().filter(|_| carried).map(|kept| session_id(&kept.to));
        log(redis.remove_all_of((ended.user_id, ended.former), kept).await.map_err(Failure::from));
        carried
    }

    /// Puts the session that goes on into Redis with the new epoch, if it was valid in the one before.
    async fn carry(
        &self,
        redis: &SessionsInRedis,
        ended: &EndedSessions,
        kept: &KeptSession,
    ) -> Result<bool, Failure> {
        let id = session_id(&kept.from);
        let found = redis.find(id).await?;
        let was_valid =
            |known: &KnownSession| known.session.user_id == ended.user_id && known.epoch == ended.former;
        let Some(known) = found.filter(was_valid) else { return Ok(false) };
        if !SessionRepository(&mut self.database.read().await?).ended(&[id]).await?.is_empty() {
            return Ok(false);
        }
        let session = Session { token_hash: kept.to.clone(), ..known.session };
        redis.put(&session, ended.epoch, self.now()).await?;
        Ok(true)
    }

    fn now(&self) -> Timestamp {
        self.database.context().clock.now()
    }
}

/// Logs what failed after a commit, and loses no more than a session.
fn log<T>(done: Result<T, Failure>) -> Option<T> {
    done.inspect_err(|failure| {
        tracing::warn!(failure = %failure.report(), "sessions at Redis were not changed as the database decided");
    })
    .ok()
}
