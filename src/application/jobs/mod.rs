//! What a store does by itself, beside requests.

pub mod worker;
