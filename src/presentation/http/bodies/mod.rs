//! How the things that several routes show look on the wire.

mod user;

pub use user::UserBody;
