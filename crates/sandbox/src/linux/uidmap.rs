//! The programs of the package `uidmap`, which map sub-users into a namespace.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::fault::{AtStep, JailFault, StartStep};

/// Where the package puts them.
const PLACES: [&str; 3] = ["/usr/bin", "/bin", "/usr/local/bin"];

/// Where one of them is.
pub(super) fn tool_at(name: &str) -> Option<PathBuf> {
    PLACES.iter().map(|place| Path::new(place).join(name)).find(|path| path.exists())
}

/// Has one of them map these ranges into the namespace of a process.
pub(super) fn map(tool: &str, pid: u32, ranges: &str) -> Result<(), JailFault> {
    let path = tool_at(tool)
        .ok_or_else(|| JailFault::new(StartStep::User, format!("{tool} is gone (package uidmap)")))?;
    let output = Command::new(path)
        .arg(pid.to_string())
        .args(ranges.split(' '))
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .of(StartStep::User, tool)?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(JailFault::new(StartStep::User, format!("{tool} refused: {}", said.trim())))
}
