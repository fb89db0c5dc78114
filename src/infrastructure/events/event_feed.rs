//! The feed of events: one reader in the process reads them as they are published, for all that follow them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::broadcast::{self, error::RecvError};
use tokio::time::sleep;

use super::envelope::Envelope;
use super::event_logger::{EventFilter, EventLogger};
use crate::infrastructure::exceptions::RepeatedFailure;
use crate::infrastructure::repositories::{Database, DatabaseError};

/// The most events of a part.
const BATCH: usize = 100;
/// The most parts that wait for a follower; one that is slower reads the log instead.
const PARTS: usize = 16;
/// The wait between two reads: commits in that time are read together.
const TOGETHER: Duration = Duration::from_millis(100);
/// The longest wait for the next event, if no notification of a commit comes.
const POLL: Duration = Duration::from_secs(2);

/// The events of a database as they are published. Clones share the reader, which runs while there are followers.
#[derive(Debug, Clone)]
pub struct EventFeed {
    database: Database,
    reader: Arc<Mutex<Option<broadcast::Sender<Part>>>>,
}

/// Consecutive events.
#[derive(Debug, Clone)]
pub struct Part {
    /// The position before the events.
    after: i64,
    /// The position up to which the events were read.
    reached: i64,
    events: Arc<[Envelope]>,
}

/// A follower of a feed.
#[derive(Debug)]
pub struct Follower {
    feed: EventFeed,
    parts: broadcast::Receiver<Part>,
}

/// The end of a reader: its channel closes when this is dropped, also by a panic, and the next follower begins another
/// one.
struct Reading {
    feed: EventFeed,
    sender: broadcast::Sender<Part>,
}

impl Drop for Reading {
    fn drop(&mut self) {
        let mut reader = self.feed.reader.lock().unwrap_or_else(PoisonError::into_inner);
        // another one may have begun
        if reader.as_ref().is_some_and(|sender| sender.same_channel(&self.sender)) {
            *reader = None;
        }
    }
}

impl EventFeed {
    /// Returns the feed of a database.
    pub fn new(database: Database) -> Self {
        Self { database, reader: Arc::default() }
    }

    /// Follows the feed from now on. Call it on a runtime of Tokio: the first follower begins the reader, a task.
    ///
    /// # Panics
    ///
    /// Outside of a runtime of Tokio.
    pub fn follow(&self) -> Follower {
        let feed = self.clone();
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = &*reader {
            return Follower { feed, parts: sender.subscribe() };
        }
        let (sender, parts) = broadcast::channel(PARTS);
        *reader = Some(sender.clone());
        let reading = Reading { feed: self.clone(), sender };
        tokio::spawn(async move { reading.feed.read(&reading.sender).await });
        Follower { feed, parts }
    }

    /// Reads events as they are published, until the last follower ends.
    async fn read(&self, sender: &broadcast::Sender<Part>) {
        let (mut position, mut failing) = (None, RepeatedFailure::default());
        loop {
            let committed = self.database.committed().notified();
            let mut is_whole = false;
            match self.next_part(position).await {
                Ok(part) => {
                    failing.end();
                    is_whole = part.events.len() == BATCH;
                    // the first part has no events: followers that began before it read the log up to it
                    if position.replace(part.reached) != Some(part.reached) {
                        // the last follower may have ended
                        let _ = sender.send(part);
                    }
                }
                Err(error) => {
                    if let Some(error) = failing.begin(&error.into()) {
                        tracing::warn!(%error, "no events could be read for the streams, retrying");
                    }
                }
            }
            let next = async {
                if !is_whole {
                    sleep(TOGETHER).await;
                    tokio::select! {
                        () = committed => {}
                        () = sleep(POLL) => {}
                    }
                }
            };
            tokio::select! {
                () = next => {}
                () = sender.closed() => {}
            }
            let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
            if sender.receiver_count() == 0 {
                *reader = None;
                return;
            }
        }
    }

    /// Returns the events after a position; without one, none, with the position that is readable.
    async fn next_part(&self, position: Option<i64>) -> Result<Part, DatabaseError> {
        let (mut connection, filter) = (self.database.read().await?, EventFilter::default());
        let mut log = EventLogger(&mut connection);
        let (events, reached) = match position {
            Some(position) => log.after(position, &filter, BATCH).await?,
            None => log.last(&filter, 0).await?,
        };
        Ok(Part { after: position.unwrap_or(reached), reached, events: events.into() })
    }
}

impl Follower {
    /// Waits for events after a position. Returns `None` if some after it were missed: the log has them. If the reader
    /// has ended by a fault, another one is followed from then on.
    pub async fn next(&mut self, position: i64) -> Option<Part> {
        loop {
            match self.parts.recv().await {
                Ok(part) if part.reached <= position => {}
                Ok(part) if part.after <= position => return Some(part),
                Ok(_) | Err(RecvError::Lagged(_)) => return None,
                Err(RecvError::Closed) => {
                    // it may end by the same fault again
                    sleep(TOGETHER).await;
                    self.parts = self.feed.follow().parts;
                    return None;
                }
            }
        }
    }
}

impl Part {
    /// Returns the position up to which the events were read.
    pub fn reached(&self) -> i64 {
        self.reached
    }

    /// Returns the events after a position that a filter selects.
    pub fn select<'a>(
        &'a self,
        position: i64,
        filter: &'a EventFilter,
    ) -> impl Iterator<Item = &'a Envelope> + 'a {
        self.events.iter().filter(move |event| event.position > position && filter.selects(event))
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;
    use crate::infrastructure::events::CacheInvalidationEvent;
    use crate::infrastructure::repositories::new_database;

    #[tokio::test]
    async fn a_follower_gets_events_after_its_reader_has_ended_by_a_fault() {
        let (_folder, database) = new_database().await;
        let feed = EventFeed::new(database.clone());
        let (sender, _) = broadcast::channel(1);
        *feed.reader.lock().unwrap() = Some(sender.clone());
        let mut follower = feed.follow();
        drop(Reading { feed: feed.clone(), sender });
        let followed = async {
            assert!(follower.next(0).await.is_none(), "the reader has ended");
            assert!(follower.next(-1).await.is_none(), "the first part of another one has no events");
            let event = CacheInvalidationEvent { tags: Vec::new() };
            let publish = database.write(event, async |work, event| work.publish(event).await);
            publish.await.unwrap();
            assert_eq!(follower.next(0).await.unwrap().events.len(), 1);
        };
        timeout(Duration::from_secs(20), followed).await.expect("the events in time");
    }
}
