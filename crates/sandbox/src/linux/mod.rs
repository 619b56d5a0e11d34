//! What a jail is made of on Linux, and what running commands without one takes there.

mod cgroup;
mod devices;
mod etc;
mod filter;
mod inside;
mod loopback;
mod outside;
mod privileges;
mod probe;
mod root;
mod tree;
mod user;

pub(crate) use cgroup::Cgroup;
pub(crate) use inside::{belong, confine, seal};
pub use outside::program;
pub(crate) use outside::{bury, end_of, hold, may, place, said, wait};
pub use probe::probe;
pub(crate) use tree::{DESCRIPTORS, open_below, open_whatever_its_mode, unlink};
pub(crate) use user::to_change_to;
