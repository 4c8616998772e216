//! What a writer can be waited for, by a future or by polling.

use std::future::Future;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use futures_util::FutureExt;

use super::write_queue::WriteQueue;
use super::{AsyncWrite, StreamWriter};
use crate::task::budget;

/// What a writer can be waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Goal {
    /// That so many more bytes may be queued.
    Room(usize),
    /// That the kernel has taken all.
    Sent,
    /// That the connection has been released.
    Closed,
}

impl<W: AsyncWrite + 'static> StreamWriter<W> {
    /// Waits for something by polling; whatever else was waited for so is not any more.
    pub(super) fn poll_goal(
        &mut self,
        goal: Goal,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let waiting = self.waiting.take().filter(|(present, _)| *present == goal);
        if waiting.is_some() || !self.has_reached(goal) {
            let begin = || (goal, self.reached(goal).boxed_local());
            let (_, mut reached) = waiting.unwrap_or_else(begin);
            if reached.as_mut().poll(context).is_pending() {
                self.waiting = Some((goal, reached));
                return Poll::Pending;
            }
        }
        ready!(budget::poll_spend(context));
        Poll::Ready(match goal {
            Goal::Closed => self.queue.failure_to_close(),
            Goal::Room(_) | Goal::Sent => self.queue.failure(),
        })
    }

    fn has_reached(&self, goal: Goal) -> bool {
        match goal {
            Goal::Room(more) => self.queue.has_room(more, self.high),
            Goal::Sent => self.queue.is_sent(),
            Goal::Closed => false,
        }
    }

    /// Waits for something.
    pub(super) fn reached(&self, goal: Goal) -> impl Future<Output = ()> + use<W> {
        let (queue, high, low) = (Rc::clone(&self.queue), self.high, self.low);
        async move {
            match goal {
                Goal::Room(more) if queue.has_room(more, high) => {}
                Goal::Room(_) => queue.wait_until(|queue| queue.unsent() <= low).await,
                Goal::Sent => queue.wait_until(WriteQueue::is_sent).await,
                Goal::Closed => queue.wait_until(|_| false).await,
            }
        }
    }

    /// Waits until the writer has released the connection, also after it is dropped.
    pub(crate) fn ending(&self) -> impl Future<Output = ()> + use<W> {
        self.reached(Goal::Closed)
    }
}
