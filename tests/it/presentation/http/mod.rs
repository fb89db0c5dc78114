//! The API as its callers see it.

mod carts;
mod contract;
mod examples;
mod framework;
mod fuzz;
mod products;
mod selling;
mod tags;
