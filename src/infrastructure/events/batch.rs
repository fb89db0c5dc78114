//! The deliveries to a subscriber within one unit of work.

use std::collections::HashSet;

use super::backoff::retry_at;
use super::envelope::Envelope;
use super::postponed::{NextAttempt, Postponed};
use super::subscriber::Subscriber;
use crate::infrastructure::exceptions::{Failure, Kind};
use crate::infrastructure::repositories::{DeadLetterRepository, UnitOfWork};

/// The number of failed attempts after which an event becomes a dead letter.
const MAX_ATTEMPTS: i64 = 8;

/// The outcome of an attempt.
enum Outcome {
    /// The handlers succeeded.
    Handled,
    /// The event is attempted later.
    Postponed,
    /// The event is a dead letter.
    Dead,
}

/// What a unit of work delivers to a subscriber: first the postponed events that are due, then new ones.
pub(super) struct Batch<'a> {
    subscriber: &'a Subscriber,
    /// Whether the subscriber had postponed events at the beginning.
    any_postponed: bool,
    /// The subjects whose later events have to wait.
    waiting: HashSet<String>,
    delivered: u64,
}

impl<'a> Batch<'a> {
    /// Returns a batch that has delivered nothing. The cursor of the subscriber is locked.
    pub(super) async fn begin(work: &mut UnitOfWork, subscriber: &'a Subscriber) -> Result<Self, Failure> {
        let any_postponed = Postponed::any(work, subscriber.name()).await?;
        Ok(Self { subscriber, any_postponed, waiting: HashSet::new(), delivered: 0 })
    }

    /// Returns the number of events that need no further attempt.
    pub(super) fn delivered(&self) -> u64 {
        self.delivered
    }

    /// Delivers up to `limit` postponed events that are due. One that fails is postponed again, and those after it of
    /// its subject stay postponed.
    pub(super) async fn deliver_postponed(
        &mut self,
        work: &mut UnitOfWork,
        limit: usize,
    ) -> Result<(), Failure> {
        if !self.any_postponed {
            return Ok(());
        }
        for Postponed { event, attempts } in &Postponed::due(work, self.subscriber.name(), limit).await? {
            if self.waiting.contains(&event.subject) {
                continue;
            }
            match self.attempt(work, event, *attempts).await? {
                Outcome::Handled => {
                    Postponed::remove(work, self.subscriber.name(), event.position).await?;
                    // the event was replayed
                    DeadLetterRepository::remove_of(work, self.subscriber.name(), event.position).await?;
                }
                Outcome::Dead => Postponed::remove(work, self.subscriber.name(), event.position).await?,
                Outcome::Postponed => {}
            }
        }
        Ok(())
    }

    /// Delivers new events. One that fails is postponed, and so is each whose subject has postponed events.
    pub(super) async fn deliver_new(
        &mut self,
        work: &mut UnitOfWork,
        events: &[Envelope],
    ) -> Result<(), Failure> {
        if self.any_postponed && !events.is_empty() {
            let subjects = events.iter().map(|event| event.subject.as_str());
            self.waiting =
                Postponed::subjects(work, self.subscriber.name(), subjects).await?.into_iter().collect();
        }
        // all together first, which takes one savepoint and one round trip
        let ready: Vec<_> = events.iter().filter(|event| !self.waiting.contains(&event.subject)).collect();
        let together = ready.len() > 1 && self.subscriber.attempt(work, &ready).await?.is_ok();
        if together {
            self.delivered += ready.len() as u64;
        }
        for event in events {
            if self.waiting.contains(&event.subject) {
                Postponed::put_behind(work, self.subscriber.name(), event).await?;
            } else if !together {
                self.attempt(work, event, 0).await?;
            }
        }
        Ok(())
    }

    /// Runs the handlers for an event that has failed `attempts` times. A retryable failure is no attempt.
    async fn attempt(
        &mut self,
        work: &mut UnitOfWork,
        event: &Envelope,
        attempts: i64,
    ) -> Result<Outcome, Failure> {
        let Err(failure) = self.subscriber.attempt(work, &[event]).await? else {
            self.delivered += 1;
            return Ok(Outcome::Handled);
        };
        self.subscriber.count_failure();
        let error = failure.report().to_string();
        let counted = attempts + i64::from(failure.kind() != Kind::Retryable);
        let (subscriber, event_type) = (self.subscriber.name(), event.event_type.as_str());
        tracing::warn!(subscriber, event = %event.id, event_type, attempts = counted, error, "the handler of an event failed");
        if counted < MAX_ATTEMPTS {
            let next = NextAttempt { attempts: counted, due_at: retry_at(work, attempts + 1), error };
            Postponed::put(work, self.subscriber.name(), event, &next).await?;
            self.waiting.insert(event.subject.clone());
            return Ok(Outcome::Postponed);
        }
        self.give_up(work, event, error).await?;
        self.delivered += 1;
        Ok(Outcome::Dead)
    }

    /// Makes an event a dead letter after its last attempt.
    async fn give_up(&self, work: &mut UnitOfWork, event: &Envelope, error: String) -> Result<(), Failure> {
        let subscriber = self.subscriber.name();
        tracing::error!(subscriber, event = %event.id, error, "an event became a dead letter");
        let letter = event.dead_letter(work, subscriber, MAX_ATTEMPTS, error);
        work.insert_new(&letter).await?;
        Ok(())
    }
}
