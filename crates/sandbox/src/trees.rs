//! Which trees of the host may be shown to what runs inside, read-only.

use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::{Component, Path, PathBuf};

/// Places that are the jail's own and that no read-only tree may hide.
const OWN: [&str; 8] = ["/proc", "/sys", "/dev", "/tmp", "/etc", "/workspace", "/home/agent", "/mnt/session"];

/// Why `tree` is never shown: one sentence without a full stop; `None`: it may be. `kept` are the real paths
/// of what nobody inside may see, the server's data first of all.
pub fn never_shown(tree: &Path, kept: &[PathBuf]) -> Option<String> {
    wrong(tree, kept).map(|wrong| format!("{} {wrong}", tree.display()))
}

fn wrong(tree: &Path, kept: &[PathBuf]) -> Option<String> {
    let said = |wrong: &str| Some(wrong.to_owned());
    let plain = |part: Component<'_>| matches!(part, Component::RootDir | Component::Normal(_));
    if !tree.is_absolute() || !tree.components().all(plain) {
        return said("must be a plain absolute path, and is not");
    }
    let found = fs::canonicalize(tree).and_then(|real| Ok((fs::metadata(&real)?.file_type(), real)));
    let (kind, real) = match found {
        Ok(found) => found,
        Err(error) => return Some(format!("cannot be shown: {error}")),
    };
    let overlaps = |kept: &Path, tree: &Path| kept.starts_with(tree) || tree.starts_with(kept);
    if kept.iter().any(|kept| overlaps(kept, &real) || overlaps(kept, tree)) {
        return said("holds the data directory, or is in it: agents could read what the server keeps");
    }
    if OWN.iter().any(|own| Path::new(own).starts_with(tree)) {
        return said("would hide a place of the sandbox's own");
    }
    if real == Path::new("/etc") {
        return said("is the host's /etc, in which there are secrets; name what is needed of it");
    }
    if ["/proc", "/sys", "/dev"].iter().any(|own| real.starts_with(own) || tree.starts_with(own)) {
        return said("is not a tree of files");
    }
    if kind.is_socket() || kind.is_fifo() || kind.is_block_device() || kind.is_char_device() {
        return said("is neither a directory nor a file");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn what_is_the_servers_or_the_systems_is_never_shown_under_whatever_name() {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().canonicalize().unwrap().join(name);
        for folder in ["data/blobs", "tools", "big/blobs"] {
            fs::create_dir_all(at(folder)).unwrap();
        }
        for (name, target) in [("root", "/"), ("etc", "/etc"), ("proc", "/proc"), ("to-data", "data")] {
            symlink(target, at(name)).unwrap();
        }
        let _listens = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        // What is in the data directory may be a link to another disk.
        let kept = [at("data"), at("big/blobs")];
        for (tree, said) in [
            (at("tools"), None),
            (at("data"), Some("holds the data directory, or is in it")),
            (at("data/blobs"), Some("holds the data directory, or is in it")),
            (at(""), Some("holds the data directory, or is in it")),
            (at("big"), Some("holds the data directory, or is in it")),
            (at("to-data"), Some("holds the data directory, or is in it")),
            (at("root"), Some("holds the data directory, or is in it")),
            ("/".into(), Some("holds the data directory, or is in it")),
            (at("etc"), Some("is the host's /etc")),
            ("/etc".into(), Some("would hide a place of the sandbox's own")),
            ("/home".into(), Some("would hide a place of the sandbox's own")),
            ("/proc/self".into(), Some("is not a tree of files")),
            (at("proc"), Some("is not a tree of files")),
            (at("socket"), Some("is neither a directory nor a file")),
            (at("gone"), Some("cannot be shown: No such file or directory")),
            ("relative".into(), Some("must be a plain absolute path")),
            (at("tools/../data"), Some("must be a plain absolute path")),
        ] {
            let found = never_shown(&tree, &kept);
            let expected = said.map(|said| format!("{} {said}", tree.display()));
            assert!(
                match (&found, &expected) {
                    (None, None) => true,
                    (Some(found), Some(expected)) => found.starts_with(expected.as_str()),
                    _ => false,
                },
                "{found:?} is not {expected:?}"
            );
        }
    }
}
