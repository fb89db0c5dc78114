//! Imports of orders and catalogues: repeated, interrupted, and with the same result on both engines.

mod bounds;
mod documentation;
mod history;
mod numbers;
mod past_sales;
mod readers;
mod rejected_records;
mod updates;
