//! Subscribers: names with handlers, each typed by its event.

use std::fmt;
use std::marker::PhantomData;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use uuid::Uuid;

use super::envelope::Envelope;
use super::event_bus::{EventBus, Signal};
use crate::domain::events::DurableEvent;
use crate::domain::trace::TraceContext;
use crate::infrastructure::exceptions::{Failure, Technical};
use crate::infrastructure::repositories::{Connection, EndedWork, UnitOfWork};

/// A consumer of events. Its name identifies its cursor, so it must never change.
#[derive(Clone)]
pub struct Subscriber {
    name: &'static str,
    /// The type of events of each handler.
    types: Vec<&'static str>,
    handlers: Vec<Arc<dyn ErasedHandler>>,
    /// Whether the subscriber has to handle events at all now.
    condition: Option<Arc<dyn ErasedCondition>>,
    bus: EventBus,
}

/// The handlers of a subscriber failed for an event: a signal for each attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandlerFailure {
    /// The subscriber of the handler.
    pub subscriber: &'static str,
}

impl Signal for HandlerFailure {
    const TYPE: &'static str = "handler_failure";
}

/// The handlers of a subscriber ran for an event of a sampled trace: a signal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandledEvent {
    /// The subscriber of the handlers.
    pub subscriber: &'static str,
    /// The type of the event.
    pub event_type: String,
    /// The id of the event.
    pub event_id: Uuid,
    /// The operation that published the event.
    pub trace: TraceContext,
    /// How long the handlers ran.
    pub duration: Duration,
    /// Whether all handlers succeeded. The changes of those that did are rolled back with the others.
    pub succeeded: bool,
}

impl Signal for HandledEvent {
    const TYPE: &'static str = "handled_event";
}

/// Units of work that end are signals, too.
impl Signal for EndedWork {
    const TYPE: &'static str = "ended_work";
}

impl Subscriber {
    /// Returns a subscriber without handlers.
    pub fn new(name: &'static str) -> Self {
        Self { name, types: Vec::new(), handlers: Vec::new(), condition: None, bus: EventBus::default() }
    }

    /// Adds a handler for the events of type `E`. What the handler changes is committed together with the
    /// subscriber's cursor, or rolled back and retried.
    ///
    /// The handler runs in a unit of work and awaits nothing but that: on SQLite anything else that is not ready at
    /// once fails, and a long computation lets all other units of work wait. What calls another service, such as a mail
    /// server, is a job, which the handler creates by [`JobType::create`](super::jobs::JobType::create).
    #[must_use]
    pub fn on<E: DurableEvent>(mut self, handler: impl for<'a> EventHandler<'a, E>) -> Self {
        self.types.push(E::TYPE);
        self.handlers.push(Arc::new(Typed { handler, event: PhantomData::<fn() -> E> }));
        self
    }

