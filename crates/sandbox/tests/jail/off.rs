//! Without isolation: the same program and the same end, and no promise of more.

use std::fs;
use std::io::Read;

use sandbox::Isolation;

use crate::world::{Answer, Thread, World, alive, start};

#[test]
fn it_runs_in_the_folder_with_the_hosts_path_and_nothing_else_of_the_servers() {
    let world = World::new();
    let plan = sandbox::JailPlan { isolation: Isolation::Off, ..world.plan("a") };
    let mut jail = start(&plan);
    assert_eq!(jail.bash("pwd -P; env | grep -c CARGO; echo $USER $HOME $TMPDIR; cd $TMPDIR").said, {
        let folder = fs::canonicalize(&plan.folder).unwrap();
        let given = plan.folder.display();
        format!("{}/workspace\n0\nagent {given}/home {given}/tmp", folder.display())
    });
    assert_eq!(jail.bash("echo $PATH").said, host_path());
    assert_eq!(jail.bash("ulimit -Hf"), Answer::new(0, "2097152"));
}

#[test]
fn daemons_do_not_outlive_it_either() {
    let world = World::new();
    let plan = sandbox::JailPlan { isolation: Isolation::Off, ..world.plan("a") };
    let thread = Thread::new(&plan.folder);
    let name = format!("off-{}", std::process::id());
    let mut jail = start(&plan);
    jail.leave(&format!(
        "exec 3>pipe; (trap '' TERM; setsid -f bash -c 'printf x >&3; exec -a {name} sleep 9000')"
    ));
    let mut daemon = thread.taken();
    jail.jail.end();
    assert_eq!(daemon.read_to_end(&mut Vec::new()).unwrap(), 0);
    assert_eq!(alive(&name), 0);
}

#[expect(clippy::disallowed_methods, reason = "what the jail must hand on")]
fn host_path() -> String {
    std::env::var("PATH").unwrap()
}
