//! What a jail is made of on Linux, and what running commands without one takes there.

mod cgroup;
mod claim;
mod counted;
mod descent;
mod devices;
mod etc;
mod filter;
mod gauge;
mod inside;
mod keeper;
mod known;
mod leftover;
mod legacy;
mod loopback;
mod memory;
mod mount;
mod outside;
mod own;
mod owners;
mod privileges;
mod probe;
mod quota;
mod removal;
mod root;
mod shown;
mod tree;
mod uidmap;
mod user;

pub(crate) use cgroup::JailCgroup;
pub(crate) use claim::UserClaim;
pub use gauge::{JailGauge, MemoryKills};
pub(crate) use inside::{belong, confine, seal};
pub(crate) use keeper::keep;
pub use known::{KnownUsers, taken_by_others};
pub(crate) use leftover::{end_left_over, server};
pub use memory::{MachineMemory, memory};
pub(crate) use outside::{
    be_woken, bury, end_of, give_way, hold, hurry, may, place, said, to_be_ended_first, wait,
};
pub use outside::{holds, prepare, program, sweep};
pub(crate) use own::owner;
pub(crate) use owners::{erase, give, map_jail};
pub use probe::{probe, probe_disk};
pub(crate) use quota::bound;
pub(crate) use tree::{DESCRIPTORS, open_below, open_whatever_its_mode, unlink};
pub(crate) use user::source;
