//! The events room: what was published with a transaction reaches each subscriber at least once, in order.
//!
//! # Adding a subscriber
//!
//! Write a reaction in `application/` (a function over a [`UnitOfWork`] and an [`Envelope`]), and name it in
//! [`Subscriber::new`] where the worker is put together. Its cursor begins with the first event that is still kept.

mod envelope;
mod event_dispatcher;

pub use envelope::Envelope;
pub use event_dispatcher::{EventDispatcher, RETENTION, Reaction, Subscriber};
