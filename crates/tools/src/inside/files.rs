//! Paths as the model writes them, and files that are safe to read.

use std::fs::{self, File, FileType, Metadata, OpenOptions};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use sandbox::JailLayout;

use super::{
    answer::why,
    host,
    names::{self, ShownPath},
};

/// The path that is meant: relative ones are relative to the workspace, `~` is the home, and `./~` what has
/// that name.
pub(super) fn resolve(layout: &JailLayout, path: &Path) -> PathBuf {
    names::in_any_form(match path.strip_prefix("~") {
        Ok(rest) if rest.as_os_str().is_empty() => layout.home.clone(),
        Ok(rest) => layout.home.join(rest),
        Err(_) => layout.workspace.join(path),
    })
}

/// The path as it is shown: relative to the workspace if it is in there.
pub(super) fn shown<'a>(layout: &JailLayout, path: &'a Path) -> ShownPath<'a> {
    ShownPath(path.strip_prefix(&layout.workspace).unwrap_or(path))
}

/// Opens a regular file. Nothing else is ever opened: a FIFO or a device could keep us waiting for ever.
///
/// # Errors
/// What the model is told.
pub(super) fn open(path: &Path) -> Result<(File, Metadata), String> {
    let found = fs::metadata(path).map_err(|error| why("read", path, &error))?;
    regular(path, found.file_type())?;
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits() as i32).open(path);
    let file = file.map_err(|error| why("read", path, &error))?;
    not_kernels(path, &file)?;
    // It may have been changed for another meanwhile.
    let metadata = file.metadata().map_err(|error| why("read", path, &error))?;
    regular(path, metadata.file_type())?;
    Ok((file, metadata))
}

/// Refuses what is open if it is of /proc or /sys, by whatever links it was reached: these tools run in the
/// process that keeps the sandbox, and what they would see or set there is that process's.
///
/// # Errors
/// What the model is told.
pub(super) fn not_kernels(path: &Path, open: &File) -> Result<(), String> {
    if host::is_kernels(open) {
        return Err(format!(
            "{} is in /proc or /sys, where this tool does not look; use bash for it",
            ShownPath(path)
        ));
    }
    Ok(())
}

/// The same of a folder to look into; one that cannot be opened is none.
///
/// # Errors
/// What the model is told.
pub(super) fn folder_not_kernels(path: &Path) -> Result<(), String> {
    let flags = OFlags::DIRECTORY | OFlags::NONBLOCK;
    let folder = OpenOptions::new().read(true).custom_flags(flags.bits() as i32).open(path);
    folder.map_or(Ok(()), |folder| not_kernels(path, &folder))
}

/// Refuses what is no regular file.
///
/// # Errors
/// What the model is told.
pub(super) fn regular(path: &Path, kind: FileType) -> Result<(), String> {
    let path = ShownPath(path);
    if kind.is_file() {
        return Ok(());
    }
    if kind.is_dir() {
        return Err(format!("{path} is a directory; see what is in it with `glob`, or with `ls` in bash"));
    }
    let what = if kind.is_fifo() {
        "a FIFO"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    };
    Err(format!("{path} is {what}, not a file; use bash for it"))
}
