//! Files by hand: a loop that submits what has become due and waits, once a turn. In the direct
//! form the file and the buffers are registered.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::time::Instant;
use std::{io, mem};

use io_uring::squeue::{Entry, Flags};
use io_uring::types::{Fd, Fixed, FsyncFlags};
use io_uring::{IoUring, opcode};

use crate::files::{Block, Job, Kind, Report, Span, Worker, whole};

/// Set in the user data of a write that a sync follows.
const PART: u64 = 1 << 32;

pub(super) fn run(job: &Job, direct: bool) -> io::Result<Report> {
    job.measure(|workers| {
        let mut work = Loop::new(job, direct, workers)?;
        let done = work.run();
        if done.is_err() {
            // The kernel may still write to the buffers.
            mem::forget(work);
        }
        done
    })
}

struct Loop {
    ring: IoUring,
    file: File,
    kind: Kind,
    direct: bool,
    slots: Vec<Slot>,
    /// How many slots have an operation under way.
    busy: usize,
}

struct Slot {
    worker: Worker,
    buffer: Block,
    block: Span,
    began: Instant,
}

impl Loop {
    fn new(job: &Job, direct: bool, workers: Vec<Worker>) -> io::Result<Self> {
        let entries = (2 * workers.len() as u32).next_power_of_two();
        let ring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_submit_all()
            .build(entries)?;
        let (file, size) = (job.open()?, job.kind.block_size());
        let slot = |worker| Slot {
            worker,
            buffer: Block::new(size),
            block: Span { offset: 0, size },
            began: Instant::now(),
        };
        let mut slots: Vec<_> = workers.into_iter().map(slot).collect();
        if direct {
            ring.submitter().register_files(&[file.as_raw_fd()])?;
            let buffers = slots.iter_mut().map(|slot| libc::iovec {
                iov_base: slot.buffer.as_mut_ptr().cast(),
                iov_len: slot.buffer.len(),
            });
            let buffers: Vec<_> = buffers.collect();
            // SAFETY: the blocks stay where they are until the ring is gone.
            unsafe { ring.submitter().register_buffers(&buffers)? };
        }
        Ok(Self { ring, file, kind: job.kind, direct, slots, busy: 0 })
    }

    fn run(&mut self) -> io::Result<()> {
        for place in 0..self.slots.len() {
            self.start(place)?;
        }
        let mut completions = Vec::with_capacity(2 * self.slots.len());
        while self.busy > 0 {
            match self.ring.submit_and_wait(1) {
                Err(error) if error.raw_os_error() != Some(libc::EINTR) => return Err(error),
                _ => {}
            }
            completions.extend(self.ring.completion().map(|one| (one.user_data(), one.result())));
            for (data, result) in completions.drain(..) {
                self.complete(data, result)?;
            }
        }
        Ok(())
    }

    fn complete(&mut self, data: u64, result: i32) -> io::Result<()> {
        let place = (data & (PART - 1)) as usize;
        let slot = &self.slots[place];
        if result < 0 {
            return Err(io::Error::from_raw_os_error(-result));
        }
        let is_sync = self.kind == Kind::Sync && data & PART == 0;
        if !is_sync {
            whole(slot.block, result as usize)?;
        }
        if data & PART != 0 {
            return Ok(());
        }
        if self.kind.reads() {
            slot.worker.check(slot.block, &slot.buffer)?;
        }
        slot.worker.done(slot.block, slot.began);
        self.busy -= 1;
        self.start(place)
    }

    /// Starts the next operation of a slot, unless the time is up.
    fn start(&mut self, place: usize) -> io::Result<()> {
        let slot = &mut self.slots[place];
        let Some(block) = slot.worker.next() else { return Ok(()) };
        slot.block = block;
        slot.began = Instant::now();
        if !self.kind.reads() {
            slot.worker.fill(block, &mut slot.buffer);
        }
        self.busy += 1;
        let entry = self.transfer(place).user_data(place as u64);
        if self.kind != Kind::Sync {
            return self.push(&entry);
        }
        self.push(&entry.flags(Flags::IO_LINK).user_data(place as u64 | PART))?;
        let sync = if self.direct {
            opcode::Fsync::new(Fixed(0)).flags(FsyncFlags::DATASYNC).build()
        } else {
            let fd = Fd(self.file.as_raw_fd());
            opcode::Fsync::new(fd).flags(FsyncFlags::DATASYNC).build()
        };
        self.push(&sync.user_data(place as u64))
    }

    /// The read or write of a slot.
    fn transfer(&mut self, place: usize) -> Entry {
        let slot = &mut self.slots[place];
        let (offset, length) = (slot.block.offset, slot.block.size as u32);
        let (memory, index) = (slot.buffer.as_mut_ptr(), place as u16);
        let fd = Fd(self.file.as_raw_fd());
        match (self.kind.reads(), self.direct) {
            (true, true) => {
                opcode::ReadFixed::new(Fixed(0), memory, length, index).offset(offset).build()
            }
            (true, false) => opcode::Read::new(fd, memory, length).offset(offset).build(),
            (false, true) => {
                opcode::WriteFixed::new(Fixed(0), memory, length, index).offset(offset).build()
            }
            (false, false) => opcode::Write::new(fd, memory, length).offset(offset).build(),
        }
    }

    fn push(&mut self, entry: &Entry) -> io::Result<()> {
        // SAFETY: the slot's buffer lives until the ring is gone. There are two entries a slot, and
        // so there is always room.
        let pushed = unsafe { self.ring.submission().push(entry) };
        pushed.map_err(|_| io::Error::other("the ring is full"))
    }
}
