//! One binary of integration tests; its folders are those of `src`.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by a panic, its helpers too")]
#![expect(unreachable_pub, reason = "no other crate uses the helpers of the tests")]

#[macro_use]
mod support;

mod application;
mod architecture;
mod domain;
mod fuzz_targets;
mod infrastructure;
mod presentation;
