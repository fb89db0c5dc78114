//! A name at a broker belongs to one store, if the broker can record which.

use undercroft::infrastructure::events::{Broker, EventBus, Mode};

use super::delivery::{Process, publish, wait_for, wait_for_notes};
use super::outages::RELAYED;
use crate::support::brokers::{BrokerKind, TestBroker};
use crate::support::store::value;
use crate::support::{Shop, ShopOptions};

on_each_broker_and_engine!(a_name_of_another_store_is_not_used);
async fn a_name_of_another_store_is_not_used(shop: &Shop, broker: &TestBroker) {
    if broker.kind != BrokerKind::Nats {
        return;
    }
    publish(&shop.database, 1, 0..3).await;
    let first = Process::start(&shop.database, broker.transport(), Mode::Structured);
    wait_for_notes(&shop.database, 3).await;
    wait_for(&shop.database, RELAYED, 1).await;

    let other = Shop::on_sqlite(ShopOptions::default()).await;
    publish(&other.database, 2, 0..3).await;
    let second = Process::start(&other.database, broker.transport(), Mode::Structured);
    // it begins with a lease
    wait_for(&other.database, "SELECT COUNT(*) FROM event_cursors WHERE subscriber = 'broker'", 1).await;
    publish(&shop.database, 1, 3..6).await;
    wait_for_notes(&shop.database, 6).await;
    wait_for(&shop.database, RELAYED, 1).await;
    assert_eq!(value::<i64>(&other.database, RELAYED, &[]).await, 0);
    let broker = Broker::new(broker.transport(), Mode::Structured, EventBus::default());
    assert!(broker.check_owner(&shop.database).await.unwrap());
    let refused = broker.check_owner(&other.database).await.unwrap_err().report().to_string();
    assert!(refused.contains("belongs to another store"), "{refused}");
    second.end().await;
    first.end().await;
}
