//! Random SQEs, over descriptors and memory that are valid: whatever they are, in whatever chains
//! and with whatever cancels, each completes for the last time exactly once.

use std::collections::HashMap;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::ptr;
use std::time::{Duration, Instant};

use crate::fuzz_input::Input;
use crate::sys::poll::{READABLE, WRITABLE};
use crate::sys::setup::{Size, portable_ring};
use crate::sys::types::{CancelBuilder, DestinationSlot, Fd, Fixed, FsyncFlags, Timespec};
use crate::sys::{
    BufferRing, Completion, Pages, Ring, Submission, SubmissionFlags, Wait, WorkerLimits, opcode,
    timespec,
};

const SIZE: Size = Size { submissions: 32, completions: 64 };

const SLOTS: u32 = 4;

/// The most SQEs of an input.
const MOST: u64 = 48;

/// The bytes that one SQE reads or writes, and of a provided buffer.
const LENGTH: usize = 32;

/// The provided buffers.
const BUFFERS: u16 = 8;

/// Longer than the last completions take, on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// What an SQE works on.
#[derive(Clone, Copy)]
enum File {
    Fd(i32),
    Slot(u32),
}

/// Builds an SQE, whatever it works on.
macro_rules! on {
    ($file:expr, |$fd:ident| $sqe:expr) => {
        match $file {
            File::Fd(number) => {
                let $fd = Fd(number);
                $sqe
            }
            File::Slot(number) => {
                let $fd = Fixed(number);
                $sqe
            }
        }
    };
}

/// One of each kind of file: two sockets of either kind that are connected, a pipe, a counter, a
/// regular file, and a listener.
struct Files {
    all: Vec<OwnedFd>,
    listener: TcpListener,
}

impl Files {
    fn new() -> Self {
        let (stream, datagram) = (UnixStream::pair().unwrap(), UnixDatagram::pair().unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut pipe = [0; 2];
        // SAFETY: the call writes two descriptors.
        assert_eq!(unsafe { libc::pipe2(pipe.as_mut_ptr(), libc::O_CLOEXEC) }, 0);
        // SAFETY: the calls make descriptors, from a name that ends with zero.
        let (counter, file) = unsafe {
            (
                libc::eventfd(0, libc::EFD_CLOEXEC),
                libc::memfd_create(c"".as_ptr(), libc::MFD_CLOEXEC),
            )
        };
        assert!(counter >= 0 && file >= 0, "{}", std::io::Error::last_os_error());
        let of_calls = [pipe[0], pipe[1], counter, file];
        let mut all: Vec<OwnedFd> =
            vec![stream.0.into(), stream.1.into(), datagram.0.into(), datagram.1.into()];
        // SAFETY: they were made just now.
        all.extend(of_calls.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }));
        Self { all, listener }
    }

    /// One of them, a slot, or none.
    fn choose(&self, input: &mut Input<'_>) -> File {
        let number = input.below(self.all.len() + 2 + SLOTS as usize + 1);
        match self.all.get(number) {
            Some(file) => File::Fd(file.as_raw_fd()),
            None if number == self.all.len() => File::Fd(self.listener.as_raw_fd()),
            None if number == self.all.len() + 1 => File::Fd(-1),
            // The last one is beyond the table.
            None => File::Slot((number - self.all.len() - 2) as u32),
        }
    }
}

/// The ring, and what its SQEs may point to while they are in flight.
struct Bench {
    ring: Ring,
    group: BufferRing,
    /// Each SQE has its own part, and each provided buffer, behind those.
    memory: Pages,
    times: Box<[Timespec; 4]>,
    /// SQEs that have not completed for the last time, and whether their results are descriptors.
    open: HashMap<u64, bool>,
    /// How many there have been, without the cancels at the end.
    pushed: u64,
    next: u64,
}

pub(crate) fn sqes(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let files = Files::new();
    let mut bench = Bench::new();
    let mut peers = Vec::new();
    while !input.is_over() && bench.pushed < MOST {
        match input.below(16) {
            0 => bench.step(Wait::No),
            1 => bench.step(Wait::AtMost(Duration::from_micros(50))),
            2 if peers.len() < 4 => {
                peers.push(TcpStream::connect(files.listener.local_addr().unwrap()).unwrap());
            }
            _ => bench.push_random(&files, &mut input),
        }
    }
    bench.end();
}

impl Bench {
    fn new() -> Self {
        let limits = WorkerLimits { files: 2, others: 2 };
        let (mut ring, _) = portable_ring(SIZE, limits).unwrap();
        ring.make_direct_descriptors(SLOTS).unwrap();
        let mut ring = Ring::from(ring);
        let group = BufferRing::new(BUFFERS).unwrap();
        // SAFETY: the fields are dropped in their order, the ring first.
        unsafe { ring.register_buffers(&group, 0) }.unwrap();
        let memory = Pages::reserve((MOST as usize + usize::from(BUFFERS)) * LENGTH).unwrap();
        let times = [0, 20_000, 1_000_000, 3_600_000_000_000].map(Duration::from_nanos);
        let mut this = Self {
            ring,
            group,
            memory,
            times: Box::new(times.map(timespec)),
            open: HashMap::new(),
            pushed: 0,
            next: 0,
        };
        (0..BUFFERS).for_each(|number| this.provide(number));
        this
    }

    /// The part of an SQE, or behind those of all.
    fn part(&self, number: u64) -> ptr::NonNull<u8> {
        // SAFETY: the memory has room for every buffer that is numbered.
        unsafe { self.memory.start().add(number as usize * LENGTH) }
    }

    fn provide(&mut self, number: u16) {
        let start = self.part(MOST + u64::from(number));
        // SAFETY: the memory lives longer than the ring, and each buffer is put in when it was
        // taken out.
        unsafe { self.group.put(number, start, LENGTH) };
        self.group.publish();
    }

