//! The hands: turns a call into work in the sandbox; the only room where a secret is opened.
//!
//! Empty until the built-in tools are built. Custom tools need no hands of ours: the client runs them, and
//! the law (`kernel::client`) takes its answer.
