//! The open connections, of which some are closed when there is no room for others: those of a network that has many of
//! them, and the longest idle ones.

use std::collections::HashMap;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::Notify;

use super::phase::{Phase, PhaseTracker};
use crate::infrastructure::middleware::Partition;

/// One in this many connections is closed at a time, so that the search for them is seldom.
const SHARE: usize = 100;
/// A network that has more than one in this many connections has many: its connections are closed before others.
const MANY: usize = 10;

/// The open connections.
pub(super) struct Registry {
    entries: Mutex<HashMap<u64, Arc<Entry>>>,
    /// Numbers the beginnings and the responses of all connections, in their order.
    sequence: Arc<AtomicU64>,
}

/// An open connection.
pub(super) struct Entry {
    pub(super) tracker: Arc<PhaseTracker>,
    /// The network of the client; `None` for a trusted proxy.
    network: Option<Partition>,
    /// The number of the last response, or of the connection's beginning: of two idle connections, that with the lower
    /// number has been idle longer.
    active_at: AtomicU64,
    /// That of the registry.
    sequence: Arc<AtomicU64>,
    closing: AtomicBool,
    /// Whether it is also closed while a request waits for its client.
    interrupting: AtomicBool,
    close: Notify,
}

/// The order in which connections are closed, and why.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Turn {
    /// It is idle, and its network has many.
    IdleOfMany,
    /// Its request waits for its client, and its network has many.
    WaitingOfMany,
    /// It is idle after a response.
    Idle,
    /// Its request waits for its client, and no network has more connections.
    WaitingOfMost,
    /// It has not sent the head of a request yet, for which its time is short.
    Beginning,
}

/// The network with the most connections.
struct Most {
    network: Partition,
    /// Returns the network of a client in which it is counted: its own, or one around that.
    around: fn(Partition) -> Partition,
    has_many: bool,
}

impl Most {
    /// Finds the network with the most of these connections, at least two; trusted proxies have none. If none has many,
    /// a /48 of IPv6 that has many counts as one: it may be that of one client.
    fn of(entries: &[Arc<Entry>]) -> Option<Self> {
        let most = Self::by(entries, |network| network);
        if most.as_ref().is_some_and(|most| most.has_many) {
            return most;
        }
        Self::by(entries, site).filter(|most| most.has_many).or(most)
    }

    fn by(entries: &[Arc<Entry>], around: fn(Partition) -> Partition) -> Option<Self> {
        let mut counts = HashMap::<_, usize>::new();
        for network in entries.iter().filter_map(|entry| entry.network) {
            *counts.entry(around(network)).or_default() += 1;
        }
        let (network, count) = counts.into_iter().max_by_key(|(_, count)| *count)?;
        (count > 1).then_some(Self { network, around, has_many: count * MANY > entries.len() })
    }

    fn contains(&self, network: Partition) -> bool {
        (self.around)(network) == self.network
    }
}

/// Returns the /48 of a network of IPv6, the largest that a provider usually gives to a customer; others as they are.
fn site(network: Partition) -> Partition {
    match network {
        Partition::Address(IpAddr::V6(address)) => {
            Partition::Address(IpAddr::V6((address.to_bits() >> 80 << 80).into()))
        }
        other => other,
    }
}

impl Entry {
    /// Returns when it is the turn of the connection to be closed; `None` while it may not be.
    fn turn(&self, most: Option<&Most>) -> Option<Turn> {
        let phase = self.tracker.phase();
        let most = most.filter(|most| self.network.is_some_and(|network| most.contains(network)));
        let has_many = most.is_some_and(|most| most.has_many);
        if !phase.is_request() {
            let of_few = if phase == Phase::Head { Turn::Beginning } else { Turn::Idle };
            Some(if has_many { Turn::IdleOfMany } else { of_few })
        } else if most.is_some() && phase.is_waiting_for_client() {
            Some(if has_many { Turn::WaitingOfMany } else { Turn::WaitingOfMost })
        } else {
            None
        }
    }

    /// Makes the task of the connection close it.
    fn close(&self, turn: Turn) {
        // also if the client begins a request in this moment, unless its network has few connections
        self.interrupting.store(!matches!(turn, Turn::Idle | Turn::Beginning), Relaxed);
        self.closing.store(true, Relaxed);
        self.close.notify_one();
    }

    /// Records that a response begins with its head; returns its body, with whose end the response ends.
    pub(super) fn respond_with(self: &Arc<Self>, body: Body) -> ResponseBody {
        self.tracker.begin_response();
        ResponseBody { body, entry: Arc::clone(self) }
    }