    fn push_random(&mut self, files: &Files, input: &mut Input<'_>) {
        let (kind, flags) = (input.below(20), input.byte());
        let file = files.choose(input);
        let part = self.part(self.pushed).as_ptr();
        let (time, length) =
            (&raw const self.times[input.below(4)], input.below(LENGTH + 1) as u32);
        let events = [READABLE, WRITABLE, READABLE | WRITABLE][input.below(3)];
        let target = input.below(MOST as usize) as u64;
        let slot = |input: &mut Input<'_>| {
            DestinationSlot::try_from_slot_target(input.below(SLOTS as usize + 1) as u32).unwrap()
        };
        let mut makes_descriptor = false;
        let sqe = match kind {
            0 => opcode::Nop::new().build(),
            1 => on!(file, |fd| opcode::Read::new(fd, part, length).build()),
            2 => on!(file, |fd| opcode::Write::new(fd, part, length).build()),
            3 => {
                let flags = [0, libc::MSG_WAITALL, libc::MSG_PEEK][input.below(3)];
                on!(file, |fd| opcode::Recv::new(fd, part, length).flags(flags).build())
            }
            4 => on!(file, |fd| opcode::Send::new(fd, part, length)
                .flags(libc::MSG_NOSIGNAL)
                .build()),
            5 => on!(file, |fd| {
                opcode::SendZc::new(fd, part, length).flags(libc::MSG_NOSIGNAL).build()
            }),
            6 => on!(file, |fd| opcode::RecvMulti::new(fd, 0).build()),
            7 => {
                let recv = on!(file, |fd| {
                    opcode::Recv::new(fd, ptr::null_mut(), 0).buf_group(0).build()
                });
                recv.flags(SubmissionFlags::BUFFER_SELECT)
            }
            8 => on!(file, |fd| opcode::PollAdd::new(fd, events).build()),
            9 => on!(file, |fd| opcode::PollAdd::new(fd, events).multi(true).build()),
            10 => opcode::Timeout::new(time).build(),
            11 => opcode::LinkTimeout::new(time).build(),
            12 => opcode::AsyncCancel::new(target).build(),
            13 => {
                let meant = on!(file, |fd| CancelBuilder::fd(fd));
                opcode::AsyncCancel2::new(if flags & 1 == 0 { meant } else { meant.all() }).build()
            }
            14 => {
                let to = input.flag().then(|| slot(input));
                makes_descriptor = to.is_none();
                on!(file, |fd| {
                    opcode::Accept::new(fd, ptr::null_mut(), ptr::null_mut()).file_index(to).build()
                })
            }
            15 => {
                makes_descriptor = true;
                on!(file, |fd| opcode::AcceptMulti::new(fd).build())
            }
            16 => {
                let to = input.flag().then(|| slot(input));
                makes_descriptor = to.is_none();
                opcode::Socket::new(libc::AF_UNIX, libc::SOCK_STREAM, 0).file_index(to).build()
            }
            17 => opcode::Close::new(Fixed(target as u32 % (SLOTS + 1))).build(),
            18 => {
                makes_descriptor = true;
                opcode::FixedFdInstall::new(Fixed(target as u32 % (SLOTS + 1)), 0).build()
            }
            _ => on!(file, |fd| opcode::Fsync::new(fd).flags(FsyncFlags::DATASYNC).build()),
        };
        let flags = [
            (64, SubmissionFlags::IO_LINK),
            (128, SubmissionFlags::IO_HARDLINK),
            (56, SubmissionFlags::ASYNC),
        ]
        .into_iter()
        .filter(|(bits, _)| flags & bits == *bits)
        .fold(SubmissionFlags::empty(), |all, (_, flag)| all | flag);
        self.pushed += 1;
        self.push(sqe.flags(flags), makes_descriptor);
    }

    fn push(&mut self, sqe: Submission, makes_descriptor: bool) {
        let sqe = sqe.user_data(self.next);
        // SAFETY: memory and times live longer than the ring, which has nothing in flight at its
        // end; each SQE has a part of its own, and the descriptors that it may close are slots.
        while unsafe { self.ring.push(&sqe) }.is_err() {
            self.step(Wait::No);
        }
        self.open.insert(self.next, makes_descriptor);
        self.next += 1;
    }

    fn step(&mut self, wait: Wait) {
        self.ring.enter(wait).outcome.ok();
        let mut completions = Vec::new();
        self.ring.reap(|completion| completions.push(completion));
        for completion in completions {
            self.note(completion);
        }
    }

    fn note(&mut self, completion: Completion) {
        let number = completion.user_data;
        let Some(&makes_descriptor) = self.open.get(&number) else {
            panic!("{completion:?} after the last of its SQE");
        };
        if !completion.more() {
            self.open.remove(&number);
        }
        if makes_descriptor {
            // SAFETY: the SQE makes descriptors, one for each completion.
            drop(unsafe { completion.into_fd() });
        }
        if let Some(buffer) = completion.buffer() {
            self.provide(buffer);
        }
    }

    /// Cancels everything until nothing is in flight: a hard link begins when the one before it was
    /// cancelled, and what a worker has begun completes without a cancel.
    fn end(&mut self) {
        let begun = Instant::now();
        while !self.open.is_empty() {
            assert!(begun.elapsed() < PATIENCE, "in flight after a cancel: {:?}", self.open);
            self.push(opcode::AsyncCancel2::new(CancelBuilder::any().all()).build(), false);
            self.step(Wait::No);
            self.step(Wait::AtMost(Duration::from_millis(1)));
        }
        // Nothing completes behind the last.
        self.step(Wait::No);
    }
}
