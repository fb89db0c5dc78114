//! What the targets of cargo-fuzz share.

pub mod parsers;
