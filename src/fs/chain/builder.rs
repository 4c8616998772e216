//! A chain of operations on one file, each with a result of its own.

use std::future::Future;
use std::io;
use std::rc::Rc;

use crate::buf::{BufResult, IoBuf, IoBufMut};
use crate::fs::File;
use crate::fs::positional::{is_beyond_files, no_such_offset};
use crate::op::{
    AfterShort, ChainOp, FileFd, Fsync, Linked, Links, Push, ReadAt, ReadExactLink, ReadLink,
    SyncLink, WriteAllLink, WriteAt, WriteLink,
};

/// Operations on one file, which the kernel carries out one after the other, from one submission.
///
/// [`File::chain`] begins one, each method adds an operation, and [`run`](Self::run) submits them.
/// The [module](crate::fs::chain) says what severs a chain, and what becomes of a dropped one.
///
/// # Example
///
/// ```
/// use annulus::buf::BufResult;
/// use annulus::fs::File;
///
/// annulus::run(async {
///     let path = std::env::temp_dir().join("annulus-chain");
///     let file = File::options().read(true).write(true).create(true).open(&path).await?;
///     let chain = file.chain().write_all_at("head", 0).write_all_at("body", 4096).sync_data();
///     let (BufResult(head, _), BufResult(body, _), synced) = chain.run().await;
///     // The first error is the one that severed the chain.
///     head.and(body).and(synced)?;
///     std::fs::remove_file(path)
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "IOSQE_IO_LINK")]
#[must_use = "a chain does nothing until `run` is called and its future polled"]
pub struct Chain<L = ()> {
    file: Rc<FileFd>,
    links: L,
}

impl File {
    /// Begins a chain of up to eight operations on this file.
    pub fn chain(&self) -> Chain {
        Chain { file: Rc::clone(&self.file), links: () }
    }
}

impl<L: Push> Chain<L> {
    fn push<T>(self, link: impl FnOnce(&Rc<FileFd>) -> T) -> Chain<L::With<T>> {
        let link = link(&self.file);
        Chain { file: self.file, links: self.links.push(link) }
    }

    /// Adds a [`File::read_at`]. A read of fewer bytes than the buffer has room for, as at the end
    /// of the file, severs the chain.
    pub fn read_at<B: IoBufMut>(self, buffer: B, offset: u64) -> Chain<L::With<ReadLink<B>>> {
        self.push(|file| {
            ReadLink::new(match refusal(offset) {
                Some(error) => Linked::refused(BufResult(Err(error), buffer)),
                None => Linked::new(ReadAt::new(file, buffer, offset)),
            })
        })
    }

    /// Adds a [`File::read_exact_at`].
    pub fn read_exact_at<B: IoBufMut>(
        self,
        buffer: B,
        offset: u64,
    ) -> Chain<L::With<ReadExactLink<B>>> {
        self.push(|file| {
            ReadExactLink::new(match refusal(offset) {
                Some(error) => Linked::refused(BufResult(Err(error), buffer)),
                None => Linked::new(ReadAt::exact(file, buffer, offset)),
            })
        })
    }

    /// Adds a [`File::write_at`]. A write of fewer bytes than the buffer has severs the chain.
    pub fn write_at<B: IoBuf>(self, buffer: B, offset: u64) -> Chain<L::With<WriteLink<B>>> {
        self.push(|file| {
            WriteLink::new(match refusal(offset) {
                Some(error) => Linked::refused(BufResult(Err(error), buffer)),
                None => Linked::new(WriteAt::new(file, buffer, offset)),
            })
        })
    }

    /// Adds a [`File::write_all_at`]. After a short write, the rest goes on with the rest of the
    /// chain, as one submission more.
    pub fn write_all_at<B: IoBuf>(self, buffer: B, offset: u64) -> Chain<L::With<WriteAllLink<B>>> {
        self.push(|file| {
            WriteAllLink::new(match refusal(offset) {
                Some(error) => Linked::refused(BufResult(Err(error), buffer)),
                None => Linked::new(WriteAt::all(file, buffer, offset)),
            })
        })
    }

    /// Adds a [`File::append`]. After a short write, the rest goes on with the rest of the chain,
    /// as one submission more.
    pub fn append<B: IoBuf>(self, buffer: B) -> Chain<L::With<WriteAllLink<B>>> {
        self.push(|file| WriteAllLink::new(Linked::new(WriteAt::append(file, buffer))))
    }

    /// Adds a [`File::sync_data`].
    pub fn sync_data(self) -> Chain<L::With<SyncLink>> {
        self.push(|file| SyncLink::new(Linked::new(Fsync::data(file))))
    }

    /// Adds a [`File::sync_all`].
    pub fn sync_all(self) -> Chain<L::With<SyncLink>> {
        self.push(|file| SyncLink::new(Linked::new(Fsync::all(file))))
    }
}

impl<L: Links> Chain<L> {
    /// Submits the operations, and returns what each of them would: a tuple in their order.
    ///
    /// A chain that is longer than the submission queue
    /// ([`Builder::sq_entries`](crate::Builder::sq_entries)) is submitted in parts.
    ///
    /// # Errors
    ///
    /// Each operation reports its own; one that was not carried out has
    /// [`NotRun`](crate::fs::NotRun) inside.
    ///
    /// # Cancel safety
    ///
    /// Dropped, each operation may be carried out in full, in part or not at all, but none unless
    /// all before it were. Buffers are lost.
    pub fn run(self) -> impl Future<Output = L::Outputs> + use<L> {
        ChainOp::new(self.file.driver(), self.links, AfterShort::Ends)
    }
}

fn refusal(offset: u64) -> Option<io::Error> {
    is_beyond_files(offset).then(no_such_offset)
}
