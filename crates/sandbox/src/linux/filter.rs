//! The filter of system calls: what no agent's program needs and what has opened doors in kernels before.
//!
//! A forbidden call answers EPERM, so that a program can say what it was refused. `clone3` answers ENOSYS,
//! because its flags lie in memory that a filter cannot read; libraries then fall back to `clone`. So do the
//! calls of asynchronous I/O, whose requests are counted for the whole machine, as if it were not built
//! in, and so does every call that is newer than this list, and on x86_64 the whole x32 interface, whose
//! numbers would otherwise pass beside it.

use std::collections::BTreeMap;
use std::env::consts::ARCH;

use nix::libc;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen as Len, SeccompCmpOp as Is, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, apply_filter, sock_filter,
};

use crate::fault::{JailFault, StartStep};

/// The last system call that was looked at: `removexattrat`. Numbers are the same everywhere from 424 on.
const NEWEST: u32 = 466;

/// Whatever the arguments.
const FORBIDDEN: &[i64] = &[
    // Mounts, of both generations. `umount2` is Linux's only umount on 64 bits.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_chroot,
    // Namespaces. `clone` is looked at below.
    libc::SYS_unshare,
    libc::SYS_setns,
    // Other processes.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    // Keyrings belong to a user, not to a namespace.
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    // Large parts of the kernel that run code of their own or wait on behalf of others.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_fanotify_init,
    libc::SYS_fanotify_mark,
    // The machine.
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_syslog,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_vhangup,
    libc::SYS_lookup_dcookie,
    libc::SYS_nfsservctl,
    // Opens a file by number, past every directory on the way.
    libc::SYS_open_by_handle_at,
];

#[cfg(target_arch = "x86_64")]
const FORBIDDEN_HERE: &[i64] =
    &[libc::SYS_iopl, libc::SYS_ioperm, libc::SYS_modify_ldt, libc::SYS_uselib, libc::SYS__sysctl];
#[cfg(not(target_arch = "x86_64"))]
const FORBIDDEN_HERE: &[i64] = &[];

/// Asynchronous I/O: one jail could take all requests that the machine has (fs.aio-max-nr).
const NOT_THERE: [i64; 7] = [
    libc::SYS_clone3,
    libc::SYS_io_setup,
    libc::SYS_io_destroy,
    libc::SYS_io_submit,
    libc::SYS_io_cancel,
    libc::SYS_io_getevents,
    IO_PGETEVENTS,
];

/// Not in the library for every machine.
#[cfg(target_arch = "x86_64")]
const IO_PGETEVENTS: i64 = 333;
#[cfg(not(target_arch = "x86_64"))]
const IO_PGETEVENTS: i64 = 292;

/// CLONE_NEWTIME is none of them: `clone` takes its bit for a part of the signal.
const NEW_NAMESPACES: [i32; 7] = [
    libc::CLONE_NEWNS,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWCGROUP,
];

/// What can put characters into a terminal or change what it is.
/// TIOCSTI, TIOCLINUX, TIOCSETD; written out because libraries give them different types.
const TERMINAL_TRICKS: [u64; 3] = [0x5412, 0x541c, 0x5423];

/// The older ways to the same as `fallocate`: FS_IOC_RESVSP and FS_IOC_RESVSP64, XFS_IOC_ALLOCSP and
/// XFS_IOC_ALLOCSP64, FS_IOC_ZERO_RANGE.
const RESERVING: [u64; 5] = [0x4030_5828, 0x4030_582a, 0x4030_580a, 0x4030_5824, 0x4030_5839];

/// Plain Linux, 32-bit addresses, no randomising, and "which is it?".
const PERSONALITIES: [u64; 4] = [0, 0x8, 0x0004_0000, 0xffff_ffff];

const FAMILIES: [i32; 4] = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];

/// Of the internet: the usual one, and by name.
const PROTOCOLS: [i32; 5] =
    [0, libc::IPPROTO_TCP, libc::IPPROTO_UDP, libc::IPPROTO_ICMP, libc::IPPROTO_ICMPV6];

