use std::fs::File;
use std::os::fd::{AsRawFd, IntoRawFd};
use std::sync::atomic::AtomicUsize;
use std::sync::{Condvar, mpsc};
use std::thread;

use super::*;
use crate::sys::poll::READABLE;

/// What jobs of a test do together.
#[derive(Default)]
struct Gate {
    is_open: Mutex<bool>,
    opened: Condvar,
    begun: AtomicUsize,
    at_gate: AtomicUsize,
}

impl Gate {
    fn open(&self) {
        *self.is_open.lock().unwrap() = true;
        self.opened.notify_all();
    }

    /// Waits until it is open, and returns how many jobs were at it then.
    fn pass(&self) -> i32 {
        self.at_gate.fetch_add(1, Ordering::Relaxed);
        self.begun.fetch_add(1, Ordering::Relaxed);
        let mut is_open = self.is_open.lock().unwrap();
        while !*is_open {
            is_open = self.opened.wait(is_open).unwrap();
        }
        self.at_gate.fetch_sub(1, Ordering::Relaxed) as i32
    }

    fn until_begun(&self, count: usize) {
        while self.begun.load(Ordering::Relaxed) < count {
            thread::yield_now();
        }
    }
}

fn job(token: usize, kind: Kind, work: impl FnMut() -> i32 + Send + 'static) -> Job {
    Job { token, kind, makes_descriptor: false, work: Work::Boxed(Box::new(work)) }
}

/// A job that passes a gate.
fn passing(token: usize, kind: Kind, gate: &Arc<Gate>) -> Job {
    let gate = Arc::clone(gate);
    job(token, kind, move || gate.pass())
}

fn submit(workers: &mut Workers, job: Job) {
    assert!(workers.submit(job).is_ok(), "no thread can be started");
}

/// Sleeps as the loop does until something has finished, and collects it.
fn collect(workers: &mut Workers) -> Vec<(usize, i32)> {
    let mut results = Vec::new();
    while results.is_empty() {
        let limit = workers.prepare_sleep().map_or(-1, |limit| limit.as_millis() as i32 + 1);
        let mut bell =
            libc::pollfd { fd: workers.bell().as_raw_fd(), events: READABLE as i16, revents: 0 };
        if limit != 1 {
            // SAFETY: the call reads and writes one `pollfd`.
            unsafe { libc::poll(&raw mut bell, 1, limit) };
        }
        workers.end_sleep();
        workers.shared.bell.clear();
        workers.collect(|token, result| results.push((token, result)));
    }
    results
}

fn collect_all(workers: &mut Workers) -> Vec<(usize, i32)> {
    let mut results = Vec::new();
    while !workers.jobs.is_empty() {
        results.extend(collect(workers));
    }
    results.sort_unstable();
    results
}

fn workers(files: u32, others: u32) -> Workers {
    Workers::new(WorkerLimits { files, others }).unwrap()
}

#[test]
fn no_thread_starts_before_there_is_a_job_and_no_more_than_the_limit() {
    let (gate, mut workers) = (Arc::<Gate>::default(), workers(3, 1));
    assert_eq!((workers.files.threads(), workers.others.threads()), (0, 0));
    for token in 0..10 {
        submit(&mut workers, passing(token, Kind::File, &gate));
    }
    gate.until_begun(3);
    assert_eq!((workers.files.threads(), workers.others.threads()), (3, 0));
    // Files do not keep the others waiting.
    submit(&mut workers, passing(10, Kind::Other, &gate));
    gate.until_begun(4);
    gate.open();
    let results = collect_all(&mut workers);
    assert_eq!(results.len(), 11);
    assert!(results.iter().all(|&(_, together)| (1..=4).contains(&together)), "{results:?}");
    assert_eq!((workers.files.threads(), workers.others.threads()), (3, 1));
}

/// The thread finishes at any moment while the loop falls asleep: a wake-up that is lost leaves the
/// loop asleep for ever.
#[test]
fn a_result_is_never_missed_by_a_loop_that_falls_asleep() {
    let mut workers = workers(2, 1);
    for token in 0..2000 {
        submit(&mut workers, job(token, Kind::File, || 7));
        (0..token % 50).for_each(|_| std::hint::spin_loop());
        assert_eq!(collect(&mut workers), [(token, 7)]);
    }
}

#[test]
fn a_queued_job_is_taken_back_and_one_that_has_begun_ends() {
    let (gate, mut workers) = (Arc::<Gate>::default(), workers(1, 1));
    for kind in [Kind::File, Kind::Other] {
        let first = kind as usize * 2;
        submit(&mut workers, passing(first, kind, &gate));
        gate.until_begun(kind as usize + 1);
        submit(&mut workers, passing(first + 1, kind, &gate));
        assert_eq!(workers.cancel(first + 1), Found::Queued);
        assert_eq!(workers.cancel(first + 1), Found::Nothing);
        assert_eq!(workers.cancel(first), Found::Begun);
    }
    gate.open();
    let tokens: Vec<_> = collect_all(&mut workers).iter().map(|&(token, _)| token).collect();
    assert_eq!((tokens, gate.begun.load(Ordering::Relaxed)), (vec![0, 2], 2));
}

