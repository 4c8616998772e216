//! The task that sends what a writer has queued, and what becomes of the connection.
//!
//! The task owns the connection's writing half, so a dropped future cannot interrupt a send in the
//! middle. It takes all queued bytes at once: what was written while the task waited to be polled,
//! or for the previous send, is sent together. Two buffers alternate, one being filled and one
//! being sent.
//!
//! However the task ends, its [`ConnectionGuard`] is dropped, and that decides the queue's state:
//! bytes that were taken and not sent, or a writer that was still open, leave a failure that the
//! writer reports from then on.

use std::io;
use std::rc::Rc;

use super::AsyncWrite;
use super::write_queue::{CloseMode, Fate, Next, WriteQueue};
use crate::buf::BufResult;

/// How much memory an empty buffer may keep.
const KEPT_CAPACITY: usize = 4 * 1024;

/// The connection's writing half, owned by the task. However the task ends, even before it began,
/// the drop of this tells the writer.
pub(super) struct ConnectionGuard<W: AsyncWrite> {
    /// `None` once it has been returned to the writer.
    writes_to: Option<W>,
    queue: Rc<WriteQueue<W>>,
    /// The result of sending; `None` if the task has not run to its end.
    outcome: Option<io::Result<()>>,
}

impl<W: AsyncWrite> ConnectionGuard<W> {
    pub(super) fn new(queue: &Rc<WriteQueue<W>>, writes_to: W) -> Self {
        Self { writes_to: Some(writes_to), queue: Rc::clone(queue), outcome: None }
    }

    /// Releases a connection to which nothing has been written.
    pub(super) fn end(mut self) {
        self.outcome = Some(Ok(()));
    }

    /// Returns the writing half of a connection to which nothing has been written.
    pub(super) fn hand_over(mut self) -> Option<W> {
        self.outcome = Some(Ok(()));
        self.writes_to.take()
    }

    /// Sends what is queued until the connection is to be closed. Returns the writing half if the
    /// writer wants it back.
    pub(super) async fn send_all(mut self) -> Option<W> {
        let writes_to =
            self.writes_to.as_mut().expect("the writing half is returned only at the end");
        let ended = send_to_end(&self.queue, writes_to).await;
        let is_handed = matches!(ended, Ok(CloseMode::HandedOver));
        self.outcome = Some(ended.map(drop));
        if is_handed { self.writes_to.take() } else { None }
    }
}

impl<W: AsyncWrite> Drop for ConnectionGuard<W> {
    fn drop(&mut self) {
        let mode = self.queue.close_mode();
        let fate = match self.outcome.take() {
            _ if mode == Some(CloseMode::Aborted) => Fate::Aborted,
            Some(Ok(())) => Fate::Ended,
            Some(Err(error)) => Fate::Failed(error),
            None => Fate::Failed(interrupted()),
        };
        let ended = matches!(fate, Fate::Ended);
        // Before foreign code runs: it may panic.
        self.queue.release(fate);
        match (&mut self.writes_to, mode) {
            (Some(writes_to), Some(CloseMode::Aborted)) => writes_to.abort(),
            (Some(writes_to), Some(CloseMode::Closed)) if ended => writes_to.close(),
            _ => {}
        }
    }
}

async fn send_to_end<W: AsyncWrite>(
    queue: &WriteQueue<W>,
    writes_to: &mut W,
) -> io::Result<CloseMode> {
    let mut spare = Vec::new();
    loop {
        match queue.next(spare).await {
            Next::Bytes(bytes, _unsent) => {
                let BufResult(result, sent) = writes_to.write_all(bytes).await;
                result?;
                queue.note_sent();
                spare = reusable(sent);
            }
            Next::Job(job, unused, _unsent) => {
                job(writes_to).await?;
                queue.note_job();
                spare = unused;
            }
            Next::Close(mode) => {
                if queue.wants_eof() {
                    writes_to.shutdown().await?;
                }
                let is_eof = mode == CloseMode::Eof;
                return Ok(if is_eof { queue.closed_after_eof().await } else { mode });
            }
        }
    }
}

/// Empties a buffer for reuse, but does not keep a large one.
fn reusable(mut sent: Vec<u8>) -> Vec<u8> {
    if sent.capacity() > KEPT_CAPACITY {
        return Vec::new();
    }
    sent.clear();
    sent
}

/// The error if the task was dropped at the end of its runtime, or its connection panicked.
fn interrupted() -> io::Error {
    let text = "the connection was dropped before its writer was closed and all bytes were sent: \
                the runtime has ended, or sending panicked";
    io::Error::new(io::ErrorKind::BrokenPipe, text)
}
