//! One reader reads events for all that follow them.

use undercroft::infrastructure::events::{EventFeed, EventFilter, EventLogger, Follower, Part};
use undercroft::infrastructure::repositories::Database;
use uuid::Uuid;

use super::publish;
use crate::support::store::execute;
use crate::support::{Shop, awaited};

/// The position up to which events can be read.
async fn readable(database: &Database) -> i64 {
    let mut connection = database.read().await.unwrap();
    EventLogger(&mut connection).last(&EventFilter::default(), 0).await.unwrap().1
}

/// Waits for events after a position, in the feed or in the log; returns the position up to which they are read.
async fn reach(follower: &mut Follower, database: &Database, position: i64) -> i64 {
    awaited("events after a position", async || match follower.next(position).await {
        Some(part) => Some(part.reached()),
        None => Some(readable(database).await).filter(|readable| *readable > position),
    })
    .await
}

fn ids(part: &Part, position: i64) -> Vec<Uuid> {
    let filter = EventFilter { event_type: Some("stock.changed".into()), subject: None };
    part.select(position, &filter).map(|event| event.id).collect()
}

on_both_engines!(events_are_read_once_for_all_followers);
async fn events_are_read_once_for_all_followers(shop: &Shop) {
    let (database, feed) = (&shop.database, EventFeed::new(shop.database.clone()));
    publish(database, 1).await;
    let (mut first, mut second) = (feed.follow(), feed.clone().follow());
    let mut position = 0;
    assert!(first.next(position).await.is_none(), "the log has the events of before");
    position = readable(database).await;

    publish(database, 2).await;
    let part = first.next(position).await.unwrap();
    assert_eq!(ids(&part, position).len(), 1);
    assert!(ids(&part, part.reached()).is_empty());

    // what was read is not read again for the second one
    execute(database, &["DELETE FROM outbox"]).await;
    let same = second.next(position).await.unwrap();
    assert_eq!(ids(&same, position), ids(&part, position));
}

on_both_engines!(a_follower_that_missed_events_reads_the_log);
async fn a_follower_that_missed_events_reads_the_log(shop: &Shop) {
    let (database, feed) = (&shop.database, EventFeed::new(shop.database.clone()));
    let (mut fast, mut slow) = (feed.follow(), feed.follow());
    let start = readable(database).await;
    let mut position = start;
    // more parts than wait for a follower
    for number in 0..20 {
        publish(database, number).await;
        position = reach(&mut fast, database, position).await;
    }
    assert!(slow.next(start).await.is_none());
    publish(database, 20).await;
    let reached = reach(&mut slow, database, position).await;
    assert!(reached > position);

    // the next follower begins a new reader
    drop((fast, slow));
    let mut third = feed.follow();
    publish(database, 21).await;
    assert!(reach(&mut third, database, reached).await > reached);
}
