//! Where an actor acts: on which session of which engine.

use std::sync::Arc;

use engine::Engine;

use super::run_record::RunRecord;

/// See the file.
#[derive(Debug, Clone)]
pub(super) struct ActorPlace {
    /// The engine.
    pub(super) engine: Engine,
    /// What is known.
    pub(super) book: Arc<RunRecord>,
    /// The session's number.
    pub(super) session: usize,
}
