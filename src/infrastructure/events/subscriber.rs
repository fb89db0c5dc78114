//! Subscribers: names with handlers, each typed by its event.

use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;

use super::envelope::Envelope;
use crate::domain::events::DomainEvent;
use crate::infrastructure::exceptions::Failure;
use crate::infrastructure::repositories::UnitOfWork;

/// A consumer of events. Its name identifies its cursor, so it must never change.
#[derive(Clone)]
pub struct Subscriber {
    name: &'static str,
    handlers: Vec<(&'static str, Arc<dyn ErasedHandler>)>,
}

impl Subscriber {
    /// Returns a subscriber without handlers.
    pub fn new(name: &'static str) -> Self {
        Self { name, handlers: Vec::new() }
    }

    /// Adds a handler for the events of type `E`. What the handler changes is committed together with the
    /// subscriber's cursor, or rolled back and retried.
    #[must_use]
    pub fn on<E: DomainEvent>(mut self, handler: impl for<'a> EventHandler<'a, E>) -> Self {
        self.handlers.push((E::TYPE, Arc::new(Typed { handler, event: PhantomData::<fn() -> E> })));
        self
    }

    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    /// Returns whether there is a handler for a type of events.
    pub(super) fn handles(&self, event_type: &str) -> bool {
        self.handlers.iter().any(|(handled, _)| *handled == event_type)
    }

    /// Runs the handlers for the event's type, if there are any.
    pub(super) async fn handle(&self, work: &mut UnitOfWork, envelope: &Envelope) -> Result<(), Failure> {
        for (event_type, handler) in &self.handlers {
            if *event_type == envelope.event_type {
                handler.handle(work, envelope).await?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Subscriber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let event_types: Vec<_> = self.handlers.iter().map(|(event_type, _)| event_type).collect();
        f.debug_struct("Subscriber").field("name", &self.name).field("events", &event_types).finish()
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

/// A handler whose event type is erased.
trait ErasedHandler: Send + Sync {
    fn handle<'a>(&'a self, work: &'a mut UnitOfWork, envelope: &'a Envelope) -> HandlerFuture<'a>;
}

type HandlerFuture<'a> = Pin<Box<dyn Future<Output = Result<(), Failure>> + Send + 'a>>;

struct Typed<E, H> {
    handler: H,
    event: PhantomData<fn() -> E>,
}

impl<E: DomainEvent, H: for<'a> EventHandler<'a, E>> ErasedHandler for Typed<E, H> {
    fn handle<'a>(&'a self, work: &'a mut UnitOfWork, envelope: &'a Envelope) -> HandlerFuture<'a> {
        Box::pin(async move {
            let event = E::decode(envelope.version, &envelope.data)?;
            (self.handler)(work, &event, envelope).await
        })
    }
}
