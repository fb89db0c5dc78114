//! Events over each broker: what every transport promises, and what the relay and the receiver make of it.

mod delivery;
mod messages;
mod outages;
mod rejected;
mod services;
