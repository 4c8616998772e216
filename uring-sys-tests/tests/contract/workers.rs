//! Kernel workers: which operations need one, how many there are, and how they are cancelled.
//!
//! A worker costs a thread and two context switches. The driver calls the kernel directly for what
//! would always take one, bounds their number, and knows what a cancel can do to work that runs.

use std::collections::BTreeSet;
use std::ffi::CString;
use std::fs;
use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::thread;
use std::time::Instant;

use io_uring::types::Fd;
use io_uring::{opcode, squeue};
use uring_sys_tests::completion::Errno;
use uring_sys_tests::memory::{Buffer, Pages};
use uring_sys_tests::op::Op;
use uring_sys_tests::raw::{checked, owned};
use uring_sys_tests::ring::{Ring, patience};
use uring_sys_tests::socket;

use crate::case::cases;
use crate::files::{unnamed_file, unused_path};

cases![
    inline_vs_iowq_table: [CreatedPaths] @ in_own_process,
    full_send_after_fin_stays_off_iowq @ in_own_process,
    max_workers_respected @ in_own_process,
    iowq_cancel_codes @ in_own_process,
];

/// The thread ids of the kernel workers of this process.
fn workers() -> BTreeSet<u32> {
    let threads = fs::read_dir("/proc/self/task").expect("list the threads");
    let ids = threads.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    ids.filter(|id: &u32| {
        let name = fs::read_to_string(format!("/proc/self/task/{id}/comm"));
        name.is_ok_and(|name| name.starts_with("iou-wrk-"))
    })
    .collect()
}

/// Runs one operation on a thread of its own, which thus starts without workers; gives its outcome
/// and whether it took a worker.
fn takes_worker(op: Op) -> (Result<u32, Errno>, bool) {
    thread::scope(|scope| {
        let run = scope.spawn(|| {
            let before = workers();
            let mut ring = Ring::plain(8);
            let outcome = ring.run(op).outcome();
            (outcome, !workers().is_subset(&before))
        });
        run.join().expect("the submitting thread")
    })
}

fn c_path(path: &Path) -> &'static CString {
    Box::leak(Box::new(CString::new(path.as_os_str().as_bytes()).expect("a path")))
}

/// An operation whose arguments are leaked or constant.
fn leaked(entry: squeue::Entry) -> Op {
    // SAFETY: as the name says.
    unsafe { Op::from_entry(entry) }
}

/// What is ready on a socket, and a cached open, run inside the submitting call; what may block in
/// the file system always takes a worker. The driver chooses by this table between ring and call.
fn inline_vs_iowq_table() {
    let (near, far) = socket::tcp_pair();
    socket::write_all(&far, b"ready");
    let listener = socket::listener();
    let _client = TcpStream::connect(socket::address_of(&listener)).expect("connect");
    let cached = c"/dev/null";
    fs::metadata("/dev/null").expect("look the path up");
    let open_cached = opcode::OpenAt::new(Fd(libc::AT_FDCWD), cached.as_ptr());
    let inline = [
        ("nop", Op::nop()),
        ("recv", Op::recv(&near, Buffer::zeroed(8))),
        ("send", Op::send(&near, Buffer::zeroed(8))),
        ("accept", Op::accept(&listener)),
        ("open", leaked(open_cached.build())),
    ];
    for (name, op) in inline {
        let (outcome, worker) = takes_worker(op);
        assert!(outcome.is_ok(), "{name} ended with {outcome:?}");
        assert!(!worker, "{name} took a worker");
    }

    let path = unused_path();
    let moved = path.with_extension("moved");
    let (path, moved) = (c_path(&path).as_ptr(), c_path(&moved).as_ptr());
    let here = Fd(libc::AT_FDCWD);
    let mut file = unnamed_file();
    file.write_all(&[1; 4096]).expect("write the file");
    let at_file = Fd(file.as_raw_fd());
    let (read, write) = socket::pipe();
    socket::write_all(&write, b"spliced");
    let target = Fd(file.as_raw_fd());
    let status = Buffer::zeroed(size_of::<libc::statx>()).as_ptr();
    let pages = Pages::new(1);
    let memory = pages.as_ptr().cast::<libc::c_void>();
    let offloaded = [
        ("create", opcode::OpenAt::new(here, path).flags(libc::O_CREAT).mode(0o600).build()),
        ("statx", opcode::Statx::new(here, path, status.cast()).build()),
        ("rename", opcode::RenameAt::new(here, path, here, moved).build()),
        ("unlink", opcode::UnlinkAt::new(here, moved).build()),
        ("mkdir", opcode::MkDirAt::new(here, path).mode(0o700).build()),
        ("symlink", opcode::SymlinkAt::new(here, path, moved).build()),
        ("rmdir", opcode::UnlinkAt::new(here, path).flags(libc::AT_REMOVEDIR).build()),
        ("unlink of a link", opcode::UnlinkAt::new(here, moved).build()),
        ("fsync", opcode::Fsync::new(at_file).build()),
        ("fadvise", opcode::Fadvise::new(at_file, 4096, libc::POSIX_FADV_WILLNEED).build()),
        ("madvise", opcode::Madvise::new(memory, 4096, libc::MADV_DONTNEED).build()),
        ("splice", opcode::Splice::new(Fd(read.as_raw_fd()), -1, target, 0, 7).build()),
        ("shutdown", opcode::Shutdown::new(Fd(near.as_raw_fd()), libc::SHUT_RDWR).build()),
    ];
    for (name, entry) in offloaded {
        let (outcome, worker) = takes_worker(leaked(entry));
        assert!(outcome.is_ok(), "{name} ended with {outcome:?}");
        assert!(worker, "{name} took no worker");
    }
}

