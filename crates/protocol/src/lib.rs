//! The words: ids, events, content, resources, routes, pages and limits, as the API says them.
//!
//! Nothing here knows a rule, a clock or a disk. What may happen is `kernel`'s business.
#![no_std]

extern crate alloc;

#[macro_use]
pub mod resource;

pub mod agent;
mod builtin;
pub mod content;
pub mod environment;
pub mod error;
pub mod event;
pub mod id;
pub mod input;
pub mod limits;
pub mod memory;
pub mod model;
pub mod near;
pub mod page;
pub mod parse;
pub mod prompt;
pub mod roster;
pub mod routes;
mod schema;
pub mod session;
pub mod time;
pub mod tool;
mod toolset;
pub mod usage;
pub mod web;

pub use id::{AgentId, EnvironmentId, EventId, SessionId, ThreadId, WorkspaceId};
pub use parse::{Fields, Invalid};
pub use time::Timestamp;

/// A JSON object with its keys in the order they came.
pub type Object = serde_json::Map<alloc::string::String, serde_json::Value>;
