//! Changes of directories: what is made, removed and renamed. Dropped in flight, a change may have
//! happened or not.

use std::ffi::CString;
use std::fmt;
use std::io;

use crate::driver::Driver;
use crate::error::Describe;
use crate::op::operation::{Operation, Step};
use crate::sys::paths::{self, AT_REMOVEDIR, PathAt};
use crate::sys::{Completion, Submission, opcode};

/// A change of a directory.
pub(crate) enum Change {
    CreateDirectory {
        at: PathAt,
        mode: u32,
    },
    RemoveFile(PathAt),
    RemoveDirectory(PathAt),
    /// With the flags of renameat2(2).
    Rename {
        from: PathAt,
        to: PathAt,
        flags: u32,
    },
    /// A symbolic link gets another name; what it refers to does not.
    HardLink {
        from: PathAt,
        to: PathAt,
    },
    SymbolicLink {
        target: CString,
        at: PathAt,
    },
}

impl Change {
    /// Whether the kernel can do it on the ring. Removing and renaming it can always (Linux 5.11).
    pub(crate) fn is_on_ring(&self, driver: &Driver) -> bool {
        matches!(self, Self::RemoveFile(_) | Self::RemoveDirectory(_) | Self::Rename { .. })
            || driver.capabilities().create_paths
    }

    /// Does by system calls what is not on every ring. They may wait for a disk.
    ///
    /// # Panics
    ///
    /// If it is on every ring.
    pub(crate) fn run(&self) -> io::Result<()> {
        match self {
            Self::CreateDirectory { at, mode } => paths::create_directory(at, *mode),
            Self::HardLink { from, to } => paths::hard_link(from, to),
            Self::SymbolicLink { target, at } => paths::symbolic_link(target, at),
            _ => unreachable!("removing and renaming are on every ring"),
        }
        .describe(self)
    }
}

/// What was to be done, as errors say it.
impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreateDirectory { at, .. } => write!(f, "create directory {at}"),
            Self::RemoveFile(at) => write!(f, "remove file {at}"),
            Self::RemoveDirectory(at) => write!(f, "remove directory {at}"),
            Self::Rename { from, to, .. } => write!(f, "rename {from} to {to}"),
            Self::HardLink { from, to } => write!(f, "link {from} to {to}"),
            Self::SymbolicLink { at, .. } => write!(f, "create symbolic link {at}"),
        }
    }
}

// SAFETY: the SQE points to the bytes of the paths, which are on the heap and are not changed.
unsafe impl Operation for Change {
    type Output = io::Result<()>;

    fn submission(&mut self) -> Submission {
        match self {
            Self::CreateDirectory { at, mode } => {
                opcode::MkDirAt::new(at.sqe_directory(), at.path().as_ptr()).mode(*mode).build()
            }
            Self::RemoveFile(at) => {
                opcode::UnlinkAt::new(at.sqe_directory(), at.path().as_ptr()).build()
            }
            Self::RemoveDirectory(at) => {
                let remove = opcode::UnlinkAt::new(at.sqe_directory(), at.path().as_ptr());
                remove.flags(AT_REMOVEDIR).build()
            }
            Self::Rename { from, to, flags } => {
                let (old, new) = (from.sqe_directory(), to.sqe_directory());
                opcode::RenameAt::new(old, from.path().as_ptr(), new, to.path().as_ptr())
                    .flags(*flags)
                    .build()
            }
            Self::HardLink { from, to } => {
                let (old, new) = (from.sqe_directory(), to.sqe_directory());
                opcode::LinkAt::new(old, from.path().as_ptr(), new, to.path().as_ptr()).build()
            }
            Self::SymbolicLink { target, at } => {
                let (directory, link) = (at.sqe_directory(), at.path().as_ptr());
                opcode::SymlinkAt::new(directory, target.as_ptr(), link).build()
            }
        }
    }

    fn complete(self, completion: Completion) -> Step<Self> {
        Step::Done(completion.result().map(drop).describe(&self))
    }

    fn settle(self, _completion: Completion) {}
}
