//! One binary of integration tests, one module a capability.
