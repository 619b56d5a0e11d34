//! `[sandbox]`: how agents' commands are kept from the host.

use std::path::{Path, PathBuf};

use sandbox::WantedUsers;

use super::{
    choice::SandboxMode,
    file::{FileSandbox, UserRange},
    shown::{listed, path, text, word},
    source::{SettingSource, SettingsLedger},
};
use crate::seal;

/// How agents' commands are kept from the host (docs/rules.md 10).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SandboxSettings {
    pub(crate) mode: SandboxMode,
    /// Further trees that they see, read-only.
    pub(crate) readonly: Vec<PathBuf>,
    /// Which users they run as.
    pub(crate) users: WantedUsers,
    /// How many at once.
    pub(crate) jails: usize,
    /// Days after which the files of a session that does not use them are removed.
    pub(crate) keep_days: u32,
    /// What one session may use, and what is kept free for everybody.
    pub(crate) limits: sandbox::JailLimits,
}

/// What it is when nothing is said.
impl Default for SandboxSettings {
    fn default() -> Self {
        let file = FileSandbox::default();
        Self {
            mode: file.mode,
            readonly: file.readonly,
            users: WantedUsers::DEFAULT,
            jails: file.jails,
            keep_days: file.keep_days,
            limits: sandbox::JailLimits::default(),
        }
    }
}

/// What the file says, unless a flag or a variable says another mode; `data` is the data directory.
pub(super) fn settle(
    mode: Option<(SandboxMode, SettingSource)>,
    file: FileSandbox,
    data: &Path,
    ledger: &mut SettingsLedger,
) -> SandboxSettings {
    let trees = |trees: &Vec<PathBuf>| listed(trees.iter().map(path));
    let sandbox = SandboxSettings {
        mode: ledger.take("sandbox.mode", mode, file.mode, word),
        readonly: ledger.take("sandbox.readonly", None, file.readonly, trees),
        users: users(file.uids, file.user, ledger),
        jails: ledger.take("sandbox.jails", None, file.jails, text),
        keep_days: ledger.take("sandbox.keep_days", None, file.keep_days, text),
        limits: sandbox::JailLimits {
            data_bytes: bytes(ledger.take("sandbox.memory_mib", None, file.memory_mib, text)),
            memory_free_bytes: bytes(ledger.take(
                "sandbox.memory_free_mib",
                None,
                file.memory_free_mib,
                text,
            )),
            disk_bytes: bytes(ledger.take("sandbox.disk_mib", None, file.disk_mib, text)),
            free_bytes: bytes(ledger.take("sandbox.disk_free_mib", None, file.disk_free_mib, text)),
            ..sandbox::JailLimits::default()
        },
    };
    if !sandbox.readonly.is_empty() {
        let kept = seal::places(data);
        for wrong in sandbox.readonly.iter().filter_map(|tree| sandbox::never_shown(tree, &kept)) {
            ledger.mistake("sandbox.readonly", wrong);
        }
    }
    if let Some(message) = misfit(&sandbox) {
        ledger.mistake("sandbox.uids", message);
    }
    sandbox
}

/// Why sandboxes cannot run as the range of users that was said.
fn misfit(sandbox: &SandboxSettings) -> Option<String> {
    let WantedUsers::Range { first, count } = sandbox.users else { return None };
    let jails = sandbox.jails;
    if usize::try_from(count).is_ok_and(|count| count < jails) {
        return Some(format!(
            "{first}:{count} are fewer users than `jails`, each of which is to be one of its own: say {first}:{jails} or \
             more, or lower `jails` to {count}"
        ));
    }
    // Nobody but root takes them.
    let known = rustix::process::geteuid().is_root().then(|| sandbox::taken_by_others(first, count))??;
    let free = known.free;
    Some(format!("{first}:{count} holds {}: say another range, as {free}:{count}", known.whose))
}

fn users(uids: UserRange, user: Option<u32>, ledger: &mut SettingsLedger) -> WantedUsers {
    let UserRange(uids) = ledger.take("sandbox.uids", None, uids, |UserRange(text)| text.clone());
    let user = ledger
        .take("sandbox.user", None, user, |user| user.map_or_else(|| "none".into(), |user| text(&user)));
    if let Some(user) = user {
        return WantedUsers::One(user);
    }
    if uids == "own" {
        return WantedUsers::Own;
    }
    let range = uids.split_once(':').and_then(|(first, count)| {
        let (first, count) = (first.parse::<u32>().ok()?, count.parse::<u32>().ok()?);
        // The last number is nobody's.
        let legal = first > 0 && count > 0 && first.checked_add(count).is_some();
        legal.then_some(WantedUsers::Range { first, count })
    });
    range.unwrap_or_else(|| {
        let message =
            format!("{uids} must be the first user and how many, as 2000000000:4096, without root; or own");
        ledger.mistake("sandbox.uids", message);
        WantedUsers::DEFAULT
    })
}

fn bytes(mib: u64) -> u64 {
    mib << 20
}

#[cfg(test)]
mod tests {
    use super::super::testing::{settled, told};
    use super::*;

    #[test]
    fn a_sandbox_is_local_unless_it_is_said_to_be_off() {
        let plain = SandboxSettings {
            mode: SandboxMode::Local,
            readonly: Vec::new(),
            users: WantedUsers::DEFAULT,
            jails: 64,
            keep_days: 30,
            limits: sandbox::JailLimits::default(),
        };
        assert_eq!(settled(&[], "").expect("legal").sandbox, plain);
        let off = settled(&["--sandbox=off"], "[sandbox]\nmode = \"local\"\n").expect("legal");
        assert_eq!(off.sandbox, SandboxSettings { mode: SandboxMode::Off, ..plain });
        assert_eq!(told(&off, "sandbox.mode"), "off (--sandbox)");
    }

    #[test]
    fn a_range_with_somebody_in_it_is_refused_by_name_where_the_server_is_root() {
        let made = settled(&[], "[sandbox]\nuids = \"1:65000\"\n");
        if rustix::process::geteuid().is_root() {
            let wrong = made.expect_err("a mistake").to_string();
            assert!(wrong.starts_with("heddle.toml:2: sandbox.uids: 1:65000 holds user "), "{wrong}");
            assert!(wrong.contains("/etc/passwd): say another range, as 2000000000:65000"), "{wrong}");
        } else {
            made.expect("nobody takes them");
        }
    }
}
