//! Files on Tokio.

use std::io::{self, SeekFrom};

use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};

use crate::files::{self, Files, Job, Span, Worker};

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
