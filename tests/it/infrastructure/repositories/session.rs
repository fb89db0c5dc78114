//! Sessions: found with their user until they expire, and removed.

use undercroft::domain::ids::SessionId;
use undercroft::domain::user::{Session, User};
use undercroft::infrastructure::repositories::{
    DatabaseError, EndedSession, SessionRepository, UserRepository,
};

use super::{at, insert, number, register, user};
use crate::support::Shop;

async fn log_in(shop: &Shop, user: &User, token_hash: &[u8], until: i64) {
    let session = Session::new(token_hash.to_vec(), user.id, at(0), at(until));
    insert(shop, &session).await.unwrap();
}

async fn found(shop: &Shop, token_hash: &[u8], now: i64) -> Option<(Session, User)> {
    let mut connection = shop.database.read().await.unwrap();
    let found = SessionRepository(&mut connection).by_token_hash(token_hash).await.unwrap();
    let idle = jiff::SignedDuration::from_secs(100);
    let live = found.filter(|(session, _)| session.is_live(at(now), idle));
    live.map(|(session, ((user, _), _))| (session, user))
}

on_both_engines!(a_token_leads_to_its_user_until_it_expires);
async fn a_token_leads_to_its_user_until_it_expires(shop: &Shop) {
    let (ann, bob) = (user(1, "ann@example.com"), user(2, "bob@example.com"));
    register(shop, &[ann.clone(), bob.clone()]).await;
    log_in(shop, &ann, b"ann's", 10).await;
    log_in(shop, &bob, b"bob's", 20).await;

    let (session, found_user) = found(shop, b"bob's", 9).await.unwrap();
    assert!(found_user == bob);
    assert_eq!((session.token_hash, session.user_id), (b"bob's".to_vec(), bob.id));
    assert_eq!((session.created_at, session.expires_at), (at(0), at(20)));
    assert!(found(shop, b"ann's", 9).await.is_some());
    assert!(found(shop, b"ann's", 10).await.is_none());
    assert!(found(shop, b"unknown", 9).await.is_none());
}

on_both_engines!(sessions_end_one_by_one_or_all_of_a_user);
async fn sessions_end_one_by_one_or_all_of_a_user(shop: &Shop) {
    let (ann, bob) = (user(1, "ann@example.com"), user(2, "bob@example.com"));
    register(shop, &[ann.clone(), bob.clone()]).await;
    for (user, token_hash) in [(&ann, b"a1"), (&ann, b"a2"), (&ann, b"a3"), (&bob, b"b1")] {
        log_in(shop, user, token_hash, 10).await;
    }
    for removed in [Some(ann.id), None] {
        let remove = shop.database.write((), async |work, ()| SessionRepository::remove(work, b"a1").await);
        assert_eq!(remove.await.unwrap(), removed);
    }
    assert!(found(shop, b"a1", 0).await.is_none());
    assert!(found(shop, b"a2", 0).await.is_some());
    let others = shop
        .database
        .write(ann.id, async |work, &id| SessionRepository::end_others_of(work, id, (b"a2", b"a4")).await);
    let ended = others.await.unwrap();
    assert_eq!((ended.former, ended.kept.unwrap().is_stored), (0, true));
    assert!(found(shop, b"a2", 0).await.is_none() && found(shop, b"a3", 0).await.is_none());
    assert!(found(shop, b"a4", 0).await.is_some());
    // the token of another user is not a kept one
    let foreign = shop
        .database
        .write(bob.id, async |work, &id| SessionRepository::end_others_of(work, id, (b"a4", b"b2")).await);
    assert!(!foreign.await.unwrap().kept.unwrap().is_stored);
    assert!(found(shop, b"a4", 0).await.is_some() && found(shop, b"b1", 0).await.is_none());

    let all = shop.database.write(ann.id, async |work, &id| SessionRepository::end_all_of(work, id).await);
    let all = all.await.unwrap();
    assert_eq!(all.former, ended.epoch);
    assert!(all.epoch != all.former && all.epoch != 0);
    assert!(found(shop, b"a4", 0).await.is_none());
}

on_both_engines!(only_expired_sessions_are_deleted);
async fn only_expired_sessions_are_deleted(shop: &Shop) {
    let ann = user(1, "ann@example.com");
    register(shop, std::slice::from_ref(&ann)).await;
    log_in(shop, &ann, b"over", 10).await;
    let far = jiff::SignedDuration::from_hours(24);
    let later = shop.database.context().clock.now() + far;
    let lasting = Session::new(b"on".to_vec(), ann.id, at(0), later);
    insert(shop, &lasting).await.unwrap();

    for (number, expires_at) in [(1, at(10)), (2, later)] {
        let session_id = SessionId(uuid::Uuid::from_u128(number));
        insert(shop, &EndedSession { session_id, expires_at }).await.unwrap();
    }

    let purged = shop.database.write(1_000, async |work, &limit| {
        let ended = SessionRepository::purge_ended(work, limit).await?;
        Ok::<_, DatabaseError>((SessionRepository::purge_expired(work, limit).await?, ended))
    });
    assert_eq!(purged.await.unwrap(), (1, 1));
    assert_eq!(number(shop, "SELECT COUNT(*) FROM ended_sessions", &[]).await, 1);
    assert_eq!(number(shop, "SELECT COUNT(*) FROM sessions", &[]).await, 1);
    assert!(found(shop, b"on", 0).await.is_some());
    let mut connection = shop.database.read().await.unwrap();
    assert!(UserRepository(&mut connection).by_email("ann@example.com").await.unwrap().is_some());
}
