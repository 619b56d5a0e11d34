//! Other processes: those of the host cannot be seen, and pid 1 can be neither read nor killed.

use std::io::Read;
use std::os::unix::process::CommandExt;

use crate::world::{Answer, Thread, World, alone, is_root, outside, public, start};

#[test]
fn the_servers_environment_and_memory_are_not_there() {
    let world = World::new();
    let mut jail = world.jail("a");
    let own = std::process::id();
    // Cargo gives it to this process, which plays the server.
    let control = outside("bash", &format!("grep -c -a CARGO_MANIFEST_DIR= /proc/{own}/environ"));
    assert_eq!(control, Answer::new(0, "1"));
    assert_eq!(jail.bash("cat /proc/[0-9]*/environ 2>/dev/null | grep -c -a CARGO"), Answer::new(1, "0"));
    assert!(jail.bash(&format!("kill -0 {own}")).said.ends_with("No such process"));
    // Only this shell.
    assert_eq!(jail.bash("set -- /proc/[0-9]*; echo $#"), Answer::new(0, "1"));
}

#[test]
fn a_program_sees_six_variables() {
    let mut jail = alone();
    let seen = jail.ask(&serde_json::json!({"Run": {"words": ["/usr/bin/env"]}}));
    let mut seen: Vec<&str> = seen.said.lines().collect();
    seen.sort_unstable();
    let wanted = [
        "HOME=/home/agent",
        "LANG=C.UTF-8",
        "PATH=/usr/local/bin:/usr/bin:/bin",
        "TERM=dumb",
        "TMPDIR=/tmp",
        "USER=agent",
    ];
    assert_eq!(seen, wanted);
}

#[test]
fn pid_1_cannot_be_looked_into() {
    let mut jail = alone();
    for file in [
        "environ",
        "mem",
        "maps",
        "cmdline",
        "status",
        "root/",
        "cwd/",
        "exe",
        "fd/0",
        "ns/user",
        "oom_score_adj",
    ] {
        let answer = jail.bash(&format!("cat /proc/1/{file}"));
        assert!(answer.said.ends_with("No such file or directory"), "{file}: {}", answer.said);
    }
    assert_eq!(jail.bash("ls -d /proc/1").code, Some(2));
    // The same files of an own process can be read.
    let own =
        jail.bash("cd /proc/$$ && cat environ maps cmdline status > /dev/null && ls root/ fd/ > /dev/null");
    assert_eq!(own, Answer::new(0, ""));
}

#[test]
fn open_files_of_the_server_are_not_handed_on() {
    let (place, program) = public();
    let script = format!(
        "exec 7</etc/passwd 8>{0}/out 19</; exec {1} start {0}/boxes 'ls /proc/self/fd | wc -l'",
        place.path().display(),
        program.display()
    );
    // 0, 1, 2 and the directory that is listed.
    assert_eq!(outside("bash", &script), Answer::new(0, "{\"code\":0,\"said\":\"4\\n\"}"));
    assert_eq!(
        outside("bash", "exec 7</etc/passwd 19</; ls /proc/self/fd | grep -cxE '7|19'"),
        Answer::new(0, "2")
    );
}

#[test]
fn pid_1_cannot_be_killed_from_inside() {
    let mut jail = alone();
    for attempt in ["kill -9 1", "kill -STOP 1", "kill -TERM 1; kill -SEGV 1", "kill -9 -1; true"] {
        assert_eq!(jail.bash(attempt).code, Some(0), "{attempt}");
        assert_eq!(jail.bash("echo still here"), Answer::new(0, "still here"), "{attempt}");
    }
}

/// What has a handler interrupts pid 1, and many signals at once overflow the stack that handlers run on.
#[test]
fn pid_1_has_a_handler_for_no_signal() {
    let mut jail = alone();
    jail.bash("true");
    let outer = jail.jail.pid();
    let children = std::fs::read_to_string(format!("/proc/{outer}/task/{outer}/children")).unwrap();
    let children: Vec<&str> = children.split_whitespace().collect();
    let [inner] = children[..] else { panic!("{children:?}") };
    let status = std::fs::read_to_string(format!("/proc/{inner}/status")).unwrap();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:\t"));
    assert_eq!(caught, Some("0000000000000000"), "{status}");
}

#[test]
fn neither_pid_1_nor_a_sibling_can_be_traced() {
    let world = World::new();
    let plan = world.plan("a");
    let thread = Thread::new(&plan.folder);
    let mut jail = start(&plan);
    jail.leave("echo $$ > /tmp/pid; exec 3>pipe; printf x >&3; exec sleep 1000");
    let mut sibling = thread.taken();
    let script = "import ctypes,os,errno
libc=ctypes.CDLL(None,use_errno=True)
pid=int(open('/tmp/pid').read())
buf=ctypes.create_string_buffer(8)
class Vec(ctypes.Structure): _fields_=[('base',ctypes.c_void_p),('len',ctypes.c_size_t)]
v=Vec(ctypes.addressof(buf),8)
def tried(name,result): print(name, 'done' if result>=0 else errno.errorcode[ctypes.get_errno()])
for p in (1,pid):
  tried('attach', libc.ptrace(16,p,0,0))
  tried('seize', libc.ptrace(0x4206,p,0,0))
  tried('read', libc.process_vm_readv(p,ctypes.byref(v),1,ctypes.byref(v),1,0))
  tried('write', libc.process_vm_writev(p,ctypes.byref(v),1,ctypes.byref(v),1,0))
tried('traceme', libc.ptrace(0,0,0,0))";
    let one = "attach EPERM\nseize EPERM\nread EPERM\nwrite EPERM\n";
    assert_eq!(jail.python(script), Answer::new(0, &format!("{one}{one}traceme EPERM")));
    jail.jail.end();
    assert_eq!(sibling.read_to_end(&mut Vec::new()).unwrap(), 0);
}

/// What is left of the parts of /proc that tell of the host, and one that is not hidden.
const HOST: &str = "cd /proc; for name in acpi bootconfig bus cmdline diskstats driver fs interrupts iomem ioports \
                    irq kallsyms kcore key-users keys latency_stats modules partitions sched_debug schedstat swaps \
                    timer_list; do [ -d $name ] && ls -A $name; [ -f $name ] && cat $name; done; grep -c ^MemTotal meminfo";

#[test]
fn proc_tells_nothing_of_how_the_host_was_booted_and_of_its_devices() {
    assert!(outside("bash", HOST).said.contains("root"), "the host has nothing to hide");
    assert_eq!(alone().bash(HOST), Answer::new(0, "1"));
    if !is_root() {
        return;
    }
    let (place, program) = public();
    let root = place.path().join("boxes");
    let mut plain = std::process::Command::new(&program);
    let plain = plain.arg("start").arg(root).arg(HOST).uid(2).gid(2).output().unwrap();
    assert_eq!(String::from_utf8(plain.stdout).unwrap(), "{\"code\":0,\"said\":\"1\\n\"}\n");
}
