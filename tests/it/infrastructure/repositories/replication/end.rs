//! The end of a replication without a hand-over.

use undercroft::domain::context::Context;
use undercroft::infrastructure::repositories::replication::{ReplicationError, stop};
use undercroft::infrastructure::repositories::{Engine, Role};

use super::super::copy::Target;
use super::{Running, unchecked, verified, write_until_committed};
use crate::support::store::{execute, value};
use crate::support::{Shop, eventually};

on_both_engines!(a_replication_that_is_handed_over_meanwhile_is_not_ended, unchecked());
async fn a_replication_that_is_handed_over_meanwhile_is_not_ended(shop: &Shop) {
    let target = Target::sqlite();
    verified(&shop.url, &target.url).await;
    let (moving, complete) =
        write_until_committed(&shop.database, "UPDATE replication SET role = 'moved'").await;
    let url = shop.url.parse().unwrap();
    let ending = tokio::spawn(async move { stop(&url, Context::system()).await });
    if shop.database.engine() == Engine::Postgres {
        let waiting = "SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' \
                       AND application_name = current_setting('application_name')";
        let waits = async || value::<i64>(&shop.database, waiting, &[]).await > 0;
        eventually("an end that waits for a lock", waits).await;
    }
    complete.cancel();
    moving.await.unwrap().unwrap();
    let ended = ending.await.unwrap();
    assert!(matches!(ended, Err(ReplicationError::NotSource)), "{ended:?}");
    assert_eq!(shop.database.role().await.unwrap(), Role::Moved);
}

on_both_engines!(a_replication_ends_when_another_process_takes_it_over);
async fn a_replication_ends_when_another_process_takes_it_over(shop: &Shop) {
    let target = Target::sqlite();
    let replaced = Running::start(&shop.url, &target.url).await;
    verified(&shop.url, &target.url).await;
    let error = replaced.failed().await;
    assert!(matches!(error, ReplicationError::TakenOver), "{error}");
    stop(&shop.url.parse().unwrap(), Context::system()).await.unwrap();
}

on_both_engines!(a_replication_ends_when_another_process_hands_its_source_over, unchecked());
async fn a_replication_ends_when_another_process_hands_its_source_over(shop: &Shop) {
    let target = Target::sqlite();
    let running = Running::start(&shop.url, &target.url).await;
    execute(&shop.database, &["UPDATE replication SET role = 'moved'"]).await;
    let error = running.failed().await;
    assert!(matches!(error, ReplicationError::HandedOver), "{error}");
}

on_both_engines!(no_change_is_applied_after_the_end_has_begun);
async fn no_change_is_applied_after_the_end_has_begun(shop: &Shop) {
    let target = Target::sqlite();
    shop.product().create().await;
    let running = Running::start(&shop.url, &target.url).await;
    // the triggers of this table are removed when its writers have ended
    let (writing, complete) = write_until_committed(&shop.database, "UPDATE users SET name = name").await;
    let url = shop.url.parse().unwrap();
    let ending = tokio::spawn(async move { stop(&url, Context::system()).await });
    let ended = |error| assert!(matches!(error, ReplicationError::Ended), "{error}");
    if shop.database.engine() == Engine::Postgres {
        let recorded = "SELECT COUNT(*) FROM pg_trigger WHERE tgrelid = 'products'::regclass AND tgname = 'record_products'";
        let is_removed = async || value::<i64>(&shop.database, recorded, &[]).await == 0;
        eventually("the removal of the triggers", is_removed).await;
        execute(&shop.database, &["UPDATE products SET description = 'not recorded'"]).await;
        ended(running.failed().await);
        complete.cancel();
    } else {
        complete.cancel();
        ended(running.failed().await);
    }
    writing.await.unwrap().unwrap();
    ending.await.unwrap().unwrap();
    assert_eq!(shop.database.role().await.unwrap(), Role::Live);
}
