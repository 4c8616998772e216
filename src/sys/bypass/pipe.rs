//! Pipes, and what can be used like one end of a pipe: FIFOs, terminals, inherited streams.
//!
//! A descriptor that others share must stay blocking for them: the mode belongs to the open file,
//! not to the descriptor. So reads and writes that are not to wait say so themselves
//! (`RWF_NOWAIT`), and where the kernel has no such reads of a file (pipes before 6.5, terminals),
//! the file is opened once more, with a mode of its own ([`reopen`]).

use std::ffi::CString;
use std::io;
use std::mem::{self, MaybeUninit};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

use super::no_sigpipe::NoSigpipe;
use super::nonblocking::outcome;
use crate::sys::Completion;

/// `RWF_NOSIGNAL`: a write to a broken pipe raises no SIGPIPE (6.18).
const RWF_NOSIGNAL: libc::c_int = 0x100;

/// Whether calls on a descriptor wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waits {
    Yes,
    /// `O_NONBLOCK`.
    No,
}

/// How a call on a descriptor is made that is not to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    /// The open file is `O_NONBLOCK`.
    NonBlocking,
    /// The open file may block: the call says that it must not wait (`RWF_NOWAIT`).
    NoWait,
    /// It is a socket.
    Socket,
}

/// What a descriptor is, as far as reading and writing it as a stream is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A pipe or FIFO.
    Pipe,
    /// A terminal that a program runs in, not the other end of one.
    Terminal,
    /// Another character device, such as /dev/null, or a descriptor without a file.
    Device,
    Socket,
    /// A file, block device or directory: always ready, and a read of it may wait for a device.
    File,
}

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// A new pipe, close-on-exec: the end to read from, and the end to write to.
pub(crate) fn pair(waits: Waits) -> io::Result<(OwnedFd, OwnedFd)> {
    let mut fds = [-1; 2];
    let mode = if waits == Waits::No { libc::O_NONBLOCK } else { 0 };
    // SAFETY: the call writes two descriptors.
    check(unsafe { libc::pipe2(fds.as_mut_ptr(), libc::O_CLOEXEC | mode) })?;
    // SAFETY: both have just been opened, and nothing else owns them.
    let [read, write] = fds.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) });
    Ok((read, write))
}

pub(crate) fn kind(fd: BorrowedFd<'_>) -> io::Result<Kind> {
    let mut stat = MaybeUninit::<libc::stat>::uninit();
    // SAFETY: the call writes one `stat`.
    check(unsafe { libc::fstat(fd.as_raw_fd(), stat.as_mut_ptr()) })?;
    // SAFETY: the call has succeeded, and so written it.
    let mode = unsafe { stat.assume_init() }.st_mode;
    Ok(match mode & libc::S_IFMT {
        libc::S_IFIFO => Kind::Pipe,
        libc::S_IFSOCK => Kind::Socket,
        libc::S_IFREG | libc::S_IFDIR | libc::S_IFBLK => Kind::File,
        libc::S_IFCHR if is_terminal(fd) => Kind::Terminal,
        _ => Kind::Device,
    })
}

/// The other end of a pseudoterminal counts as a device: opened once more, it would be another one.
fn is_terminal(fd: BorrowedFd<'_>) -> bool {
    let mut number: libc::c_int = 0;
    // SAFETY: the first call takes no pointers, and the second writes one integer.
    unsafe {
        libc::isatty(fd.as_raw_fd()) == 1
            && libc::ioctl(fd.as_raw_fd(), libc::TIOCGPTN, &raw mut number) < 0
    }
}

/// The flags of an open file (`F_GETFL`).
fn flags(fd: BorrowedFd<'_>) -> io::Result<libc::c_int> {
    // SAFETY: the call takes no pointers.
    check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL) })
}

pub(crate) fn waits(fd: BorrowedFd<'_>) -> io::Result<Waits> {
    Ok(if flags(fd)? & libc::O_NONBLOCK == 0 { Waits::Yes } else { Waits::No })
}

/// Sets whether calls wait, for all descriptors of the same open file.
pub(crate) fn set_waits(fd: BorrowedFd<'_>, waits: Waits) -> io::Result<()> {
    let others = flags(fd)? & !libc::O_NONBLOCK;
    let mode = if waits == Waits::No { libc::O_NONBLOCK } else { 0 };
    // SAFETY: the call takes no pointers.
    check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, others | mode) }).map(drop)
}

/// Whether a descriptor was opened for reading, and whether for writing.
pub(crate) fn directions(fd: BorrowedFd<'_>) -> io::Result<(bool, bool)> {
    let mode = flags(fd)? & libc::O_ACCMODE;
    Ok((mode != libc::O_WRONLY, mode != libc::O_RDONLY))
}

/// How many bytes a pipe holds.
pub(crate) fn capacity(fd: BorrowedFd<'_>) -> io::Result<usize> {
    // SAFETY: the call takes no pointers.
    check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETPIPE_SZ) }).map(|bytes| bytes as usize)
}

