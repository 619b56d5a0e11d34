//! The data directory: made private and kept so.

use std::fs::DirBuilder;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

/// The database's file in it.
pub(crate) const DATABASE: &str = "heddle.db";
/// Where the first start leaves the first key.
pub(crate) const FIRST_KEY: &str = "first-key";
/// What is locked in it, for the one process that serves it.
pub(crate) const LOCK: &str = "lock";
/// What may lie in it before the first start.
const SETTINGS: &str = "heddle.toml";
/// What a lock is held on while the database is opened.
const OPENING: &str = ".opening";
/// The room that is kept in it. Who has it open could take that room away, so one that was open is made anew.
pub(crate) const BALLAST: &str = "ballast";
/// The folders in it: of the store, and of the sandboxes.
const FOLDERS: [&str; 2] = ["blobs", "sandboxes"];
/// What others may do with what is private.
const OTHERS: u32 = 0o077;

/// What else may be the matter with a lock that is taken.
const OPEN_LOCK: &str = "\n(until now other users of this machine could hold its file `lock`: if no heddle runs \
                         there, remove that file)";

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DataError {
    #[error("the data directory {} cannot be used: {reason}", path.display())]
    Unusable { path: PathBuf, reason: String },
    #[error(
        "{} cannot be the data directory: {} is a file; name a directory with --data",
        data.display(),
        path.display()
    )]
    File { path: PathBuf, data: PathBuf },
    #[error(
        "there is no data directory at {}; set --data (or HEDDLE_DATA) to the server's, or start `heddle serve` \
         first, which makes one",
        path.display()
    )]
    Missing { path: PathBuf },
    #[error(
        "the data directory {} cannot be {}: in {}, user {ours} may not write ({reason}); change that, or name \
         another with --data",
        data.display(),
        if data == path { "used" } else { "made" },
        path.display()
    )]
    Readonly { path: PathBuf, data: PathBuf, ours: u32, reason: String },
    #[error(
        "another heddle serves {}; stop it first, or give this one another --data{}",
        path.display(),
        if *open { OPEN_LOCK } else { "" }
    )]
    Taken { path: PathBuf, open: bool },
    #[error(
        "{path} belongs to user {owner}, and this runs as user {ours}: run it as that user (as root: `setpriv \
         --reuid={owner} --regid={group} --clear-groups heddle …`), or give the directory away (`chown -R {ours} \
         {data}`)",
        path = path.display(),
        data = data.display()
    )]
    Foreign { path: PathBuf, data: PathBuf, owner: u32, group: u32, ours: u32 },
    #[error(
        "the data directory {} leads over the link {} to {}, which is not there: make that directory (or mount \
         its disk), or name another with --data",
        data.display(),
        path.display(),
        to.display()
    )]
    Nowhere { path: PathBuf, data: PathBuf, to: PathBuf },
    #[error("{} is {is}, where a plain file of this server's own should be: remove it", path.display())]
    Odd { path: PathBuf, is: &'static str },
    #[error(
        "other users of this machine can use {0}, and that cannot be changed ({reason}): run `chmod {mode:o} \
         {0}`",
        path.display()
    )]
    Open { path: PathBuf, mode: u32, reason: String },
    #[error(
        "others use {0} too, and no data of heddle is in it: name a directory of its own with --data, or run \
         `chmod 700 {0}` if it is to be this server's alone",
        path.display()
    )]
    Shared { path: PathBuf },
}

/// Makes the directory if it is missing, and makes what is in it the owner's alone. What others could use
/// until now.
pub(crate) fn make(data: &Path) -> Result<Vec<PathBuf>, DataError> {
    let unusable = |wrong: io::Error| DataError::Unusable { path: data.into(), reason: wrong.to_string() };
    DirBuilder::new().recursive(true).mode(0o700).create(data).map_err(unusable)?;
    let mut open = Vec::new();
    // The directory first: what is in it can be changed by nobody else afterwards.
    if let Some(mode) = look(data, data)? {
        own(data)?;
        mend(data, mode)?;
        open.push(data.to_owned());
    }
    for path in inside(data).map_err(unusable)? {
        let Some(mode) = look(data, &path)? else { continue };
        let name = path.to_string_lossy();
        if name.ends_with(OPENING) || name.ends_with(BALLAST) {
            // Whoever has it open already could hold every start up for ever, or take the room that it keeps.
            std::fs::remove_file(&path).map_err(unusable)?;
        } else {
            mend(&path, mode)?;
        }
        open.push(path);
    }
    Ok(open)
}

