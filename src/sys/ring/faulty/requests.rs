//! What has been submitted and not completed.
//!
//! To the ring behind it each SQE has a number of its own as user data, so that it is told from
//! others with the same user data, and from cancels that the faulty ring makes itself.

use std::collections::HashMap;

use super::transfers::Kept;
use crate::sys::{Completion, Sqe, SqeFile, opcode};

/// The user data of cancels that end a multishot operation: its number, with this bit.
const ENDING: u64 = 1 << 63;

/// The groups of completions of a descriptor, and of a file slot.
const OF_DESCRIPTOR: u64 = 1 << 62;
const OF_SLOT: u64 = 1 << 61;

/// A user data that no SQE has, so that a cancel of it finds nothing.
const NOTHING: u64 = ENDING - 1;

/// What becomes of a request's completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is reported unchanged.
    AsItIs,
    /// The kernel gets a no-op in its place, which completes with this errno.
    Fails(i32),
    /// It belongs to a cancel that is submitted. If that finds its target, this errno replaces its
    /// success: that the target cannot be stopped.
    AnswersCancel { errno_if_found: i32 },
    /// It belongs to a cancel whose target has completed, which the driver has not seen yet: the
    /// kernel may give each answer.
    AnswersLateCancel { result: i32 },
}

/// How a multishot operation ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// With its last completion.
    WithResult,
    /// As no buffer is left.
    NoBuffer,
}

/// A multishot operation that is being ended.
pub(super) struct Ending {
    pub(super) end: End,
    /// What it has delivered meanwhile.
    pub(super) completions: Vec<Completion>,
}

pub(super) struct Request {
    /// The driver's.
    pub(super) user_data: u64,
    /// The group in which its completions keep their order; see [`group`].
    pub(super) group: u64,
    pub(super) fate: Fate,
    /// Whether it completes many times.
    pub(super) is_multishot: bool,
    /// Whether the kernel selects a buffer for each completion.
    pub(super) selects_buffers: bool,
    pub(super) ending: Option<Ending>,
    /// How many completions there have been.
    pub(super) completed: u64,
    pub(super) name: &'static str,
    pub(super) kept: Option<Kept>,
}

#[derive(Default)]
pub(super) struct Requests {
    by_number: HashMap<u64, Request>,
    /// The newest of each user data.
    numbers: HashMap<u64, u64>,
    count: u64,
}

impl Requests {
    /// The number of the next SQE.
    pub(super) fn next_number(&mut self) -> u64 {
        self.count += 1;
        self.count
    }

    pub(super) fn add(&mut self, number: u64, request: Request) {
        self.numbers.insert(request.user_data, number);
        self.by_number.insert(number, request);
    }

    /// The number of the newest request with the driver's user data.
    pub(super) fn number_of(&self, user_data: u64) -> u64 {
        self.numbers.get(&user_data).copied().unwrap_or(NOTHING)
    }

    pub(super) fn get_mut(&mut self, number: u64) -> Option<&mut Request> {
        self.by_number.get_mut(&number)
    }

    /// The last completion of a request has been posted.
    pub(super) fn remove(&mut self, number: u64) -> Option<Request> {
        let request = self.by_number.remove(&number)?;
        if self.number_of(request.user_data) == number {
            self.numbers.remove(&request.user_data);
        }
        Some(request)
    }

    /// Those in flight, at the end.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Request> {
        self.by_number.drain().map(|(_, request)| request)
    }
}

/// The group in which the completions of an SQE keep their order: its socket's, or else `own`.
pub(super) fn group(sqe: &Sqe, own: u64) -> u64 {
    match sqe.opcode() {
        opcode::Accept::CODE
        | opcode::Recv::CODE
        | opcode::RecvMsg::CODE
        | opcode::Send::CODE
        | opcode::SendMsg::CODE
        | opcode::SendZc::CODE
        | opcode::Connect::CODE => match sqe.file() {
            SqeFile::Fd(fd) => OF_DESCRIPTOR | fd as u32 as u64,
            SqeFile::FileSlot(slot) => OF_SLOT | u64::from(slot),
        },
        _ => own,
    }
}

/// The user data of the cancel that ends a multishot operation.
pub(super) fn ending(number: u64) -> u64 {
    number | ENDING
}

/// Which operation the SQE with this user data ends, if it ends one.
pub(super) fn ended(user_data: u64) -> Option<u64> {
    (user_data & ENDING != 0).then_some(user_data & !ENDING)
}

/// Whether an SQE completes many times, until it ends or is cancelled.
pub(super) fn is_multishot(sqe: &Sqe) -> bool {
    match sqe.opcode() {
        opcode::Accept::CODE => sqe.ioprio() & 1 != 0,
        opcode::Recv::CODE | opcode::RecvMsg::CODE => sqe.ioprio() & 1 << 1 != 0,
        opcode::PollAdd::CODE => sqe.length() & 1 != 0,
        _ => false,
    }
}

/// What the log calls an operation.
pub(super) fn name(sqe: &Sqe) -> &'static str {
    macro_rules! name {
        ($($opcode:ident)*) => {
            match sqe.opcode() {
                $(opcode::$opcode::CODE => stringify!($opcode),)*
                _ => "operation",
            }
        };
    }
    name!(
        Accept AsyncCancel Close Connect Fadvise Fallocate FixedFdInstall Fsync Ftruncate LinkAt
        LinkTimeout MkDirAt Nop OpenAt OpenAt2 PollAdd Read ReadFixed Readv Recv RecvMsg RenameAt
        Send SendMsg SendZc Shutdown Socket Splice Statx SymlinkAt Timeout UnlinkAt WaitId Write
        WriteFixed Writev
    )
}
