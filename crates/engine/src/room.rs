//! Room on the disk: where little is left, nothing new is taken from clients, so that what was begun can end
//! and whoever makes room can be heard.

use kernel::Input;
use store::Write;

use crate::Engine;

impl Engine {
    /// Writes documents. One that is made or made anew needs room beyond what is kept for what was begun, for
    /// archives and for deletes: [`store::Fault::Short`] where there is none.
    pub async fn keep(&self, writes: Vec<Write>) -> Result<(), store::CommitError> {
        if writes.iter().any(is_new) {
            self.store().admits()?;
        }
        self.store().commit(writes).await
    }

    /// Refuses an input that brings something new where there is no room for it.
    pub(crate) fn admit(&self, input: &Input) -> Result<(), store::Fault> {
        if input.is_new() { self.store().admits() } else { Ok(()) }
    }
}

fn is_new(write: &Write) -> bool {
    match write {
        Write::Create(_) => true,
        Write::Revise { document, .. } => document.archived_at.is_none(),
        Write::Append(_)
        | Write::ExpectLive { .. }
        | Write::Drop { .. }
        | Write::Delete { .. }
        | Write::PutSnapshot { .. }
        | Write::Pin(_) => false,
    }
}
