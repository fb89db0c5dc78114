//! The catalogue's storage: products, lists, search, stock.

mod inventory;
