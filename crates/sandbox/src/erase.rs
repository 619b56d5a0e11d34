//! Removing a tree that a hostile program made: any depth, any mode, no link followed, two open files at
//! most.
//!
//! A directory found below is moved up beside the others instead of being descended into, so that neither
//! the stack nor the table of open files grows with the depth.

use std::ffi::CStr;
use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, Dir};
use rustix::io::Errno;

use crate::host::{open_whatever_its_mode, unlink};

/// Empties the directory but for the names in `kept`. Nobody else may be writing below it.
pub(crate) fn all_but(top: &OwnedFd, kept: &[&str]) -> io::Result<()> {
    let mut moved: u64 = 0;
    loop {
        let mut removed = false;
        for entry in Dir::read_from(top)? {
            let entry = entry?;
            let name = entry.file_name();
            if is_dots(name) || kept.iter().any(|kept| kept.as_bytes() == name.to_bytes()) {
                continue;
            }
            if !unlink(top, name)? {
                hollow(top, name, &mut moved)?;
            }
            removed = true;
        }
        if !removed {
            return Ok(());
        }
    }
}

/// Removes one directory of `top` after its own directories were moved into `top`.
fn hollow(top: &OwnedFd, name: &CStr, moved: &mut u64) -> io::Result<()> {
    let inner = open_whatever_its_mode(top, name)?;
    // What is moved or removed while a directory is read may hide others of its entries: read until nothing
    // is left.
    while rustix::fs::unlinkat(top, name, AtFlags::REMOVEDIR).is_err_and(|error| error == Errno::NOTEMPTY) {
        for entry in Dir::read_from(&inner)? {
            let entry = entry?;
            if !is_dots(entry.file_name()) && !unlink(&inner, entry.file_name())? {
                raise(top, &inner, entry.file_name(), moved)?;
            }
        }
    }
    match rustix::fs::unlinkat(top, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn raise(top: &OwnedFd, inner: &OwnedFd, name: &CStr, moved: &mut u64) -> io::Result<()> {
    if rustix::fs::unlinkat(inner, name, AtFlags::REMOVEDIR).is_ok() {
        return Ok(());
    }
    // Moving a directory rewrites its `..`, which takes the right to write it.
    drop(open_whatever_its_mode(inner, name)?);
    loop {
        *moved += 1;
        match rustix::fs::renameat(inner, name, top, format!(".removed-{moved}")) {
            Ok(()) => return Ok(()),
            Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOTDIR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn is_dots(name: &CStr) -> bool {
    name == c"." || name == c".."
}
