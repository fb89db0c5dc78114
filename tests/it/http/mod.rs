//! The API as its callers see it.

mod carts;
mod framework;
mod selling;
mod products;