/// What [`make`] would say, without changing anything. A directory that is not there yet is fine where one
/// can be made.
pub(crate) fn open(data: &Path) -> Result<Vec<PathBuf>, DataError> {
    let unusable = |wrong: io::Error| DataError::Unusable { path: data.into(), reason: wrong.to_string() };
    let Some(there) = there(data)? else { return Ok(Vec::new()) };
    if there != data {
        return writable(data, &there).map(|()| Vec::new());
    }
    if look(data, data)?.is_some() {
        own(data)?;
    }
    let mut open = Vec::new();
    for path in [vec![data.to_owned()], inside(data).map_err(unusable)?].concat() {
        if look(data, &path)?.is_some() {
            open.push(path);
        }
    }
    writable(data, data)?;
    Ok(open)
}

/// The directory, or the nearest above it that is there.
fn there(data: &Path) -> Result<Option<PathBuf>, DataError> {
    let unusable = |wrong: io::Error| DataError::Unusable { path: data.into(), reason: wrong.to_string() };
    let absolute = std::path::absolute(data).map_err(unusable)?;
    for (above, place) in absolute.ancestors().enumerate() {
        match std::fs::metadata(place) {
            Ok(found) if found.is_dir() && above == 0 => return Ok(Some(data.into())),
            Ok(found) if found.is_dir() => return Ok(Some(place.into())),
            Ok(_) => return Err(DataError::File { path: place.into(), data: data.into() }),
            Err(wrong) if matches!(wrong.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                if let Ok(to) = std::fs::read_link(place) {
                    return Err(DataError::Nowhere { path: place.into(), data: data.into(), to });
                }
            }
            Err(wrong) => return Err(unusable(wrong)),
        }
    }
    Ok(None)
}

fn writable(data: &Path, place: &Path) -> Result<(), DataError> {
    access(place, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK).map_err(|wrong| DataError::Readonly {
        path: place.into(),
        data: data.into(),
        ours: rustix::process::geteuid().as_raw(),
        reason: io::Error::from(wrong).to_string(),
    })
}

