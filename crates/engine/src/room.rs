//! Room on the disk and in memory: where little is left, nothing new is taken from clients, so that what was
//! begun can end and whoever makes room can be heard.

use kernel::Input;
use protocol::{input::ClientEvent, limits};
use store::BatchWrite;

use crate::{Engine, EngineFault};

impl Engine {
    /// Writes documents. One that is made or made anew needs room beyond what is kept for what was begun, for
    /// archives and for deletes: [`store::EngineFault::Short`] where there is none.
    pub async fn keep(&self, writes: Vec<BatchWrite>) -> Result<(), store::BatchError> {
        if writes.iter().any(is_new) {
            self.store().admits()?;
        }
        self.store().commit(writes).await
    }

    /// Refuses an input that brings something new where there is no room for it.
    pub(crate) fn admit(&self, input: &Input) -> Result<(), EngineFault> {
        if !input.is_new() {
            return Ok(());
        }
        let events: &[ClientEvent] = if let Input::Client { events, .. } = input { events } else { &[] };
        self.admit_new(events)
    }

    /// Refuses something new where there is no room for it. What a session at work has to hold is in memory
    /// until it rests, also after a restart: so memory is looked at before something large.
    pub(crate) fn admit_new(&self, events: &[ClientEvent]) -> Result<(), EngineFault> {
        self.store().admits()?;
        let bytes: usize = events.iter().map(ClientEvent::weight).sum();
        if bytes >= limits::LARGE_INPUT_BYTES && !self.hands().has_memory() {
            Err(EngineFault::Memory)
        } else {
            Ok(())
        }
    }
}

fn is_new(write: &BatchWrite) -> bool {
    match write {
        BatchWrite::Create(_) => true,
        BatchWrite::Revise(document) => document.archived_at.is_none(),
        BatchWrite::Append(_)
        | BatchWrite::ExpectLive { .. }
        | BatchWrite::ExpectUnused { .. }
        | BatchWrite::Drop { .. }
        | BatchWrite::Delete { .. }
        | BatchWrite::PutSnapshot { .. }
        | BatchWrite::Pin(_)
        | BatchWrite::PutReceipt { .. } => false,
    }
}
