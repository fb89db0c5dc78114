//! The tests of brokers, with Kafka: `cargo test --features kafka --test kafka -- kafka`. They are a binary of their
//! own, so that all other tests need not be built a second time.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by a panic, its helpers too")]
#![expect(unreachable_pub, dead_code, unused_imports, unused_macros, reason = "other tests use them too")]

#[macro_use]
#[path = "it/support/mod.rs"]
mod support;

#[path = "it/presentation/cli/mod.rs"]
mod cli;
#[path = "it/infrastructure/events/transports/mod.rs"]
mod transports;

use undercroft::infrastructure::events::transports::{EventsUrl, InvalidEventsUrl, open};

#[test]
fn a_url_of_kafka_names_servers_and_a_login_and_the_password_is_not_shown() {
    let url: EventsUrl = "kafka://ann:secret@one:9092,[::1],three/".parse().unwrap();
    let shown = format!("{url:?} {:?}", open(&url, "name"));
    assert!(shown.contains("name") && !shown.contains("secret"), "{shown}");
    for wrong in ["kafka://", "kafka://one,", "kafka://ann@one", "kafka://one/topic", "kafka://one?a"] {
        assert_eq!(wrong.parse::<EventsUrl>(), Err(InvalidEventsUrl::Malformed), "{wrong}");
    }
}
