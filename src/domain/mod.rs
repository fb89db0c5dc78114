//! What a store is made of: entities, money, pricing and state machines. No I/O, no async runtime.

pub mod cart;
pub mod context;
pub mod country;
pub mod discount;
pub mod ids;
pub mod money;
pub mod pricing;
pub mod review;
pub mod state;
pub mod tax;
pub mod user;
