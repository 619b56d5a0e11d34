//! The workshop: where commands run and can do no harm to the host.
//!
//! A *jail* is two processes of the heddle binary (`heddle jail`, rules.md 10). The *outer* one holds the
//! lock of the session's folder and watches; the *inner* one is pid 1 of its own namespaces and serves the
//! socket it was started with. [`start`] makes both and is called by the server; [`enter`] is what `heddle
//! jail` calls first, on its only thread. What the jail is asked to do is not known here: that is the
//! business of `tools`.

mod cgroup;
mod clock;
mod devices;
mod enter;
mod erase;
mod etc;
mod fault;
mod filter;
mod folder;
mod loopback;
mod outer;
mod plan;
mod privileges;
mod probe;
mod root;
mod start;
mod user;
mod word;

pub use enter::{Inside, enter};
pub use fault::{Fault, Step};
pub use folder::Folders;
pub use plan::{Isolation, Layout, Limits, Plan};
pub use probe::{Check, Report, probe};
pub use start::{Jail, start};
