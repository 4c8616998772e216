//! The descriptors 0, 1 and 2, and what the handles of a runtime share of each.
//!
//! A standard stream belongs to other processes, too: the shell, and all that is started from here.
//! So the descriptor is duplicated and otherwise left as it is (`op::PipeEnd`). Of the handles of
//! one runtime, one reads or writes at a time, in the order in which they asked.

use std::cell::RefCell;
use std::fs::File;
use std::io;
use std::os::fd::RawFd;
use std::rc::{Rc, Weak};

use crate::error::Describe;
use crate::op::{PipeEnd, StreamSocket};
use crate::runtime::context;
use crate::sync::Lock;
use crate::sys::errno::EBADF;
use crate::sys::pipe::{self, Kind};

/// Which standard stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standard {
    Input,
    Output,
    Error,
}

impl Standard {
    pub(super) fn number(self) -> RawFd {
        self as RawFd
    }

    fn name(self) -> &'static str {
        match self {
            Self::Input => "standard input",
            Self::Output => "standard output",
            Self::Error => "standard error",
        }
    }
}

/// What the handles of a runtime share of a standard stream.
pub(super) struct StandardStream {
    pub(super) way: Way,
    /// Held by the task that reads or writes.
    pub(super) lock: Lock<()>,
}

/// How a standard stream is used.
#[derive(Clone)]
pub(super) enum Way {
    /// As a pipe's end is.
    End(Rc<PipeEnd>),
    /// A socket that is written to. (What is read of one is read as of a pipe.)
    Socket(Rc<StreamSocket>),
}

/// The latest of a thread. What orphaned operations use outlives the handles, and is used again.
#[derive(Default)]
struct Latest {
    stream: Weak<StandardStream>,
    end: Weak<PipeEnd>,
}

thread_local! {
    static LATEST: RefCell<[Latest; 3]> = RefCell::default();
}

impl StandardStream {
    /// That of the current runtime.
    ///
    /// # Errors
    ///
    /// If the descriptor cannot be duplicated. One that is closed reads as EOF, and takes all that
    /// is written.
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    #[track_caller]
    pub(super) fn get(which: Standard) -> io::Result<Rc<Self>> {
        LATEST.with_borrow_mut(|latest| {
            let latest = &mut latest[which.number() as usize];
            if let Some(stream) = latest.stream.upgrade().filter(|it| it.way.is_current()) {
                return Ok(stream);
            }
            let end = latest.end.upgrade().map(Way::End).filter(Way::is_current);
            let way = end.map_or_else(|| Way::open(which), Ok).describe(which.name())?;
            if let Way::End(end) = &way {
                latest.end = Rc::downgrade(end);
            }
            let stream = Rc::new(Self { way, lock: Lock::new(()) });
            latest.stream = Rc::downgrade(&stream);
            Ok(stream)
        })
    }
}

impl Way {
    /// Whether it belongs to the current runtime.
    fn is_current(&self) -> bool {
        context::is_current(match self {
            Self::End(end) => end.driver(),
            Self::Socket(socket) => socket.driver(),
        })
    }

    fn open(which: Standard) -> io::Result<Self> {
        let driver = &context::driver();
        let fd = match pipe::duplicate(which.number()) {
            Err(error) if error.raw_os_error() == Some(EBADF) => {
                File::options().read(true).write(true).open("/dev/null")?.into()
            }
            duplicate => duplicate?,
        };
        if which == Standard::Input {
            return PipeEnd::standard_input(driver, fd).map(|end| Self::End(Rc::new(end)));
        }
        let end = PipeEnd::adopted(driver, fd)?;
        if end.kind() != Kind::Socket {
            return Ok(Self::End(Rc::new(end)));
        }
        let fd = Rc::new(end).into_fd()?;
        Ok(Self::Socket(Rc::new(StreamSocket::new(Rc::clone(driver), fd))))
    }
}
