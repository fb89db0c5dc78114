//! Entities, money, pricing, state machines and ports. No I/O, no async runtime.

pub mod address;
pub mod cart;
pub mod category;
pub mod context;
pub mod country;
pub mod discount;
pub mod events;
pub mod ids;
pub mod invoice;
pub mod language;
pub mod money;
pub mod notification;
pub mod order;
pub mod payment;
pub mod ports;
pub mod pricing;
pub mod product;
pub mod review;
pub mod shipping;
pub mod slug;
pub mod state;
pub mod subscription;
pub mod tax;
pub(crate) mod template;
pub mod user;
pub mod words;
