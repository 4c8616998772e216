//! Processor time and the calendar.

use std::mem;
use std::time::Duration;

/// The processor time that the calling thread has used.
pub(crate) fn thread_cpu_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the structure is valid for writes. The call cannot fail: this clock always exists.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The processor time that all threads of this process have used, in user space and in the kernel.
pub(crate) fn process_times() -> (Duration, Duration) {
    times(libc::RUSAGE_SELF)
}

/// The processor time that the children of this process have used which it has waited for.
#[cfg(feature = "web")]
pub(crate) fn children_cpu_time() -> Duration {
    let (user, system) = times(libc::RUSAGE_CHILDREN);
    user + system
}

fn times(of: libc::c_int) -> (Duration, Duration) {
    // SAFETY: the structure is plain numbers, for which all zeroes are a value.
    let mut usage: libc::rusage = unsafe { mem::zeroed() };
    // SAFETY: the structure is valid for writes. The call cannot fail: it asks for this process or
    // its children.
    unsafe { libc::getrusage(of, &raw mut usage) };
    let time = |time: libc::timeval| Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1000);
    (time(usage.ru_utime), time(usage.ru_stime))
}

/// The moment in universal time, like `2026-01-31 23:59:59 UTC`.
pub(crate) fn utc_now() -> String {
    // SAFETY: a null pointer says that the result is wanted only as a value.
    let seconds = unsafe { libc::time(std::ptr::null_mut()) };
    // SAFETY: the structure is plain numbers and a pointer, for which all zeroes are a value.
    let mut parts: libc::tm = unsafe { mem::zeroed() };
    // SAFETY: both pointers are to locals that outlive the call.
    unsafe { libc::gmtime_r(&raw const seconds, &raw mut parts) };
    let (year, month) = (parts.tm_year + 1900, parts.tm_mon + 1);
    let (day, hour, minute, second) = (parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec);
    format!("{year}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

/// How many ticks of `/proc/PID/stat` a second has.
pub(crate) fn ticks_per_second() -> u64 {
    // SAFETY: the call takes no pointer.
    let ticks = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    u64::try_from(ticks).expect("the kernel knows its tick")
}
