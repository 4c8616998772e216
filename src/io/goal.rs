//! What a writer can be waited for, by a future or by polling.

use std::fmt;
use std::future::Future;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;

use super::write_queue::WriteQueue;
use crate::task::coop;

/// What a writer can be waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Goal {
    /// Room for this many more bytes in the queue.
    Room(usize),
    /// The kernel has taken all bytes.
    Sent,
    /// The connection has been released.
    Closed,
}

impl Goal {
    /// Waits until the goal is reached, or the connection is released.
    pub(super) fn reached<W>(self, queue: &Rc<WriteQueue<W>>) -> impl Future<Output = ()> + use<W> {
        let queue = Rc::clone(queue);
        async move {
            match self {
                Self::Room(more) if queue.has_room(more) => {}
                Self::Room(_) => queue.wait_until(WriteQueue::is_drained).await,
                Self::Sent => queue.wait_until(WriteQueue::is_sent).await,
                Self::Closed => queue.wait_until(|_| false).await,
            }
        }
    }

    fn is_reached<W>(self, queue: &WriteQueue<W>) -> bool {
        match self {
            Self::Room(more) => queue.has_room(more),
            Self::Sent => queue.is_sent(),
            Self::Closed => false,
        }
    }

    /// The writer's error, once the wait is over.
    pub(super) fn outcome<W>(self, queue: &WriteQueue<W>) -> io::Result<()> {
        match self {
            Self::Closed => queue.failure_to_close(),
            Self::Room(_) | Self::Sent => queue.failure(),
        }
    }
}

/// The goal that a writer's sink is waiting for, if any.
#[derive(Default)]
pub(super) struct PolledGoal(Option<(Goal, LocalBoxFuture<'static, ()>)>);

impl PolledGoal {
    /// Polls for a goal. Forgets another goal that was polled for before.
    pub(super) fn poll<W: 'static>(
        &mut self,
        goal: Goal,
        queue: &Rc<WriteQueue<W>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let waiting = self.0.take().filter(|(present, _)| *present == goal);
        if waiting.is_some() || !goal.is_reached(queue) {
            let begin = || (goal, goal.reached(queue).boxed_local());
            let (_, mut reached) = waiting.unwrap_or_else(begin);
            if reached.as_mut().poll(context).is_pending() {
                self.0 = Some((goal, reached));
                return Poll::Pending;
            }
        }
        ready!(coop::poll_spend(context));
        Poll::Ready(goal.outcome(queue))
    }
}

impl fmt::Debug for PolledGoal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PolledGoal").field(&self.0.as_ref().map(|(goal, _)| goal)).finish()
    }
}
