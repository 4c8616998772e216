//! What the kernel answered, in a form that assertions can compare and print.

use std::fmt;
use std::io;

use io_uring::cqueue;

/// One completion, copied out of the ring.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Completion {
    /// The user data of the submission it answers.
    pub tag: u64,
    /// The raw result: a count or a descriptor, or a negated errno.
    pub result: i32,
    /// The raw flags.
    pub flags: u32,
}

impl Completion {
    /// The result as success or errno.
    pub fn outcome(&self) -> Result<u32, Errno> {
        u32::try_from(self.result).map_err(|_| Errno(-self.result))
    }

    /// Whether the kernel promises another completion for the same submission.
    pub fn more(&self) -> bool {
        cqueue::more(self.flags)
    }

    /// Whether this is the second completion of a zero-copy send.
    pub fn is_notification(&self) -> bool {
        cqueue::notif(self.flags)
    }

    /// Whether the socket held more bytes when this receive completed.
    pub fn socket_nonempty(&self) -> bool {
        cqueue::sock_nonempty(self.flags)
    }

    /// The provided buffer that the kernel selected, if it selected one.
    pub fn buffer_id(&self) -> Option<u16> {
        cqueue::buffer_select(self.flags)
    }
}

impl From<cqueue::Entry> for Completion {
    fn from(entry: cqueue::Entry) -> Self {
        Completion { tag: entry.user_data(), result: entry.result(), flags: entry.flags() }
    }
}

impl fmt::Debug for Completion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{:#x}: {:?}", self.tag, self.outcome())?;
        let marks = [
            (self.more(), "more"),
            (self.is_notification(), "notification"),
            (self.socket_nonempty(), "nonempty"),
        ];
        for (_, mark) in marks.iter().filter(|(set, _)| *set) {
            write!(f, " {mark}")?;
        }
        self.buffer_id().map_or(Ok(()), |id| write!(f, " buffer {id}"))
    }
}

/// An errno that prints what it means.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Errno(pub i32);

impl Errno {
    /// The errno of an I/O error that came from a system call.
    ///
    /// # Panics
    ///
    /// When the error did not come from the operating system.
    pub fn of(error: &io::Error) -> Errno {
        Errno(error.raw_os_error().expect("an error of the operating system"))
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", io::Error::from_raw_os_error(self.0))
    }
}
