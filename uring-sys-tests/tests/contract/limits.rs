//! Limits and prohibitions: how the kernel says no, so that the driver can say why.
//!
//! Each refusal is diagnosed by its errno. One errno for two reasons would make the advice wrong.

use std::fs::OpenOptions;
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::thread;
use std::time::{Duration, Instant};

use io_uring::types::Fd;
use io_uring::{EnterFlags, IoUring, opcode};
use uring_sys_tests::child::Verdict;
use uring_sys_tests::completion::Errno;
use uring_sys_tests::memory::{Pages, page_size};
use uring_sys_tests::op::Op;
use uring_sys_tests::raw::{self, checked};
use uring_sys_tests::ring::{Ring, patience};

use crate::case::cases;
use crate::files::unused_path;

cases![
    seccomp_eperm @ in_own_process,
    ring_needs_a_descriptor @ in_own_process,
    memlock_accounting @ in_own_process,
    odirect_alignment,
];

/// A seccomp filter that forbids io_uring shows as the errno that it chose, `EPERM` in containers.
/// The driver names the filter as the reason; an existing ring's enter is forbidden likewise.
fn seccomp_eperm() {
    let mut ring = Ring::plain(8);
    forbid_io_uring();
    assert_eq!(raw::setup(8, 0).map_err(|e| Errno::of(&e)).err(), Some(Errno(libc::EPERM)));
    ring.push(&Op::nop());
    let enter = ring.enter(1, 0, EnterFlags::empty(), None);
    assert_eq!(enter.map_err(|e| Errno::of(&e)), Err(Errno(libc::EPERM)));
}

/// Installs a filter in the manner of the container runtimes: the calls of io_uring are `EPERM`.
fn forbid_io_uring() {
    let statement = |code: u32, k: u32| libc::sock_filter { code: code as u16, jt: 0, jf: 0, k };
    let jump_past = |call: libc::c_long, jt: u8| libc::sock_filter {
        code: (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16,
        jt,
        jf: 0,
        k: call as u32,
    };
    let refuse = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
    let filter = [
        // The number of the call is the first field of what the filter sees.
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0),
        jump_past(libc::SYS_io_uring_setup, 3),
        jump_past(libc::SYS_io_uring_enter, 2),
        jump_past(libc::SYS_io_uring_register, 1),
        statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW),
        statement(libc::BPF_RET | libc::BPF_K, refuse),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_ptr().cast_mut() };
    // SAFETY: the kernel copies the program while the call lasts.
    let installed = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
            | libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &program)
    };
    checked(installed.into()).expect("install the filter");
}

pub(crate) fn set_limit(resource: libc::__rlimit_resource_t, value: u64) {
    let limit = libc::rlimit { rlim_cur: value, rlim_max: value };
    // SAFETY: reads `limit`, which lives for the call.
    checked(unsafe { libc::setrlimit(resource, &limit) }.into()).expect("set a limit");
}

/// Without a free descriptor a ring is `EMFILE`, which the step-down must not take for a flag.
/// The driver names the limit on descriptors as the reason.
fn ring_needs_a_descriptor() {
    set_limit(libc::RLIMIT_NOFILE, 0);
    assert_eq!(raw::setup(8, 0).map_err(|e| Errno::of(&e)).err(), Some(Errno(libc::EMFILE)));
}

/// Where rings are charged to the user's locked memory, one too many is `ENOMEM`, and closing
/// others makes room again, after a while. The driver retries, then tries smaller, then says so.
fn memlock_accounting() -> Verdict {
    const LIMIT: u64 = 256 << 10;
    const ENOUGH: usize = 64;
    // While it may: Linux before 5.16 has a lower limit to begin with.
    set_limit(libc::RLIMIT_MEMLOCK, LIMIT);
    if let Err(reason) = become_unprivileged() {
        return Verdict::Skipped(format!("needs to change its user: {reason}"));
    }
    let mut rings = Vec::new();
    let refused = loop {
        match IoUring::new(64) {
            Ok(ring) if rings.len() < ENOUGH => rings.push(ring),
            Ok(_) => break None,
            Err(error) => break Some(Errno::of(&error)),
        }
    };
    let Some(refused) = refused else {
        return Verdict::Skipped("needs rings charged to locked memory (6.16 to 6.19)".into());
    };
    assert_eq!(refused, Errno(libc::ENOMEM), "after {} rings", rings.len());
    assert!(!rings.is_empty(), "a limit of {LIMIT} bytes fits a ring of 64 entries");
    drop(rings);
    let deadline = Instant::now() + patience();
    while let Err(error) = IoUring::new(64) {
        assert_eq!(Errno::of(&error), Errno(libc::ENOMEM));
        assert!(Instant::now() < deadline, "closed rings were not given back");
        thread::sleep(Duration::from_millis(1));
    }
    Verdict::Held
}

/// Becomes a user with no privileges and no rings.
pub(crate) fn become_unprivileged() -> io::Result<()> {
    const UNUSED_USER: libc::uid_t = 64_001;
    // SAFETY: the call takes no pointer; this process has one thread.
    checked(unsafe { libc::setuid(UNUSED_USER) }.into()).map(drop)
}

/// A direct read whose buffer, length or place is not aligned is `EINVAL`; aligned, it reads.
/// The driver's direct files check alignment first and name what is wrong, for the errno does not.
fn odirect_alignment() -> Verdict {
    let path = unused_path();
    let length = page_size();
    std::fs::write(&path, vec![1; length]).expect("write a file");
    let opened = OpenOptions::new().read(true).custom_flags(libc::O_DIRECT).open(&path);
    std::fs::remove_file(&path).expect("remove the file's name");
    let Ok(file) = opened else {
        return Verdict::Skipped("needs O_DIRECT in the directory for temporary files".into());
    };
    let mut ring = Ring::plain(8);
    let pages = ManuallyDrop::new(Pages::new(2 * length));
    let mut read = |shift: usize, length: usize, offset: u64| {
        let length = u32::try_from(length).expect("a length fits the entry");
        // SAFETY: within the pages, which are leaked.
        let read = unsafe {
            let start = pages.as_ptr().add(shift);
            let fd = Fd(file.as_raw_fd());
            Op::from_entry(opcode::Read::new(fd, start, length).offset(offset).build())
        };
        ring.run(read).outcome()
    };
    assert_eq!(read(0, length, 0), Ok(length as u32));
    let misaligned = [read(1, length, 0), read(0, length - 1, 0), read(0, length, 1)];
    if misaligned[1].is_ok() {
        return Verdict::Skipped("needs a file system that enforces alignment".into());
    }
    assert_eq!(misaligned, [Err(Errno(libc::EINVAL)); 3], "buffer, length, place");
    Verdict::Held
}
