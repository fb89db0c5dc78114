//! Bringing another shop's data into the store.
//!
//! [`readers`] turn a file into one neutral model ([`record`]) whose ids follow from the source's own keys
//! ([`identity`]). Every line of the file ends either in an entry or in a rejection ([`line`]), and the account of
//! both must add up to the file ([`totals`]). A cancellation is traced to the orders it takes back ([`originals`]).
//!
//! [`run`] brings them together: what records say becomes tasks, and each is written through the use case that
//! everybody goes through, at its own time.

mod apply;
mod cancellations;
mod catalogue_records;
pub mod identity;
pub mod line;
pub mod originals;
mod plan;
pub mod readers;
pub mod record;
pub mod rejected_file;
pub mod report;
pub mod run;
mod sales;
pub mod totals;