    /// Adds a handler for the events of several types, which it gets in their stored form.
    #[must_use]
    pub fn on_all(
        mut self,
        types: &'static [&'static str],
        handler: impl for<'a> EnvelopeHandler<'a> + Clone,
    ) -> Self {
        for &event_type in types {
            self.types.push(event_type);
            self.handlers.push(Arc::new(Stored(handler.clone())));
        }
        self
    }

    /// Passes over new events while `condition` returns false, as if all handlers had succeeded. This costs less than
    /// handlers that have nothing to do. The condition awaits nothing but its connection, as a handler does.
    #[must_use]
    pub fn only_if(mut self, condition: impl for<'a> Condition<'a>) -> Self {
        self.condition = Some(Arc::new(condition));
        self
    }

    /// Emits the failures of its handlers by a bus.
    #[must_use]
    pub fn reporting_to(self, bus: EventBus) -> Self {
        Self { bus, ..self }
    }

    /// Returns the name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Returns the types of events that are delivered to it.
    pub fn types(&self) -> &[&'static str] {
        &self.types
    }

    /// Returns whether new events have to be handled now.
    pub(super) async fn handles_now(&self, connection: &mut Connection) -> Result<bool, Failure> {
        match &self.condition {
            Some(condition) => condition.check(connection).await,
            None => Ok(true),
        }
    }

    /// Runs the handlers for events, in their order. The inner result is that of the handlers: if one fails or panics,
    /// the changes of all are rolled back. The outer error ends the unit of work: the transaction failed, or its
    /// connection.
    pub(super) async fn attempt(
        &self,
        work: &mut UnitOfWork,
        events: &[&Envelope],
    ) -> Result<Result<(), Failure>, Failure> {
        work.savepoint_now().await?;
        let run = AssertUnwindSafe(self.handle_all(work, events)).catch_unwind().await;
        let handled = match run {
            // on PostgreSQL this returns the errors of the statements that the handlers queued
            Ok(Ok(())) => work.release_savepoint().await.map_err(Failure::from),
            Ok(Err(failure)) => Err(failure),
            Err(_) => Err(Technical::internal("a handler panicked").into()),
        };
        match handled {
            Err(failure) if work.is_aborted() => Err(failure),
            Err(failure) => {
                work.rollback_to_savepoint().await?;
                Ok(Err(failure))
            }
            Ok(()) => Ok(Ok(())),
        }
    }

    /// Emits the signal that handlers failed.
    pub(super) fn count_failure(&self) {
        self.bus.emit(&HandlerFailure { subscriber: self.name });
    }

    async fn handle_all(&self, work: &mut UnitOfWork, events: &[&Envelope]) -> Result<(), Failure> {
        for event in events {
            let began = Instant::now();
            let handled = self.handle(work, event).await;
            if let Some(trace) = event.trace.filter(TraceContext::is_sampled) {
                self.bus.emit(&HandledEvent {
                    subscriber: self.name,
                    event_type: event.event_type.clone(),
                    event_id: event.id,
                    trace,
                    duration: began.elapsed(),
                    succeeded: handled.is_ok(),
                });
            }
            handled?;
        }
        Ok(())
    }

    /// Runs the handlers for the event's type.
    async fn handle(&self, work: &mut UnitOfWork, event: &Envelope) -> Result<(), Failure> {
        // what the handlers publish was caused by the same request
        work.set_trace(event.trace);
        for (event_type, handler) in self.types.iter().zip(&self.handlers) {
            if *event_type == event.event_type {
                handler.handle(work, event).await?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Subscriber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscriber")
            .field("name", &self.name)
            .field("types", &self.types)
            .finish_non_exhaustive()
    }
}

/// An `async fn(&mut UnitOfWork, &E, &Envelope) -> Result<(), Failure>` whose future can be sent to another thread.
///
/// The handler awaits only the unit of work and has no effect outside it: it may be run several times.
pub trait EventHandler<'a, E: 'a>:
    Fn(&'a mut UnitOfWork, &'a E, &'a Envelope) -> Self::Future + Send + Sync + 'static
{
    /// The future that the function returns.
    type Future: Future<Output = Result<(), Failure>> + Send;
}

impl<'a, E, F, Fut> EventHandler<'a, E> for F
where
    E: 'a,
    F: Fn(&'a mut UnitOfWork, &'a E, &'a Envelope) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), Failure>> + Send,
{
    type Future = Fut;
}

/// An `async fn(&mut UnitOfWork, &Envelope) -> Result<(), Failure>`; see [`EventHandler`].
pub trait EnvelopeHandler<'a>:
    Fn(&'a mut UnitOfWork, &'a Envelope) -> Self::Future + Send + Sync + 'static
{
    /// The future that the function returns.
    type Future: Future<Output = Result<(), Failure>> + Send;
}

impl<'a, F, Fut> EnvelopeHandler<'a> for F
where
    F: Fn(&'a mut UnitOfWork, &'a Envelope) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), Failure>> + Send,
{
    type Future = Fut;
}

/// An `async fn(&mut Connection) -> Result<bool, Failure>`; see [`EventHandler`].
pub trait Condition<'a>: Fn(&'a mut Connection) -> Self::Future + Send + Sync + 'static {
    /// The future that the function returns.
    type Future: Future<Output = Result<bool, Failure>> + Send;
}

impl<'a, F, Fut> Condition<'a> for F
where
    F: Fn(&'a mut Connection) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<bool, Failure>> + Send,
{
    type Future = Fut;
}

/// A condition whose function is erased.
trait ErasedCondition: Send + Sync {
    fn check<'a>(&'a self, connection: &'a mut Connection) -> ConditionFuture<'a>;
}

type ConditionFuture<'a> = Pin<Box<dyn Future<Output = Result<bool, Failure>> + Send + 'a>>;

impl<C: for<'a> Condition<'a>> ErasedCondition for C {
    fn check<'a>(&'a self, connection: &'a mut Connection) -> ConditionFuture<'a> {
        Box::pin(self(connection))
    }
}

/// A handler whose event type is erased.
trait ErasedHandler: Send + Sync {
    fn handle<'a>(&'a self, work: &'a mut UnitOfWork, envelope: &'a Envelope) -> HandlerFuture<'a>;
}

type HandlerFuture<'a> = Pin<Box<dyn Future<Output = Result<(), Failure>> + Send + 'a>>;

struct Typed<E, H> {
    handler: H,
    event: PhantomData<fn() -> E>,
}

impl<E: DurableEvent, H: for<'a> EventHandler<'a, E>> ErasedHandler for Typed<E, H> {
    fn handle<'a>(&'a self, work: &'a mut UnitOfWork, envelope: &'a Envelope) -> HandlerFuture<'a> {
        Box::pin(async move {
            let event = E::decode(envelope.version, &envelope.data)?;
            (self.handler)(work, &event, envelope).await
        })
    }
}

/// A handler of events in their stored form.
struct Stored<H>(H);

impl<H: for<'a> EnvelopeHandler<'a>> ErasedHandler for Stored<H> {
    fn handle<'a>(&'a self, work: &'a mut UnitOfWork, envelope: &'a Envelope) -> HandlerFuture<'a> {
        Box::pin((self.0)(work, envelope))
    }
}
