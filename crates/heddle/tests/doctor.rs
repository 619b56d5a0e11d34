//! The sandbox as the person at the terminal meets it: what the doctor says, a host that cannot isolate,
//! `off`.
#![expect(clippy::expect_used, reason = "a test may panic")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

const HEDDLE: &str = env!("CARGO_BIN_EXE_heddle");

/// A host where no further namespace can be made: the same machine, seen from a namespace with none left.
const NOWHERE: &str = "echo 0 > /proc/sys/user/max_user_namespaces && exec \"$@\"";

fn plain(mut command: Command, arguments: &[&str]) -> Command {
    command.args(arguments).stdin(Stdio::null());
    for name in ["HEDDLE_API_KEY", "HEDDLE_CONFIG", "HEDDLE_DATA", "HEDDLE_SANDBOX", "ANTHROPIC_API_KEY"] {
        command.env_remove(name);
    }
    command
}

fn heddle(arguments: &[&str]) -> Command {
    plain(Command::new(HEDDLE), arguments)
}

fn heddle_where_nothing_can_be_isolated(arguments: &[&str]) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "sh", "-c", NOWHERE, "sh", HEDDLE]);
    plain(command, arguments)
}

/// On a disk of its own at `place`, which is mounted with these options; a server that starts there is ended.
fn heddle_on_a_disk(place: &str, options: &str, arguments: &[&str]) -> Command {
    let mount = "mount -t tmpfs -o \"$1\" tmpfs \"$2\" && shift 2 && exec timeout 20 \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", mount, "sh", options, place, HEDDLE]);
    plain(command, arguments)
}

fn told(command: &mut Command) -> (Output, String, String) {
    let output = command.output().expect("it starts");
    let utf8 = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (utf8(&output.stdout), utf8(&output.stderr));
    (output, out, err)
}

fn place() -> (tempfile::TempDir, String) {
    let place = tempfile::tempdir().expect("a directory");
    let data = place.path().join("data").to_str().expect("a plain path").to_owned();
    (place, data)
}

#[test]
fn the_doctor_tries_the_sandbox_for_real() {
    let (_place, data) = place();
    let (output, out, err) = told(&mut heddle(&["doctor", "--listen", "127.0.0.1:0", "--data", &data]));
    assert!(output.status.success(), "{out}{err}");
    let made = format!("ok      data: {data}: it can be made\n");
    for line in [
        "ok      user namespace: ",
        "ok      file system: ",
        "ok      system calls: ",
        "ok      bash: ",
        &made,
        "room: ",
        "ok      port: any that is free\n",
    ] {
        assert!(out.contains(line), "no {line:?} in {out}");
    }
    assert!(out.contains("NOTE: set ANTHROPIC_API_KEY"), "{out}");
    for row in [["threads.max", "25", "default"], ["threads.max_depth", "1", "default"]] {
        assert!(out.lines().any(|line| line.split_whitespace().eq(row)), "{out}");
    }
    assert!(!Path::new(&data).exists(), "the doctor writes nothing");
}

#[test]
fn a_disk_on_which_nothing_can_be_made_stops_both() {
    let place = tempfile::tempdir().expect("a directory");
    let disk = place.path().to_str().expect("a plain path");
    let data = format!("{disk}/data");
    for (options, said) in [("nr_inodes=8", "room for 7 more files (inodes)"), ("size=64k", "full")] {
        for verb in ["serve", "doctor"] {
            let arguments = [verb, "--sandbox=off", "--listen", "127.0.0.1:0", "--data", &data];
            let (output, out, err) = told(&mut heddle_on_a_disk(disk, options, &arguments));
            assert_eq!(output.status.code(), Some(1), "{verb} with {options}: {out}{err}");
            assert!(err.contains(said) && !out.contains("listening on"), "{verb} with {options}: {out}{err}");
        }
    }
}

#[test]
fn where_nothing_can_be_isolated_serve_ends_with_the_reason_and_the_way_out() {
    let (_place, data) = place();
    let serve = ["serve", "--listen", "127.0.0.1:0", "--data", &data];
    let (output, out, err) = told(&mut heddle_where_nothing_can_be_isolated(&serve));
    assert_eq!(output.status.code(), Some(1), "{out}{err}");
    assert!(
        err.contains("this host cannot isolate agents' commands") && err.contains("user namespace"),
        "{err}"
    );
    assert!(err.contains("max_user_namespaces") && err.contains("--sandbox=off"), "{err}");
    assert!(!Path::new(&data).exists(), "nothing is made");

    let (output, out, _) = told(&mut heddle_where_nothing_can_be_isolated(&["doctor", "--data", &data]));
    assert_eq!(output.status.code(), Some(1));
    assert!(out.contains("MISSING user namespace: ") && out.contains("max_user_namespaces"), "{out}");
    assert_eq!(out.matches("not tried").count(), 1, "{out}");
}

#[test]
fn where_nothing_can_be_isolated_the_demo_says_so_and_goes_on() {
    let (output, out, err) = told(&mut heddle_where_nothing_can_be_isolated(&["demo"]));
    assert!(output.status.success(), "{out}{err}");
    assert!(out.contains("this host cannot isolate commands"), "{out}");
    assert!(out.contains("result       woven by two threads"), "{out}");
}

#[test]
fn a_sandbox_that_is_off_is_said_wherever_one_looks() {
    let (_place, data) = place();
    let doctor = ["doctor", "--listen", "127.0.0.1:0", "--data", &data, "--sandbox", "off"];
    let (output, out, err) = told(&mut heddle(&doctor));
    assert!(output.status.success(), "{out}{err}");
    assert!(out.contains("WARNING: the sandbox is OFF"), "{out}");
    for jail in ["namespace", "loopback", "quota", "cgroup", "inodes"] {
        assert!(!out.contains(jail), "{jail} is said of what there is not: {out}");
    }

    let serve = ["serve", "--listen", "127.0.0.1:0", "--data", &data, "--sandbox=off"];
    let mut serve = heddle(&serve);
    let mut child = serve.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let out = BufReader::new(child.stdout.take().expect("an output"));
    let said: Vec<String> =
        out.lines().map_while(Result::ok).take_while(|line| !line.starts_with("listening")).collect();
    // Whoever reads that it listens finds in the log what was to be said before, however it ends.
    child.kill().expect("it runs");
    let logged = child.wait_with_output().expect("it ends").stderr;
    let logged = String::from_utf8_lossy(&logged);
    assert!(said.iter().any(|line| line.starts_with("WARNING: the sandbox is OFF")), "{said:?}");
    assert!(logged.contains("WARN") && logged.contains("the sandbox is OFF"), "{logged}");
    assert!(!logged.contains("cgroup"), "{logged}");
}
