//! Carts, checkouts, discounts and rates: concurrent requests have the effects that stock and limits allow.

mod cancellation;
mod concurrent_changes;
mod discounts;
mod holds;
mod races;
mod rates;
mod requirements;
mod round_trips;