/// A job that reads a pipe of which the write end is open and silent.
fn reading(token: usize, pipe: &Arc<File>) -> Job {
    let pipe = Arc::clone(pipe);
    job(token, Kind::Other, move || {
        let mut byte = 0_u8;
        // SAFETY: the call writes one byte.
        let result = unsafe { libc::read(pipe.as_raw_fd(), (&raw mut byte).cast(), 1) };
        if result < 0 { -io::Error::last_os_error().raw_os_error().unwrap() } else { byte.into() }
    })
}

#[test]
fn a_job_that_waits_for_ever_is_interrupted_when_it_is_cancelled_at_any_moment() {
    let (reader, mut writer) = io::pipe().unwrap();
    let reader = Arc::new(File::from(OwnedFd::from(reader)));
    let mut workers = workers(1, 4);
    for round in 0..300 {
        for token in 0..3 {
            submit(&mut workers, reading(token, &reader));
        }
        (0..round).for_each(|_| std::hint::spin_loop());
        let mut found = [0, 1].map(|token| workers.cancel(token));
        found.sort_unstable_by_key(|&found| found as u8);
        assert!(!found.contains(&Found::Nothing));
        // The one that was not cancelled is not interrupted.
        let begun = found.iter().filter(|&&found| found == Found::Begun).count();
        let mut ended = Vec::new();
        while ended.len() < begun {
            ended.extend(collect(&mut workers));
        }
        assert!(ended.iter().all(|&(token, result)| token < 2 && result == -ECANCELED));
        io::Write::write_all(&mut writer, b"!").unwrap();
        assert_eq!(collect_all(&mut workers), [(2, b'!'.into())]);
    }
}

#[test]
fn workers_that_are_dropped_drop_what_is_queued_and_their_threads_end() {
    let (gate, mut workers) = (Arc::<Gate>::default(), workers(1, 1));
    submit(&mut workers, passing(0, Kind::File, &gate));
    gate.until_begun(1);
    submit(&mut workers, passing(1, Kind::File, &gate));
    let files = Arc::clone(&workers.files);
    drop(workers);
    gate.open();
    while files.threads() > 0 {
        thread::yield_now();
    }
    assert_eq!(gate.begun.load(Ordering::Relaxed), 1);
}

#[test]
fn a_descriptor_that_is_opened_when_the_ring_is_gone_is_closed() {
    let (gate, mut workers) = (Arc::<Gate>::default(), workers(1, 1));
    let (mut passing, (give, take)) = (passing(0, Kind::File, &gate), mpsc::channel());
    let open = move || {
        passing.work.run();
        let (reader, writer) = io::pipe().unwrap();
        give.send(reader).unwrap();
        writer.into_raw_fd()
    };
    submit(&mut workers, Job { makes_descriptor: true, ..job(0, Kind::File, open) });
    gate.until_begun(1);
    drop(workers);
    gate.open();
    assert_eq!(io::read_to_string(take.recv().unwrap()).unwrap(), "");
}

#[test]
fn a_job_that_finds_that_it_may_wait_is_run_again_as_one_that_may() {
    let mut workers = workers(1, 1);
    let mut result = MAY_WAIT;
    submit(&mut workers, job(0, Kind::File, move || mem::replace(&mut result, 1)));
    assert_eq!(collect_all(&mut workers), [(0, 1)]);
    assert_eq!((workers.files.threads(), workers.others.threads()), (1, 1));
    // One that is cancelled meanwhile is not.
    let gate = Arc::<Gate>::default();
    let mut passing = passing(1, Kind::File, &gate);
    submit(
        &mut workers,
        job(1, Kind::File, move || {
            passing.work.run();
            MAY_WAIT
        }),
    );
    gate.until_begun(1);
    assert_eq!(workers.cancel(1), Found::Begun);
    gate.open();
    assert_eq!(collect_all(&mut workers), [(1, -ECANCELED)]);
}

#[test]
fn workers_are_dropped_in_a_forked_child_without_their_locks() {
    let mut workers = workers(1, 1);
    submit(&mut workers, job(0, Kind::File, || 0));
    collect_all(&mut workers);
    let shared = Arc::clone(&workers.shared);
    let (files, held) = (Arc::clone(&workers.files), shared.lock());
    // SAFETY: the child has one thread, and needs no lock that another may have held.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // It is killed if it waits for one of the locks.
        // SAFETY: the call touches no memory.
        unsafe { libc::alarm(20) };
        drop(workers);
        // SAFETY: the call does not return.
        unsafe { libc::_exit(0) };
    }
    drop((held, files));
    let mut status = 0;
    // SAFETY: the call writes one integer.
    while unsafe { libc::waitpid(child, &raw mut status, libc::WNOHANG) } == 0 {
        thread::yield_now();
    }
    assert_eq!(status, 0);
}
