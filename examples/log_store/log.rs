//! The log: group commit over a chain.
//!
//! Records that are appended while a commit is under way wait in memory, and become durable
//! together in the next one. A commit is a write and the synchronisation that is linked to it: one
//! submission, and one wake-up when both are done. So the more there is to append, the more records
//! share the price of a synchronisation.

use std::cell::{Cell, RefCell};
use std::fs::OpenOptions;
use std::io::{self, BufReader};
use std::mem;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use annulus::blocking::to_thread;
use annulus::buf::BufResult;
use annulus::fs::File;
use annulus::sync::{Event, watch};

use super::record::{self, Whole};

/// A log whose records are durable when `append` returns.
pub(crate) struct Log {
    file: File,
    /// The records of the next commit.
    pending: RefCell<Vec<u8>>,
    /// Where they end in the file.
    end: Cell<u64>,
    has_pending: Event,
    commits: Cell<u64>,
    progress: watch::Sender<Progress>,
}

/// How far the log is durable.
struct Progress {
    end: u64,
    /// After a failed write or synchronisation it is not known what is on the disk: the log takes
    /// nothing more, and is recovered by the next start.
    failure: Option<String>,
}

/// What opening a log has found.
pub(crate) struct Recovered {
    pub(crate) log: Log,
    pub(crate) whole: Whole,
    /// How many bytes were behind the last whole record, and have been cut off.
    pub(crate) torn: u64,
}

impl Log {
    /// Opens a log, or creates it, and cuts off what a crash has torn. That is code that blocks, so
    /// it runs on a thread.
    pub(crate) async fn open(path: PathBuf) -> io::Result<Recovered> {
        let (file, whole, torn) = to_thread(move || recover(&path)).await??;
        let (progress, _) = watch::channel(Progress { end: whole.end, failure: None });
        let log = Self {
            file: File::from_std(file),
            pending: RefCell::default(),
            end: Cell::new(whole.end),
            has_pending: Event::new(),
            commits: Cell::new(0),
            progress,
        };
        Ok(Recovered { log, whole, torn })
    }

    /// Appends a record, and returns its offset when it is durable.
    ///
    /// Dropped, the record may be appended all the same.
    pub(crate) async fn append(&self, payload: &[u8]) -> io::Result<u64> {
        let mut progress = self.progress.subscribe();
        let offset = self.end.get();
        let end = {
            let mut pending = self.pending.borrow_mut();
            let before = pending.len();
            record::encode(offset, payload, &mut pending);
            offset + (pending.len() - before) as u64
        };
        self.end.set(end);
        self.has_pending.set();
        let is_known = |progress: &Progress| progress.end >= end || progress.failure.is_some();
        let progress = progress.wait_for(is_known).await.map_err(io::Error::other)?;
        match &progress.failure {
            Some(failure) if progress.end < end => Err(io::Error::other(failure.clone())),
            _ => Ok(offset),
        }
    }

    /// Commits what is appended, until that fails. One task does this.
    pub(crate) async fn commit(self: Rc<Self>) {
        let mut durable = self.end.get();
        let mut batch = Vec::new();
        loop {
            self.has_pending.wait().await;
            self.has_pending.clear();
            batch.clear();
            batch = mem::replace(&mut *self.pending.borrow_mut(), batch);
            let length = batch.len() as u64;
            let write = self.file.write_all_at(batch, durable).then_sync_data();
            let BufResult(committed, written) = write.await;
            batch = written;
            let failure = committed.err().map(|error| error.to_string());
            let is_failed = failure.is_some();
            if !is_failed {
                durable += length;
                self.commits.set(self.commits.get() + 1);
            }
            // It fails if no task waits.
            let _ = self.progress.send(Progress { end: durable, failure });
            if is_failed {
                return;
            }
        }
    }

    /// How many commits there have been.
    pub(crate) fn commits(&self) -> u64 {
        self.commits.get()
    }
}

fn recover(path: &Path) -> io::Result<(std::fs::File, Whole, u64)> {
    let named = |error: io::Error| {
        io::Error::new(error.kind(), format!("cannot open the log {}: {error}", path.display()))
    };
    let mut options = OpenOptions::new();
    let options = options.read(true).write(true).create(true).truncate(false);
    let file = options.open(path).map_err(named)?;
    let whole = record::scan(BufReader::with_capacity(1 << 20, &file)).map_err(named)?;
    let torn = file.metadata()?.len() - whole.end;
    file.set_len(whole.end)?;
    file.sync_all()?;
    // The name of a new file is durable when its directory is.
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    std::fs::File::open(parent.unwrap_or(Path::new(".")))?.sync_all()?;
    Ok((file, whole, torn))
}
