//! The end of a jail: bounded, complete, and the same whoever dies first.

use std::io::Read;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use sandbox::{Isolation, StartStep};
use serde_json::json;
use tempfile::TempDir;

use crate::world::{Answer, Thread, World, alive, alone, holding, program, public, start, try_start};

/// Two seconds of the jail's own, and what two busy cores may add.
const END: Duration = Duration::from_secs(8);

fn timed(act: impl FnOnce()) -> Duration {
    #[expect(clippy::disallowed_methods, reason = "the bound of an end is wall time")]
    let begin = Instant::now();
    act();
    begin.elapsed()
}

#[test]
fn nothing_outlives_a_jail() {
    let world = World::new();
    let plan = world.plan("a");
    let thread = Thread::new(&plan.folder);
    let name = format!("outlive-{}", std::process::id());
    let mut jail = start(&plan);
    jail.leave(&format!("exec 3>pipe; (trap '' TERM INT HUP; setsid -f bash -c ': {name}; printf x >&3; exec -a {name} sleep 9000')"));
    let mut daemon = thread.taken();
    jail.leave(&format!(": {name}; trap '' TERM INT HUP QUIT; while :; do sleep 1; done"));
    assert!(alive(&name) >= 1);
    assert!(timed(|| jail.jail.end()) < END);
    assert_eq!(alive(&name), 0);
    assert_eq!(daemon.read_to_end(&mut Vec::new()).unwrap(), 0);
}

#[test]
fn a_jail_ends_even_if_what_serves_it_hangs() {
    let world = World::new();
    let plan = world.plan("a");
    let mut jail = start(&plan);
    let outer = format!("/proc/{}", jail.jail.pid());
    jail.tell(&json!("Hang"));
    assert!(timed(|| jail.jail.end()) < END);
    assert!(!std::path::Path::new(&outer).exists());
    // Nothing holds the folder any more.
    assert_eq!(start(&plan).bash("echo again"), Answer::new(0, "again"));
}

#[test]
fn a_jail_dies_with_its_outer_process() {
    let world = World::new();
    let plan = world.plan("a");
    let thread = Thread::new(&plan.folder);
    let mut jail = start(&plan);
    jail.leave("setsid -f bash -c 'exec 3>pipe; printf x >&3; exec sleep 9000'");
    let mut daemon = thread.taken();
    kill_process(Pid::from_raw(jail.jail.pid() as i32).unwrap(), Signal::KILL).unwrap();
    assert_eq!(daemon.read_to_end(&mut Vec::new()).unwrap(), 0);
    assert!(jail.has_hung_up());
}

#[test]
fn a_jail_dies_with_a_server_that_is_killed_and_leaves_the_folder_free() {
    let (place, program) = public();
    let root = place.path().join("boxes");
    let folders = sandbox::SessionFolders::new(root.clone(), crate::world::users());
    let folder = folders.make("held").unwrap();
    let thread = Thread::new(&folder);
    let script = "setsid -f bash -c 'exec 3>pipe; printf x >&3; exec sleep 9000'";
    let (mut server, _) = holding(Command::new(&program).arg("hold").arg(&root).arg(script));
    let mut daemon = thread.taken();
    server.kill().unwrap();
    server.wait().unwrap();
    assert_eq!(daemon.read_to_end(&mut Vec::new()).unwrap(), 0);
    folders.remove("held").unwrap();
    assert_eq!(folders.list().unwrap(), []);
}

/// What a killed server leaves when its jail was stopped, before it was killed or just after.
fn stopped(before: bool) -> (TempDir, sandbox::SessionFolders, impl Read) {
    let (place, program) = public();
    let root = place.path().join("boxes");
    let folders = sandbox::SessionFolders::new(root.clone(), crate::world::users());
    let thread = Thread::new(&folders.make("held").unwrap());
    let script = "setsid -f bash -c 'exec 3>pipe; printf x >&3; exec sleep 9000'";
    let (mut server, outer) = holding(Command::new(&program).arg("hold").arg(&root).arg(script));
    let outer = Pid::from_raw(outer.cast_signed()).unwrap();
    let daemon = thread.taken();
    if before {
        kill_process(outer, Signal::STOP).unwrap();
    }
    server.kill().unwrap();
    server.wait().unwrap();
    if !before {
        // It gives what serves the jail a second to end, which hangs. Where a machine took longer than that
        // to come here, it has ended by itself.
        kill_process(outer, Signal::STOP).ok();
    }
    (place, folders, daemon)
}

