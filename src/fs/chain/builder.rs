//! A chain of operations on one file, each with a result of its own.

use std::ffi::CString;
use std::future::Future;
use std::io;
use std::marker::PhantomData;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::rc::Rc;

use crate::buf::{BufResult, IoBuf, IoBufMut};
use crate::driver::FileSlot;
use crate::error::describe;
use crate::fs::positional::{is_beyond_files, no_such_offset};
use crate::fs::{File, OpenOptions};
use crate::op::{
    AfterShort, ChainOp, CloseLast, CloseLink, Descriptor, FileFd, Fsync, Linked, Links, Open,
    OpenFirst, OpenLink, Push, ReadAt, ReadExactLink, ReadExactVectoredLink, ReadLink,
    ReadVectoredAt, ReadVectoredLink, SyncLink, WriteAllLink, WriteAllVectoredLink, WriteAt,
    WriteLink, WriteVectoredAt, WriteVectoredLink,
};
use crate::runtime::context;

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
#[must_use = "a chain does nothing until `run` or `close` is called and its future polled"]
pub struct Chain<L = (), K = Shared> {
    file: Rc<FileFd>,
    links: L,
    kind: PhantomData<K>,
}

/// The kind of a chain on a file that is open already.
pub enum Shared {}

/// The kind of a chain that opens its file.
pub enum Opens {}

impl File {
    /// Begins a chain of up to eight operations on this file.
    pub fn chain(&self) -> Chain {
        Chain { file: Rc::clone(&self.file), links: (), kind: PhantomData }
    }
}

impl Chain<(OpenLink,), Opens> {
    /// Begins a chain that opens its file, and [closes](Self::close) it at its end.
    ///
    /// So a file is read, or written durably, in one submission. That needs a direct descriptor
    /// ([`Builder::direct_descriptors`](crate::Builder::direct_descriptors), Linux 6.8): the
    /// operations name the place in the ring's table that the file is opened into. Without such
    /// descriptors, or while none is free, the open is a submission of its own, and the rest
    /// follows as another.
    ///
    /// The first result is that of the open, and fails as [`OpenOptions::open`] does.
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    ///
    /// # Example
    ///
    /// ```
    /// use annulus::buf::BufResult;
    /// use annulus::fs::{Chain, OpenOptions};
    ///
    /// annulus::run(async {
    ///     let chain = Chain::open("Cargo.toml", OpenOptions::new().read(true));
    ///     let reading = chain.read_at(Vec::with_capacity(11), 0).close();
    ///     let (opened, BufResult(count, start), closed) = reading.await;
    ///     assert_eq!(opened.and(count)?, 11);
    ///     assert_eq!(start, b"[workspace]");
    ///     closed
    /// })??;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn open(path: impl AsRef<Path>, options: &OpenOptions) -> Self {
        let driver = context::driver();
        let slot = FileSlot::alloc(&driver);
        let descriptor = slot.map_or_else(Descriptor::unopened, Descriptor::direct);
        let file = Rc::new(FileFd::new(&driver, descriptor));
        let path = path.as_ref();
        let name = CString::new(path.as_os_str().as_bytes()).map_err(io::Error::from);
        let arguments = options.kernel_arguments().and_then(|arguments| Ok((name?, arguments)));
        let link = match arguments {
            Ok((name, (flags, mode))) => {
                Linked::new(OpenFirst::new(Open::new(name, flags, mode), &file))
            }
            Err(error) => Linked::refused(Err(describe(format!("open {}", path.display()), error))),
        };
        Chain { file, links: (OpenLink::new(link),), kind: PhantomData }
    }
}

impl<L: Push> Chain<L, Opens>
where
    L::With<CloseLink>: Links,
{
    /// Adds the close of the file, submits the operations, and returns what each of them would: a
    /// tuple in their order, with the results of the open and the close.
    ///
    /// The file is closed however the operations end.
    ///
    /// # Errors
    ///
    /// As for [`run`](Chain::run).
    ///
    /// # Cancel safety
    ///
    /// As for [`run`](Chain::run). What has been opened is closed.
    pub fn close(self) -> impl Future<Output = <L::With<CloseLink> as Links>::Outputs> + use<L> {
        let close = CloseLink::new(Linked::new(CloseLast::new(&self.file)));
        ChainOp::new(self.file.driver(), self.links.push(close), AfterShort::Ends)
    }
}

impl<L: Push, K> Chain<L, K> {
    fn push<T>(self, link: impl FnOnce(&Rc<FileFd>) -> T) -> Chain<L::With<T>, K> {
        let link = link(&self.file);
        Chain { file: self.file, links: self.links.push(link), kind: PhantomData }
    }

    /// Adds a [`File::read_at`]. A read of fewer bytes than the buffer has room for, as at the end
    /// of the file, severs the chain.
    pub fn read_at<B: IoBufMut>(self, buffer: B, offset: u64) -> Chain<L::With<ReadLink<B>>, K> {
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
    ) -> Chain<L::With<ReadExactLink<B>>, K> {
        self.push(|file| {
            ReadExactLink::new(match refusal(offset) {
                Some(error) => Linked::refused(BufResult(Err(error), buffer)),
                None => Linked::new(ReadAt::exact(file, buffer, offset)),
            })
        })
    }

