//! The wiring of the hands: which sandbox the settings mean, whether this host can give it, and its upkeep.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use engine::Engine;
use protocol::SessionId;
use rustix::time::ClockId;
use sandbox::{HostCheck, HostReport, Isolation, JailUsers};
use tools::{JailSettings, LocalToolRunner, PairedClocks};

use crate::{
    Wrong,
    config::{HeddleSettings, SandboxMode, SandboxSettings},
    descriptors::FileDescriptors,
};

/// How often what is left of sessions that are gone is looked for.
const SWEEP: Duration = Duration::from_hours(1);
/// Where the sandboxes' folders are in the data directory.
const FOLDERS: &str = "sandboxes";

/// What is said wherever `--sandbox=off` shows.
pub(crate) const OFF: &str = "the sandbox is OFF: agents run commands as this server's user and can read, change and send whatever it can";

/// What `heddle jail` does. Must be called before there is a second thread.
pub(crate) fn jail(order: &str) -> ExitCode {
    match sandbox::enter(order) {
        Ok(inside) => tools::serve(inside),
        Err(code) => code,
    }
}

/// The hands that the settings mean, once this host has shown that it can give them.
pub(crate) async fn ready(
    settled: &HeddleSettings,
    files: FileDescriptors,
) -> Result<LocalToolRunner, Wrong> {
    prepare(settled);
    match files.room(settled.sandbox.jails) {
        Ok(room) => tracing::info!("open files: {room}"),
        Err(less) => tracing::warn!("open files: {less}"),
    }
    let mut jails = settled.sandbox.jails;
    if settled.sandbox.mode == SandboxMode::Local {
        let (report, at_once) = probe(&settled.sandbox).await?;
        if !report.ok() {
            return Err(cannot(&report).into());
        }
        if at_once < jails {
            tracing::warn!(
                at_once,
                wanted = jails,
                "this host has no more users for sandboxes: further ones wait"
            );
            jails = at_once;
        }
    }
    let data = std::path::absolute(&settled.data)?;
    let mut settings = JailSettings::new(data.join(FOLDERS), sandbox::program()?);
    settings.isolation = match settled.sandbox.mode {
        SandboxMode::Local => Isolation::Local,
        SandboxMode::Off => Isolation::Off,
    };
    settings.readonly.clone_from(&settled.sandbox.readonly);
    settings.users = settled.sandbox.users;
    settings.jails_max = jails.min(files.sandboxes());
    settings.keep_days = settled.sandbox.keep_days;
    settings.limits.clone_from(&settled.sandbox.limits);
    Ok(LocalToolRunner::new(settings))
}

/// Finds cgroups for the jails, and says what there is.
fn prepare(settled: &HeddleSettings) {
    let limits = &settled.sandbox.limits;
    // Twice what the watch keeps, so that the jails' own bound is met first; half of a machine is theirs.
    let reserve = |memory: sandbox::MachineMemory| {
        (2 * limits.memory_least(memory.total_bytes)).min(memory.total_bytes / 2)
    };
    let reserve_bytes = sandbox::memory().map_or(0, reserve);
    match sandbox::prepare(reserve_bytes) {
        // Nothing is to be said of sandboxes where there are none.
        Ok(_) if settled.sandbox.mode == SandboxMode::Off => {}
        Ok(Some(found)) => tracing::info!(found, "cgroups bound each sandbox as a whole"),
        Ok(None) => tracing::info!(
            "no cgroup is ours to divide: shared memory is bounded only by ending the sandbox that holds most; \
             `heddle doctor` says more"
        ),
        Err(wrong) => tracing::warn!(%wrong, "the cgroup that was given to this server cannot be divided"),
    }
}

/// Tries a jail for real; also says how many can be at once.
pub(crate) async fn probe(sandbox: &SandboxSettings) -> Result<(HostReport, usize), Wrong> {
    // The jail that is tried lies there.
    if let Some(check) = unusable(&tempfile::env::temp_dir()) {
        return Ok((HostReport { checks: vec![check] }, sandbox.jails));
    }
    let users = JailUsers::new(sandbox::program()?, sandbox.users, u32::try_from(sandbox.jails)?);
    let readonly = sandbox.readonly.clone();
    let tried = move || (sandbox::probe(&users, &readonly), users.at_once());
    let (report, at_once) = tokio::task::spawn_blocking(tried).await?;
    Ok((report, usize::try_from(at_once)?))
}

/// What is wrong with the directory for what is made for a moment.
fn unusable(place: &Path) -> Option<HostCheck> {
    let wrong = tempfile::tempdir_in(place).err()?;
    let user = rustix::process::geteuid().as_raw();
    Some(HostCheck {
        name: "temporary directory",
        ok: false,
        found: format!("user {user} can make nothing in {} ({})", place.display(), wrong.kind()),
        fix: "Set TMPDIR to a directory that this user can write in".to_owned(),
        needed: true,
    })
}

fn cannot(report: &HostReport) -> String {
    let mut text = String::from("this host cannot isolate agents' commands:\n");
    // One that names no way out was not tried, because an earlier one failed.
    let told = report.checks.iter().filter(|check| check.needed && !check.ok && !check.fix.is_empty());
    for check in told {
        text.extend(["  ", check.name, ": ", &check.found, "\n    ", &check.fix, "\n"]);
    }
    text.push_str(
        "`heddle doctor` shows all that was tried. --sandbox=off runs commands without any isolation.",
    );
    text
}

/// Removes what is left of sessions that are gone, and of servers that were killed, at once and every hour.
/// Never ends.
pub(crate) async fn sweep(hands: &LocalToolRunner, engine: &Engine) {
    let mut sweep = hands.sweep();
    loop {
        let now = PairedClocks { wall: engine.now(), steady: steady() };
        sweep.run(now, |session| exists(engine, session)).await;
        // A panic is logged where it happens.
        let _swept = tokio::task::spawn_blocking(sandbox::sweep).await;
        tokio::time::sleep(SWEEP).await;
    }
}

/// The clock of this machine that nobody sets.
fn steady() -> Duration {
    // On Linux this one goes on while the machine sleeps, as the clock on the wall does.
    #[cfg(target_os = "linux")]
    let clock = ClockId::Boottime;
    #[cfg(not(target_os = "linux"))]
    let clock = ClockId::Monotonic;
    let now = rustix::time::clock_gettime(clock);
    Duration::new(now.tv_sec.try_into().unwrap_or_default(), now.tv_nsec.try_into().unwrap_or_default())
}

/// When in doubt it does: files are not removed because a disk failed to answer.
async fn exists(engine: &Engine, session: SessionId) -> bool {
    match engine.store().head_of(session).await {
        Ok(head) => head.is_some_and(|head| head.deleted_at.is_none()),
        Err(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_in_which_nothing_can_be_made_is_named_with_what_to_set() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(unusable(folder.path()), None);
        let gone = folder.path().join("gone");
        let check = unusable(&gone).expect("nothing can be made there");
        assert!(check.needed && !check.ok && check.fix.contains("TMPDIR"), "{check:?}");
        assert!(check.found.contains(&format!("can make nothing in {} (", gone.display())), "{check:?}");
    }
}
