//! What is known of a unit of work that ended, for traces and metrics.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Database, Engine};
use crate::domain::trace::TraceContext;

/// A unit of work ended that ran within a sampled trace, or published events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedWork {
    /// The engine of the database.
    pub engine: Engine,
    /// The operation that the unit of work was part of, if its trace is sampled.
    pub trace: Option<TraceContext>,
    /// The time from its submission to its end, with its wait for a connection.
    pub duration: Duration,
    /// Whether it was committed; otherwise it was rolled back, such as for a refusal.
    pub committed: bool,
    /// The types of the events that were committed.
    pub published: Vec<&'static str>,
}

/// Gets the units of work that end.
#[derive(Clone, Default)]
pub(super) struct Observer(Option<Observe>);

/// Gets a unit of work that ended.
type Observe = Arc<dyn Fn(&EndedWork) + Send + Sync>;

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Observer")
    }
}

/// A unit of work that is observed.
pub(super) struct Observed {
    observer: Observe,
    engine: Engine,
    trace: Option<TraceContext>,
    began: Instant,
}

impl Database {
    /// Returns the same database, which calls a function with each unit of work that ends within a sampled trace or
    /// published events.
    #[must_use]
    pub fn observed_by(mut self, observer: impl Fn(&EndedWork) + Send + Sync + 'static) -> Self {
        self.observer = Observer(Some(Arc::new(observer)));
        self
    }

    /// Begins to observe a unit of work of this trace.
    pub(super) fn observe(&self, trace: Option<TraceContext>) -> Option<Observed> {
        let observer = Arc::clone(self.observer.0.as_ref()?);
        let trace = trace.filter(TraceContext::is_sampled);
        Some(Observed { observer, engine: self.engine(), trace, began: Instant::now() })
    }
}

impl Observed {
    /// Reports the end of the unit of work.
    pub(super) fn end(self, committed: bool, published: Vec<&'static str>) {
        let Self { observer, engine, trace, began } = self;
        let published = if committed { published } else { Vec::new() };
        if trace.is_some() || !published.is_empty() {
            observer(&EndedWork { engine, trace, duration: began.elapsed(), committed, published });
        }
    }
}
