//! How much a database is used at present.

/// The connections of a database, and what waits for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DatabaseLoad {
    /// The connections that are in use. On SQLite, those that read.
    pub connections_in_use: usize,
    /// The open connections that are not in use.
    pub connections_idle: usize,
    /// The number of reads and transactions that wait for a connection; on SQLite, of the transactions that wait for
    /// the writer.
    pub waiting: usize,
}