/// Sets how many bytes a pipe holds, at least, and returns how many it does.
pub(crate) fn set_capacity(fd: BorrowedFd<'_>, bytes: usize) -> io::Result<usize> {
    // What no pipe can hold is the kernel's to refuse.
    let bytes = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX);
    // SAFETY: the call takes no pointers.
    let set = check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETPIPE_SZ, bytes) })?;
    Ok(set as usize)
}

/// Duplicates a descriptor of this process by its number, close-on-exec.
pub(crate) fn duplicate(fd: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: the call takes no pointers.
    let fd = check(unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 3) })?;
    // SAFETY: the kernel has just made `fd`, so nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Opens the pipe or terminal of a descriptor once more, in the same direction, so that calls on it
/// do not wait while those on the first still do. It needs /proc, and the permission to open it.
pub(crate) fn reopen(fd: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let kept = flags(fd)? & (libc::O_ACCMODE | libc::O_DIRECT);
    let path = CString::new(format!("/proc/self/fd/{}", fd.as_raw_fd()))?;
    let flags = kept | libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: the path ends with a zero byte.
    let fd = check(unsafe { libc::open(path.as_ptr(), flags) })?;
    // SAFETY: the kernel has just made `fd`, so nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Reads the bytes that are available, at most `length`. Fails with `EAGAIN` if the call would
/// block, and with `EOPNOTSUPP` if the file has no such reads.
///
/// # Safety
///
/// `target` is valid for writes of `length` bytes.
pub(crate) unsafe fn read_now(fd: RawFd, call: Call, target: *mut u8, length: usize) -> Completion {
    let part = libc::iovec { iov_base: target.cast(), iov_len: length };
    // SAFETY: passed on by the caller; the one part is that memory.
    unsafe { read_parts_now(fd, call, &raw const part, 1) }
}

/// [`read_now`] into several parts.
///
/// # Safety
///
/// There are `count` parts, which are valid for writes.
pub(crate) unsafe fn read_parts_now(
    fd: RawFd,
    call: Call,
    parts: *const libc::iovec,
    count: usize,
) -> Completion {
    let number = count as libc::c_int;
    // SAFETY: passed on by the caller.
    outcome(|| unsafe {
        match call {
            Call::NonBlocking => libc::readv(fd, parts, number),
            Call::NoWait => libc::preadv2(fd, parts, number, -1, libc::RWF_NOWAIT),
            Call::Socket => libc::recvmsg(fd, &mut message(parts, count), libc::MSG_DONTWAIT),
        }
    })
}

/// A message without an address or control messages.
fn message(parts: *const libc::iovec, count: usize) -> libc::msghdr {
    // SAFETY: `msghdr` is plain data, for which all zeroes is valid.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    message.msg_iov = parts.cast_mut();
    message.msg_iovlen = count as _;
    message
}

/// Whether the kernel may have `RWF_NOSIGNAL`.
static MAY_HAVE_NOSIGNAL: AtomicBool = AtomicBool::new(true);

/// Writes as much as there is room for, of `length` bytes. Fails with `EAGAIN` if there is none,
/// and with `EOPNOTSUPP` if the file has no such writes.
///
/// # Safety
///
/// `source` is valid for reads of `length` bytes.
pub(crate) unsafe fn write_now(
    fd: RawFd,
    call: Call,
    source: *const u8,
    length: usize,
) -> Completion {
    let part = libc::iovec { iov_base: source.cast_mut().cast(), iov_len: length };
    // SAFETY: passed on by the caller; the one part is that memory.
    unsafe { write_parts_now(fd, call, &raw const part, 1) }
}

/// [`write_now`] of several parts.
///
/// # Safety
///
/// There are `count` parts, which are valid for reads.
pub(crate) unsafe fn write_parts_now(
    fd: RawFd,
    call: Call,
    parts: *const libc::iovec,
    count: usize,
) -> Completion {
    let number = count as libc::c_int;
    if call == Call::Socket {
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        // SAFETY: passed on by the caller.
        return outcome(|| unsafe { libc::sendmsg(fd, &message(parts, count), flags) });
    }
    let no_wait = if call == Call::NoWait { libc::RWF_NOWAIT } else { 0 };
    // Relaxed: nothing depends on what a thread has seen of it but one call more.
    let may_have = MAY_HAVE_NOSIGNAL.load(Ordering::Relaxed);
    if may_have {
        // SAFETY: passed on by the caller.
        let done =
            outcome(|| unsafe { libc::pwritev2(fd, parts, number, -1, no_wait | RWF_NOSIGNAL) });
        if !done.failed_with(libc::EOPNOTSUPP) {
            return done;
        }
    }
    let _no_signal = NoSigpipe::new();
    // SAFETY: as above.
    let done = outcome(|| unsafe {
        if call == Call::NoWait {
            libc::pwritev2(fd, parts, number, -1, no_wait)
        } else {
            libc::writev(fd, parts, number)
        }
    });
    if may_have && !done.failed_with(libc::EOPNOTSUPP) {
        // It was the other flag that the kernel lacks.
        MAY_HAVE_NOSIGNAL.store(false, Ordering::Relaxed);
    }
    done
}
