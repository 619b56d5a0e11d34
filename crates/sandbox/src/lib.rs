//! The workshop: where commands run and can do no harm to the host.
//!
//! A *jail* is two processes of the heddle binary (`heddle jail`, docs/rules.md 10). The *outer* one holds
//! the lock of the session's folder and watches; the *inner* one is pid 1 of its own namespaces and serves
//! the socket it was started with. [`start`] makes both and is called by the server; [`enter`] is what
//! `heddle jail` calls first, on its only thread. What the jail is asked to do is not known here: that is the
//! business of `tools`.
//!
//! Jails are made of what Linux has: all of that is in `host`. On another Unix, or built with the cfg
//! `heddle_portable`, the other `host` stands in its place and [`Isolation::Off`] is all there is.

mod clock;
mod enter;
mod erase;
mod errand;
mod fault;
mod folder;
mod limits;
mod outer;
mod plan;
mod report;
mod session_folder;
mod start;
mod system;
mod trees;
mod unconfined;
mod user_source;
mod users;
mod word;

#[cfg(all(target_os = "linux", not(heddle_portable)))]
#[path = "linux/mod.rs"]
mod host;
#[cfg(not(all(target_os = "linux", not(heddle_portable))))]
#[path = "other.rs"]
mod host;

pub use enter::{InsideJail, enter};
pub use fault::{JailFault, StartStep};
pub use folder::{DiskRoom, SessionFolders, room};
pub use host::{
    JailGauge, KnownUsers, MachineMemory, MemoryKills, holds, memory, prepare, probe, probe_disk, program,
    sweep, taken_by_others,
};
pub use plan::{HostHolds, Isolation, JailLayout, JailLimits, JailPlan};
pub use report::{HostCheck, HostReport, bash};
pub use start::{Jail, start};
pub use system::{always_shown, shown_by_name};
pub use trees::never_shown;
pub use user_source::WantedUsers;
pub use users::JailUsers;
