//! Log-ins: found with their user while they last, and ended.

use undercroft::domain::user::{Session, User};
use undercroft::infrastructure::repositories::{SessionRepository, UserRepository};

use super::{at, number, register, user};
use crate::support::{TestDatabase, on_each_engine};

async fn log_in(test: &TestDatabase, user: &User, token_hash: &[u8], until: i64) {
    let log_in = Session {
        token_hash: token_hash.to_vec(),
        user_id: user.id,
        created_at: at(0),
        expires_at: at(until),
    };
    within!(test, work, log_in => work.insert(&log_in).await).unwrap();
}

async fn found(test: &TestDatabase, token_hash: &[u8], now: i64) -> Option<(Session, User)> {
    let mut session = test.database.read().await.unwrap();
    SessionRepository(&mut session).by_token_hash(token_hash, at(now)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_leads_to_its_user_until_it_expires() {
    on_each_engine(|test| async move {
        let (ann, bob) = (user(1, "ann@example.com"), user(2, "bob@example.com"));
        register(&test, &[ann.clone(), bob.clone()]).await;
        log_in(&test, &ann, b"ann's", 10).await;
        log_in(&test, &bob, b"bob's", 20).await;

        let (session, who) = found(&test, b"bob's", 9).await.unwrap();
        assert!(who == bob);
        assert_eq!((session.token_hash, session.user_id), (b"bob's".to_vec(), bob.id));
        assert_eq!((session.created_at, session.expires_at), (at(0), at(20)));
        assert!(found(&test, b"ann's", 9).await.is_some());
        assert!(found(&test, b"ann's", 10).await.is_none());
        assert!(found(&test, b"nobody's", 9).await.is_none());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn log_ins_end_one_by_one_or_all_of_a_user() {
    on_each_engine(|test| async move {
        let (ann, bob) = (user(1, "ann@example.com"), user(2, "bob@example.com"));
        register(&test, &[ann.clone(), bob.clone()]).await;
        for (who, token_hash) in [(&ann, b"a1"), (&ann, b"a2"), (&ann, b"a3"), (&bob, b"b1")] {
            log_in(&test, who, token_hash, 10).await;
        }
        assert!(within!(test, work => SessionRepository::remove(work, b"a1").await).unwrap());
        assert!(!within!(test, work => SessionRepository::remove(work, b"a1").await).unwrap());
        assert!(found(&test, b"a1", 0).await.is_none());
        assert!(found(&test, b"a2", 0).await.is_some());
        let ended = within!(test, work => SessionRepository::remove_all_of(work, ann.id).await);
        assert_eq!(ended.unwrap(), 2);
        assert!(found(&test, b"a2", 0).await.is_none());
        assert!(found(&test, b"b1", 0).await.is_some());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_expired_is_cleared_away_and_nothing_else() {
    on_each_engine(|test| async move {
        let ann = user(1, "ann@example.com");
        register(&test, std::slice::from_ref(&ann)).await;
        log_in(&test, &ann, b"over", 10).await;
        let far = jiff::SignedDuration::from_hours(24);
        let later = test.database.context().clock.now() + far;
        let lasting =
            Session { token_hash: b"on".to_vec(), user_id: ann.id, created_at: at(0), expires_at: later };
        within!(test, work, lasting => work.insert(&lasting).await).unwrap();

        let purged = within!(test, work => SessionRepository::purge_expired(work, 1_000).await);
        assert_eq!(purged.unwrap(), 1);
        assert_eq!(number(&test, "SELECT COUNT(*) FROM sessions", &[]).await, 1);
        assert!(found(&test, b"on", 0).await.is_some());
        let mut session = test.database.read().await.unwrap();
        assert!(UserRepository(&mut session).by_email("ann@example.com").await.unwrap().is_some());
    })
    .await;
}
