//! The use cases.

mod catalogue;
mod import;
mod people;
mod selling;