/// Refuses a directory in which no server has kept anything yet.
pub(crate) fn find(data: &Path) -> Result<(), DataError> {
    let missing = || DataError::Missing { path: std::path::absolute(data).unwrap_or_else(|_| data.into()) };
    let nearest = there(data)?;
    match std::fs::symlink_metadata(data.join(DATABASE)) {
        Err(wrong) if nearest.as_deref() != Some(data) || wrong.kind() == ErrorKind::NotFound => {
            Err(missing())
        }
        // What else may be wrong with it is said when it is opened.
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Where the directory really is, and what in it is a link to elsewhere: what no agent may see.
pub(crate) fn places(data: &Path) -> Vec<PathBuf> {
    let absolute = std::path::absolute(data).unwrap_or_else(|_| data.into());
    let real = absolute.ancestors().find_map(|place| {
        let rest = absolute.strip_prefix(place).ok()?;
        place.canonicalize().ok().map(|place| if rest == Path::new("") { place } else { place.join(rest) })
    });
    let inside = inside(data).unwrap_or_default().into_iter().filter_map(|path| path.canonicalize().ok());
    real.into_iter().chain([absolute.clone()]).chain(inside).collect()
}

/// Refuses a directory that others can use and that was not made for this: nobody else's way to it is shut.
fn own(data: &Path) -> Result<(), DataError> {
    let unusable = |wrong: io::Error| DataError::Unusable { path: data.into(), reason: wrong.to_string() };
    let sticky = std::fs::metadata(data).map_err(unusable)?.mode() & 0o1000 != 0;
    let other = |entry: io::Result<std::fs::DirEntry>| Ok(entry?.file_name() != SETTINGS);
    let others: io::Result<Vec<bool>> = std::fs::read_dir(data).and_then(|all| all.map(other).collect());
    let foreign = others.map_err(unusable)?.contains(&true) && inside(data).map_err(unusable)?.is_empty();
    if sticky || foreign { Err(DataError::Shared { path: data.into() }) } else { Ok(()) }
}

/// One sentence about what others could use.
pub(crate) fn told(open: &[PathBuf]) -> String {
    let names: Vec<String> = open.iter().map(|path| path.display().to_string()).collect();
    names.join(", ")
}

/// What is ours in the directory, as far as it is there.
fn inside(data: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(data)? {
        let name = entry?.file_name();
        let ours = name.to_str().is_some_and(|name| {
            name.starts_with(DATABASE)
                || name.starts_with(FIRST_KEY)
                || name == LOCK
                || name == BALLAST
                || FOLDERS.contains(&name)
        });
        if ours {
            found.push(data.join(name));
        }
    }
    found.sort();
    Ok(found)
}

/// The mode that `path` should have, if others may do something with it.
pub(crate) fn look(data: &Path, path: &Path) -> Result<Option<u32>, DataError> {
    let unusable = |wrong: io::Error| DataError::Unusable { path: path.into(), reason: wrong.to_string() };
    let itself = match std::fs::symlink_metadata(path) {
        Ok(itself) => itself,
        // A write-ahead log goes when another process closes the database.
        Err(wrong) if wrong.kind() == ErrorKind::NotFound => return Ok(None),
        Err(wrong) => return Err(unusable(wrong)),
    };
    // Folders and the database may well be links to a larger disk; what is locked or holds a secret may not.
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let plain = path != data
        && (name == LOCK || name == BALLAST || name.starts_with(FIRST_KEY) || name.ends_with(OPENING));
    let kind = itself.file_type();
    if plain && !kind.is_file() {
        let is = match () {
            () if kind.is_symlink() => "a link",
            () if kind.is_dir() => "a directory",
            () if kind.is_fifo() => "a pipe",
            () => "something else",
        };
        return Err(DataError::Odd { path: path.into(), is });
    }
    let found = if kind.is_symlink() { std::fs::metadata(path).map_err(unusable)? } else { itself };
    let ours = rustix::process::geteuid().as_raw();
    if found.uid() != ours {
        let (owner, group) = (found.uid(), found.gid());
        return Err(DataError::Foreign { path: path.into(), data: data.into(), owner, group, ours });
    }
    let mode = found.permissions().mode() & 0o777;
    Ok((mode & OTHERS != 0).then_some(if found.is_dir() { 0o700 } else { 0o600 }))
}

fn mend(path: &Path, mode: u32) -> Result<(), DataError> {
    let open = |reason: String| DataError::Open { path: path.into(), mode, reason };
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode))
        .map_err(|wrong| open(wrong.to_string()))?;
    let now = std::fs::metadata(path).map_err(|wrong| open(wrong.to_string()))?;
    if now.permissions().mode() & OTHERS == 0 {
        return Ok(());
    }
    Err(open("its file system keeps no modes; mount it with umask=077, or give another --data".into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::{is_served, take};
    use std::os::unix::fs::symlink;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).expect("there").permissions().mode() & 0o777
    }

    fn set(path: &Path, mode: u32) {
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("ours");
    }

    #[test]
    fn a_directory_is_private_and_has_one_owner_at_a_time() {
        let parent = tempfile::tempdir().expect("a directory");
        let path = parent.path().join("a/b");
        assert_eq!(make(&path).expect("made"), Vec::<PathBuf>::new());
        assert_eq!(mode(&path), 0o700);
        let first = take(&path, false).expect("free");
        assert!(matches!(take(&path, false), Err(DataError::Taken { .. })));
        drop(first);
        take(&path, false).expect("free again");
        assert_eq!(mode(&path.join("lock")), 0o600);
    }

    #[test]
    fn a_place_where_no_directory_can_be_is_said_before_anything_is_made() {
        let parent = tempfile::tempdir().expect("a directory");
        let at = |name: &str| parent.path().join(name);
        std::fs::write(at("file"), "").expect("written");
        for data in ["file", "file/below/it"] {
            let expected = format!(
                "{} cannot be the data directory: {} is a file; name a directory with --data",
                at(data).display(),
                at("file").display()
            );
            assert_eq!(open(&at(data)).expect_err("a file").to_string(), expected);
            assert_eq!(find(&at(data)).expect_err("a file").to_string(), expected);
        }
        assert_eq!(open(&at("new/data")).expect("it can be made"), Vec::<PathBuf>::new());
        assert!(matches!(find(&at("new/data")), Err(DataError::Missing { .. })));
        assert!(matches!(find(parent.path()), Err(DataError::Missing { .. })));
        assert!(!at("new").exists(), "a look makes nothing");
        std::fs::create_dir(at("data")).expect("made");
        assert!(!is_served(&at("data")));
        let locked = take(&at("data"), false).expect("free");
        assert!(is_served(&at("data")));
        drop(locked);
        assert!(!is_served(&at("data")));
    }

    #[test]
    fn a_link_to_what_is_not_there_is_said_before_anything_is_made() {
        let parent = tempfile::tempdir().expect("a directory");
        let (link, gone) = (parent.path().join("link"), parent.path().join("gone/data"));
        symlink(&gone, &link).expect("linked");
        for data in [link.clone(), link.join("below")] {
            let expected = format!(
                "the data directory {} leads over the link {} to {}, which is not there: make that directory (or \
                 mount its disk), or name another with --data",
                data.display(),
                link.display(),
                gone.display()
            );
            assert_eq!(open(&data).expect_err("nowhere").to_string(), expected);
            assert_eq!(find(&data).expect_err("nowhere").to_string(), expected);
        }
    }

    #[test]
    fn where_the_data_really_is_is_known_also_behind_links() {
        let parent = tempfile::tempdir().expect("a directory");
        let real = parent.path().canonicalize().expect("there");
        for folder in ["disk/data", "big/blobs"] {
            std::fs::create_dir_all(real.join(folder)).expect("made");
        }
        symlink(real.join("disk"), real.join("link")).expect("linked");
        symlink(real.join("big/blobs"), real.join("disk/data/blobs")).expect("linked");
        let data = real.join("link/data");
        assert_eq!(places(&data), [real.join("disk/data"), data, real.join("big/blobs")]);
        let new = real.join("link/new/data");
        assert_eq!(places(&new), [real.join("disk/new/data"), new]);
    }

    #[test]
    fn what_others_could_use_is_mended_and_what_is_not_ours_to_mend_stays() {
        let parent = tempfile::tempdir().expect("a directory");
        let data = parent.path().join("data");
        std::fs::create_dir(&data).expect("made");
        set(&data, 0o755);
        for folder in FOLDERS {
            std::fs::create_dir(data.join(folder)).expect("made");
            set(&data.join(folder), 0o777);
        }
        let files = ["first-key", "heddle.db", "heddle.db-wal", "heddle.db.opening", "heddle.toml", "lock"];
        for file in files {
            std::fs::write(data.join(file), "x").expect("written");
            set(&data.join(file), 0o644);
        }
        let all = |mut names: Vec<&str>| {
            names.sort_unstable();
            let inside: Vec<PathBuf> = names.iter().map(|name| data.join(name)).collect();
            [vec![data.clone()], inside].concat()
        };
        let expected =
            all([&FOLDERS[..], &["first-key", "heddle.db", "heddle.db-wal", "heddle.db.opening", "lock"]]
                .concat());
        assert_eq!(open(&data).expect("ours"), expected, "a look changes nothing");
        assert_eq!(make(&data).expect("ours"), expected);
        assert_eq!(make(&data).expect("ours"), Vec::<PathBuf>::new());
        let modes = [&data, &data.join("blobs"), &data.join("sandboxes"), &data.join("heddle.db")]
            .map(|path| mode(path));
        assert_eq!(modes, [0o700, 0o700, 0o700, 0o600]);
        assert_eq!([mode(&data.join("lock")), mode(&data.join("heddle.toml"))], [0o600, 0o644]);
        assert!(!data.join("heddle.db.opening").exists(), "who holds it open holds nothing up");
    }

    #[test]
    fn a_directory_that_others_use_is_not_taken_from_them() {
        let parent = tempfile::tempdir().expect("a directory");
        let data = parent.path().join("data");
        std::fs::create_dir(&data).expect("made");
        std::fs::write(data.join("heddle.toml"), "").expect("written");
        for (before, name, refused) in
            [(0o1777, None, true), (0o755, Some("notes.txt"), true), (0o755, Some("heddle.db"), false)]
        {
            set(&data, before);
            if let Some(name) = name {
                std::fs::write(data.join(name), "").expect("written");
            }
            let (looked, made) = (open(&data), make(&data));
            let shared = |of: &DataError| matches!(of, DataError::Shared { .. });
            assert_eq!(
                (looked.as_ref().is_err_and(shared), made.as_ref().is_err_and(shared)),
                (refused, refused)
            );
            assert_eq!(mode(&data), if refused { before & 0o777 } else { 0o700 });
        }
    }

    #[test]
    fn a_link_is_no_lock_and_no_secret_and_may_be_a_folder() {
        let parent = tempfile::tempdir().expect("a directory");
        let (data, other) = (parent.path().join("data"), parent.path().join("other"));
        make(&data).expect("made");
        std::fs::create_dir(&other).expect("made");
        set(&other, 0o755);
        symlink(&other, data.join("blobs")).expect("linked");
        assert_eq!(make(&data).expect("ours"), [data.join("blobs")]);
        assert_eq!(mode(&other), 0o700);
        std::fs::write(parent.path().join("file"), "").expect("written");
        symlink(parent.path().join("file"), data.join("lock")).expect("linked");
        assert!(take(&data, false).is_err());
        let said = make(&data).expect_err("a link").to_string();
        assert!(
            said.ends_with("lock is a link, where a plain file of this server's own should be: remove it"),
            "{said}"
        );
    }

    #[test]
    fn what_belongs_to_somebody_else_is_refused_with_what_to_do() {
        if !rustix::process::geteuid().is_root() {
            // Nothing can be given away.
            return;
        }
        let parent = tempfile::tempdir().expect("a directory");
        let data = parent.path().join("data");
        make(&data).expect("made");
        std::os::unix::fs::chown(&data, Some(12_345), Some(23_456)).expect("root may");
        let expected = format!(
            "{0} belongs to user 12345, and this runs as user 0: run it as that user (as root: `setpriv \
             --reuid=12345 --regid=23456 --clear-groups heddle …`), or give the directory away (`chown -R 0 {0}`)",
            data.display()
        );
        assert_eq!(make(&data).expect_err("foreign").to_string(), expected);
        assert_eq!(open(&data).expect_err("foreign").to_string(), expected);
    }
}
