//! Privileges: none are there, and none can be had.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::world::{Answer, World, alone, is_root, outside, public, start};

#[test]
fn a_program_is_an_ordinary_user_without_capabilities() {
    let mut jail = alone();
    let script = "id -u; id -g; grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status | tr '\\t' ' '; cat /proc/self/uid_map | tr -s ' '";
    let none = "0000000000000000";
    let wanted = format!(
        "1000\n1000\nCapInh: {none}\nCapPrm: {none}\nCapEff: {none}\nCapBnd: {none}\nCapAmb: {none}\nNoNewPrivs: 1\n\
         Seccomp: 2\n 1000 0 1"
    );
    assert_eq!(jail.bash(script), Answer::new(0, &wanted));
}

#[test]
fn every_namespace_is_the_jails_own() {
    let list = "cd /proc/self/ns && readlink cgroup ipc mnt net pid user uts";
    let (inside, host) = (alone().bash(list), outside("bash", list));
    let pairs: Vec<_> = inside.said.lines().zip(host.said.lines()).collect();
    assert_eq!(pairs.len(), 7, "{}", inside.said);
    for (inside, host) in pairs {
        assert_ne!(inside, host);
    }
}

/// Each line is a call of the system and how it must answer inside. Numbers from 424 on are the same
/// everywhere.
const CALLS: &str = "import ctypes,errno,os,platform,fcntl
libc=ctypes.CDLL(None,use_errno=True)
SIGCHLD=17; NEWNS=0x20000; NEWUSER=0x10000000; NEWNET=0x40000000; NEWPID=0x20000000
clone={'x86_64':56,'aarch64':220}[platform.machine()]
def tried(name,call,*words):
  ctypes.set_errno(0)
  result=call(*words)
  print(name, 'done' if result>=0 else errno.errorcode[ctypes.get_errno()])
  return result
def forked(name,*words):
  pid=os.fork()
  if pid==0: tried(name,*words); os._exit(0) if not os.sys.stdout.flush() else None
  os.waitpid(pid,0)
os.sys.stdout.reconfigure(line_buffering=True)
tried('mount tmpfs', libc.mount,b'x',b'/tmp',b'tmpfs',0,None)
tried('mount bind', libc.mount,b'/usr',b'/tmp',None,4096,None)
tried('remount usr', libc.mount,None,b'/usr',None,32|4096,None)
tried('mount proc', libc.mount,b'proc',b'/tmp',b'proc',0,None)
tried('umount', libc.umount2,b'/proc/sys',2)
tried('open_tree', libc.syscall,428,-100,b'/usr',1)
tried('move_mount', libc.syscall,429,-100,b'/usr',-100,b'/tmp',0)
tried('fsopen', libc.syscall,430,b'tmpfs',0)
tried('mount_setattr', libc.syscall,442,-100,b'/usr',0,None,0)
tried('open_tree_attr', libc.syscall,467,-100,b'/usr',1,None,0)
tried('chroot', libc.chroot,b'/tmp')
tried('setns', libc.setns,os.open('/proc/self/ns/net',0),0)
tried('io_uring', libc.syscall,425,8,None)
tried('clone3', libc.syscall,435,None,0)
x86=platform.machine()=='x86_64'; context=ctypes.c_ulong()
tried('io_setup', libc.syscall,206 if x86 else 0,1,ctypes.byref(context))
tried('io_submit', libc.syscall,209 if x86 else 2,context,0,None)
two=(ctypes.c_int*2)()
for name,family,kind,protocol in (('unix',1,1,0),('inet',2,1,0),('tipc',30,1,0),('vsock',40,1,0),('alg',38,5,0),('packet',17,3,0)):
  tried('socketpair '+name, libc.socketpair,family,kind,protocol,two)
for name,family,kind,protocol in (('tcp',2,1,6),('udp6',10,2,0),('route',16,3,0),('sctp',2,5,132),('dccp',10,6,33),('audit',16,3,9),('vsock',40,1,0),('alg',38,5,0),('packet',17,3,0)):
  tried('socket '+name, libc.socket,family,kind,protocol)
