//! What a jail is made of on Linux, and what running commands without one takes there.

mod cgroup;
mod devices;
mod etc;
mod filter;
mod inside;
mod legacy;
mod loopback;
mod memory;
mod outside;
mod privileges;
mod probe;
mod quota;
mod root;
mod tree;
mod user;

pub(crate) use cgroup::Cgroup;
pub(crate) use inside::{belong, confine, seal};
pub use memory::{Gauge, Memory, memory};
pub(crate) use outside::{bury, end_of, give_way, hold, hurry, may, place, said, to_be_ended_first, wait};
pub use outside::{prepare, program};
pub use probe::{probe, probe_disk};
pub(crate) use quota::bound;
pub(crate) use tree::{DESCRIPTORS, open_below, open_whatever_its_mode, unlink};
pub(crate) use user::to_change_to;
