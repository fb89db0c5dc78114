//! Consumers that come, go and are silent: nothing is lost, and nothing crosses from one store to another.

use std::collections::BTreeSet;

use futures_util::future::join_all;

use super::messages::{next, publish, take, text};
use crate::support::brokers::TestBroker;

/// The texts of the messages that [`publish`] makes of numbers of a subject.
fn texts(subject: &str, numbers: std::ops::Range<usize>) -> BTreeSet<String> {
    numbers.map(|number| format!("{subject} {number}")).collect()
}

on_each_broker!(stores_that_share_a_broker_see_only_their_own_messages);
async fn stores_that_share_a_broker_see_only_their_own_messages(broker: &TestBroker) {
    let (groups, other) = (["one", "two words"], broker.beside());
    let stores = [(broker.set_up(&groups).await, "mine"), (other.set_up(&groups).await, "theirs")];
    let subjects =
        ["a", "b", "c"].map(|letter| stores.each_ref().map(|(_, store)| format!("{store} {letter}")));
    for subjects in &subjects {
        let publishing = stores.iter().zip(subjects);
        join_all(publishing.map(|((transport, _), subject)| publish(transport.as_ref(), subject, 0..20)))
            .await;
    }
    for (number, (transport, _)) in stores.iter().enumerate() {
        let expected: BTreeSet<_> =
            subjects.iter().flat_map(|subjects| texts(&subjects[number], 0..20)).collect();
        for group in groups {
            let seen = take(&mut transport.consume(group).await.unwrap(), expected.len()).await;
            assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), expected, "{group}");
        }
    }
}

on_each_broker!(a_message_whose_receipt_is_dropped_comes_again);
async fn a_message_whose_receipt_is_dropped_comes_again(broker: &TestBroker) {
    let transport = broker.set_up(&["all"]).await;
    publish(transport.as_ref(), "s", 0..5).await;
    let mut messages = transport.consume("all").await.unwrap();
    for number in 0..2 {
        assert_eq!(text(&next(&mut messages).await), format!("s {number}"));
    }
    let rest: BTreeSet<_> = take(&mut messages, 5).await.into_iter().collect();
    assert_eq!(rest, texts("s", 0..5));
}

on_each_broker!(consumers_that_end_while_they_receive_lose_nothing);
async fn consumers_that_end_while_they_receive_lose_nothing(broker: &TestBroker) {
    let transport = broker.set_up(&["all"]).await;
    for subject in ["a", "b", "c"] {
        publish(transport.as_ref(), subject, 0..40).await;
    }
    let mut missing: BTreeSet<_> = ["a", "b", "c"].iter().flat_map(|subject| texts(subject, 0..40)).collect();
    for _ in 0..2 {
        let mut messages = transport.consume("all").await.unwrap();
        for seen in take(&mut messages, 20).await {
            missing.remove(&seen);
        }
        // it ends with a message that it has not settled
        next(&mut messages).await;
    }
    // many end at once
    let others: Vec<_> = (0..4).map(|_| broker.transport()).collect();
    let consumers = join_all(others.iter().map(|other| other.consume("all"))).await;
    assert!(consumers.iter().all(Result::is_ok));
    drop(consumers);

    let mut messages = transport.consume("all").await.unwrap();
    while !missing.is_empty() {
        missing.remove(&take(&mut messages, 1).await[0]);
    }
}
