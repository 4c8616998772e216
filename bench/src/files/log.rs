//! A log with group commit, as that of `examples/log_store`: tasks append records and wait, and one
//! task writes and syncs at once all that has been appended, while they append more.
//!
//! The log is the same for all contenders. They differ in their tasks, and in how a batch is
//! written and synced ([`Commit`]).

use std::fs::File;
use std::future::{Future, poll_fn};
use std::io;
use std::mem;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use super::{Contents, Worker};

/// The bytes of a record.
pub(super) const RECORD: usize = 256;

/// How a contender writes and syncs a batch of records.
pub(crate) trait Commit: 'static {
    /// Writes all of a batch to an offset, and returns it when it is on the disk.
    fn commit(&mut self, batch: Vec<u8>, offset: u64) -> impl Future<Output = io::Result<Vec<u8>>>;
}

/// The log, which tasks share. They may be on several threads.
pub(crate) struct Log {
    contents: Contents,
    stamp: u64,
    state: Mutex<State>,
    syncs: AtomicU64,
}

#[derive(Default)]
struct State {
    /// What the next commit writes.
    next: Batch,
    /// Where that ends in the file.
    end: u64,
    /// Up to where the file is on the disk.
    durable: u64,
    /// The task that commits, while there is nothing to commit.
    committer: Option<Waker>,
    is_closed: bool,
    failure: Option<String>,
}

/// Records, and the tasks that wait for them to be on the disk.
#[derive(Default)]
struct Batch {
    records: Vec<u8>,
    waiters: Vec<Waker>,
}

