//! Ways out of a workspace through every tool, each tried and found closed.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use protocol::tool::BuiltinName;
use sandbox::Isolation;
use serde_json::json;

use crate::support::{ONE, TRUE_JAIL, TWO, World, jail, text, within};

const SECRET: &str = "the-content-of-the-host";

/// A jail, and a file and a directory of the host that everybody may read and write.
fn world() -> World {
    let world = jail(Isolation::Local, |_| {});
    std::fs::set_permissions(world.data.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    host_file(&world, "secret");
    world
}

fn host_file(world: &World, name: &str) -> String {
    let path = world.data.path().join(name);
    std::fs::write(&path, format!("{SECRET}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Finds the secret, and does not hold it.
const PATTERN: &str = "the-[c]ontent-of-the-host";

/// Every tool on `path`, which must give and change nothing of the host's.
async fn every_tool(world: &World, path: &str) {
    let tools = [
        (BuiltinName::Read, json!({"file_path": path})),
        (BuiltinName::Edit, json!({"file_path": path, "old_string": "-of-the-", "new_string": "changed"})),
        (BuiltinName::Grep, json!({"pattern": PATTERN, "path": path})),
        (BuiltinName::Glob, json!({"pattern": "secret*", "path": path})),
        (BuiltinName::Bash, json!({"command": format!("cat '{path}'; grep -r '{PATTERN}' '{path}'")})),
    ];
    for (tool, input) in tools {
        let said = text(&within(60, world.tool(ONE, tool, input)).await);
        assert!(!said.contains(SECRET), "{tool:?} {path}: {said}");
    }
    unchanged(world);
}

fn unchanged(world: &World) {
    let secret = std::fs::read_to_string(world.data.path().join("secret")).unwrap();
    assert_eq!(secret, format!("{SECRET}\n"));
    let mut names: Vec<_> =
        std::fs::read_dir(world.data.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["sandboxes", "secret"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_path_of_the_host_leads_nowhere() {
    let world = world();
    let secret = world.data.path().join("secret").display().to_string();
    every_tool(&world, &secret).await;
    every_tool(&world, world.data.path().to_str().unwrap()).await;
    every_tool(&world, &format!("../../../..{secret}")).await;
    // Made inside, if at all: the host's stays as it is.
    world.tool(ONE, BuiltinName::Write, json!({"file_path": secret, "content": "changed"})).await;
    unchanged(&world);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_do_not_lead_out_of_the_jail() {
    let world = world();
    let data = world.data.path().to_str().unwrap().to_owned();
    let made = world
        .bash(
            ONE,
            &format!(
                "ln -s {data}/secret file; ln -s {data} dir; ln -s / all; ln -s ../../../../../..{data} up"
            ),
        )
        .await;
    assert!(!made.is_error, "{made:?}");
    for path in
        ["file", "dir", "dir/secret", "up/secret", &format!("all{data}/secret"), "/proc/self/cwd/file"]
    {
        every_tool(&world, path).await;
        // What it makes, if anything, is the jail's own.
        world.tool(ONE, BuiltinName::Write, json!({"file_path": path, "content": "changed"})).await;
        unchanged(&world);
    }
    // A walk of all there is.
    let found =
        within(60, world.tool(ONE, BuiltinName::Grep, json!({"pattern": PATTERN, "path": "/mnt"}))).await;
    assert!(!text(&found).contains(SECRET), "{found:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_that_were_planted_from_outside_lead_nowhere_either() {
    let world = world();
    let workspace = world.folders().make(&ONE.to_string()).unwrap().join("workspace");
    std::os::unix::fs::symlink(world.data.path().join("secret"), workspace.join("file")).unwrap();
    std::os::unix::fs::symlink(world.data.path(), workspace.join("dir")).unwrap();
    for path in ["file", "dir", "dir/secret", "."] {
        every_tool(&world, path).await;
    }
    world.tool(ONE, BuiltinName::Write, json!({"file_path": "file", "content": "changed"})).await;
    unchanged(&world);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_sessions_workspace_is_out_of_every_tools_reach() {
    let world = world();
    let wrote = world.tool(TWO, BuiltinName::Write, json!({"file_path": "secret", "content": SECRET})).await;
    assert!(!wrote.is_error, "{wrote:?}");
    let theirs = world.folder(TWO).join("workspace");
    assert_eq!(std::fs::read_to_string(theirs.join("secret")).unwrap(), SECRET);
    for path in [theirs.as_path(), &theirs.join("secret"), &world.root(), Path::new("/mnt/session")] {
        every_tool(&world, path.to_str().unwrap()).await;
    }
    let theirs_now = world.tool(TWO, BuiltinName::Read, json!({"file_path": "secret"})).await;
    assert_eq!(text(&theirs_now), SECRET);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_servers_process_is_out_of_every_tools_reach() {
    let world = world();
    let server = std::process::id();
    let found =
        world.tool(ONE, BuiltinName::Bash, json!({"command": format!("ls -d /proc/{server}/root")})).await;
    // A jail of a few processes has no such number.
    assert!(found.is_error || server < 20, "{found:?}");
    let secret = format!("{}/secret", world.data.path().display());
    let roots = [
        format!("/proc/{server}/root"),
        "/proc/1/root".into(),
        "/proc/self/root".into(),
        "/proc/1/cwd/../../..".into(),
    ];
    for root in roots {
        every_tool(&world, &format!("{root}{secret}")).await;
    }
    // What pid 1 has open is no way out, and reading it does not hang.
    for number in 0..12 {
        for path in [format!("/proc/self/fd/{number}"), format!("/proc/1/fd/{number}")] {
            let read = within(60, world.tool(ONE, BuiltinName::Read, json!({"file_path": path}))).await;
            assert!(
                read.is_error || text(&read).is_empty() || text(&read).contains("empty"),
                "{path}: {read:?}"
            );
        }
    }
    for path in [format!("/proc/{server}/environ"), format!("/proc/{server}/mem"), "/proc/self/mem".into()] {
        let read = within(60, world.tool(ONE, BuiltinName::Read, json!({"file_path": path}))).await;
        assert!(read.is_error, "{path}: {read:?}");
    }
    let own = text(&world.tool(ONE, BuiltinName::Read, json!({"file_path": "/proc/self/environ"})).await);
    assert!(!own.contains("CARGO"), "the server's environment came along: {own}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_the_agents_cannot_be_written() {
    let world = world();
    let program = std::fs::read(TRUE_JAIL).unwrap();
    for path in [
        "/usr/bin/planted",
        "/etc/passwd",
        "/bin/planted",
        "/planted",
        "/mnt/planted",
        "/proc/sys/kernel/hostname",
        "/proc/sysrq-trigger",
        "/proc/self/exe",
        "/proc/1/exe",
        "/dev/planted",
    ] {
        let outcome =
            world.tool(ONE, BuiltinName::Write, json!({"file_path": path, "content": "planted"})).await;
        assert!(outcome.is_error, "{path}: {outcome:?}");
    }
    // Where this repository lies in /tmp, a jail can make a file of this name: in a /tmp of its own.
    world.tool(ONE, BuiltinName::Write, json!({"file_path": TRUE_JAIL, "content": "planted"})).await;
    assert!(std::fs::read(TRUE_JAIL).unwrap() == program, "the program was changed");
    let edit =
        json!({"file_path": "/etc/passwd", "old_string": "root", "new_string": "toor", "replace_all": true});
    let outcome = world.tool(ONE, BuiltinName::Edit, edit).await;
    assert!(outcome.is_error, "{outcome:?}");
}

/// The control, without which the tests above would show nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_isolation_the_same_path_is_the_hosts() {
    let world = jail(Isolation::Off, |_| {});
    let secret = host_file(&world, "secret");
    let read = world.tool(ONE, BuiltinName::Read, json!({"file_path": secret})).await;
    assert_eq!(text(&read), format!("{SECRET}\n"));
    let found = world.tool(ONE, BuiltinName::Grep, json!({"pattern": PATTERN, "path": secret})).await;
    assert!(text(&found).contains(SECRET), "{found:?}");
}
