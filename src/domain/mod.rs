//! What a store is made of: entities, money, pricing and state machines. No I/O, no async runtime.

pub mod context;
pub mod money;
