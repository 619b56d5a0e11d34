//! The law: what may happen in a session, what it means, and what the outside should be doing.
//!
//! [`decide`] says whether an input may happen and which facts it makes, [`SessionState::evolve`] what a
//! fact means, [`wants`] what the outside should be doing now. Nothing here reads a clock, throws
//! dice or touches a disk: time and entropy arrive as a [`Moment`].
#![no_std]

extern crate alloc;

pub mod answer;
mod blame;
pub mod call;
pub mod client;
pub mod clock;
mod decide;
mod delegation;
mod draft;
pub mod fact;
pub mod made;
mod mail;
pub mod moment;
mod offered;
mod pieces;
pub mod refusal;
pub mod retry;
pub mod rules;
pub mod session;
pub mod status;
pub mod thread;
pub mod transcript;
mod turn;
pub mod view;
mod want;

pub use decide::{Input, SessionChange, SessionOpening, decide, open};
pub use draft::Decision;
pub use fact::{Fact, FactContent, Note, PrivatePart, ThreadLimits, TranscriptPiece};
pub use made::{CallSearch, KnownCall, KnownCallKind};
pub use moment::{Moment, Seed};
pub use refusal::Refusal;
pub use session::SessionState;
pub use thread::ThreadState;
pub use transcript::Transcript;
pub use want::{Want, wants};
