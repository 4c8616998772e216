//! What it costs to wake a thread that sleeps on its ring: by a write to an eventfd that the ring
//! polls, or by a ring message that the waker queues for an enter it makes anyway.
//!
//! ```text
//! cargo run --release -p uring-sys-tests --example wake_cost [rounds]
//! ```
//!
//! Two threads, each with a ring as the driver makes it, wake each other in turn and sleep in
//! between. The two ways alternate in blocks of 500 round trips, so that a busy machine slows both
//! alike. Printed are, for each way, the medians and the 10th and 90th percentiles of the blocks:
//! a round trip, and the processor time that both threads spend in it. The third line is the
//! sender alone: one wake and one enter that does not wait, while the other thread sleeps.

use std::env;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use io_uring::squeue::Flags;
use io_uring::types::Fd;
use io_uring::{EnterFlags, IoUring, opcode};
use uring_sys_tests::socket;

const BLOCK: u32 = 500;
const BELL: u64 = 1;
const MESSAGE: u64 = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Eventfd,
    Message,
}

/// A thread's ring, its eventfd, and the ring's index by which the thread enters.
struct Sleeper {
    ring: IoUring,
    eventfd: OwnedFd,
}

impl Sleeper {
    fn new() -> Self {
        let ring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_taskrun_flag()
            .setup_submit_all()
            .setup_r_disabled()
            .build(64)
            .expect("a ring");
        Self { ring, eventfd: socket::event_counter() }
    }

    /// Makes the calling thread the ring's owner, and polls the eventfd.
    fn begin(&mut self) {
        self.ring.submitter().register_enable_rings().expect("enable the ring");
        let poll = opcode::PollAdd::new(Fd(self.eventfd.as_raw_fd()), libc::POLLIN as u32)
            .multi(true)
            .build()
            .user_data(BELL);
        // SAFETY: the SQE points to no memory.
        unsafe { self.ring.submission().push(&poll) }.expect("room");
        self.enter(1, 0);
    }

    fn enter(&self, submit: u32, wait: u32) {
        let flags = EnterFlags::GETEVENTS.bits();
        // SAFETY: no argument is passed.
        let entered = unsafe { self.ring.submitter().enter::<()>(submit, wait, flags, None) };
        entered.expect("enter");
    }

    fn message(&mut self, target: RawFd) {
        let message = opcode::MsgRingData::new(Fd(target), 0, MESSAGE, None)
            .build()
            .flags(Flags::SKIP_SUCCESS);
        // SAFETY: the SQE points to no memory.
        unsafe { self.ring.submission().push(&message) }.expect("room");
    }

    /// Wakes the peer and enters, in one call where the way allows.
    fn wake(&mut self, way: Way, peer: (RawFd, RawFd), wait: u32) {
        match way {
            Way::Eventfd => {
                write_one(peer.1);
                self.enter(0, wait);
            }
            Way::Message => {
                self.message(peer.0);
                self.enter(1, wait);
            }
        }
    }

    /// Takes what has completed.
    fn reap(&mut self) -> u32 {
        self.ring.completion().map(|cqe| assert!(cqe.result() >= 0)).count() as u32
    }

    fn wait(&mut self) {
        while self.reap() == 0 {
            self.enter(0, 1);
        }
    }
}

fn write_one(eventfd: RawFd) {
    let one = 1_u64;
    // SAFETY: the call reads eight bytes.
    let written = unsafe { libc::write(eventfd, (&raw const one).cast(), 8) };
    assert_eq!(written, 8);
}

fn pin(cpu: usize) {
    // SAFETY: the set lives across the calls, which have its size.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu, &mut set);
        libc::sched_setaffinity(0, size_of_val(&set), &raw const set);
    }
}

fn processor_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes a timespec.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Nanoseconds of a round, for each block.
#[derive(Default)]
struct Figures {
    elapsed: Vec<f64>,
    spent: Vec<f64>,
}

impl Figures {
    fn add(&mut self, elapsed: Duration, spent: Duration) {
        self.elapsed.push(elapsed.as_nanos() as f64 / f64::from(BLOCK));
        self.spent.push(spent.as_nanos() as f64 / f64::from(BLOCK));
    }
}

