//! Users: each running jail is one that no other is, and a session's files are its jail's own.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use sandbox::{JailUsers, SessionFolders, WantedUsers};

use crate::world::{Answer, FIRST, Inmate, World, holding, is_root, program, public, start};

/// Another range than that of the other tests, and for each `place` another: whoever starts with it finds
/// files that are not its own.
fn others(place: u32, count: u32) -> JailUsers {
    JailUsers::new(program(), WantedUsers::Range { first: other(place), count }, 64)
}

fn other(place: u32) -> u32 {
    FIRST + place * 1_000_000
}

fn user(jail: &Inmate) -> u32 {
    fs::metadata(format!("/proc/{}", jail.jail.pid())).unwrap().uid()
}

#[test]
fn two_running_jails_have_two_users_and_a_folder_keeps_its_own() {
    if !is_root() {
        return;
    }
    let world = World::new();
    let (a, b) = (world.jail("a"), world.jail("b"));
    let (user_a, user_b) = (user(&a), user(&b));
    assert_ne!(user_a, user_b);
    drop((a, b));
    assert_eq!([user(&world.jail("a")), user(&world.jail("b"))], [user_a, user_b]);
    // Taken by another: the next one, and all files with it.
    let users = others(1, 2);
    let plan = world.plan("a");
    let taken = sandbox::start(&program(), &world.plan("c"), &users).unwrap();
    let other = sandbox::start(&program(), &plan, &users).unwrap();
    let of = |jail: &sandbox::Jail| fs::metadata(format!("/proc/{}", jail.pid())).unwrap().uid();
    assert_ne!(of(&taken), of(&other));
    assert_eq!(fs::metadata(plan.folder.join("workspace")).unwrap().uid(), of(&other));
}

#[test]
fn two_servers_of_one_range_share_no_user_and_a_killed_one_leaves_its_free() {
    if !is_root() {
        return;
    }
    let (place, program) = public();
    let root = place.path().join("boxes");
    // Of one name, so that every search begins at the same user.
    let name = "of-two-servers";
    let (mut server, outer) = holding(Command::new(&program).arg("hold").arg(&root).args(["true", name]));
    let theirs = fs::metadata(format!("/proc/{outer}")).unwrap().uid();
    let ours = || {
        let world = World::new();
        let users = JailUsers::new(program.clone(), WantedUsers::DEFAULT, 64);
        user(&Inmate::new(sandbox::start(&program, &world.plan(name), &users).unwrap()))
    };
    assert_ne!(ours(), theirs);
    server.kill().unwrap();
    server.wait().unwrap();
    // Waits for the end of what it left.
    SessionFolders::new(root, crate::world::users()).remove(name).unwrap();
    assert_eq!(ours(), theirs);
}

#[test]
fn files_of_a_range_that_the_settings_no_longer_name_go_to_the_new_user() {
    if !is_root() {
        return;
    }
    let world = World::new();
    let plan = world.plan("a");
    let mut before = start(&plan);
    assert_eq!(before.bash("mkdir d; echo kept > d/f; chmod 600 d/f; chmod 700 d").code, Some(0));
    before.jail.end();
    // Another range, then one user for all, then a range again: each restart has but the last of them.
    for wanted in
        [WantedUsers::Range { first: other(5), count: 64 }, WantedUsers::One(65_534), WantedUsers::DEFAULT]
    {
        let users = JailUsers::new(program(), wanted, 64);
        let mut jail = Inmate::new(sandbox::start(&program(), &plan, &users).unwrap());
        let own = user(&jail);
        assert_eq!(jail.bash("cat d/f; echo x > d/x && rm d/x"), Answer::new(0, "kept"), "{wanted:?}");
        assert_eq!(fs::metadata(plan.folder.join("workspace/d/f")).unwrap().uid(), own);
    }
}

/// Everything a tree can hold that is hard to walk.
const MAKE: &str = "import os
os.chdir('/workspace')
open('f','w').write('kept'); os.link('f','g'); os.link('f','/workspace/h')
os.symlink('/etc/passwd','out'); os.symlink('..','up'); os.symlink('nowhere','dead')
os.mkfifo('pipe'); os.mkdir('shut'); open('shut/in','w').close()
open(b'\\xff\\xfe','w').close(); open('a b\\n','w').close()
open('suid','w').close(); os.chmod('suid',0o6755)
for _ in range(3000): os.mkdir('d'); open('x','w').close(); os.chdir('d')
os.chdir('/workspace'); os.mkdir('many')
for i in range(2000): open('many/%d'%i,'w').close(); i%20 or os.mkdir('many/d%d'%i)
for i in range(3): os.mkdir('/home/agent/e%d'%i)
import socket; socket.socket(socket.AF_UNIX).bind('sock')
os.chmod('shut/in',0); os.chmod('shut',0)";

