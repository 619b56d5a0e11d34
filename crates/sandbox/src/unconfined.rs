//! What running commands without a jail takes on every system.

use crate::fault::{At, Fault, Step};
use crate::limits;
use crate::plan::{Layout, Plan};
use crate::word::Found;

/// Without a jail: a folder for temporary files and the limits that harm nobody. The number of processes is
/// not bounded: it would count everything the server's user runs. The network is the host's.
pub(crate) fn confine(plan: &Plan) -> Result<Found, Fault> {
    let layout = Layout::new(plan.isolation, &plan.folder);
    std::fs::create_dir_all(&layout.tmp).at(Step::Folder)?;
    limits::set(limits::harmless(&plan.limits))?;
    Ok(Found { loopback: true, shared: Vec::new() })
}