#[test]
fn a_stopped_jail_goes_on_and_ends_when_its_server_is_killed() {
    let (_place, _folders, mut daemon) = stopped(true);
    assert_eq!(daemon.read_to_end(&mut Vec::new()).unwrap(), 0);
}

#[test]
fn a_jail_that_is_stopped_after_its_server_was_killed_is_ended_by_whoever_needs_the_folder() {
    let (_place, folders, mut daemon) = stopped(false);
    folders.remove("held").unwrap();
    assert_eq!(daemon.read_to_end(&mut Vec::new()).unwrap(), 0);
    assert_eq!(folders.list().unwrap(), []);
}

#[test]
fn a_start_ends_what_a_killed_server_left_stopped_in_its_folder() {
    let (_place, folders, _daemon) = stopped(false);
    let plan = sandbox::JailPlan { folder: folders.make("held").unwrap(), ..World::new().plan("a") };
    assert_eq!(start(&plan).bash("rm pipe; echo free"), Answer::new(0, "free"));
}

#[test]
fn signals_for_the_server_do_not_end_its_jails() {
    let mut jail = alone();
    let outer = Pid::from_raw(jail.jail.pid() as i32).unwrap();
    for signal in [Signal::INT, Signal::TERM, Signal::HUP, Signal::QUIT] {
        kill_process(outer, signal).unwrap();
    }
    // What whoever started this test ignores is ignored in the jail, too: the tools see to that.
    let ignored = Command::new("bash").args(["-c", "trap -p"]).output().unwrap().stdout;
    let alive = format!("{}alive", String::from_utf8(ignored).unwrap());
    assert_eq!(jail.bash("trap -p; echo alive"), Answer::new(0, &alive));
    // What runs inside gets them as usual.
    assert_eq!(jail.bash("sleep 9000 & kill -TERM $!; wait $!").code, Some(143));
}

#[test]
fn a_second_start_waits_for_the_end_of_the_first() {
    let world = World::new();
    let plan = world.plan("a");
    let first = start(&plan);
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let second = scope.spawn(|| {
            let mut second = start(&plan);
            assert!(ended.load(Ordering::SeqCst), "two jails had one folder");
            second.bash("echo second")
        });
        let lock = std::fs::metadata(plan.folder.join("lock")).unwrap();
        let waiter = format!(":{} ", std::os::unix::fs::MetadataExt::ino(&lock));
        let waits = || {
            std::fs::read_to_string("/proc/locks")
                .unwrap()
                .lines()
                .any(|line| line.contains("->") && line.contains(&waiter))
        };
        while !waits() && !second.is_finished() {
            std::thread::yield_now();
        }
        ended.store(true, Ordering::SeqCst);
        first.jail.end();
        assert_eq!(second.join().unwrap(), Answer::new(0, "second"));
    });
}

#[test]
fn a_start_that_waits_in_vain_names_the_lock() {
    let world = World::new();
    let plan = world.plan("a");
    let _first = world.jail("a");
    let fault = try_start(&plan).err().unwrap();
    assert_eq!(fault.step, StartStep::Lock);
}

#[test]
fn a_jail_can_be_started_and_ended_often() {
    let world = World::new();
    for isolation in [Isolation::Local, Isolation::Off] {
        let plan = sandbox::JailPlan { isolation, ..world.plan("a") };
        for _ in 0..5 {
            assert_eq!(start(&plan).bash("echo x"), Answer::new(0, "x"));
        }
    }
    assert!(program().exists());
}
