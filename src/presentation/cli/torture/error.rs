//! Why a torture test was not run, or failed.

use std::io;

use super::super::{Exit, counted};

/// Why a torture test was not run, or failed.
#[derive(Debug, thiserror::Error)]
pub enum TortureError {
    /// The database for the test contains a store.
    #[error("the database contains a store already; a torture test needs an empty one")]
    NotEmpty,
    /// The connections of servers to a file cannot be ended.
    #[error("--database-cuts needs a PostgreSQL database (--on)")]
    NoPostgres,
    /// The server cannot be started as a separate process.
    #[error("the server cannot be started as a separate process")]
    Child(#[source] io::Error),
    /// A command that prepares the test failed, and has said why.
    #[error("the test could not be prepared")]
    Command,
    /// The server that was started does not print its address, or does not respond.
    #[error("the server that was started does not respond")]
    ChildUnresponsive,
    /// Payments have no known outcome a minute after the last start of the server.
    #[error("the outcomes of payments are not known a minute after the last start of the server")]
    OutcomesUnknown,
    /// There were not as many orders as pieces, or as buyers if they are fewer, or there was a response other than an
    /// order or a refusal for lack of stock.
    #[error("{} had more or fewer orders than the pieces and the buyers allow", counted(*.0, "round", "rounds"))]
    WrongRounds(u64),
    /// Acknowledged orders do not exist, or repeated requests had other responses.
    #[error(
        "{} lost, and {} another response",
        counted(*lost, "acknowledged order was", "acknowledged orders were"),
        counted(*changed, "repeated request had", "repeated requests had")
    )]
    BrokenPromise {
        /// The acknowledged orders that do not exist.
        lost: u64,
        /// The repeated requests with another response.
        changed: u64,
    },
    /// Events were handled out of order, before their commit or not at all, or a job was run by two processes at once.
    #[error("{}", counted(*.0, "event or job was not processed as promised", "events or jobs were not processed as promised"))]
    WrongDeliveries(u64),
    /// Requests failed while servers were restarted, or servers did not end successfully.
    #[error(
        "{} failed, and {} not end successfully",
        counted(*failed, "request", "requests"),
        counted(*unclean, "server did", "servers did")
    )]
    FailedRequests {
        /// The requests that failed.
        failed: u64,
        /// The servers that ended with an error.
        unclean: u64,
    },
    /// All events were published before the end of an outage, which so proves nothing.
    #[error("all events were published before the end of an outage: publish more, or with a longer interval")]
    NoLoad,
    /// No shopper could buy while the server accepted everything.
    #[error("no shopper could buy")]
    NoCapacity,
    /// Events or jobs are left, and nothing has happened for two minutes.
    #[error("events or jobs are left, and there is no progress: {0}")]
    Stuck(String),
    /// Readers saw what was older than what had been acknowledged before they began.
    #[error("{} old: {first}", counted(*old, "read was", "reads were"))]
    OldReads {
        /// The number of reads.
        old: u64,
        /// The first ones.
        first: String,
    },
    /// A server with slow clients, too many requests or a Redis that has a fault was worse than it may be.
    #[error("the server was worse than it may be: {0}")]
    BoundsExceeded(String),
    /// Entries of caches were old.
    #[error("{} old", counted(*.0, "entry of a cache was", "entries of caches were"))]
    StaleHits(u64),
    /// Invariants of the store are violated.
    #[error("{} violated", counted(*.0, "invariant is", "invariants are"))]
    Violations(u64),
}

impl TortureError {
    /// Returns the failure of a test with the texts of the bounds that are exceeded; `None` if none is.
    pub(super) fn of_exceeded(bounds: impl IntoIterator<Item = (bool, String)>) -> Option<Self> {
        let exceeded = bounds.into_iter().filter_map(|(is_exceeded, what)| is_exceeded.then_some(what));
        let exceeded = exceeded.collect::<Vec<_>>().join("; ");
        (!exceeded.is_empty()).then_some(Self::BoundsExceeded(exceeded))
    }

    /// Returns the exit code.
    pub fn exit(&self) -> Exit {
        match self {
            Self::NotEmpty | Self::NoPostgres | Self::NoLoad => Exit::Usage,
            Self::Child(_)
            | Self::Command
            | Self::ChildUnresponsive
            | Self::OutcomesUnknown
            | Self::WrongRounds(_)
            | Self::BrokenPromise { .. }
            | Self::WrongDeliveries(_)
            | Self::FailedRequests { .. }
            | Self::Stuck(_)
            | Self::OldReads { .. }
            | Self::BoundsExceeded(_)
            | Self::StaleHits(_)
            | Self::NoCapacity
            | Self::Violations(_) => Exit::Failure,
        }
    }
}
