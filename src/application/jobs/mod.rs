//! The work that a store does beside requests: its subscribers, its jobs, and the worker that runs them.

pub mod worker;

use crate::application::people::notify;
use crate::infrastructure::events::Subscriber;

/// The subscribers of a store; a new subscriber is a line here.
pub fn subscribers() -> Vec<Subscriber> {
    vec![notify::subscriber()]
}
