//! The repositories room: one aggregate, one file, both databases.
//!
//! The mechanism: a [`Session`] runs one SQL text on SQLite or PostgreSQL; writes happen in a [`UnitOfWork`], which
//! also publishes events; [`Table`] gives find, insert, update and remove, and each repository adds its own queries
//! as methods of `Session` (reads) or `UnitOfWork` (writes). The rule that must never break stands in the database:
//! a conditional update, a unique key, a CHECK.

mod database;
mod dialect;
mod error;
mod migrations;
mod page;
mod postgres;
mod session;
mod sqlite;
mod table;
mod unit_of_work;
mod value;

pub use database::{Database, Setup};
pub use error::StoreError;
pub use page::{CursorKey, Cursors, ForeignCursor, Page};
pub use session::{Engine, Session};
pub use table::{Table, Versioned};
pub use unit_of_work::{UnitOfWork, Work};
pub use value::{Field, Json, Param, Row, scalar};
