//! Messages of a broker: whole, to every group, in their order, and again until they are settled.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use undercroft::domain::context::Context;
use undercroft::infrastructure::events::transports::{
    MAX_MESSAGE, Message, Messages, Received, Settlement, Transport, TransportError,
};

use crate::support::brokers::{TestBroker, counts};

fn message(subject: &str, body: impl Into<Bytes>) -> Message {
    Message {
        id: Context::system().ids.uuid(),
        event_type: "order.paid".into(),
        subject: subject.into(),
        content_type: "text/plain",
        attributes: Vec::new(),
        body: body.into(),
    }
}

/// Publishes numbered messages of a subject, one after the other.
pub async fn publish(transport: &dyn Transport, subject: &str, numbers: std::ops::Range<usize>) {
    for number in numbers {
        transport.publish(&message(subject, format!("{subject} {number}"))).await.unwrap();
    }
}

/// The text of a message.
pub fn text(received: &Received) -> String {
    String::from_utf8(received.body.to_vec()).unwrap()
}

/// Waits for the next message.
pub async fn next(messages: &mut Messages) -> Received {
    let next = tokio::time::timeout(Duration::from_mins(1), messages.next()).await;
    next.expect("no message came in a minute").unwrap().unwrap()
}

/// Receives and settles this number of messages; returns their texts.
pub async fn take(messages: &mut Messages, number: usize) -> Vec<String> {
    let mut texts = Vec::new();
    for _ in 0..number {
        let received = next(messages).await;
        texts.push(text(&received));
        received.receipt.settle(Settlement::Handled).await.unwrap();
    }
    texts
}

on_each_broker!(what_is_published_arrives_unchanged_up_to_the_limit);
async fn what_is_published_arrives_unchanged_up_to_the_limit(broker: &TestBroker) {
    let transport = broker.set_up(&["all"]).await;
    let attributes: Vec<_> =
        [("specversion", "1.0"), ("id", "1"), ("type", "order.paid"), ("subject", "ä \"%\" 🍎")]
            .map(|(name, value)| (name, value.to_owned()))
            .into();
    let small = Message { attributes, content_type: "application/json", ..message("s", "{}") };
    let large = message("s", vec![b'a'; MAX_MESSAGE - 1024]);
    for message in [&small, &large, &message("s", "")] {
        transport.publish(message).await.unwrap();
    }
    let too_large = transport.publish(&message("s", vec![b'a'; MAX_MESSAGE + 1])).await.unwrap_err();
    assert_eq!(too_large, TransportError::TooLarge { size: MAX_MESSAGE + 1, limit: MAX_MESSAGE });

    let mut messages = transport.consume("all").await.unwrap();
    let first = next(&mut messages).await;
    let received: BTreeMap<_, _> =
        first.attributes.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    assert_eq!(received, small.attributes.iter().cloned().collect());
    assert_eq!((first.content_type.as_deref(), &first.body), (Some("application/json"), &small.body));
    assert_eq!(next(&mut messages).await.body, large.body);
    assert_eq!(next(&mut messages).await.body, "");
}

on_each_broker!(each_group_sees_everything_and_one_consumer_of_a_group_each_message);
async fn each_group_sees_everything_and_one_consumer_of_a_group_each_message(broker: &TestBroker) {
    let transport = broker.set_up(&["one", "two words"]).await;
    let subjects: Vec<_> = (0..10).map(|number| format!("s{number}")).collect();
    let publishing: Vec<_> =
        subjects.iter().map(|subject| publish(transport.as_ref(), subject, 0..20)).collect();
    futures_util::future::join_all(publishing).await;

    let alone = take(&mut transport.consume("one").await.unwrap(), 200).await;
    assert_eq!(counts(alone.iter().map(String::as_str)).len(), 200);
    for subject in &subjects {
        let own: Vec<_> = alone.iter().filter(|text| text.starts_with(&format!("{subject} "))).collect();
        let expected: Vec<_> = (0..20).map(|number| format!("{subject} {number}")).collect();
        assert_eq!(own, expected.iter().collect::<Vec<_>>(), "the order of a subject");
    }

    let (done, stop) =
        (Arc::new(tokio::sync::Mutex::new(Vec::new())), tokio_util::sync::CancellationToken::new());
    let consumers: Vec<_> = (0..3)
        .map(|_| {
            let (transport, done, stop) = (broker.transport(), Arc::clone(&done), stop.clone());
            tokio::spawn(async move {
                let mut messages = transport.consume("two words").await.unwrap();
                while let Some(received) = stop.run_until_cancelled(next(&mut messages)).await {
                    let text = text(&received);
                    received.receipt.settle(Settlement::Handled).await.unwrap();
                    let mut done = done.lock().await;
                    done.push(text);
                    if done.len() == 200 {
                        stop.cancel();
                    }
                }
            })
        })
        .collect();
    for consumer in consumers {
        consumer.await.unwrap();
    }
    let together = done.lock().await;
    assert_eq!(counts(together.iter().map(String::as_str)), counts(alone.iter().map(String::as_str)));
}