tried('pidfd_getfd', libc.syscall,438,-1,0,0)
tried('sethostname', libc.sethostname,b'x',1)
for name,flag in (('user',NEWUSER),('mount',NEWNS),('net',NEWNET),('pid',NEWPID)):
  forked('unshare '+name, libc.unshare,flag)
  if libc.syscall(clone,flag|SIGCHLD,0,0,0,0)==0: os._exit(0)
  print('clone',name,errno.errorcode.get(ctypes.get_errno(),'done'))
forked('setuid', libc.setuid,0)
forked('setgroups', libc.setgroups,0,None)
forked('personality', libc.personality,0x0400000)
tried('personality asked', libc.personality,0xffffffff)
for name,request in (('TIOCSTI',0x5412),('TIOCLINUX',0x541c)):
  try: fcntl.ioctl(os.openpty()[1],request,b'x'); print(name,'done')
  except OSError as e: print(name,errno.errorcode[e.errno])
";

const REFUSED: &str = "mount tmpfs EPERM
mount bind EPERM
remount usr EPERM
mount proc EPERM
umount EPERM
open_tree EPERM
move_mount EPERM
fsopen EPERM
mount_setattr EPERM
open_tree_attr ENOSYS
chroot EPERM
setns EPERM
io_uring EPERM
clone3 ENOSYS
io_setup ENOSYS
io_submit ENOSYS
socketpair unix done
socketpair inet EPERM
socketpair tipc EPERM
socketpair vsock EPERM
socketpair alg EPERM
socketpair packet EPERM
socket tcp done
socket udp6 done
socket route done
socket sctp EPERM
socket dccp EPERM
socket audit EPERM
socket vsock EPERM
socket alg EPERM
socket packet EPERM
pidfd_getfd EPERM
sethostname EPERM
unshare user EPERM
clone user EPERM
unshare mount EPERM
clone mount EPERM
unshare net EPERM
clone net EPERM
unshare pid EPERM
clone pid EPERM
setuid EINVAL
setgroups EPERM
personality EPERM
personality asked done
TIOCSTI EPERM
TIOCLINUX EPERM";

#[test]
fn what_has_opened_doors_is_refused() {
    assert_eq!(alone().python(CALLS), Answer::new(0, REFUSED));
    // Outside the same program reaches what needs no privilege.
    let control = "import ctypes,os
libc=ctypes.CDLL(None,use_errno=True)
print(libc.personality(0x0400000), libc.ptrace(0,0,0,0), libc.syscall(435,None,0), ctypes.get_errno())";
    assert_eq!(outside("/usr/bin/python3", control), Answer::new(0, "0 0 -1 22"));
    // This kernel allows user namespaces, or the jail would not have started.
    assert_eq!(outside("bash", "unshare -U true").code, Some(0));
}

#[test]
fn setuid_programs_gain_nothing() {
    let world = World::new();
    let plan = world.plan("a");
    let planted = plan.folder.join("workspace/bash");
    let plant = |path: &std::path::Path| {
        fs::copy("/bin/bash", path).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o6755)).unwrap();
    };
    plant(&planted);
    if is_root() {
        let (place, _) = public();
        let control = place.path().join("bash");
        plant(&control);
        let output =
            Command::new(control).args(["-p", "-c", "id -u"]).uid(65_534).gid(65_534).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "0\n");
    }
    let mut jail = start(&plan);
    assert_eq!(jail.bash("./bash -p -c 'id -u; id -ru'"), Answer::new(0, "1000\n1000"));
    let gained = jail.bash("for f in $(find /usr/bin -perm -4000); do echo $f; done | head -20 > /tmp/f; su -c id root < /dev/null");
    assert_ne!(gained.code, Some(0), "{}", gained.said);
    assert_eq!(
        jail.bash(
            "cp bash own && chmod u+s own && ./own -p -c 'grep CapEff /proc/self/status | tr -d \"\\t\"'"
        )
        .said,
        "CapEff:0000000000000000"
    );
}
