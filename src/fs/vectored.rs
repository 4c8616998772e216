//! Reading and writing several buffers at an offset.

use std::future::Future;

use futures_util::FutureExt;
use futures_util::future::{Either, ready};

use super::File;
use super::positional::known_without_kernel;
use crate::buf::{BufResult, IoBuf, IoBufMut};
use crate::op::{Op, ReadVectoredAt, WriteVectoredAt};

impl File {
    /// Reads from an offset in bytes into several buffers, one after the other: at most their
    /// capacities; zero bytes at the end of the file.
    ///
    /// The length of each buffer is set to what was read into it, which is nothing for those behind
    /// the last byte. One call uses at most 1024 buffers that are not empty.
    ///
    /// # Errors
    ///
    /// As for [`read_at`](Self::read_at).
    ///
    /// # Cancel safety
    ///
    /// As for [`read_at`](Self::read_at).
    ///
    /// # Example
    ///
    /// ```
    /// use annulus::buf::IoBuf;
    /// use annulus::fs::File;
    ///
    /// annulus::run(async {
    ///     let file = File::open("Cargo.toml").await?;
    ///     let parts = vec![Vec::with_capacity(10).slice(..1), Vec::with_capacity(10).slice(..9)];
    ///     let (count, parts) = file.read_vectored_at(parts, 0).await.into_result()?;
    ///     assert_eq!(count, 10);
    ///     assert_eq!((parts[0].as_bytes(), parts[1].as_bytes()), (&b"["[..], &b"workspace"[..]));
    ///     std::io::Result::Ok(())
    /// })??;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "preadv")]
    pub fn read_vectored_at<B: IoBufMut>(
        &self,
        buffers: Vec<B>,
        offset: u64,
    ) -> impl Future<Output = BufResult<usize, Vec<B>>> + use<B> {
        if let Some(known) = known_without_kernel(offset, total(&buffers)) {
            return Either::Left(ready(BufResult(known.map(|()| 0), buffers)));
        }
        let read = ReadVectoredAt::new(&self.file, buffers, offset);
        Either::Right(Op::new(self.file.driver(), read))
    }

    /// Fills several buffers from an offset in bytes, one after the other, however many there are.
    ///
    /// # Errors
    ///
    /// As for [`read_exact_at`](Self::read_exact_at).
    ///
    /// # Cancel safety
    ///
    /// As for [`read_at`](Self::read_at).
    pub fn read_exact_vectored_at<B: IoBufMut>(
        &self,
        buffers: Vec<B>,
        offset: u64,
    ) -> impl Future<Output = BufResult<(), Vec<B>>> + use<B> {
        if let Some(known) = known_without_kernel(offset, total(&buffers)) {
            return Either::Left(ready(BufResult(known, buffers)));
        }
        let read = ReadVectoredAt::exact(&self.file, buffers, offset);
        Either::Right(Op::new(self.file.driver(), read).map(|read| read.map(drop)))
    }

    /// Writes several buffers to an offset in bytes, perhaps not all of them.
    ///
    /// They are written one after the other, at most 1024 of them that are not empty. Returns how
    /// many bytes were written.
    ///
    /// # Errors
    ///
    /// As for [`write_at`](Self::write_at).
    ///
    /// # Cancel safety
    ///
    /// As for [`write_at`](Self::write_at).
    #[doc(alias = "pwritev")]
    pub fn write_vectored_at<B: IoBuf>(
        &self,
        buffers: Vec<B>,
        offset: u64,
    ) -> impl Future<Output = BufResult<usize, Vec<B>>> + use<B> {
        if let Some(known) = known_without_kernel(offset, written(&buffers)) {
            return Either::Left(ready(BufResult(known.map(|()| 0), buffers)));
        }
        let write = WriteVectoredAt::new(&self.file, buffers, offset);
        Either::Right(Op::new(self.file.driver(), write))
    }

    /// Writes all of several buffers to an offset in bytes.
    ///
    /// They are written one after the other, however many there are.
    ///
    /// # Errors
    ///
    /// As for [`write_all_at`](Self::write_all_at).
    ///
    /// # Cancel safety
    ///
    /// As for [`write_at`](Self::write_at).
    ///
    /// # Example
    ///
    /// ```
    /// use annulus::fs::File;
    ///
    /// annulus::run(async {
    ///     let path = std::env::temp_dir().join("annulus-write-all-vectored-at");
    ///     let file = File::create(&path).await?;
    ///     file.write_all_vectored_at(vec!["head, ", "", "body"], 0).await.0?;
    ///     assert_eq!(std::fs::read(&path)?, b"head, body");
    ///     std::fs::remove_file(path)
    /// })??;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn write_all_vectored_at<B: IoBuf>(
        &self,
        buffers: Vec<B>,
        offset: u64,
    ) -> impl Future<Output = BufResult<(), Vec<B>>> + use<B> {
        if let Some(known) = known_without_kernel(offset, written(&buffers)) {
            return Either::Left(ready(BufResult(known, buffers)));
        }
        let write = WriteVectoredAt::all(&self.file, buffers, offset);
        Either::Right(Op::new(self.file.driver(), write).map(|written| written.map(drop)))
    }
}

/// How many bytes there is room for.
fn total<B: IoBufMut>(buffers: &[B]) -> usize {
    buffers.iter().map(IoBufMut::bytes_total).fold(0, usize::saturating_add)
}

/// How many bytes there are to write.
fn written<B: IoBuf>(buffers: &[B]) -> usize {
    buffers.iter().map(IoBuf::bytes_init).fold(0, usize::saturating_add)
}
