//! What Linux says of a file beyond what every Unix does.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{AtFlags, PROC_SUPER_MAGIC, StatxFlags, fstatfs, statx};

/// `sysfs`, which the library does not name.
const SYSFS_MAGIC: u64 = 0x6265_6572;

/// When a file was made, which nobody can set; nothing where the file system does not keep it.
pub(in crate::inside) fn born(folder: BorrowedFd<'_>, name: &CStr) -> Option<(i64, i64)> {
    let found = statx(folder, name, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::BTIME).ok()?;
    let told = StatxFlags::from_bits_retain(found.stx_mask).contains(StatxFlags::BTIME);
    told.then_some((found.stx_btime.tv_sec, i64::from(found.stx_btime.tv_nsec)))
}

/// Whether what is open is of the kernel's own file systems, where a file is a switch or a process.
pub(in crate::inside) fn is_kernels(open: impl AsFd) -> bool {
    fstatfs(open).is_ok_and(|found| [PROC_SUPER_MAGIC as u64, SYSFS_MAGIC].contains(&(found.f_type as u64)))
}
