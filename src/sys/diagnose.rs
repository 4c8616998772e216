//! Why the kernel refuses a ring.

use std::{fs, io};

use super::errno::{EACCES, EINVAL, ENOMEM, ENOSYS, EPERM};
use super::pages::Pages;
use crate::error::SetupError;

/// The reason behind the error of a set-up call.
pub(super) fn diagnose(error: io::Error) -> SetupError {
    match error.raw_os_error() {
        Some(ENOSYS) => SetupError::NotInKernel,
        Some(EPERM | EACCES) => match disabled_level() {
            Some(level @ 1..) => SetupError::Disabled { level },
            _ => SetupError::Forbidden,
        },
        Some(ENOMEM) if !can_map() => SetupError::AddressSpace { limit: limit(libc::RLIMIT_AS) },
        Some(ENOMEM) => SetupError::LockedMemory { limit: limit(libc::RLIMIT_MEMLOCK) },
        Some(EINVAL) => {
            SetupError::TooOld { feature: "a completion queue of its own size", since: "5.5" }
        }
        _ => SetupError::Other(error),
    }
}

/// The sysctl that switches io_uring off, where the kernel has it (6.6).
fn disabled_level() -> Option<u8> {
    fs::read_to_string("/proc/sys/kernel/io_uring_disabled").ok()?.trim().parse().ok()
}

/// Whether this process can map as much memory as the smallest ring takes: that fails with the same
/// number as locking it.
fn can_map() -> bool {
    Pages::reserve(64 * 1024).is_ok()
}

/// A soft limit, if there is one.
fn limit(resource: libc::__rlimit_resource_t) -> Option<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the call writes one `rlimit`.
    let result = unsafe { libc::getrlimit(resource, &mut limit) };
    (result == 0 && limit.rlim_cur != libc::RLIM_INFINITY).then_some(limit.rlim_cur)
}
