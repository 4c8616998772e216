//! Waiting for some of many tasks, without cancelling any.

use std::fmt;
use std::future::{Future, poll_fn};
use std::iter;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use super::children::Children;
use crate::task::{JoinError, JoinHandle};
use crate::time::{Sleep, sleep};

/// When [`wait`] returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReturnWhen {
    /// When a task has ended, in whatever way.
    #[doc(alias = "asyncio.FIRST_COMPLETED")]
    FirstCompleted,
    /// When a task has failed, or all have ended. A task that panics fails, and one whose output is a
    /// failure to [`Wait::failing_if`]; one that is cancelled does not, as in asyncio.
    #[doc(alias = "asyncio.FIRST_EXCEPTION")]
    FirstException,
    /// When all have ended.
    #[doc(alias = "asyncio.ALL_COMPLETED")]
    AllCompleted,
}