/// What is not the agent's, what is left of the bits, and whether it can be used.
const LOOK: &str = "find /workspace /home/agent /mnt/session ! \\( -user agent -group agent \\) 2> /dev/null | head; \
                    stat -c %a suid; cat f; chmod 700 shut; chmod 600 shut/in; echo x >> shut/in; rm -rf d many";

#[test]
fn files_become_the_next_jails_own_whatever_they_are_and_no_link_is_followed() {
    if !is_root() {
        return;
    }
    let world = World::new();
    let outer = world.place.path().join("precious");
    fs::create_dir(&outer).unwrap();
    let plan = world.plan("a");
    let mut jail = start(&plan);
    assert_eq!(jail.python(MAKE).said, "");
    jail.jail.end();
    symlink(&outer, plan.folder.join("workspace/precious")).unwrap();
    let users = others(2, 1);
    let mut jail = Inmate::new(sandbox::start(&program(), &plan, &users).unwrap());
    assert_eq!(jail.bash(LOOK), Answer::new(0, "755\nkept"));
    assert_eq!([fs::metadata(&outer).unwrap().uid(), fs::metadata("/etc/passwd").unwrap().uid()], [0, 0]);
    assert!(!plan.folder.join("owner").exists());
}

#[test]
fn what_a_killed_start_left_half_given_the_next_one_finishes() {
    if !is_root() {
        return;
    }
    let world = World::new();
    let plan = world.plan("a");
    let mut jail = start(&plan);
    let before = user(&jail);
    assert_eq!(jail.bash("mkdir -p a/b c; touch a/f a/b/f c/f").code, Some(0));
    jail.jail.end();
    // It had reached `a/b`, and `c` had been given to a third one even earlier.
    let workspace = plan.folder.join("workspace");
    let (here, third) = (other(3), other(4));
    for (path, user) in [("a/b/f", here), ("a/b", here), ("c/f", third), ("c", here)] {
        chown(workspace.join(path), Some(user), Some(user)).unwrap();
    }
    fs::write(plan.folder.join("owner"), format!("{here} mixed")).unwrap();
    assert_ne!(before, here);
    let mut jail = Inmate::new(sandbox::start(&program(), &plan, &others(3, 1)).unwrap());
    assert_eq!(
        jail.bash("find / -xdev ! -user agent -path '/workspace/*'; find . ! -user agent; echo done"),
        Answer::new(0, "done")
    );
}

/// A line of /etc/subuid and /etc/subgid for a user who has none, gone at the end.
struct SubUsers;

/// `newuidmap` serves only whom /etc/passwd names.
const NAME: &str = "daemon";
const SUB: u32 = 1_900_000_000;
const LINE: &str = "daemon:1900000000:5000\n";
const OTHER_LINE: &str = "daemon:1800000000:5000\n";

fn plain() -> (u32, u32) {
    let passwd = fs::read_to_string("/etc/passwd").unwrap();
    let line = passwd.lines().find_map(|line| line.strip_prefix(NAME)?.strip_prefix(":x:")).unwrap();
    let mut numbers = line.split(':').map(|number| number.parse().unwrap());
    (numbers.next().unwrap(), numbers.next().unwrap())
}

impl SubUsers {
    fn new(line: &str) -> Option<Self> {
        if !is_root() || !Path::new("/usr/bin/newuidmap").exists() {
            return None;
        }
        for file in ["/etc/subuid", "/etc/subgid"] {
            fs::write(file, Self::without(file) + line).unwrap();
        }
        Some(Self)
    }

    fn without(file: &str) -> String {
        fs::read_to_string(file).unwrap_or_default().replace(LINE, "").replace(OTHER_LINE, "")
    }
}

impl Drop for SubUsers {
    fn drop(&mut self) {
        for file in ["/etc/subuid", "/etc/subgid"] {
            fs::write(file, Self::without(file)).unwrap();
        }
    }
}

/// Files of all kinds of owners, and how many inotify instances one jail gets.
const INSTANCES: &str = "touch f; ln f g; mkdir d; id -u; python3 -c 'import ctypes
libc=ctypes.CDLL(None); n=0
while libc.inotify_init()>=0: n+=1
print(n)'";