/// After its peer's end, or with urgent data unread, a socket without room is "ready" to every poll
/// of the kernel, so that a send which waits is tried in vain and then blocks a worker. With
/// `MSG_DONTWAIT` it completes with `EAGAIN`, and no worker sees it. The driver sends only so: else
/// each such peer that does not read would cost a thread.
fn full_send_after_fin_stays_off_iowq() {
    let (near, far) = socket::tcp_pair();
    far.shutdown(Shutdown::Write).expect("end the peer's direction");
    socket::fill(&near);
    let buffer = Buffer::zeroed(1 << 20);
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    let mut refused = 0;
    for _ in 0..100 {
        let (outcome, worker) = takes_worker(Op::send_with(&near, buffer, flags));
        assert!(!worker, "the send took a worker");
        match outcome {
            // On a slow machine room comes for a while yet.
            Ok(_) => continue,
            Err(error) => assert_eq!(error, Errno(libc::EAGAIN)),
        }
        refused += 1;
        if refused == 3 {
            return;
        }
    }
    panic!("it has room again and again");
}

/// Operations that each block a worker until `Blocked::release`.
struct Blocked {
    path: std::path::PathBuf,
}

impl Blocked {
    fn new() -> Blocked {
        let path = unused_path();
        // SAFETY: the path is a C string that is leaked.
        let made = unsafe { libc::mkfifo(c_path(&path).as_ptr(), 0o600) };
        checked(made.into()).expect("make a named pipe");
        Blocked { path }
    }

    /// Opens the named pipe to read, which blocks as long as there is no writer.
    fn open(&self) -> Op {
        let path = c_path(&self.path).as_ptr();
        leaked(opcode::OpenAt::new(Fd(libc::AT_FDCWD), path).build()).forced_async()
    }

    /// Lets all the opens succeed.
    fn release(&self) -> fs::File {
        let mut options = fs::OpenOptions::new();
        options.read(true).write(true).open(&self.path).expect("open both ends")
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        fs::remove_file(&self.path).expect("remove the named pipe");
    }
}

/// Waits until there are `count` workers besides `before`.
fn await_workers(before: &BTreeSet<u32>, count: usize) {
    let deadline = Instant::now() + patience();
    while workers().difference(before).count() < count {
        assert!(Instant::now() < deadline, "fewer than {count} workers");
        thread::yield_now();
    }
}

/// The registered limit bounds the workers, and what waits for one runs later.
/// Without it, a burst of file operations becomes a burst of threads.
fn max_workers_respected() {
    const OPENS: u64 = 6;
    let run = |limit: Option<u32>, at_least: usize| {
        let before = workers();
        let mut ring = Ring::plain(16);
        if let Some(limit) = limit {
            let limits = &mut [limit; 2];
            ring.register().register_iowq_max_workers(limits).expect("limit the workers");
        }
        let blocked = Blocked::new();
        ring.start((0..OPENS).map(|tag| blocked.open().tag(tag)));
        await_workers(&before, at_least);
        ring.assert_quiet("all of them block");
        let count = workers().difference(&before).count();
        let _both_ends = blocked.release();
        for _ in 0..OPENS {
            drop(owned(ring.next_any().outcome().expect("a descriptor")));
        }
        count
    };
    let on_a_thread = |limit, at_least| {
        thread::scope(|scope| scope.spawn(|| run(limit, at_least)).join().expect("the thread"))
    };
    assert_eq!(on_a_thread(Some(2), 2), 2, "workers with a limit of 2");
    let unlimited = on_a_thread(None, 3);
    assert!(unlimited > 2, "{unlimited} workers without a limit: the limit was not what held");
}

/// Cancelling what waits for a worker is sure; what a worker runs can only be interrupted, and then
/// ends with `EINTR` or the kernel's own restart code. The driver takes all of them for cancelled.
fn iowq_cancel_codes() {
    const RESTART: i32 = 512;
    const INTERRUPTED: [i32; 3] = [libc::ECANCELED, libc::EINTR, RESTART];
    let mut ring = Ring::plain(8);
    ring.register().register_iowq_max_workers(&mut [1; 2]).expect("limit the workers");
    let blocked = Blocked::new();
    let before = workers();
    ring.start([blocked.open().tag(1), blocked.open().tag(2)]);
    await_workers(&before, 1);
    ring.assert_quiet("one runs, one waits for the worker");
    let waiting = cancelled(&mut ring, 2);
    assert_eq!(waiting, (Ok(0), Err(Errno(libc::ECANCELED))), "what waits for a worker");
    let (answer, ended) = cancelled(&mut ring, 1);
    assert!([Ok(0), Err(Errno(libc::EALREADY))].contains(&answer), "the cancel: {answer:?}");
    let legal = INTERRUPTED.map(|errno| Err(Errno(errno)));
    assert!(legal.contains(&ended), "what a worker runs: {ended:?}");
}

/// The cancel's answer and the end of its target.
fn cancelled(ring: &mut Ring, tag: u64) -> (Result<u32, Errno>, Result<u32, Errno>) {
    let answer = ring.run(Op::cancel(tag).tag(99)).outcome();
    (answer, ring.next_for(tag).outcome())
}
