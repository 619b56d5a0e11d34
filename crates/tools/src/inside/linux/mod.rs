//! What the tools take from Linux and nobody else has.

mod born;
mod memory;
mod opened;
mod processes;
mod spare;
mod unlinked;
mod wake;

pub(super) use born::{born, is_kernels};
pub(super) use memory::held_bytes as memory_bytes;
pub(super) use opened::OpenedFolder;
pub(super) use processes::StartedProcesses;
pub(super) use spare::has_room_for;
pub(super) use unlinked::{DeletedFiles, measure as unlinked, unseen};
pub(super) use wake::WakeBell;

/// Whether orphans come to this process, so that a shell's copy of itself can be its next one.
pub(super) const ADOPTS: bool = true;