    /// Returns whether the connection is to be closed, at the latest after its present request.
    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Relaxed)
    }

    /// Returns whether the connection ends in bounded time without being closed again. One that was idle when it was to
    /// be closed may have begun a request in that moment, which may wait for its client for hours.
    fn is_ending(&self) -> bool {
        let is_interrupted = self.interrupting.load(Relaxed);
        self.is_closing() && (is_interrupted || !self.tracker.phase().is_waiting_for_client())
    }

    /// Returns whether the connection is to be closed now that it is in this phase.
    pub(super) fn ends_in(&self, phase: Phase) -> bool {
        let is_interrupted = || phase.is_waiting_for_client() && self.interrupting.load(Relaxed);
        self.is_closing() && (!phase.is_request() || is_interrupted())
    }

    /// Wakes the task of the connection each time that it is to be closed; never completes.
    pub(super) async fn closing(&self) {
        loop {
            self.close.notified().await;
        }
    }
}

/// An entry that is removed from its registry when it is dropped.
pub(super) struct Registered<'a> {
    registry: &'a Registry,
    id: u64,
    pub(super) entry: Arc<Entry>,
}

impl Registry {
    pub(super) fn new() -> Self {
        Self { entries: Mutex::default(), sequence: Arc::default() }
    }

    /// Adds a connection from a network; `None` is a trusted proxy, which has the connections of many clients.
    pub(super) fn register(&self, network: Option<Partition>) -> Registered<'_> {
        let id = self.sequence.fetch_add(1, Relaxed);
        let entry = Arc::new(Entry {
            tracker: Arc::new(PhaseTracker::new()),
            network,
            active_at: AtomicU64::new(id),
            sequence: Arc::clone(&self.sequence),
            closing: AtomicBool::new(false),
            interrupting: AtomicBool::new(false),
            close: Notify::new(),
        });
        self.entries().insert(id, Arc::clone(&entry));
        Registered { registry: self, id, entry }
    }

    /// Closes some of the connections whose turn is first, those that have been idle or have waited longest; at least
    /// one if any may be closed. Closes none if `wanted` connections are ending already. Returns how many.
    pub(super) fn make_room(&self, wanted: usize) -> usize {
        let all: Vec<_> = self.entries().values().cloned().collect();
        let (ending, open): (Vec<_>, Vec<_>) = all.into_iter().partition(|entry| entry.is_ending());
        if ending.len() >= wanted {
            return 0;
        }
        let most = Most::of(&open);
        let turns = open.iter().filter_map(|entry| Some((entry.turn(most.as_ref())?, entry)));
        let mut turns: Vec<_> =
            turns.map(|(turn, entry)| (turn, entry.active_at.load(Relaxed), entry)).collect();
        let Some(first) = turns.iter().map(|(turn, ..)| *turn).min() else { return 0 };
        turns.retain(|(turn, ..)| *turn == first);
        let count = turns.len().min(open.len().div_ceil(SHARE));
        turns.select_nth_unstable_by_key(count - 1, |(_, active_at, _)| *active_at);
        for (turn, _, entry) in &turns[..count] {
            entry.close(*turn);
        }
        count
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<u64, Arc<Entry>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The body of a response. The connection drops it when it has the last of it.
pub(super) struct ResponseBody {
    body: Body,
    entry: Arc<Entry>,
}

impl HttpBody for ResponseBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        let number = self.entry.sequence.fetch_add(1, Relaxed);
        self.entry.active_at.store(number, Relaxed);
        self.entry.tracker.end_response();
    }
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        self.registry.entries().remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Adds a connection from an address.
    fn from<'a>(registry: &'a Registry, address: &str) -> Registered<'a> {
        let address: IpAddr = address.parse().unwrap();
        registry.register(Some(Partition::Address(address).canonical()))
    }

    /// Responds to a request of a connection, which is idle after that.
    fn respond(registered: &Registered<'_>) {
        registered.entry.tracker.begin_request();
        drop(registered.entry.respond_with(Body::empty()));
    }

    /// Makes the client of a connection read its response slowly.
    fn send_slowly(registered: &Registered<'_>) {
        registered.entry.tracker.begin_request();
        registered.entry.tracker.begin_response();
        registered.entry.tracker.record_write(&Poll::Pending);
    }

    fn closing<const N: usize>(registered: [&Registered<'_>; N]) -> [bool; N] {
        registered.map(|it| it.entry.ends_in(it.entry.tracker.phase()))
    }

    #[test]
    fn the_longest_idle_connection_is_closed_and_never_one_with_a_handler() {
        let registry = Registry::new();
        let [busy, old, new] = ["192.0.2.1", "192.0.2.2", "192.0.2.3"].map(|it| from(&registry, it));
        busy.entry.tracker.begin_request();
        respond(&old);
        respond(&new);

        assert_eq!(registry.make_room(usize::MAX), 1);
        assert_eq!(closing([&busy, &old, &new]), [false, true, false]);
        drop(old);
        assert_eq!(registry.make_room(usize::MAX), 1);
        assert_eq!(closing([&busy, &new]), [false, true]);
        assert_eq!(registry.make_room(usize::MAX), 0, "the last one has a request");

        let body = busy.entry.respond_with(Body::from("late"));
        assert_eq!(registry.make_room(usize::MAX), 0, "the last one has a response that is not written yet");
        drop(body);
        assert_eq!(registry.make_room(usize::MAX), 1);
    }

    #[test]
    fn no_connection_is_closed_while_enough_are_ending() {
        let registry = Registry::new();
        let three = ["192.0.2.1", "192.0.2.2", "192.0.2.3"].map(|it| from(&registry, it));
        three.iter().for_each(respond);

        assert_eq!(registry.make_room(1), 1);
        assert_eq!(registry.make_room(1), 0, "the first one still ends");
        assert_eq!(closing(three.each_ref()), [true, false, false]);
        assert_eq!(registry.make_room(2), 1);
        assert_eq!(closing(three.each_ref()), [true, true, false]);
    }

    #[test]
    fn a_network_with_many_connections_loses_them_before_others_do() {
        let registry = Registry::new();
        let other = from(&registry, "2001:db8:1:1::1");
        let [old, new, idle] =
            ["2001:db8:0:1::1", "2001:db8:0:1:2::", "2001:db8:0:1::3"].map(|it| from(&registry, it));
        send_slowly(&old);
        send_slowly(&new);

        for expected in [[false, false, false, true], [false, true, false, true]] {
            assert_eq!(registry.make_room(usize::MAX), 1);
            assert_eq!(closing([&other, &old, &new, &idle]), expected);
        }
        assert_eq!(registry.make_room(usize::MAX), 1);
        assert_eq!(closing([&other, &new]), [true, false], "one connection is not many");
        assert_eq!(registry.make_room(usize::MAX), 0);
    }

    #[test]
    fn a_client_with_many_networks_loses_its_connections_before_others_do() {
        let registry = Registry::new();
        let others: Vec<_> = (0..30).map(|it| from(&registry, &format!("192.0.2.{it}"))).collect();
        let many: Vec<_> = (0..30).map(|it| from(&registry, &format!("2001:db8:0:{it:x}::1"))).collect();
        others.iter().chain(&many).for_each(send_slowly);
        let idle = from(&registry, "2001:db8:1::1");

        for expected in [[false, true, false, false], [false, true, true, false]] {
            assert_eq!(registry.make_room(usize::MAX), 1);
            assert_eq!(closing([&others[0], &many[0], &many[1], &idle]), expected);
        }
    }

    #[test]
    fn a_request_is_interrupted_for_others_only_in_a_network_with_several() {
        let registry = Registry::new();
        let others: Vec<_> = (0..30).map(|it| from(&registry, &format!("192.0.2.{it}"))).collect();
        let two = [from(&registry, "198.51.100.1"), from(&registry, "198.51.100.1")];
        others.iter().chain(&two).for_each(send_slowly);
        two[0].entry.tracker.begin_request();
        let [idle, new] = ["203.0.113.1", "203.0.113.2"].map(|it| from(&registry, it));
        respond(&idle);

        assert_eq!(registry.make_room(usize::MAX), 1);
        assert_eq!(closing([&two[0], &two[1], &idle]), [false, false, true], "an idle one is closed first");
        assert_eq!(registry.make_room(usize::MAX), 1);
        assert_eq!(closing([&two[0], &two[1], &new]), [false, true, false], "the other one has a handler");
        assert_eq!(registry.make_room(usize::MAX), 1);
        assert_eq!(closing([&two[0], &new]), [false, true], "it sent no request yet");
        assert_eq!(registry.make_room(usize::MAX), 0);
    }

    #[test]
    fn a_request_that_began_when_its_connection_was_to_be_closed_is_interrupted_later() {
        let registry = Registry::new();
        let others: Vec<_> = (0..30).map(|it| from(&registry, &format!("192.0.2.{it}"))).collect();
        let three = ["198.51.100.1"; 3].map(|it| from(&registry, it));
        three.iter().for_each(respond);
        others.iter().chain(&three[1..]).for_each(send_slowly);

        assert_eq!(registry.make_room(usize::MAX), 1, "the idle one");
        send_slowly(&three[0]);
        assert_eq!(closing(three.each_ref()), [false; 3]);
        assert_eq!(registry.make_room(usize::MAX), 1);
        assert_eq!(
            closing(three.each_ref()),
            [true, false, false],
            "the oldest of the network with the most"
        );
    }

    #[test]
    fn the_requests_of_a_trusted_proxy_are_not_interrupted() {
        let registry = Registry::new();
        let proxied = [(); 5].map(|()| registry.register(None));
        proxied.iter().for_each(send_slowly);
        assert_eq!(registry.make_room(usize::MAX), 0);
        proxied[0].entry.tracker.end_response();
        proxied[0].entry.tracker.record_write(&Poll::Ready(Ok(1)));
        assert_eq!(registry.make_room(usize::MAX), 1);
        assert_eq!(closing([&proxied[0], &proxied[1]]), [true, false]);
    }
}