on_each_broker!(a_refused_message_comes_again_and_those_behind_it_are_not_lost);
async fn a_refused_message_comes_again_and_those_behind_it_are_not_lost(broker: &TestBroker) {
    let transport = broker.set_up(&["all"]).await;
    publish(transport.as_ref(), "s", 0..5).await;
    let mut messages = transport.consume("all").await.unwrap();
    let first = next(&mut messages).await;
    assert_eq!(text(&first), "s 0");
    first.receipt.settle(Settlement::Again).await.unwrap();
    let rest: BTreeSet<_> = take(&mut messages, 5).await.into_iter().collect();
    assert_eq!(rest, (0..5).map(|number| format!("s {number}")).collect());
}

on_each_broker!(a_message_without_an_acknowledgement_comes_again_to_another_consumer);
async fn a_message_without_an_acknowledgement_comes_again_to_another_consumer(broker: &TestBroker) {
    let transport = broker.set_up(&["all"]).await;
    publish(transport.as_ref(), "s", 0..6).await;
    {
        let mut messages = transport.consume("all").await.unwrap();
        assert_eq!(take(&mut messages, 2).await, ["s 0", "s 1"]);
        // a consumer that ends while it receives
        assert_eq!(text(&next(&mut messages).await), "s 2");
    }
    let other = broker.transport();
    let rest: BTreeSet<_> = take(&mut other.consume("all").await.unwrap(), 4).await.into_iter().collect();
    assert_eq!(rest, (2..6).map(|number| format!("s {number}")).collect());
}

on_each_broker!(what_a_publisher_that_ends_has_published_is_there);
async fn what_a_publisher_that_ends_has_published_is_there(broker: &TestBroker) {
    let transport = broker.set_up(&["all"]).await;
    let stored = {
        let publisher = broker.transport();
        let results =
            futures_util::stream::iter(0..500).map(|number| {
                let publisher = Arc::clone(&publisher);
                async move {
                    publisher.publish(&message("s", number.to_string())).await.map(|()| number.to_string())
                }
            });
        // the publisher is dropped in the middle
        let stored = results.buffer_unordered(50).take(250).try_collect::<BTreeSet<_>>();
        stored.await.unwrap()
    };
    let received = take(&mut transport.consume("all").await.unwrap(), 250).await;
    let mut missing: BTreeSet<_> = stored.difference(&received.into_iter().collect()).cloned().collect();
    let mut messages = transport.consume("all").await.unwrap();
    while !missing.is_empty() {
        missing.remove(&take(&mut messages, 1).await[0]);
    }
}

on_each_broker!(a_broker_that_is_not_set_up_stores_nothing_and_says_so);
async fn a_broker_that_is_not_set_up_stores_nothing_and_says_so(broker: &TestBroker) {
    let transport = broker.transport();
    let groups = ["all".to_owned()];
    assert_eq!(transport.state(&groups).await.unwrap(), None);
    let refused = transport.publish(&message("s", "0")).await.unwrap_err();
    assert!(matches!(refused, TransportError::NotSetUp(_)), "{refused}");
    let refused = transport.consume("all").await.err().unwrap();
    assert!(matches!(refused, TransportError::NotSetUp(_)), "{refused}");

    transport.set_up(&groups).await.unwrap();
    let before = transport.state(&groups).await.unwrap();
    transport.set_up(&groups).await.unwrap();
    assert_eq!(transport.state(&groups).await.unwrap(), before, "setting it up again changes nothing");
    broker.wipe().await;
    assert_eq!(transport.state(&groups).await.unwrap(), None);
    transport.set_up(&groups).await.unwrap();
    publish(transport.as_ref(), "s", 0..1).await;
    assert_eq!(take(&mut transport.consume("all").await.unwrap(), 1).await, ["s 0"]);
}