/// From here on the filter holds for this process and all that it starts.
pub(crate) fn apply() -> Result<(), JailFault> {
    let failed = |error: seccompiler::Error| JailFault::new(StartStep::Filter, error.to_string());
    let arch =
        TargetArch::try_from(ARCH).map_err(|error| JailFault::new(StartStep::Filter, error.to_string()))?;
    let compile = |rules, action| -> Result<BpfProgram, JailFault> {
        SeccompFilter::new(rules, SeccompAction::Allow, action, arch)
            .and_then(BpfProgram::try_from)
            .map_err(|error| failed(error.into()))
    };
    let rules = rules().map_err(|error| failed(error.into()))?;
    let refused = compile(rules, SeccompAction::Errno(libc::EPERM as u32))?;
    let not_there = NOT_THERE.map(|call| (call, Vec::new())).into();
    let unknown = compile(not_there, SeccompAction::Errno(libc::ENOSYS as u32))?;
    let reserving = reserving().map_err(|error| failed(error.into()))?;
    let no_room = compile(reserving, SeccompAction::Errno(libc::EOPNOTSUPP as u32))?;
    for program in [newer_is_unknown(), unknown, no_room, refused] {
        apply_filter(&program).map_err(failed)?;
    }
    Ok(())
}

/// Room on a disk that is taken without being written: a whole disk in milliseconds, faster than anybody
/// could see it go. Programs know file systems that cannot do so, and write instead. Holes may be made.
fn reserving() -> Result<BTreeMap<i64, Vec<SeccompRule>>, seccompiler::BackendError> {
    let hole = libc::FALLOC_FL_PUNCH_HOLE as u64;
    let takes = SeccompCondition::new(1, Len::Dword, Is::MaskedEq(hole), 0)?;
    let asked: Result<Vec<_>, _> = RESERVING
        .into_iter()
        .map(|request| SeccompRule::new(vec![SeccompCondition::new(1, Len::Dword, Is::Eq, request)?]))
        .collect();
    Ok([(libc::SYS_fallocate, vec![SeccompRule::new(vec![takes])?]), (libc::SYS_ioctl, asked?)].into())
}

fn rules() -> Result<BTreeMap<i64, Vec<SeccompRule>>, seccompiler::BackendError> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        FORBIDDEN.iter().chain(FORBIDDEN_HERE).map(|call| (*call, Vec::new())).collect();
    // A rule is met when all of its conditions are; a call is refused when one of its rules is met.
    let when = |argument, is, value| SeccompCondition::new(argument, Len::Dword, is, value);

    let namespaces = NEW_NAMESPACES.map(|flag| u64::from(flag as u32));
    let clone: Result<Vec<_>, _> = namespaces
        .into_iter()
        .map(|flag| SeccompRule::new(vec![when(0, Is::MaskedEq(flag), flag)?]))
        .collect();
    rules.insert(libc::SYS_clone, clone?);

    let terminal: Result<Vec<_>, _> = TERMINAL_TRICKS
        .into_iter()
        .map(|request| SeccompRule::new(vec![when(1, Is::Eq, request)?]))
        .collect();
    rules.insert(libc::SYS_ioctl, terminal?);

    let personality: Result<Vec<_>, _> =
        PERSONALITIES.into_iter().map(|known| when(0, Is::Ne, known)).collect();
    rules.insert(libc::SYS_personality, vec![SeccompRule::new(personality?)?]);

    // Limits of others: those of pid 1 are the jail's.
    let others = vec![when(0, Is::Ne, 0)?, SeccompCondition::new(2, Len::Qword, Is::Ne, 0)?];
    rules.insert(libc::SYS_prlimit64, vec![SeccompRule::new(others)?]);

    let families: Result<Vec<_>, _> =
        FAMILIES.into_iter().map(|known| when(0, Is::Ne, known as u64)).collect();
    let families = SeccompRule::new(families?)?;
    // Of netlink only routes, which programs ask for their own addresses.
    let netlink = SeccompRule::new(vec![
        when(0, Is::Eq, libc::AF_NETLINK as u64)?,
        when(2, Is::Ne, libc::NETLINK_ROUTE as u64)?,
    ])?;
    // Others are modules that the kernel would load for whoever asks.
    let mut protocols = Vec::new();
    for family in [libc::AF_INET, libc::AF_INET6] {
        let others: Result<Vec<_>, _> =
            PROTOCOLS.into_iter().map(|known| when(2, Is::Ne, known as u64)).collect();
        let mut conditions = vec![when(0, Is::Eq, family as u64)?];
        conditions.extend(others?);
        protocols.push(SeccompRule::new(conditions)?);
    }
    rules.insert(libc::SYS_socket, [vec![families, netlink], protocols].concat());
    // Pairs there are of local sockets alone.
    let pairs = SeccompRule::new(vec![when(0, Is::Ne, libc::AF_UNIX as u64)?])?;
    rules.insert(libc::SYS_socketpair, vec![pairs]);
    Ok(rules)
}

/// By hand, because a rule names one call: "if the number is above NEWEST, answer ENOSYS".
fn newer_is_unknown() -> BpfProgram {
    let step = |code: u32, jt, jf, k| sock_filter { code: code as u16, jt, jf, k };
    vec![
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        step(libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K, 0, 1, NEWEST),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ]
}
