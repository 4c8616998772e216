//! Descriptors that a message carries from one process to another (`SCM_RIGHTS`, unix(7)).
//!
//! The kernel gives each received descriptor a number in this process before the receive completes.
//! So whatever the control messages hold is owned by the receiver, wanted or not.

use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::ptr;

use super::socket::{SOL_SOCKET, set_option};

/// The most descriptors that a message carries (`SCM_MAX_FD`).
pub(crate) const MAX_PASSED: usize = 253;

/// The flag by which received descriptors are close-on-exec from the beginning.
pub(crate) const MSG_CMSG_CLOEXEC: u32 = libc::MSG_CMSG_CLOEXEC as u32;

/// A descriptor of the sender's process, which a socket with `SO_PASSPIDFD` receives. Not in libc.
const SCM_PIDFD: i32 = 4;

/// Whether a Unix socket receives descriptors (Linux 6.16). Not in libc.
const SO_PASSRIGHTS: i32 = 83;

/// Has the kernel refuse or accept messages to a Unix socket that pass descriptors, whose sender
/// then gets `EPERM`. Kernels before Linux 6.16 accept them always.
pub(crate) fn accept_fds(socket: &OwnedFd, on: bool) {
    let _ = set_option(socket, SOL_SOCKET, SO_PASSRIGHTS, on.into());
}

const HEADER: usize = size_of::<libc::cmsghdr>();
const FD: usize = size_of::<RawFd>();
const WORD: usize = size_of::<usize>();

/// How much of the control messages the time takes.
const MARK: usize = (HEADER + size_of::<libc::timeval>()).next_multiple_of(WORD);

/// A message of one buffer that carries descriptors. It lives in a box, where the kernel reads it
/// and, for a receive, writes to it.
pub(crate) struct FdMessage {
    header: libc::msghdr,
    segment: libc::iovec,
    /// Control messages: one header and its descriptors. In words, as headers are aligned to them.
    control: Vec<usize>,
}

/// Descriptors that have been received.
#[derive(Debug, Default)]
pub(crate) struct PassedFds {
    pub(crate) fds: Vec<OwnedFd>,
    /// Whether there were more, which the kernel has closed.
    pub(crate) is_truncated: bool,
}

impl FdMessage {
    pub(crate) fn new() -> Box<Self> {
        // SAFETY: both are plain data, for which all zeroes are the empty message.
        let (header, segment) = unsafe { (std::mem::zeroed(), std::mem::zeroed()) };
        Box::new(Self { header, segment, control: Vec::new() })
    }

    /// Points the message to `length` bytes.
    fn set_segment(&mut self, start: *mut u8, length: usize) {
        self.segment = libc::iovec { iov_base: start.cast(), iov_len: length };
        self.header.msg_iov = &raw mut self.segment;
        self.header.msg_iovlen = 1;
        self.header.msg_flags = 0;
    }

    /// Makes room for control messages of `length` bytes, all zero.
    fn set_control(&mut self, length: usize) {
        self.control.clear();
        self.control.resize(length.div_ceil(WORD), 0);
        let start = self.control.as_mut_ptr();
        self.header.msg_control = if length == 0 { ptr::null_mut() } else { start.cast() };
        self.header.msg_controllen = length as _;
    }

    /// Prepares a send of `length` bytes with descriptors.
    pub(crate) fn set_send(
        &mut self,
        start: *const u8,
        length: usize,
        fds: impl ExactSizeIterator<Item = RawFd>,
    ) {
        self.set_segment(start.cast_mut(), length);
        let bytes = fds.len() * FD;
        if bytes == 0 {
            return self.set_control(0);
        }
        // Without what would align a next header.
        self.set_control(HEADER + bytes);
        let control = self.control.as_mut_ptr().cast::<u8>();
        let header = libc::cmsghdr {
            cmsg_len: (HEADER + bytes) as _,
            cmsg_level: libc::SOL_SOCKET,
            cmsg_type: libc::SCM_RIGHTS,
        };
        // SAFETY: the line before has made room for the header, aligned to a word, as it is, and
        // for the descriptors behind it.
        unsafe {
            control.cast::<libc::cmsghdr>().write(header);
            for (index, fd) in fds.enumerate() {
                control.add(HEADER + index * FD).cast::<RawFd>().write_unaligned(fd);
            }
        }
    }

