//! Where an actor acts: on which session of which engine.

use std::sync::Arc;

use engine::Engine;

use super::book::Book;

/// See the file.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// The engine.
    pub(super) engine: Engine,
    /// What is known.
    pub(super) book: Arc<Book>,
    /// The session's number.
    pub(super) session: usize,
}
