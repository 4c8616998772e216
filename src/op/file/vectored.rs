//! Reading to and writing from several buffers at an offset of a file. Dropped in flight, each is
//! what [`ReadAt`](super::ReadAt) and [`WriteAt`](super::WriteAt) are.
//!
//! The kernel takes [`MAX_SEGMENTS`] at a time. Registered buffers are ordinary memory here: an SQE
//! names one slot for all of its segments.

use std::io;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::fd::FileFd;
use crate::buf::{BufResult, IoBuf, IoBufMut};
use crate::error::describe;
use crate::op::chain::{Link, NotRun};
use crate::op::drain::Draining;
use crate::op::operation::{Operation, Step, sqe_length};
use crate::sys::segments::{MAX_SEGMENTS, Segments};
use crate::sys::{Completion, Submission, opcode};

/// Where a transfer of several buffers is.
struct Transfer<B> {
    file: Rc<FileFd>,
    buffers: Vec<B>,
    segments: Segments,
    offset: u64,
    /// How many bytes earlier steps have transferred.
    done: usize,
    /// Whether it goes on until all is transferred.
    is_all: bool,
}

impl<B> Transfer<B> {
    fn new(file: &Rc<FileFd>, buffers: Vec<B>, offset: u64, is_all: bool) -> Self {
        let segments = file.driver().spare_segments().take();
        Self { file: Rc::clone(file), buffers, segments, offset, done: 0, is_all }
    }

    /// Lists what is left of the buffers, given as address and length: their number, and the offset
    /// of the first in the file.
    fn list(&mut self, part: impl FnMut(&mut B) -> (*const u8, usize)) -> (u32, u64) {
        let mut skip = skip(self.done);
        let parts = self.buffers.iter_mut().map(part).map(|(start, length)| {
            let skipped = skip(length);
            // SAFETY: no more is skipped than the buffer has (`skip`).
            (unsafe { start.add(skipped) }, length - skipped)
        });
        self.segments.set(parts);
        (self.segments.count() as u32, self.offset + self.done as u64)
    }

    /// What is left: how many bytes, and in how many buffers.
    fn left(&self, length: impl Fn(&B) -> usize) -> (usize, usize) {
        let mut skip = skip(self.done);
        let left = self.buffers.iter().map(length).map(|length| length - skip(length));
        left.fold((0, 0), |(bytes, buffers), left| {
            (usize::saturating_add(bytes, left), buffers + usize::from(left > 0))
        })
    }

    /// Whether one SQE does not take what is left: too many bytes, or too many buffers, whose
    /// transfer is whole for the kernel.
    fn exceeds_one_sqe(&self, length: impl Fn(&B) -> usize) -> bool {
        let (bytes, segments) = self.left(length);
        bytes > sqe_length(bytes) as usize || segments > MAX_SEGMENTS
    }

    #[cold]
    fn fail(self, call: &str, error: io::Error) -> BufResult<usize, Vec<B>> {
        let offset = self.offset + self.done as u64;
        let error = self.file.transfer_error(call, error, Some(offset), self.segments.iter());
        self.end(Err(error))
    }

    /// The output of a transfer that is over.
    fn end(self, result: io::Result<()>) -> BufResult<usize, Vec<B>> {
        self.file.driver().spare_segments().give_back(self.segments);
        BufResult(result.map(|()| self.done), self.buffers)
    }
}

/// Returns how many bytes of each buffer, in order, are among the first `bytes` of all.
fn skip(mut bytes: usize) -> impl FnMut(usize) -> usize {
    move |length| {
        let skipped = bytes.min(length);
        bytes -= skipped;
        skipped
    }
}

/// Reads into several buffers, one after the other.
pub(crate) struct ReadVectoredAt<B>(Transfer<B>);

impl<B: IoBufMut> ReadVectoredAt<B> {
    /// Reads what one step reads.
    pub(crate) fn new(file: &Rc<FileFd>, buffers: Vec<B>, offset: u64) -> Self {
        Self(Transfer::new(file, buffers, offset, false))
    }

    /// Fills the buffers.
    pub(crate) fn exact(file: &Rc<FileFd>, buffers: Vec<B>, offset: u64) -> Self {
        Self(Transfer::new(file, buffers, offset, true))
    }

    /// Sets the length of each buffer to what has been read into it. Returns how many bytes are
    /// missing until all are full.
    ///
    /// # Safety
    ///
    /// As many bytes as are done have been written to the buffers, in order.
    unsafe fn set_lengths(&mut self) -> usize {
        let (mut done, mut missing) = (self.0.done, 0_usize);
        for buffer in &mut self.0.buffers {
            let room = buffer.bytes_total();
            let here = done.min(room);
            // SAFETY: the caller's promise.
            unsafe { buffer.set_init(here) };
            done -= here;
            missing = missing.saturating_add(room - here);
        }
        missing
    }
}

