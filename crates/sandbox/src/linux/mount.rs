//! Places that something is mounted on: made, filled with memory, found below another root, and read in the
//! mount table.

use std::ffi::CString;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, mount};

use crate::fault::{AtStep, JailFault, StartStep};

/// The same path below another root.
pub(super) fn below(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

pub(super) fn directory(path: &Path) -> Result<(), JailFault> {
    DirBuilder::new().recursive(true).mode(0o755).create(path).of(StartStep::Mounts, &path.to_string_lossy())
}

pub(super) fn tmpfs(path: &Path, flags: MountFlags, data: &str) -> Result<(), JailFault> {
    directory(path)?;
    let data = CString::new(data).map_err(io::Error::from).at(StartStep::Mounts)?;
    mount("tmpfs", path, "tmpfs", flags, data.as_c_str()).of(StartStep::Mounts, &path.to_string_lossy())
}

/// The mount table writes blank, tab, line feed and backslash as `\` and three octal digits.
pub(super) fn unescape(field: &str) -> PathBuf {
    let mut path = field.to_owned();
    for (escaped, plain) in [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")] {
        path = path.replace(escaped, plain);
    }
    path.into()
}
