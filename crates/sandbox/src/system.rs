//! What every sandbox shows of the host beside the trees of the settings, read-only.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// Of the root, if it is there.
pub(crate) const SYSTEM: [&str; 7] = ["usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32"];

/// Of /etc. Nothing here holds a secret on a usual host, and what the sandbox's user may not read stays
/// unreadable.
pub(crate) const ETC: [&str; 24] = [
    "alternatives",
    "bash.bashrc",
    "ca-certificates",
    "ca-certificates.conf",
    "debian_version",
    "fonts",
    "inputrc",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
    "locale.alias",
    "magic",
    "magic.mime",
    "mime.types",
    "os-release",
    "pki/ca-trust/extracted",
    "pki/tls/certs",
    "protocols",
    "services",
    "ssl/certs",
    "ssl/openssl.cnf",
    "terminfo",
    "timezone",
];

/// Directories of /etc whose names carry a version.
const ETC_BEGINNINGS: [&str; 3] = ["java", "perl", "python3"];

/// Whether something of /etc is shown for the beginning of its name.
pub(crate) fn etc_begins(name: &OsStr) -> bool {
    ETC_BEGINNINGS.iter().any(|begin| name.to_string_lossy().starts_with(begin))
}

/// The trees of the host that every sandbox shows, whether they are there or not; see also [`shown_by_name`].
pub fn always_shown() -> impl Iterator<Item = PathBuf> {
    let system = SYSTEM.iter().map(|name| Path::new("/").join(name));
    system.chain(ETC.iter().map(|name| Path::new("/etc").join(name)))
}

/// The tree that a place lies in, if it is one of those that are shown for the beginning of their name.
pub fn shown_by_name(place: &Path) -> Option<PathBuf> {
    let name = place.strip_prefix("/etc").ok()?.iter().next()?;
    etc_begins(name).then(|| Path::new("/etc").join(name))
}
