//! What running commands without a jail takes on every system.

use crate::fault::{AtStep, JailFault, StartStep};
use crate::limits;
use crate::plan::{JailLayout, JailPlan};
use crate::word::HostFindings;

/// Without a jail: a folder for temporary files and the limits that harm nobody. The number of processes is
/// not bounded: it would count everything the server's user runs. The network is the host's.
pub(crate) fn confine(plan: &JailPlan) -> Result<HostFindings, JailFault> {
    let layout = JailLayout::new(plan.isolation, &plan.folder);
    std::fs::create_dir_all(&layout.tmp).at(StartStep::Folder)?;
    limits::set(limits::harmless(&plan.limits))?;
    Ok(HostFindings { loopback: true, shared: Vec::new() })
}
