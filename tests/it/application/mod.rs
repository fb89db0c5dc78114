//! The use cases.

mod catalogue;
mod import;
mod jobs;
mod people;
mod selling;
