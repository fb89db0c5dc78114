//! The bus of signals: facts that the subscribers in this process get at once, and that are stored nowhere.
//!
//! Emitting a signal never waits and never fails. Each subscription has a bounded queue; one that is slow loses its
//! oldest signals, which are counted by type. A fact that must not be lost is a [`DurableEvent`] instead: only an open
//! transaction can publish it, by [`UnitOfWork::publish`].
//!
//! [`DurableEvent`]: crate::domain::events::DurableEvent
//! [`UnitOfWork::publish`]: crate::infrastructure::repositories::UnitOfWork::publish

use std::any::{Any, TypeId};
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};
use std::{fmt, mem};

use tokio::sync::Notify;

/// The most signals that wait in the queue of a subscription.
const CAPACITY: usize = 4096;

/// A fact of which a subscriber may miss some.
pub trait Signal: Clone + Send + Sync + 'static {
    /// The type, as a CloudEvents type.
    const TYPE: &'static str;
}

/// Hands signals to subscriptions. Clones share them.
#[derive(Clone, Default)]
pub struct EventBus(Arc<RwLock<HashMap<TypeId, Arc<dyn AnyTopic>>>>);

impl EventBus {
    /// Adds a signal to the queue of each subscription to its type.
    pub fn emit<S: Signal>(&self, signal: &S) {
        let topics = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(topic) = topics.get(&TypeId::of::<S>()).and_then(|topic| topic.of::<S>()) {
            topic.emit(signal);
        }
    }

    /// Returns a subscription to the signals of a type that are emitted from now on.
    pub fn subscribe<S: Signal>(&self) -> Subscription<S> {
        let mut topics = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let topic = topics.entry(TypeId::of::<S>()).or_insert_with(|| Arc::new(Topic::<S>::default()));
        let queue = Arc::new(Queue { signals: Mutex::default(), arrived: Notify::new() });
        if let Some(topic) = topic.of::<S>() {
            let mut queues = topic.queues.write().unwrap_or_else(PoisonError::into_inner);
            queues.retain(|queue| queue.strong_count() > 0);
            queues.push(Arc::downgrade(&queue));
        }
        Subscription(queue)
    }

    /// Returns the number of lost signals of each type that had subscriptions, by type.
    pub fn dropped(&self) -> Vec<(&'static str, u64)> {
        let topics = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let mut dropped: Vec<_> = topics.values().map(|topic| topic.dropped()).collect();
        dropped.sort_unstable();
        dropped
    }
}

impl fmt::Debug for EventBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.dropped()).finish()
    }
}

/// A subscription to the signals of one type. It ends when it is dropped.
pub struct Subscription<S>(Arc<Queue<S>>);

impl<S: Signal> Subscription<S> {
    /// Waits for the next signal.
    pub async fn next(&mut self) -> S {
        loop {
            if let Some(signal) = self.take() {
                return signal;
            }
            self.0.arrived.notified().await;
        }
    }

    /// Returns the next signal, if one waits.
    pub fn take(&mut self) -> Option<S> {
        self.0.signals().pop_front()
    }

    /// Returns the signals that wait.
    pub fn take_all(&mut self) -> VecDeque<S> {
        mem::take(&mut *self.0.signals())
    }
}

/// The subscriptions to a type of signals.
struct Topic<S> {
    queues: RwLock<Vec<Weak<Queue<S>>>>,
    dropped: AtomicU64,
}

impl<S> Default for Topic<S> {
    fn default() -> Self {
        Self { queues: RwLock::default(), dropped: AtomicU64::new(0) }
    }
}

impl<S: Signal> Topic<S> {
    fn emit(&self, signal: &S) {
        let queues = self.queues.read().unwrap_or_else(PoisonError::into_inner);
        for queue in queues.iter().filter_map(Weak::upgrade) {
            if queue.push(signal.clone()) {
                self.dropped.fetch_add(1, Relaxed);
            }
        }
    }
}

/// A topic whose type of signals is erased.
trait AnyTopic: Any + Send + Sync {
    /// Returns the type and the number of lost signals.
    fn dropped(&self) -> (&'static str, u64);
}

impl<S: Signal> AnyTopic for Topic<S> {
    fn dropped(&self) -> (&'static str, u64) {
        (S::TYPE, self.dropped.load(Relaxed))
    }
}

impl dyn AnyTopic {
    /// Returns the topic if its signals have the type `S`.
    fn of<S: Signal>(&self) -> Option<&Topic<S>> {
        (self as &dyn Any).downcast_ref()
    }
}

/// The signals that a subscription has not got yet.
struct Queue<S> {
    signals: Mutex<VecDeque<S>>,
    arrived: Notify,
}

impl<S> Queue<S> {
    /// Adds a signal; returns whether the oldest one was dropped for it.
    fn push(&self, signal: S) -> bool {
        let mut signals = self.signals();
        let oldest = if signals.len() >= CAPACITY { signals.pop_front() } else { None };
        signals.push_back(signal);
        drop(signals);
        self.arrived.notify_one();
        oldest.is_some()
    }

    fn signals(&self) -> MutexGuard<'_, VecDeque<S>> {
        self.signals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, PartialEq)]
    struct Rang(usize);

    impl Signal for Rang {
        const TYPE: &'static str = "bell.rang";
    }

    #[tokio::test]
    async fn each_subscription_gets_what_is_emitted_after_it() {
        let bus = EventBus::default();
        bus.emit(&Rang(0));
        let mut first = bus.subscribe::<Rang>();
        bus.emit(&Rang(1));
        let mut second = bus.clone().subscribe::<Rang>();
        bus.emit(&Rang(2));

        assert_eq!((first.next().await, first.next().await), (Rang(1), Rang(2)));
        assert_eq!(second.next().await, Rang(2));
        let waiting = tokio::spawn(async move { second.next().await });
        tokio::task::yield_now().await;
        bus.emit(&Rang(3));
        assert_eq!(waiting.await.unwrap(), Rang(3));
        assert_eq!(bus.dropped(), [("bell.rang", 0)]);
    }

    #[tokio::test]
    async fn a_slow_subscription_loses_its_oldest_signals_which_are_counted() {
        let bus = EventBus::default();
        let mut slow = bus.subscribe::<Rang>();
        drop(bus.subscribe::<Rang>());
        for number in 0..CAPACITY + 3 {
            bus.emit(&Rang(number));
        }
        assert_eq!(bus.dropped(), [("bell.rang", 3)]);
        assert_eq!(slow.next().await, Rang(3));
    }
}
