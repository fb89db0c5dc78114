//! Events over each broker: what every transport promises, and what the relay and the receiver make of it.

mod consumers;
mod delivery;
mod messages;
mod outages;
mod owners;
mod processes;
mod rejected;
mod services;
