//! Who may start a jail, and what a host that cannot says.

use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

use sandbox::{Isolation, JailUsers, StartStep, WantedUsers};

use crate::world::{COUNT, FIRST, World, is_root, program, public, start, users};

fn said(command: &mut Command) -> (Option<i32>, String) {
    let output = command.output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn an_unprivileged_server_can() {
    let (place, program) = public();
    let mut command = Command::new(program);
    command.arg("start").arg(place.path().join("boxes")).arg("id -u; touch f && stat -c %u f");
    if is_root() {
        command.uid(12_345).gid(12_345);
    }
    assert_eq!(said(&mut command), (Some(0), "{\"code\":0,\"said\":\"1000\\n1000\\n\"}\n".to_owned()));
}

#[test]
fn a_server_that_is_root_gives_its_folders_and_its_terminal_away() {
    if !is_root() {
        return;
    }
    let world = World::new();
    let plan = world.plan("a");
    let mut jail = start(&plan);
    jail.bash("touch f");
    let file = std::fs::metadata(plan.folder.join("workspace/f")).unwrap();
    let user = file.uid();
    assert!((FIRST..FIRST + COUNT).contains(&user) && file.gid() == user, "{file:?}");
    let folder = std::fs::metadata(&plan.folder).unwrap();
    assert_eq!((folder.uid(), folder.gid()), (0, 0));
    let status = std::fs::read_to_string(format!("/proc/{}/status", jail.jail.pid())).unwrap();
    // Of its own session, so that no terminal of the server's is its terminal.
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", jail.jail.pid())).unwrap();
    let session = stat.rsplit_once(") ").unwrap().1.split(' ').nth(3);
    assert_eq!(session, Some(jail.jail.pid().to_string().as_str()));
    let ids: Vec<&str> =
        status.lines().filter(|line| line.starts_with("Uid") || line.starts_with("Groups")).collect();
    assert_eq!(ids, [format!("Uid:\t{user}\t{user}\t{user}\t{user}"), "Groups:\t ".to_owned()]);
}

#[test]
fn a_server_that_is_root_runs_no_agent_as_root() {
    if !is_root() {
        return;
    }
    let world = World::new();
    for wanted in [WantedUsers::One(0), WantedUsers::Range { first: 0, count: 10 }, WantedUsers::Own] {
        let users = JailUsers::new(program(), wanted, 64);
        let fault = sandbox::start(&program(), &world.plan("a"), &users).err().unwrap();
        assert_eq!(fault.step, StartStep::User, "{fault}");
    }
}

#[test]
fn a_host_without_user_namespaces_is_told_what_to_do() {
    let (place, program) = public();
    let root = place.path().join("boxes");
    let (code, said) = said(Command::new(program).arg("start-without-namespaces").arg(root));
    assert_eq!(code, Some(9), "{said}");
    let begin = "the sandbox cannot start: making a user namespace: No space left on device (os error 28). Unprivileged";
    assert!(said.starts_with(begin), "{said}");
    for fix in [
        "apparmor_restrict_unprivileged_userns",
        "user.max_user_namespaces",
        "seccomp=unconfined",
        "systempaths=unconfined",
    ] {
        assert!(said.contains(fix), "{fix}: {said}");
    }
}

#[test]
fn a_probe_finds_a_host_that_can_and_one_that_cannot() {
    let report = sandbox::probe(&users(), &[]);
    assert!(report.ok(), "{report:#?}");
    let names: Vec<&str> = report.checks.iter().map(|check| check.name).collect();
    let wanted = [
        "user namespace",
        "namespaces",
        "file system",
        "proc",
        "inner user",
        "limits",
        "privileges",
        "system calls",
        "loopback",
        "bash",
        "at once",
        "users",
        "own inodes",
        "cgroups",
    ];
    assert_eq!(names, wanted);
    let (code, said) = said(Command::new(program()).arg("probe-without-namespaces"));
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("making a user namespace: No space left on device"), "{said}");
    let later = "not tried, because an earlier step failed: namespaces, file system, proc, ";
    assert_eq!((said.matches("not tried").count(), said.contains(later)), (1, true), "{said}");
}

#[test]
fn faults_name_the_step() {
    let world = World::new();
    let plan = world.plan("a");
    let step = |program: &str, plan: &sandbox::JailPlan| {
        sandbox::start(program.as_ref(), plan, &users()).err().map(|fault| (fault.step, fault.errno))
    };
    assert_eq!(step("relative", &plan), Some((StartStep::Plan, None)));
    assert_eq!(step("/nowhere", &plan), Some((StartStep::Spawn, Some(2))));
    assert_eq!(step("/bin/true", &plan).map(|(step, _)| step), Some(StartStep::Ready));
    let gone =
        sandbox::JailPlan { folder: world.place.path().join("gone"), isolation: Isolation::Off, ..plan };
    assert_eq!(step("/bin/true", &gone), Some((StartStep::Folder, Some(2))));
}
