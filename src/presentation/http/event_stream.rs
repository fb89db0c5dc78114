//! The log of events as server-sent events, from a position on, as long as the client reads.
//!
//! <https://html.spec.whatwg.org/multipage/server-sent-events.html>

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use axum::response::sse::Event;
use futures_util::stream::{Stream, unfold};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::application::Store;
use crate::application::jobs::event_log;
use crate::infrastructure::events::{CloudEvent, Envelope, EventFilter, Follower};
use crate::infrastructure::exceptions::Failure;
use crate::presentation::http::open_streams::OpenStream;
use crate::presentation::http::principal::Admin;

/// The most events in memory for a client that reads slowly.
const BATCH: usize = 100;
/// How often it is checked that the administrator is still logged in, and still one.
const CHECK: Duration = Duration::from_secs(2);
/// The wait of a client before it connects again.
const RETRY: Duration = Duration::from_secs(2);
/// The same, if the server stops.
const RETRY_AFTER_STOP: Duration = Duration::from_secs(5);

/// Which events a stream has, and when it ends.
pub(super) struct EventStream {
    /// The store.
    pub(super) store: Store,
    /// Who reads the stream.
    pub(super) admin: Admin,
    /// Gets events as they are published.
    pub(super) follower: Follower,
    /// Which events are sent.
    pub(super) filter: EventFilter,
    /// The position after which the events are sent.
    pub(super) position: i64,
    /// The time at which the stream ends.
    pub(super) ends_at: Instant,
    /// The longest time without a message.
    pub(super) heartbeat: Duration,
    /// Cancelled when the server stops.
    pub(super) stop: CancellationToken,
    /// Counts the stream among those that are open, until it is dropped.
    pub(super) _open: OpenStream,
}

/// A stream that was begun.
struct Begun {
    stream: EventStream,
    /// The events that were read and not sent yet.
    read: VecDeque<Envelope>,
    /// The position up to which events were read.
    reached: i64,
    /// The time of the next heartbeat.
    beat_at: Instant,
    /// The time of the next check of the administrator.
    check_at: Instant,
    stage: Stage,
}

/// What is sent next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The first message, with the wait before a client connects again.
    First,
    /// Events of the log, up to the last one.
    Past,
    /// Events as they are published, and heartbeats.
    New,
    /// Nothing more.
    End,
}

impl EventStream {
    /// Returns the messages of the stream.
    pub(super) fn messages(self) -> impl Stream<Item = Result<Event, Infallible>> + Send {
        let (reached, now) = (self.position, Instant::now());
        let begun = Begun {
            beat_at: now + self.heartbeat,
            check_at: now + CHECK,
            stream: self,
            read: VecDeque::new(),
            reached,
            stage: Stage::First,
        };
        unfold(begun, async |mut begun| {
            let message = begun.next().await?;
            begun.beat_at = Instant::now() + begun.stream.heartbeat;
            Some((Ok(message), begun))
        })
    }
}

impl Begun {
    /// Returns the next message, after waiting for one. A failure ends the stream, and the client connects again.
    async fn next(&mut self) -> Option<Event> {
        match self.stage {
            Stage::First => {
                self.stage = Stage::Past;
                self.position_alone().map(|message| message.retry(RETRY))
            }
            Stage::Past | Stage::New => self.next_event().await.unwrap_or_else(|failure| {
                tracing::warn!(failure = %failure.report(), "a stream of events was ended");
                None
            }),
            Stage::End => None,
        }
    }

    async fn next_event(&mut self) -> Result<Option<Event>, Failure> {
        loop {
            if self.stream.stop.is_cancelled() {
                self.stage = Stage::End;
                return Ok(self.position_alone().map(|message| message.retry(RETRY_AFTER_STOP)));
            }
            if self.check_at <= Instant::now() {
                if !self.stream.admin.is_still_allowed(&self.stream.store).await? {
                    return Ok(None);
                }
                self.check_at = Instant::now() + CHECK;
            }
            if let Some(event) = self.read.pop_front() {
                self.stream.position = event.position;
                return Ok(self.message_of(&event));
            }
            self.stream.position = self.reached;
            if self.stage == Stage::New && self.stream.ends_at <= Instant::now() {
                return Ok(None);
            }
            if self.beat_at <= Instant::now() {
                return Ok(self.position_alone());
            }

            if self.stage == Stage::New {
                self.wait().await;
            } else {
                self.read_log().await?;
            }
        }
    }

    /// Reads the log after the present position.
    async fn read_log(&mut self) -> Result<(), Failure> {
        let EventStream { store, filter, position, .. } = &self.stream;
        let (read, reached) = event_log::after(store, *position, filter, BATCH).await?;
        if read.len() < BATCH {
            self.stage = Stage::New;
        }
        (self.read, self.reached) = (read.into(), reached);
        Ok(())
    }

    /// Waits for new events, the next heartbeat or the end. If events were missed, the log is read next.
    async fn wait(&mut self) {
        let EventStream { follower, filter, position, stop, ends_at, .. } = &mut self.stream;
        tokio::select! {
            () = stop.cancelled() => {}
            () = sleep_until(self.beat_at.min(*ends_at).min(self.check_at)) => {}
            part = follower.next(*position) => match part {
                Some(part) => {
                    self.read = part.select(*position, filter).cloned().collect();
                    self.reached = part.reached();
                }
                None => self.stage = Stage::Past,
            }
        }
    }

    /// Returns the message of an event; `None` if it cannot be written.
    fn message_of(&self, event: &Envelope) -> Option<Event> {
        self.position_alone()?.json_data(CloudEvent::new(event)).ok()
    }

    /// Returns a message with the present position, which clients send to continue, and no data.
    fn position_alone(&self) -> Option<Event> {
        let id = event_log::position_id(&self.stream.store, self.stream.position);
        id.map(|id| Event::default().id(id)).ok()
    }
}
