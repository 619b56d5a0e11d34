//! Limits that the system itself holds to.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::fault::{AtStep, JailFault, StartStep};
use crate::plan::JailLimits;

/// Those that harm nobody else, for every way of running commands.
pub(crate) fn harmless(limits: &JailLimits) -> [(Resource, u64); 4] {
    [
        (Resource::Data, limits.data_bytes),
        (Resource::Fsize, limits.file_bytes),
        (Resource::Nofile, limits.files),
        (Resource::Core, 0),
    ]
}

/// Sets hard and soft limits alike, so that they cannot be raised.
pub(crate) fn set(wanted: impl IntoIterator<Item = (Resource, u64)>) -> Result<(), JailFault> {
    for (resource, wanted) in wanted {
        let bound = getrlimit(resource).maximum.map_or(wanted, |hard| hard.min(wanted));
        setrlimit(resource, Rlimit { current: Some(bound), maximum: Some(bound) })
            .of(StartStep::Limits, &format!("{resource:?}"))?;
    }
    Ok(())
}
