//! The hands: turns a call into work in the sandbox.
//!
//! The engine calls [`ToolRunner::run`] and knows no more. `outside` is the server's end: one jail a session,
//! made at its first call. `inside` is the jail's end, where the six tools are: all that there is of one
//! stands in its file, what models are told of it too. `wire` is what the ends say to each other. `media`
//! tells whether a provider takes a picture or a PDF. Custom tools need no hands of ours: the client runs
//! them, and the law (`kernel::client`) takes its answer.

mod amount;
mod inside;
pub mod media;
mod outside;
mod wire;
mod workplace;

use core::fmt::Debug;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use protocol::{EventId, Object, SessionId, ThreadId, prompt::Toolbox, tool::BuiltinName};

pub use crate::{
    inside::serve::serve,
    outside::{JailSettings, LocalToolRunner, PairedClocks, SessionSweep},
    wire::ToolOutcome,
};

/// Asks whether a call may begin. Once it says so, the call may have done something, whatever becomes of it.
pub type BeginCall<'a> = BoxFuture<'a, bool>;

/// Someone who runs the built-in tools.
pub trait ToolRunner: Debug + Send + Sync {
    /// Runs one call and says what came of it; `None`: it may not begin. Nothing of it happens before `begin`
    /// has said that it may, which is asked once, when the call has its place in a sandbox that has started;
    /// an outcome without that says that nothing ran. Total: a fault of ours is an outcome with `is_error`
    /// whose text says what to do next, and once it has begun it never waits much longer than the tool's
    /// own bound (docs/rules.md 10); for a sandbox it waits its session's turn, which is bounded too.
    /// Dropping the future cancels the call, its processes included; what it had to say is thrown away, and a
    /// place that it did not use is another's.
    fn run<'a>(&'a self, call: ToolCall, begin: BeginCall<'a>) -> BoxFuture<'a, Option<ToolOutcome>>;

    /// What the session's models are told of the built-in tools.
    fn toolbox(&self, session: SessionId) -> Arc<Toolbox>;

    /// Whether the machine has as much memory available as is to stay so.
    fn has_memory(&self) -> bool {
        true
    }

    /// A thread of a session is over, and calls no more: ends its shell and what that started.
    fn leave(&self, _session: SessionId, _thread: ThreadId) {}

    /// The session is over: ends its jail and keeps its files. Calls under way are answered.
    fn end(&self, session: SessionId) -> BoxFuture<'_, ()>;

    /// The session is gone: ends its jail, if one lives, and removes its files. Calls under way are
    /// answered.
    fn remove(&self, session: SessionId) -> BoxFuture<'_, ()>;

    /// The server stops: ends every jail and takes no more calls. Files are kept.
    fn stop(&self) -> BoxFuture<'_, ()>;
}

/// One call of a built-in tool.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolCall {
    /// Whose sandbox.
    pub session: SessionId,
    /// Whose shell.
    pub thread: ThreadId,
    /// The event that made the call; names the file that a long output goes to.
    pub event: EventId,
    /// The tool.
    pub tool: BuiltinName,
    /// Its input as the model wrote it; the tool checks it.
    pub input: Object,
}
