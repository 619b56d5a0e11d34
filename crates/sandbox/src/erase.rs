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

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::Path;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_tree_of_any_depth_and_mode_goes_and_what_a_link_shows_stays() {
        let place = tempfile::tempdir().unwrap();
        let (tree, outside) = (place.path().join("tree"), place.path().join("outside"));
        fs::create_dir_all(tree.join("kept")).unwrap();
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("file"), "x").unwrap();
        let deep = (0..300).fold(tree.clone(), |path, _| path.join("deep"));
        fs::create_dir_all(&deep).unwrap();
        symlink(&outside, deep.join("link")).unwrap();
        symlink(&outside, tree.join("link")).unwrap();
        let shut = tree.join("shut/below");
        fs::create_dir_all(&shut).unwrap();
        fs::write(shut.join("file"), "x").unwrap();
        for folder in [&shut, &tree.join("shut"), &tree.join("deep")] {
            fs::set_permissions(folder, fs::Permissions::from_mode(0o000)).unwrap();
        }
        all_but(&crate::session_folder::open(&tree).unwrap(), &["kept"]).unwrap();
        assert_eq!((names(&tree), names(&outside)), (vec!["kept".to_owned()], vec!["file".to_owned()]));
    }
}
