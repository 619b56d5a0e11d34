//! What `heddle doctor` is told of this host.

use std::path::Path;

/// One thing that was tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostCheck {
    /// What it is, in a word or three.
    pub name: &'static str,
    pub ok: bool,
    /// What was found, as a sentence without a full stop.
    pub found: String,
    /// What to do when it is not ok, or what would make it better; empty when there is nothing.
    pub fix: String,
    /// Without it no jail can start, or no tool can work in it.
    pub needed: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostReport {
    pub checks: Vec<HostCheck>,
}

impl HostReport {
    /// True when jails work here.
    pub fn ok(&self) -> bool {
        self.checks.iter().all(|check| check.ok || !check.needed)
    }
}

/// Whether there is the shell that the tools need.
pub fn bash() -> HostCheck {
    match ["/bin/bash", "/usr/bin/bash"].iter().find(|path| Path::new(path).exists()) {
        Some(path) => good("bash", &format!("found at {path}")),
        None => missing("bash", "neither /bin/bash nor /usr/bin/bash exists", "Install bash"),
    }
}

pub(crate) fn good(name: &'static str, found: &str) -> HostCheck {
    HostCheck { name, ok: true, found: found.to_owned(), fix: String::new(), needed: true }
}

pub(crate) fn missing(name: &'static str, found: &str, fix: &str) -> HostCheck {
    HostCheck { name, ok: false, found: found.to_owned(), fix: fix.to_owned(), needed: true }
}
