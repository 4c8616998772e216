//! Files on Tokio, and a log. What commits a batch of the log is one blocking call, on a thread of
//! Tokio's: a `tokio::fs::File` would need one to write and another to sync.

use std::io::{self, SeekFrom};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
use tokio::task::spawn_blocking;

use crate::files::{self, Commit, Files, Job, Log, Span, Worker};

/// A file has one position, so that each worker opens it for itself.
pub(super) async fn work(job: &Job, workers: Vec<Worker>) -> io::Result<()> {
    let mut tasks = Vec::with_capacity(workers.len());
    for worker in workers {
        let file = File::from_std(job.open()?);
        tasks.push(tokio::spawn(files::work::<OwnFile>(file, worker)));
    }
    for task in tasks {
        task.await??;
    }
    Ok(())
}

/// A `tokio::fs::File` for each worker.
struct OwnFile;

impl Files for OwnFile {
    type Buffer = Vec<u8>;
    type File = File;

    fn buffer(size: usize) -> Vec<u8> {
        vec![0; size]
    }

    async fn read(
        file: &mut File,
        buffer: &mut Vec<u8>,
        block: Span,
        check: impl FnOnce(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        file.seek(SeekFrom::Start(block.offset)).await?;
        file.read_exact(buffer).await?;
        check(buffer)
    }

    async fn write(
        file: &mut File,
        buffer: &mut Vec<u8>,
        block: Span,
        fill: impl FnOnce(&mut [u8]),
    ) -> io::Result<()> {
        fill(buffer);
        file.seek(SeekFrom::Start(block.offset)).await?;
        file.write_all(buffer).await?;
        // Until then the data may be in the file's own buffer.
        file.flush().await
    }

    async fn sync(file: &mut File) -> io::Result<()> {
        file.sync_data().await
    }
}

/// Appends to a log with a task for each record that is to wait.
pub(super) async fn append(job: &Job, log: Arc<Log>, workers: Vec<Worker>) -> io::Result<()> {
    let disk = Blocking(Arc::new(job.open()?));
    let committer = tokio::spawn(Arc::clone(&log).commit_all(disk));
    let append = |worker| tokio::spawn(Arc::clone(&log).append_all(worker));
    let tasks: Vec<_> = workers.into_iter().map(append).collect();
    for task in tasks {
        task.await??;
    }
    log.close();
    committer.await?
}

struct Blocking(Arc<std::fs::File>);

impl Commit for Blocking {
    async fn commit(&mut self, batch: Vec<u8>, offset: u64) -> io::Result<Vec<u8>> {
        let file = Arc::clone(&self.0);
        let commit = move || {
            file.write_all_at(&batch, offset)?;
            file.sync_data()?;
            Ok(batch)
        };
        spawn_blocking(commit).await?
    }
}