/// As a server that is not root.
fn plainly(program: &Path, words: &[&str]) -> (Option<i32>, String) {
    let (user, group) = plain();
    let output = Command::new(program).args(words).uid(user).gid(group).output().unwrap();
    let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
    said.push_str(&String::from_utf8_lossy(&output.stderr));
    (output.status.code(), said)
}

#[test]
fn a_plain_server_runs_jails_as_its_sub_users_and_removes_what_they_left() {
    if !is_root() {
        return;
    }
    let (place, program) = public();
    let root = place.path().join("boxes");
    let boxes = root.to_str().unwrap().to_owned();
    let owner = |path: &str| fs::symlink_metadata(root.join("alone").join(path)).unwrap().uid();
    // Without sub-users: its own.
    let first = plainly(&program, &["start", &boxes, INSTANCES]);
    assert_eq!(first, (Some(0), "{\"code\":0,\"said\":\"1000\\n4\\n\"}\n".to_owned()));
    let own = plain().0;
    assert_eq!(owner("workspace/f"), own);
    let Some(lines) = SubUsers::new(LINE) else { return };
    // With them: what was its own becomes a sub-user's.
    let second = plainly(
        &program,
        &["start", &boxes, "find . ! -user agent; echo x > f; rm -r d; mkdir e; chmod 0 e; id -u"],
    );
    assert_eq!(second, (Some(0), "{\"code\":0,\"said\":\"1000\\n\"}\n".to_owned()));
    let sub = owner("workspace/f");
    assert!((SUB + 904..SUB + 5_000).contains(&sub), "{sub}");
    assert_eq!([owner("workspace/e"), owner("results"), owner("."), owner("lock")], [sub, sub, own, own]);
    let groups =
        plainly(&program, &["start", &boxes, "grep -E 'Groups|Uid' /proc/self/status; stat -c %U e"]);
    assert!(groups.1.contains("Groups:\\t \\n") && groups.1.contains("agent"), "{groups:?}");
    // A second server of this user, at the same time: another sub-user, though both begin at the same.
    let (user, group) = plain();
    let (mut server, _) =
        holding(Command::new(&program).args(["hold", &boxes, "true", "two"]).uid(user).gid(group));
    let beside = place.path().join("beside");
    assert_eq!(plainly(&program, &["start", beside.to_str().unwrap(), "true", "two"]).0, Some(0));
    let of = |root: &Path| fs::metadata(root.join("two/workspace")).unwrap().uid();
    assert_ne!(of(&root), of(&beside));
    server.kill().unwrap();
    server.wait().unwrap();
    // Without its lines, or with others, it can neither run nor remove what it does not own, and says so.
    drop(lines);
    for lines in [None, SubUsers::new(OTHER_LINE)] {
        let (code, said) = plainly(&program, &["start", &boxes, "true"]);
        assert!(code == Some(9) && said.contains("/etc/subuid"), "{said}");
        drop(lines);
    }
    let lines = SubUsers::new(LINE);
    for (root, name) in [(&boxes, "two"), (&beside.to_str().unwrap().to_owned(), "two")] {
        assert_eq!(plainly(&program, &["remove", root, name]), (Some(0), String::new()));
    }
    assert_eq!(plainly(&program, &["remove", &boxes, "alone"]), (Some(0), String::new()));
    assert!(!root.join("alone").exists());
    drop(lines);
}

#[test]
fn a_folder_of_an_earlier_version_goes_on() {
    if !is_root() {
        return;
    }
    let world = World::new();
    let folder = world.place.path().join("data/sandboxes/a");
    // All of it was nobody's.
    for part in ["workspace", "home", "outputs", "results", "root"] {
        fs::create_dir_all(folder.join(part)).unwrap();
    }
    for file in ["workspace/kept", "lock", "used"] {
        fs::write(folder.join(file), "kept").unwrap();
    }
    for path in ["", "workspace", "workspace/kept", "home", "outputs", "results", "root", "lock"] {
        let mode = if path == "workspace/kept" || path == "lock" { 0o600 } else { 0o700 };
        fs::set_permissions(folder.join(path), fs::Permissions::from_mode(mode)).unwrap();
        chown(folder.join(path), Some(65_534), Some(65_534)).unwrap();
    }
    let mut jail = world.jail("a");
    assert_eq!(jail.bash("cat kept; echo more >> kept; find . ! -user agent"), Answer::new(0, "kept"));
    jail.jail.end();
    world.folders.remove("a").unwrap();
    assert_eq!(world.folders.list().unwrap(), []);
    assert_eq!(SessionFolders::new(folder, world.users.clone()).list().unwrap(), []);
}
