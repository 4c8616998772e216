//! A link between two hosts that loses, doubles, delays and slows packets as it is told, from a
//! seed. It is a thread that carries packets between two interfaces, so it needs nothing of the
//! kernel but these.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::host::Interface;

/// What a link does to the packets in either direction.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Quality {
    /// Of a thousand packets, how many are lost, come twice, or come after later ones.
    pub(crate) lost: u32,
    pub(crate) doubled: u32,
    pub(crate) late: u32,
    /// How many bytes a second it carries, and a tenth of that it holds; without a limit if zero.
    pub(crate) rate: u64,
    pub(crate) delay: Duration,
    /// Whether it carries nothing at all.
    pub(crate) is_cut: bool,
}

#[derive(Debug, Default)]
struct Shared {
    quality: Mutex<Quality>,
    carried: AtomicU64,
    lost: AtomicU64,
    is_over: AtomicBool,
}

pub(crate) struct Link {
    shared: Arc<Shared>,
    carrier: Option<JoinHandle<()>>,
    ends: [Arc<Interface>; 2],
}

impl Link {
    pub(crate) fn new(ends: [Interface; 2], quality: Quality, random: fastrand::Rng) -> Self {
        let ends = ends.map(Arc::new);
        let shared = Arc::new(Shared { quality: Mutex::new(quality), ..Shared::default() });
        let carrier = Carrier {
            ends: ends.clone(),
            shared: Arc::clone(&shared),
            random,
            on_their_way: BinaryHeap::new(),
            free: [Instant::now(); 2],
            count: 0,
        };
        let carrier = Some(thread::spawn(|| carrier.run()));
        Self { shared, carrier, ends }
    }

    pub(crate) fn set(&self, quality: Quality) {
        *self.shared.quality.lock().expect("no thread panics") = quality;
    }

    /// Takes the interfaces of both hosts down or up.
    pub(crate) fn set_up(&self, up: bool) {
        self.ends.iter().for_each(|end| end.set_up(up).expect("it may do so"));
    }

    /// How many packets have been carried, and how many not.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.shared.carried.load(Ordering::Relaxed), self.shared.lost.load(Ordering::Relaxed))
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        if let Some(carrier) = self.carrier.take() {
            let _ = carrier.join();
        }
    }
}

/// A packet, and when it arrives at which end. The number keeps the order of those at one time.
type OnItsWay = Reverse<(Instant, u64, usize, Vec<u8>)>;

struct Carrier {
    ends: [Arc<Interface>; 2],
    shared: Arc<Shared>,
    random: fastrand::Rng,
    on_their_way: BinaryHeap<OnItsWay>,
    /// From when on each direction can carry the next packet.
    free: [Instant; 2],
    count: u64,
}

impl Carrier {
    /// How long it sleeps at most, so that it learns of its end.
    const LONGEST: Duration = Duration::from_millis(20);

    fn run(mut self) {
        while !self.shared.is_over.load(Ordering::Relaxed) {
            let next = self.on_their_way.peek().map(|Reverse((due, ..))| *due);
            let wait = next.map_or(Self::LONGEST, |due| {
                due.saturating_duration_since(Instant::now()).min(Self::LONGEST)
            });
            for (from, is_ready) in self.wait(wait).into_iter().enumerate() {
                if is_ready {
                    self.take(from);
                }
            }
            self.deliver();
        }
    }

    /// Waits until a host sends something. Returns which of them do.
    fn wait(&self, time: Duration) -> [bool; 2] {
        let polled = |end: &Arc<Interface>| libc::pollfd {
            fd: end.packets.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        let mut ready = [polled(&self.ends[0]), polled(&self.ends[1])];
        let time = libc::timespec { tv_sec: 0, tv_nsec: time.as_nanos() as libc::c_long };
        // SAFETY: the call reads and writes two `pollfd` and reads a time.
        unsafe { libc::ppoll(ready.as_mut_ptr(), 2, &time, std::ptr::null()) };
        ready.map(|one| one.revents & libc::POLLIN != 0)
    }

    /// Takes one packet of a host, and decides what becomes of it.
    fn take(&mut self, from: usize) {
        let mut packet = vec![0; 2048];
        let Ok(length) = (&self.ends[from].packets).read(&mut packet) else { return };
        packet.truncate(length);
        let quality = *self.shared.quality.lock().expect("no thread panics");
        let now = Instant::now();
        let start = self.free[from].max(now);
        let is_full = quality.rate > 0 && start - now > Duration::from_millis(100);
        if quality.is_cut || is_full || self.happens(quality.lost) {
            self.shared.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.shared.carried.fetch_add(1, Ordering::Relaxed);
        let time = (length as u64 * 1_000_000_000).checked_div(quality.rate);
        self.free[from] = start + time.map_or(Duration::ZERO, Duration::from_nanos);
        let mut due = self.free[from] + quality.delay;
        if self.happens(quality.late) {
            due += Duration::from_millis(5);
        }
        if self.happens(quality.doubled) {
            self.send(due, 1 - from, packet.clone());
        }
        self.send(due, 1 - from, packet);
    }

    fn happens(&mut self, of_thousand: u32) -> bool {
        of_thousand > 0 && self.random.u32(0..1000) < of_thousand
    }

    fn send(&mut self, due: Instant, to: usize, packet: Vec<u8>) {
        self.count += 1;
        self.on_their_way.push(Reverse((due, self.count, to, packet)));
    }

    /// Gives the hosts what has arrived.
    fn deliver(&mut self) {
        while self.on_their_way.peek().is_some_and(|Reverse((due, ..))| *due <= Instant::now()) {
            let Some(Reverse((.., to, packet))) = self.on_their_way.pop() else { return };
            // Fails while the interface is down: then the packet is lost.
            let _ = (&self.ends[to].packets).write(&packet);
        }
    }
}
