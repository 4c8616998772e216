//! Files on Annulus, in two forms: with a worker's own buffers, and with registered buffers and a
//! direct descriptor; and a log. A write that is to be synced is one chain.

use std::io;
use std::marker::PhantomData;
use std::ops::DerefMut;
use std::rc::Rc;
use std::sync::Arc;

use annulus::buf::{BufResult, IoBuf, IoBufMut, RegisteredBuf, RegisteredBuffers};
use annulus::fs::{File, OpenOptions};

use crate::files::{self, Block, Commit, Files, Job, Report, Span, Worker};

/// Does a job with a task for each operation that is to be under way.
pub(super) fn run(job: &Job, builder: annulus::Builder, registered: bool) -> io::Result<Report> {
    job.measure(|workers| {
        builder.build()?.block_on(async move {
            let mut options = OpenOptions::new();
            options.read(true).write(!job.kind.reads()).custom_flags(job.flags());
            let file = options.direct_descriptor(registered).open(&job.path).await?;
            if registered {
                let buffers = RegisteredBuffers::new(job.depth, job.kind.block_size())?;
                return work::<RegisteredBuf>(file, Some(buffers), workers).await;
            }
            work::<Block>(file, None, workers).await
        })
    })
}

/// Appends to a log with a task for each record that is to wait.
pub(super) fn log(job: &Job, builder: annulus::Builder) -> io::Result<Report> {
    job.measure_log(|log, workers| {
        builder.build()?.block_on(async {
            let disk = Chained(File::from_std(job.open()?));
            let committer = annulus::spawn(Arc::clone(&log).commit_all(disk));
            let append = |worker| annulus::spawn(Arc::clone(&log).append_all(worker));
            let tasks: Vec<_> = workers.into_iter().map(append).collect();
            for task in tasks {
                task.await??;
            }
            log.close();
            committer.await?
        })
    })
}

async fn work<B: Buffer>(
    file: File,
    buffers: Option<RegisteredBuffers>,
    workers: Vec<Worker>,
) -> io::Result<()> {
    let file = Rc::new(file);
    let open = || Open { file: Rc::clone(&file), buffers: buffers.clone() };
    let tasks: Vec<_> = workers
        .into_iter()
        .map(|worker| annulus::spawn(files::work::<OnTheRing<B>>(open(), worker)))
        .collect();
    for task in tasks {
        task.await??;
    }
    Ok(())
}

/// The file, as one worker has it.
struct Open {
    file: Rc<File>,
    buffers: Option<RegisteredBuffers>,
}

/// A buffer of one of the two forms.
trait Buffer: IoBuf + IoBufMut + DerefMut<Target = [u8]> {
    /// A buffer that has `size` bytes.
    fn new(file: &Open, size: usize) -> Self;
}

impl Buffer for Block {
    fn new(_file: &Open, size: usize) -> Self {
        Self::new(size)
    }
}

impl Buffer for RegisteredBuf {
    fn new(file: &Open, size: usize) -> Self {
        let buffers = file.buffers.as_ref().expect("this form has registered buffers");
        let mut buffer = buffers.try_get().expect("there is one for each worker");
        buffer.resize(size, 0);
        buffer
    }
}

struct OnTheRing<B>(PhantomData<B>);

impl<B: Buffer> Files for OnTheRing<B> {
    type Buffer = Option<B>;
    type File = Open;

    /// It is taken with the first block, as the file is where buffers are.
    fn buffer(_size: usize) -> Self::Buffer {
        None
    }

    async fn read(
        file: &mut Open,
        buffer: &mut Self::Buffer,
        block: Span,
        check: impl FnOnce(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let own = buffer.take().unwrap_or_else(|| B::new(file, block.size));
        let BufResult(read, own) = file.file.read_at(own, block.offset).await;
        let own = buffer.insert(own);
        check(&own[..read?])
    }

    async fn write(
        file: &mut Open,
        buffer: &mut Self::Buffer,
        block: Span,
        fill: impl FnOnce(&mut [u8]),
    ) -> io::Result<()> {
        let mut own = buffer.take().unwrap_or_else(|| B::new(file, block.size));
        fill(&mut own);
        let BufResult(written, own) = file.file.write_at(own, block.offset).await;
        *buffer = Some(own);
        files::whole(block, written?)
    }

    async fn sync(file: &mut Open) -> io::Result<()> {
        file.file.sync_data().await
    }

    async fn write_and_sync(
        file: &mut Open,
        buffer: &mut Self::Buffer,
        block: Span,
        fill: impl FnOnce(&mut [u8]),
    ) -> io::Result<()> {
        let mut own = buffer.take().unwrap_or_else(|| B::new(file, block.size));
        fill(&mut own);
        let BufResult(written, own) = file.file.write_at(own, block.offset).then_sync_data().await;
        *buffer = Some(own);
        files::whole(block, written?)
    }
}

struct Chained(File);

impl Commit for Chained {
    async fn commit(&mut self, batch: Vec<u8>, offset: u64) -> io::Result<Vec<u8>> {
        let BufResult(committed, batch) = self.0.write_all_at(batch, offset).then_sync_data().await;
        committed.map(|()| batch)
    }
}
