//! What the tools take from Linux and nobody else has.

mod opened;
mod processes;
mod unlinked;
mod wake;

pub(super) use opened::Opened;
pub(super) use processes::Processes;
pub(super) use unlinked::measure as unlinked;
pub(super) use wake::Wake;
