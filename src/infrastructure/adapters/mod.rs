//! The adapters room: one vendor, one file, behind a port of the domain.
//!
//! Each port also has an offline member in `sandbox/`, the default, that behaves like the vendor and keeps what was
//! "sent" where a person can read it.

mod gateways;
mod notice_queue;
mod sandbox;

pub use gateways::Gateways;
pub use notice_queue::NoticeQueue;
