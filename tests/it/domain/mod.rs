//! The domain: amounts and prices.

mod money;
mod pricing;
