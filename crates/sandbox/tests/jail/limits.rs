//! Limits: they hold for the jail as a whole where they say so, and cannot be raised.

use std::io::Read;

use sandbox::JailLimits;

use crate::world::{Answer, Thread, World, alive, alone, start};

#[test]
fn limits_cannot_be_raised() {
    let mut jail = alone();
    assert_eq!(
        jail.bash("ulimit -Hu; ulimit -u; ulimit -Hd; ulimit -d; ulimit -Hf; ulimit -Hc").said,
        "512\n512\n4194304\n4194304\n2097152\n0"
    );
    for raise in ["-u 513", "-Hu 513", "-n 20000000", "-d unlimited", "-f unlimited", "-c 1"] {
        let answer = jail.bash(&format!("ulimit {raise}"));
        assert!(answer.said.ends_with("Operation not permitted"), "{raise}: {}", answer.said);
    }
    for pid in [0, 1] {
        let raise = format!("import resource; resource.prlimit({pid}, resource.RLIMIT_NPROC, (600, 600))");
        assert!(
            jail.python(&raise).said.ends_with("PermissionError: [Errno 1] Operation not permitted"),
            "{pid}"
        );
    }
    // Nor can those of pid 1 be lowered, which would end the tools.
    let lower = "import resource; resource.prlimit(1, resource.RLIMIT_NOFILE, (3, 3))";
    assert!(jail.python(lower).said.ends_with("PermissionError: [Errno 1] Operation not permitted"));
}

#[test]
fn processes_are_counted_for_each_jail() {
    let world = World::new();
    let script = "import os,time
n=0
while True:
  try:
    if os.fork()==0: time.sleep(1000)
    n+=1
  except BlockingIOError: break
print(n)
os.kill(-1,9)";
    let mut plan = world.plan("a");
    plan.limits.processes = 40;
    let mut full = start(&plan);
    full.leave("for i in {1..60}; do sleep 1000 & done; wait");
    // Less pid 1 and the program itself.
    let mut other = start(&sandbox::JailPlan { folder: world.plan("b").folder, ..plan });
    assert_eq!(other.python(script), Answer::new(0, "38"));
}

#[test]
fn a_fork_bomb_stays_inside_and_ends_with_the_jail() {
    let world = World::new();
    let plan = world.plan("a");
    let thread = Thread::new(&plan.folder);
    let name = format!("bomb-{}", std::process::id());
    let mut jail = start(&plan);
    jail.leave(&format!("exec 3>pipe; b() {{ : {name}; b | b & }}; b; printf x >&3; while :; do b; done"));
    let mut pipe = thread.taken();
    // A second jail of the same user has its own count.
    assert_eq!(world.jail("b").bash("echo fine"), Answer::new(0, "fine"));
    assert!(alive(&name) <= 512);
    jail.jail.end();
    assert_eq!(alive(&name), 0);
    pipe.read_to_end(&mut Vec::new()).unwrap();
}

#[test]
fn files_memory_and_tmp_are_bounded() {
    let world = World::new();
    let mib = 1024 * 1024;
    let mut plan = world.plan("a");
    plan.limits = JailLimits { file_bytes: mib, data_bytes: 512 * mib, tmp_bytes: 8 * mib, ..plan.limits };
    let mut jail = start(&plan);
    jail.bash("trap '' XFSZ; head -c 2M /dev/zero > big");
    assert_eq!(jail.bash("stat -c %s big"), Answer::new(0, "1048576"));
    assert!(jail.python("x=bytearray(600*1024*1024)").said.contains("MemoryError"));
    assert_eq!(jail.python("x=bytearray(100*1024*1024); print(len(x))"), Answer::new(0, "104857600"));
    let fill = jail.bash("for i in {1..12}; do head -c 1M /dev/zero > /tmp/$i; done");
    assert!(fill.said.contains("No space left on device"), "{}", fill.said);
    assert!(jail.bash("df --output=used -B1M /tmp | tail -1").said.parse::<u32>().unwrap() <= 8);
    assert!(
        jail.bash("i=0; while (( i < 300000 )) && : > /tmp/f$i; do (( i += 1 )); done")
            .said
            .contains("No space left")
    );
}

#[test]
fn room_on_the_disk_cannot_be_reserved_but_holes_can_be_made() {
    let mut jail = alone();
    let answer = jail.bash("fallocate -l 1M new; stat -c %b new; head -c 1M /dev/zero > old; fallocate -p -l 1M old; stat -c %b old");
    assert!(
        answer.said.contains("Operation not supported") && answer.said.starts_with("0\n0\n"),
        "{}",
        answer.said
    );
    // The older way: FS_IOC_RESVSP64.
    let older = "import fcntl,struct; f=open('other','w'); fcntl.ioctl(f, 0x4030582a, struct.pack('hhxxxxqqi4i', 0, 0, 0, 1<<20, 0, 0,0,0,0))";
    let said = jail.python(older).said;
    assert!(said.contains("Operation not supported") || said.contains("[Errno 95]"), "{said}");
}

#[test]
fn nobody_inside_sets_whom_the_kernel_ends_first() {
    let mut jail = alone();
    let answer = jail.bash(
        "echo 0 > /proc/self/oom_score_adj; echo 0 > /proc/$$/oom_score_adj; cat /proc/self/oom_score_adj",
    );
    assert_eq!(answer.said.matches("Read-only file system").count(), 2, "{}", answer.said);
    assert!(answer.said.starts_with("1000\n"), "{}", answer.said);
}
