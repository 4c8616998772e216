//! Limits of resources.

use std::io;

use super::check;

/// Raises the number of descriptors that this process, and those it starts, may have to the most
/// that is allowed, and says how many that is.
pub(crate) fn raise_descriptors() -> io::Result<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the structure is valid for writes.
    check(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) })?;
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: the structure is valid for reads.
    check(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) })?;
    Ok(limit.rlim_max)
}

/// Raises that number to `count`, beyond what is allowed if this process may (`CAP_SYS_RESOURCE`).
/// Returns how many it is.
pub(crate) fn raise_descriptors_to(count: u64) -> io::Result<u64> {
    let most = raise_descriptors()?;
    if most >= count {
        return Ok(most);
    }
    let limit = libc::rlimit { rlim_cur: count, rlim_max: count };
    // SAFETY: the structure is valid for reads.
    let raised = check(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) });
    Ok(if raised.is_ok() { count } else { most })
}

/// Limits the data segment, heap and anonymous maps of this process.
pub(crate) fn limit_data(bytes: u64) -> io::Result<()> {
    let limit = libc::rlimit { rlim_cur: bytes, rlim_max: bytes };
    // SAFETY: the structure is valid for reads.
    check(unsafe { libc::setrlimit(libc::RLIMIT_DATA, &raw const limit) })?;
    Ok(())
}

/// Lets the calling thread, and those it starts, have the processor before all ordinary ones
/// (`CAP_SYS_NICE`).
pub(crate) fn be_urgent() -> io::Result<()> {
    let parameters = libc::sched_param { sched_priority: 1 };
    // SAFETY: the structure is valid for reads; 0 is the calling thread.
    check(unsafe { libc::sched_setscheduler(0, libc::SCHED_RR, &raw const parameters) })?;
    Ok(())
}
