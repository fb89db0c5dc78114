//! Imports another shop's catalogue and orders into the store.
//!
//! [`readers`] turn a file into [`records`](super::records). Every line of the file belongs either to a record or to a
//! rejection ([`line`]), and the totals of both must add up to the file ([`totals`]).
//!
//! [`run`] checks the file, and then writes its records in batches. Orders and payments go through the same use cases
//! as those of the shop, at their own time (`sales`, `cancellations`).

mod apply;
mod bounds;
mod cancellations;
mod catalogue_records;
pub mod line;
mod originals;
mod outcome;
mod product_updates;
pub mod readers;
pub mod rejected_file;
pub mod report;
pub mod run;
mod sales;
pub mod totals;
pub mod write_options;
