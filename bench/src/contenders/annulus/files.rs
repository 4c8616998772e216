//! Files on Annulus: reads and writes at offsets, each on the ring.

use std::io;
use std::rc::Rc;

use annulus::buf::BufResult;
use annulus::fs::File;

use crate::files::{self, Block, Files, Job, Report, Span};

/// Does a job with a task for each operation that is to be under way.
pub(super) fn run(job: &Job, builder: annulus::Builder) -> io::Result<Report> {
    job.measure(|workers| {
        let file = job.open()?;
        builder.build()?.block_on(async move {
            let file = Rc::new(File::from_std(file));
            let work = |worker| files::work::<OnTheRing>(Rc::clone(&file), worker);
            let tasks: Vec<_> =
                workers.into_iter().map(|worker| annulus::spawn(work(worker))).collect();
            for task in tasks {
                task.await??;
            }
            Ok(())
        })
    })
}

struct OnTheRing;

impl Files for OnTheRing {
    type Buffer = Option<Block>;
    type File = Rc<File>;

    fn buffer(size: usize) -> Self::Buffer {
        Some(Block::new(size))
    }

    async fn read(
        file: &mut Rc<File>,
        buffer: &mut Self::Buffer,
        block: Span,
        check: impl FnOnce(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let own = buffer.take().expect("it was put back");
        let BufResult(read, own) = file.read_at(own, block.offset).await;
        let own = buffer.insert(own);
        check(&own[..read?])
    }

    async fn write(
        file: &mut Rc<File>,
        buffer: &mut Self::Buffer,
        block: Span,
        fill: impl FnOnce(&mut [u8]),
    ) -> io::Result<()> {
        let mut own = buffer.take().expect("it was put back");
        fill(&mut own);
        let BufResult(written, own) = file.write_at(own, block.offset).await;
        *buffer = Some(own);
        files::whole(block, written?)
    }

    async fn sync(file: &mut Rc<File>) -> io::Result<()> {
        file.sync_data().await
    }
}
