//! The oracle against a real provider on loopback.
#![expect(clippy::disallowed_methods, reason = "the provider under test runs beside the test")]
#![expect(clippy::expect_used, reason = "a test may panic")]

mod beside;
mod chat;
mod messages;
mod offered;
mod provider;
mod refusals;
mod rows;
mod settings;
#[path = "../../../../clients/model-server/src/shapes/mod.rs"]
mod shapes;
mod streams;