    /// Prepares a receive of at most `length` bytes and `fds` descriptors. The kernel would fill
    /// what aligns a next header with a descriptor more, so there is none of it.
    pub(crate) fn set_recv(&mut self, start: *mut u8, length: usize, fds: usize) {
        self.set_segment(start, length);
        self.set_control(if fds == 0 { 0 } else { HEADER + fds.min(MAX_PASSED) * FD });
    }

    /// Prepares a receive from a socket whose messages are
    /// [marked](crate::sys::bypass::datagram::mark_messages), with room for the mark. Without a
    /// mark, the kernel may fill that room with descriptors.
    pub(crate) fn set_recv_marked(&mut self, start: *mut u8, length: usize, fds: usize) {
        self.set_segment(start, length);
        self.set_control(MARK + HEADER + fds.min(MAX_PASSED) * FD);
    }

    /// Whether the message that a receive has returned is marked.
    pub(crate) fn is_marked(&self) -> bool {
        self.header.msg_controllen > 0 || self.header.msg_flags & libc::MSG_CTRUNC != 0
    }

    pub(crate) fn as_ptr(&self) -> *const libc::msghdr {
        ptr::from_ref(&self.header)
    }

    pub(crate) fn as_mut_ptr(&mut self) -> *mut libc::msghdr {
        ptr::from_mut(&mut self.header)
    }

    /// Takes the descriptors that a receive has been given: once for each that has succeeded.
    ///
    /// # Safety
    ///
    /// The kernel has completed a receive of this message, and its descriptors were not taken.
    pub(crate) unsafe fn take_received(&mut self) -> PassedFds {
        let is_truncated = self.header.msg_flags & libc::MSG_CTRUNC != 0;
        let length = self.header.msg_controllen.min(self.control.len() * WORD);
        // SAFETY: that many bytes of the words are initialised: they were zero before.
        let bytes =
            unsafe { std::slice::from_raw_parts(self.control.as_ptr().cast::<u8>(), length) };
        let mut fds = Vec::new();
        for (kind, data) in messages(bytes) {
            let numbers = data.chunks_exact(FD).map(|number| {
                RawFd::from_ne_bytes(number.try_into().expect("a chunk has its size"))
            });
            // SAFETY: the kernel has made these descriptors for this receive, and nothing else owns
            // them. (`uring-sys-tests`, passed_descriptors_are_what_the_control_message_lists)
            let owned = numbers.map(|number| unsafe { OwnedFd::from_raw_fd(number) });
            match kind {
                libc::SCM_RIGHTS => fds.extend(owned),
                // Annulus has not set this option: the program has.
                SCM_PIDFD => owned.for_each(drop),
                _ => {}
            }
        }
        self.set_control(0);
        PassedFds { fds, is_truncated }
    }
}

/// The control messages of sockets in `bytes`: the type of each, and its data. One that is cut
/// short has as much as is there.
fn messages(mut bytes: &[u8]) -> impl Iterator<Item = (i32, &[u8])> {
    std::iter::from_fn(move || {
        let number = |at: usize| {
            let number = bytes.get(at..at + size_of::<i32>())?;
            Some(i32::from_ne_bytes(number.try_into().ok()?))
        };
        let length = usize::from_ne_bytes(bytes.get(..WORD)?.try_into().ok()?);
        let (level, kind) = (number(WORD)?, number(WORD + 4)?);
        let end = length.min(bytes.len());
        let data = bytes.get(HEADER..end)?;
        bytes = bytes.get(end.next_multiple_of(WORD)..).unwrap_or_default();
        Some((if level == libc::SOL_SOCKET { kind } else { -1 }, data))
    })
}