impl Log {
    pub(super) fn new(stamp: u64) -> Self {
        Self {
            contents: Contents::in_units_of(RECORD),
            stamp,
            state: Mutex::default(),
            syncs: AtomicU64::new(0),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic under the lock")
    }

    /// How many batches have been synced.
    pub(super) fn syncs(&self) -> u64 {
        self.syncs.load(Ordering::Relaxed)
    }

    /// Appends records, one after the other, until the time is up.
    pub(crate) async fn append_all(self: Arc<Self>, worker: Worker) -> io::Result<()> {
        while let Some(began) = worker.begin() {
            self.append().await?;
            worker.count(began);
        }
        Ok(())
    }

    /// Appends a record, and returns when it is on the disk.
    async fn append(&self) -> io::Result<()> {
        // It is the task's own, and stays the same.
        let waiter = poll_fn(|context| Poll::Ready(context.waker().clone())).await;
        let end = self.put(waiter);
        poll_fn(|_| self.poll_durable(end)).await
    }

    /// Puts a record into the next batch, and returns where it ends in the file.
    fn put(&self, waiter: Waker) -> u64 {
        let mut state = self.state();
        let State { next, end, .. } = &mut *state;
        let before = next.records.len();
        next.records.resize(before + RECORD, 0);
        self.contents.fill(*end, self.stamp, &mut next.records[before..]);
        next.waiters.push(waiter);
        *end += RECORD as u64;
        let end = *end;
        let committer = state.committer.take();
        drop(state);
        if let Some(committer) = committer {
            committer.wake();
        }
        end
    }

    fn poll_durable(&self, end: u64) -> Poll<io::Result<()>> {
        let state = self.state();
        match &state.failure {
            _ if state.durable >= end => Poll::Ready(Ok(())),
            Some(failure) => Poll::Ready(Err(io::Error::other(failure.clone()))),
            None => Poll::Pending,
        }
    }

    /// Commits what has been appended, until the log is closed.
    pub(crate) async fn commit_all(self: Arc<Self>, mut disk: impl Commit) -> io::Result<()> {
        let (mut offset, mut spare) = (0, Batch::default());
        loop {
            let next = poll_fn(|context| self.poll_next(context, &mut spare)).await;
            let Some(Batch { records, mut waiters }) = next else { return Ok(()) };
            let length = records.len() as u64;
            let committed = disk.commit(records, offset).await;
            let mut state = self.state();
            let outcome = match committed {
                Ok(mut records) => {
                    offset += length;
                    state.durable = offset;
                    records.clear();
                    spare.records = records;
                    Ok(())
                }
                Err(error) => {
                    state.failure = Some(error.to_string());
                    waiters.append(&mut state.next.waiters);
                    Err(error)
                }
            };
            drop(state);
            self.syncs.fetch_add(1, Ordering::Relaxed);
            waiters.drain(..).for_each(Waker::wake);
            spare.waiters = waiters;
            outcome?;
        }
    }

    /// Takes the next batch, and leaves the memory of an earlier one in its place. `None` if there
    /// will be no more.
    fn poll_next(&self, context: &Context<'_>, spare: &mut Batch) -> Poll<Option<Batch>> {
        let mut state = self.state();
        if !state.next.records.is_empty() {
            return Poll::Ready(Some(mem::replace(&mut state.next, mem::take(spare))));
        }
        if state.is_closed {
            return Poll::Ready(None);
        }
        state.committer = Some(context.waker().clone());
        Poll::Pending
    }

    /// Ends [`commit_all`](Self::commit_all): no task appends any more.
    pub(crate) fn close(&self) {
        let mut state = self.state();
        state.is_closed = true;
        let committer = state.committer.take();
        drop(state);
        if let Some(committer) = committer {
            committer.wake();
        }
    }

    /// Reads back all records.
    pub(super) fn check(&self, path: &Path) -> io::Result<()> {
        const CHUNK: u64 = 4096 * RECORD as u64;
        let (file, end) = (File::open(path)?, self.state().end);
        let length = file.metadata()?.len();
        if length != end {
            let text = format!("the log has {length} bytes instead of {end}");
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        let mut bytes = vec![0; CHUNK as usize];
        for offset in (0..end).step_by(CHUNK as usize) {
            let now = &mut bytes[..CHUNK.min(end - offset) as usize];
            file.read_exact_at(now, offset)?;
            self.contents.check(offset, self.stamp, now)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::{env, fs, process};

    use futures_util::future::join;

    use super::*;

    /// Appends to a file, if it has one.
    struct Disk(Option<File>);

    impl Commit for Disk {
        async fn commit(&mut self, batch: Vec<u8>, offset: u64) -> io::Result<Vec<u8>> {
            let file = self.0.as_ref().ok_or(io::ErrorKind::StorageFull)?;
            file.write_all_at(&batch, offset)?;
            Ok(batch)
        }
    }

    #[test]
    fn records_that_wait_together_are_synced_together_and_read_back() {
        let path = env::temp_dir().join(format!("annulus-bench-log-{}", process::id()));
        let log = Arc::new(Log::new(7));
        let context = &mut Context::from_waker(Waker::noop());
        let disk = Disk(Some(File::create(&path).unwrap()));
        let mut commits = pin!(Arc::clone(&log).commit_all(disk));
        for round in 1..=2 {
            let mut appends = pin!(join(log.append(), log.append()));
            assert!(appends.as_mut().poll(context).is_pending());
            assert!(commits.as_mut().poll(context).is_pending());
            assert!(matches!(appends.poll(context), Poll::Ready((Ok(()), Ok(())))));
            assert_eq!(log.syncs(), round);
        }
        log.close();
        assert!(matches!(commits.poll(context), Poll::Ready(Ok(()))));
        log.check(&path).unwrap();
        let bytes = fs::read(&path).unwrap();
        assert_eq!(bytes.len(), 4 * RECORD);
        for wrong in [&bytes[RECORD..], &[&bytes[..RECORD], &bytes[..3 * RECORD]].concat()[..]] {
            fs::write(&path, wrong).unwrap();
            assert!(log.check(&path).is_err());
        }
        fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_commit_that_fails_is_an_error_for_all_that_wait() {
        let log = Arc::new(Log::new(7));
        let context = &mut Context::from_waker(Waker::noop());
        let mut appends = pin!(join(log.append(), log.append()));
        assert!(appends.as_mut().poll(context).is_pending());
        let commits = pin!(Arc::clone(&log).commit_all(Disk(None)));
        assert!(matches!(commits.poll(context), Poll::Ready(Err(_))));
        assert!(matches!(appends.poll(context), Poll::Ready((Err(_), Err(_)))));
    }
}
