//! Inodes: what a jail sees of the host it sees through its own, so that neither knows of the other.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::process::Command;

use rustix::fs::{FlockOperation, flock};
use serde_json::json;

use crate::world::{Answer, World, alone, outside};

/// Watches what is named, says so by a line, and tells what it saw until somebody makes `/workspace/stop`.
const WATCH: &str = "import ctypes,os,select,sys,time
libc=ctypes.CDLL(None,use_errno=True); fd=libc.inotify_init1(0)
for path in sys.argv[1:]: assert libc.inotify_add_watch(fd,path.encode(),0xfff)>=0, path
os.close(os.open('/workspace/ready',os.O_CREAT))
while not os.path.exists('/workspace/stop'): time.sleep(0.01)
print(len(os.read(fd,65536)) if select.select([fd],[],[],0)[0] else 0)";

#[test]
fn what_others_open_and_run_is_not_seen() {
    let world = World::new();
    let tree = tempfile::tempdir().unwrap();
    fs::set_permissions(tree.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(tree.path().join("file"), "x").unwrap();
    let mut plan = world.plan("a");
    plan.readonly = vec![tree.path().to_owned()];
    let mut jail = world.try_start(&plan).unwrap();
    let path = tree.path().to_str().unwrap();
    let watched = ["/usr/bin", "/usr/bin/true", "/etc/ld.so.cache", "/etc/os-release", path];
    let words = [&["/usr/bin/python3", "-c", WATCH], &watched[..]].concat();
    jail.tell(&json!({"Run": {"words": words}}));
    while !plan.folder.join("workspace/ready").exists() {
        std::thread::yield_now();
    }
    let mut other = world.jail("b");
    assert_eq!(other.bash("/usr/bin/true; cat /etc/os-release > /dev/null").code, Some(0));
    assert!(Command::new("/usr/bin/true").status().unwrap().success());
    for file in [tree.path().join("file"), "/etc/ld.so.cache".into(), "/etc/os-release".into()] {
        fs::read(file).unwrap();
    }
    File::create(plan.folder.join("workspace/stop")).unwrap();
    assert_eq!(jail.answer(), Answer::new(0, "0"));
}

#[test]
fn a_lock_on_a_hosts_file_is_the_jails_own() {
    let mut jail = alone();
    let taken = File::open("/usr/bin/true").unwrap();
    flock(&taken, FlockOperation::NonBlockingLockExclusive).unwrap();
    jail.leave("flock /etc/ld.so.cache sleep 1000");
    assert_eq!(jail.bash("flock -n /usr/bin/true echo free"), Answer::new(0, "free"));
    assert_ne!(outside("bash", "flock -n /usr/bin/true true").code, Some(0));
    // Held inside since: by then the host has had its turn more than once.
    let held = jail.bash("while flock -n /etc/ld.so.cache true; do sleep 0.02; done; echo held");
    assert_eq!(held, Answer::new(0, "held"));
    assert_eq!(outside("bash", "flock -n /etc/ld.so.cache echo free").said, "free");
}

#[test]
fn a_socket_of_the_host_in_a_readonly_tree_is_not_spoken_to() {
    let world = World::new();
    let tree = tempfile::tempdir().unwrap();
    fs::set_permissions(tree.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let path = tree.path().join("socket");
    let _listens = UnixListener::bind(&path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
    let mut plan = world.plan("a");
    plan.readonly = vec![tree.path().to_owned()];
    let mut jail = world.try_start(&plan).unwrap();
    let connect = format!(
        "import socket; s=socket.socket(socket.AF_UNIX); print(s.connect_ex({:?}))",
        path.to_str().unwrap()
    );
    // ECONNREFUSED, and outside it listens.
    assert_eq!(jail.python(&connect), Answer::new(0, "111"));
    assert_eq!(outside("/usr/bin/python3", &connect).said, "0");
}

#[test]
fn what_is_mounted_below_a_tree_is_shown_too() {
    if !crate::world::is_root() {
        return;
    }
    let world = World::new();
    let tree = tempfile::tempdir().unwrap();
    fs::set_permissions(tree.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(tree.path().join("file"), "single").unwrap();
    let inner = tree.path().join("a b/inner");
    fs::create_dir_all(&inner).unwrap();
    let mount =
        |words: &[&str]| assert!(Command::new("mount").args(words).arg(&inner).status().unwrap().success());
    mount(&["-t", "tmpfs", "-o", "size=64k,mode=0755", "x"]);
    fs::write(inner.join("file"), "inner").unwrap();
    let mut plan = world.plan("a");
    plan.readonly = vec![tree.path().to_owned(), "/usr/share/zoneinfo/UTC".into()];
    let said = world.try_start(&plan).map(|mut jail| {
        let path = tree.path().display();
        jail.bash(&format!("cat {path}/file '{path}/a b/inner/file'; touch '{path}/a b/inner/new' || ls /usr/share/zoneinfo/UTC; ls -A / | grep shown"))
    });
    assert!(Command::new("umount").arg(&inner).status().unwrap().success());
    let said = said.unwrap().said;
    assert!(
        said.starts_with("singleinner/usr/share/zoneinfo/UTC\n") && said.ends_with("Read-only file system"),
        "{said}"
    );
}
