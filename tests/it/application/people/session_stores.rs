//! Where sessions are kept makes no difference, and costs no query.

use jiff::SignedDuration;
use undercroft::application::people::sessions::by_token_hash;
use undercroft::domain::context::Context;
use undercroft::domain::user::{Role, Session, token_hash};
use undercroft::infrastructure::middleware::SessionStore;
use undercroft::infrastructure::repositories::{Database, DatabaseError, Setup};

use crate::support::builders::user;
use crate::support::redis::redis_url;
use crate::support::store::{store, terms};
use crate::support::{EmptyPostgres, RoundTrips, Shop, ShopOptions, unique};

/// Begins a session in a store.
async fn begun(database: &Database, sessions: &SessionStore, session: Session) {
    let write = database.write((sessions.clone(), session), async |work, (sessions, session)| {
        sessions.begin(work, session.clone()).await
    });
    let begun: Result<_, DatabaseError> = write.await;
    sessions.keep(&begun.unwrap()).await.unwrap();
}

with_both_session_stores!(the_oldest_of_too_many_sessions_ends, ShopOptions::manual_clock());
async fn the_oldest_of_too_many_sessions_ends(shop: &Shop) {
    let sessions = &shop.store.infrastructure.sessions;
    let user_id = user(&shop.store, Role::Customer).await;
    let begin = async |number: u32| {
        shop.clock().advance(SignedDuration::from_secs(1));
        let now = shop.now();
        let hash = token_hash(&format!("token {number}"));
        let session = Session::new(hash.clone(), user_id, now, now + SignedDuration::from_hours(24));
        begun(&shop.database, sessions, session).await;
        hash
    };
    let end = async |hash: Vec<u8>| {
        let ending = sessions.ending(hash, Some(shop.now())).await.unwrap();
        let write =
            shop.database.write(ending.clone(), async |work, ending| SessionStore::end(work, ending).await);
        let user: Result<_, DatabaseError> = write.await;
        sessions.remove_from_redis(&ending).await;
        user.unwrap()
    };
    let is_there = async |hash: &[u8]| sessions.by_token_hash(hash).await.unwrap().is_some();
    let oldest = begin(0).await;
    // those that were ended do not count
    for number in 1000..1110 {
        let hash = begin(number).await;
        assert_eq!(end(hash.clone()).await, Some(user_id));
        assert_eq!(end(hash).await, None, "once");
    }
    let second = begin(1).await;
    for number in 2..100 {
        begin(number).await;
    }
    assert!(is_there(&oldest).await);
    begin(100).await;
    assert!(!is_there(&oldest).await && is_there(&second).await);
    let listed = sessions.of_user(user_id).await.unwrap();
    assert_eq!(listed.len(), 100);
    assert!(listed.is_sorted_by_key(|session| std::cmp::Reverse(session.created_at)));
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_in_redis_take_as_many_round_trips_to_the_database() {
    let (Some(schema), Some(redis)) = (EmptyPostgres::new().await, redis_url().await) else { return };
    let (proxy, url) = RoundTrips::before(&schema.url).await;
    let mut least = Vec::new();
    for sessions in ["database:", &redis] {
        let database =
            Database::open(&url.parse().unwrap(), Context::system(), Setup::IfEmpty).await.unwrap();
        let mut store = store(&database, terms());
        store.infrastructure.sessions =
            SessionStore::open(&sessions.parse().unwrap(), database.clone()).unwrap();
        let user_id = user(&store, Role::Customer).await;
        let (now, hash) = (database.context().clock.now(), token_hash(&unique("token")));
        let session = Session::new(hash.clone(), user_id, now, now + SignedDuration::from_hours(1));
        begun(&database, &store.infrastructure.sessions, session).await;
        let mut counts = Vec::new();
        for _ in 0..8 {
            proxy.take();
            let found = by_token_hash(&store, &hash).await.unwrap();
            counts.push(proxy.take());
            assert_eq!(found.unwrap().user.id, user_id);
        }
        // the first on a connection prepares its statement
        least.push(*counts.iter().min().unwrap());
    }
    assert_eq!(least, [1, 1]);
}