    /// Adds a [`File::read_vectored_at`]. A read of fewer bytes than the buffers have room for, as
    /// at the end of the file, severs the chain, and so does one into more than 1024 buffers that
    /// have room.
    ///
    /// # Example
    ///
    /// ```
    /// use annulus::buf::IoBuf;
    /// use annulus::fs::{Chain, OpenOptions};
    ///
    /// annulus::run(async {
    ///     let parts = [1, 9].map(|bytes| Vec::with_capacity(10).slice(..bytes));
    ///     let chain = Chain::open("Cargo.toml", OpenOptions::new().read(true));
    ///     let (opened, read, closed) = chain.read_vectored_at(parts.into(), 0).close().await;
    ///     opened?;
    ///     let (count, parts) = read.into_result()?;
    ///     assert_eq!(count, 10);
    ///     assert_eq!((parts[0].as_bytes(), parts[1].as_bytes()), (&b"["[..], &b"workspace"[..]));
    ///     closed
    /// })??;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn read_vectored_at<B: IoBufMut>(
        self,
        buffers: Vec<B>,
        offset: u64,
    ) -> Chain<L::With<ReadVectoredLink<B>>, K> {
        self.push(|file| {
            ReadVectoredLink::new(match refusal(offset) {
                Some(error) => Linked::refused(BufResult(Err(error), buffers)),
                None => Linked::new(ReadVectoredAt::new(file, buffers, offset)),
            })
        })
    }

    /// Adds a [`File::read_exact_vectored_at`]. After a short read, and with more than 1024 buffers
    /// that have room, the rest goes on with the rest of the chain, as one submission more.
    pub fn read_exact_vectored_at<B: IoBufMut>(
        self,
        buffers: Vec<B>,
        offset: u64,
    ) -> Chain<L::With<ReadExactVectoredLink<B>>, K> {
        self.push(|file| {
            ReadExactVectoredLink::new(match refusal(offset) {
                Some(error) => Linked::refused(BufResult(Err(error), buffers)),
                None => Linked::new(ReadVectoredAt::exact(file, buffers, offset)),
            })
        })
    }

    /// Adds a [`File::write_at`]. A write of fewer bytes than the buffer has severs the chain.
    pub fn write_at<B: IoBuf>(self, buffer: B, offset: u64) -> Chain<L::With<WriteLink<B>>, K> {
        self.push(|file| {
            WriteLink::new(match refusal(offset) {
                Some(error) => Linked::refused(BufResult(Err(error), buffer)),
                None => Linked::new(WriteAt::new(file, buffer, offset)),
            })
        })
    }

    /// Adds a [`File::write_all_at`]. After a short write, the rest goes on with the rest of the
    /// chain, as one submission more.
    pub fn write_all_at<B: IoBuf>(
        self,
        buffer: B,
        offset: u64,
    ) -> Chain<L::With<WriteAllLink<B>>, K> {
        self.push(|file| {
            WriteAllLink::new(match refusal(offset) {
                Some(error) => Linked::refused(BufResult(Err(error), buffer)),
                None => Linked::new(WriteAt::all(file, buffer, offset)),
            })
        })
    }

    /// Adds a [`File::write_vectored_at`]. A write of fewer bytes than the buffers have severs the
    /// chain, and so does one of more than 1024 buffers that are not empty.
    pub fn write_vectored_at<B: IoBuf>(
        self,
        buffers: Vec<B>,
        offset: u64,
    ) -> Chain<L::With<WriteVectoredLink<B>>, K> {
        self.push(|file| {
            WriteVectoredLink::new(match refusal(offset) {
                Some(error) => Linked::refused(BufResult(Err(error), buffers)),
                None => Linked::new(WriteVectoredAt::new(file, buffers, offset)),
            })
        })
    }

    /// Adds a [`File::write_all_vectored_at`]. After a short write, and with more than 1024 buffers
    /// that are not empty, the rest goes on with the rest of the chain, as one submission more.
    pub fn write_all_vectored_at<B: IoBuf>(
        self,
        buffers: Vec<B>,
        offset: u64,
    ) -> Chain<L::With<WriteAllVectoredLink<B>>, K> {
        self.push(|file| {
            WriteAllVectoredLink::new(match refusal(offset) {
                Some(error) => Linked::refused(BufResult(Err(error), buffers)),
                None => Linked::new(WriteVectoredAt::all(file, buffers, offset)),
            })
        })
    }

    /// Adds a [`File::append`]. After a short write, the rest goes on with the rest of the chain,
    /// as one submission more.
    pub fn append<B: IoBuf>(self, buffer: B) -> Chain<L::With<WriteAllLink<B>>, K> {
        self.push(|file| WriteAllLink::new(Linked::new(WriteAt::append(file, buffer))))
    }

    /// Adds a [`File::sync_data`]. What follows it, but for a [`close`](Chain::close), is submitted
    /// when it has succeeded.
    pub fn sync_data(self) -> Chain<L::With<SyncLink>, K> {
        self.push(|file| SyncLink::new(Linked::new(Fsync::data(file))))
    }

    /// Adds a [`File::sync_all`]. What follows it, but for a [`close`](Chain::close), is submitted
    /// when it has succeeded.
    pub fn sync_all(self) -> Chain<L::With<SyncLink>, K> {
        self.push(|file| SyncLink::new(Linked::new(Fsync::all(file))))
    }
}

impl<L: Links> Chain<L> {
    /// Submits the operations, and returns what each of them would: a tuple in their order.
    ///
    /// A chain that is longer than the submission queue
    /// ([`Builder::sq_entries`](crate::Builder::sq_entries)), or goes on behind a synchronisation,
    /// is submitted in parts.
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