fn spread(mut values: Vec<f64>) -> String {
    values.sort_by(f64::total_cmp);
    let at = |share: f64| values[((values.len() - 1) as f64 * share) as usize];
    format!("{:7.0} ({:.0} to {:.0})", at(0.5), at(0.1), at(0.9))
}

/// Round trips between two sleepers on these processors.
fn round_trips(cpus: [usize; 2], blocks: u32) -> [Figures; 2] {
    let (mut here, mut there) = (Sleeper::new(), Sleeper::new());
    let name = |sleeper: &Sleeper| (sleeper.ring.as_raw_fd(), sleeper.eventfd.as_raw_fd());
    let (at_here, at_there) = (name(&here), name(&there));
    let ways = [Way::Eventfd, Way::Message];
    let begun = Barrier::new(2);
    let mut figures = [Figures::default(), Figures::default()];
    thread::scope(|scope| {
        scope.spawn(|| {
            pin(cpus[1]);
            there.begin();
            begun.wait();
            for _ in 0..blocks {
                for way in ways {
                    for round in 0..BLOCK {
                        there.wait();
                        let wait = u32::from(round + 1 < BLOCK);
                        there.wake(way, at_here, wait);
                    }
                }
            }
        });
        pin(cpus[0]);
        here.begin();
        begun.wait();
        for _ in 0..blocks {
            for (way, figures) in ways.into_iter().zip(&mut figures) {
                let (began, spent) = (Instant::now(), processor_time());
                for _ in 0..BLOCK {
                    here.wake(way, at_there, 1);
                    here.wait();
                }
                figures.add(began.elapsed(), processor_time() - spent);
            }
        }
    });
    figures
}

/// What a wake and an enter take the sender; the sleeper sleeps at each wake, as far as a pause of
/// this many microseconds makes sure.
fn sender_alone(cpus: [usize; 2], blocks: u32) -> [Figures; 2] {
    let (mut here, mut there) = (Sleeper::new(), Sleeper::new());
    let at_there = (there.ring.as_raw_fd(), there.eventfd.as_raw_fd());
    let (begun, is_over) = (Barrier::new(2), AtomicBool::new(false));
    let mut figures = [Figures::default(), Figures::default()];
    thread::scope(|scope| {
        scope.spawn(|| {
            pin(cpus[1]);
            there.begin();
            begun.wait();
            // Not counted: two writes to an eventfd may complete its poll once.
            while !is_over.load(Ordering::Acquire) {
                there.enter(0, 1);
                there.reap();
            }
        });
        pin(cpus[0]);
        here.begin();
        begun.wait();
        for _ in 0..blocks {
            for (way, figures) in [Way::Eventfd, Way::Message].into_iter().zip(&mut figures) {
                let (mut elapsed, mut spent) = (Duration::ZERO, Duration::ZERO);
                for _ in 0..BLOCK {
                    thread::sleep(Duration::from_micros(60));
                    let (began, before) = (Instant::now(), processor_time());
                    here.wake(way, at_there, 0);
                    elapsed += began.elapsed();
                    spent += processor_time() - before;
                }
                figures.add(elapsed, spent);
            }
        }
        is_over.store(true, Ordering::Release);
        here.wake(Way::Eventfd, at_there, 0);
    });
    figures
}

fn main() {
    let blocks = env::args().nth(1).map_or(40, |text| text.parse().expect("a number of blocks"));
    for (where_, cpus) in [("two cores", [0, 1]), ("one core", [0, 0])] {
        let trips = round_trips(cpus, blocks);
        let alone = sender_alone(cpus, blocks / 8 + 1);
        for (index, way) in [Way::Eventfd, Way::Message].into_iter().enumerate() {
            println!("{where_}, {way:?}:");
            println!("  round trip, ns            {}", spread(trips[index].elapsed.clone()));
            println!("  processor time of it, ns  {}", spread(trips[index].spent.clone()));
            println!("  wake and enter alone, ns  {}", spread(alone[index].elapsed.clone()));
        }
    }
}