// SAFETY: the SQE points to the list, which lives on the heap, and that to the buffers' memory,
// which does not move with them (`IoBufMut`). Nothing here touches either before the completion.
unsafe impl<B: IoBufMut> Operation for ReadVectoredAt<B> {
    type Output = BufResult<usize, Vec<B>>;

    const MAY_BE_ON_DEVICE: bool = true;

    fn poll_ready(&self, context: &Context<'_>) -> Poll<Option<Self::Output>> {
        self.0.file.poll_writes_drained(context).map(|()| None)
    }

    fn submission(&mut self) -> Submission {
        let part = |buffer: &mut B| (buffer.stable_mut_ptr().cast_const(), buffer.bytes_total());
        let (count, offset) = self.0.list(part);
        let list = self.0.segments.as_ptr();
        self.0.file.submission(|fd| opcode::Readv::new(fd, list, count).offset(offset).build())
    }

    fn complete(mut self, completion: Completion) -> Step<Self> {
        let count = match completion.result() {
            Ok(count) => count as usize,
            Err(error) => return Step::Done(self.0.fail("readv", error)),
        };
        self.0.done += count;
        // SAFETY: the kernel has written `done` bytes to the listed segments, which are the buffers
        // in order.
        let missing = unsafe { self.set_lengths() };
        if !self.0.is_all || missing == 0 {
            Step::Done(self.0.end(Ok(())))
        } else if count == 0 {
            let text = format!("the file ends {missing} bytes before the end of the buffers");
            let error = io::Error::new(io::ErrorKind::UnexpectedEof, text);
            Step::Done(self.0.end(Err(describe("readv", error))))
        } else {
            Step::Again(self)
        }
    }

    fn settle(self, _completion: Completion) {}
}

impl<B: IoBufMut> Link for ReadVectoredAt<B> {
    fn length(&self) -> Option<usize> {
        Some(self.0.left(IoBufMut::bytes_total).0)
    }

    fn ends_part(&self) -> bool {
        self.0.exceeds_one_sqe(IoBufMut::bytes_total)
    }

    fn is_repeatable(&self) -> bool {
        true
    }

    fn is_last_step(&self) -> bool {
        !self.0.is_all
    }

    fn not_run(self, not_run: NotRun) -> Self::Output {
        self.0.end(Err(not_run.into()))
    }
}

/// Writes several buffers, one after the other.
pub(crate) struct WriteVectoredAt<B>(Transfer<B>);

impl<B: IoBuf> WriteVectoredAt<B> {
    /// Writes what one step writes.
    pub(crate) fn new(file: &Rc<FileFd>, buffers: Vec<B>, offset: u64) -> Self {
        Self(Transfer::new(file, buffers, offset, false))
    }

    /// Writes all of the buffers.
    pub(crate) fn all(file: &Rc<FileFd>, buffers: Vec<B>, offset: u64) -> Self {
        Self(Transfer::new(file, buffers, offset, true))
    }
}

// SAFETY: as above, with memory that is only read (`IoBuf`).
unsafe impl<B: IoBuf> Operation for WriteVectoredAt<B> {
    type Output = BufResult<usize, Vec<B>>;

    const MAY_BE_ON_DEVICE: bool = true;

    fn poll_ready(&self, context: &Context<'_>) -> Poll<Option<Self::Output>> {
        self.0.file.poll_writes_drained(context).map(|()| None)
    }

    fn submission(&mut self) -> Submission {
        let (count, offset) = self.0.list(|buffer| (buffer.stable_ptr(), buffer.bytes_init()));
        let list = self.0.segments.as_ptr();
        self.0.file.submission(|fd| opcode::Writev::new(fd, list, count).offset(offset).build())
    }

    fn complete(mut self, completion: Completion) -> Step<Self> {
        let count = match completion.result() {
            Ok(count) => count as usize,
            Err(error) => return Step::Done(self.0.fail("writev", error)),
        };
        self.0.done += count;
        if !self.0.is_all || self.0.left(IoBuf::bytes_init).0 == 0 {
            Step::Done(self.0.end(Ok(())))
        } else if count == 0 {
            let error = io::Error::new(io::ErrorKind::WriteZero, "the file takes no more bytes");
            Step::Done(self.0.end(Err(describe("writev", error))))
        } else {
            Step::Again(self)
        }
    }

    fn on_orphaned(&self) -> Option<Draining> {
        Some(Draining::write(&self.0.file))
    }

    fn settle(self, _completion: Completion) {}
}

impl<B: IoBuf> Link for WriteVectoredAt<B> {
    fn length(&self) -> Option<usize> {
        Some(self.0.left(IoBuf::bytes_init).0)
    }

    fn ends_part(&self) -> bool {
        self.0.exceeds_one_sqe(IoBuf::bytes_init)
    }

    fn is_last_step(&self) -> bool {
        !self.0.is_all
    }

    fn not_run(self, not_run: NotRun) -> Self::Output {
        self.0.end(Err(not_run.into()))
    }
}
