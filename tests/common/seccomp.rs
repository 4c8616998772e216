//! Kernels that refuse io_uring or lack parts of it, simulated for one thread.
//!
//! A seccomp filter sits between the thread and the kernel. It answers a system call with an error
//! by itself, or, where it would have to look at memory, asks a supervisor on another thread.

use std::io;
use std::mem::{offset_of, zeroed};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use libc::{c_long, c_ulong, seccomp_data, seccomp_notif, seccomp_notif_resp, sock_filter};

/// The opcode of `io_uring_register` that asks which operations there are.
pub(crate) const REGISTER_PROBE: u32 = 8;
/// The opcode of `io_uring_register` that registers a ring of buffers.
pub(crate) const REGISTER_BUFFER_RING: u32 = 22;
/// The opcode of `io_uring_register` that registers a ring's own descriptor.
pub(crate) const REGISTER_RING_FDS: u32 = 20;

/// Which calls a filter is about.
#[derive(Clone, Copy)]
pub(crate) struct Calls {
    pub(crate) number: c_long,
    /// Only those whose second argument is this, if it is given.
    pub(crate) second_argument: Option<u32>,
}

impl From<c_long> for Calls {
    fn from(number: c_long) -> Self {
        Self { number, second_argument: None }
    }
}

/// Runs `body` on a thread for which the calls fail with `errno`.
pub(crate) fn refusing<T: Send + 'static>(
    calls: impl Into<Calls>,
    errno: i32,
    body: impl FnOnce() -> T + Send + 'static,
) -> T {
    refusing_all(vec![calls.into()], errno, body)
}

/// Runs `body` on a thread that can start no other.
pub(crate) fn without_threads<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> T {
    // Which of them is used depends on the C library.
    let calls = vec![libc::SYS_clone3.into(), libc::SYS_clone.into()];
    refusing_all(calls, libc::EAGAIN, || {
        assert!(thread::Builder::new().spawn(|| ()).is_err(), "no thread can be started");
        body()
    })
}

fn refusing_all<T: Send + 'static>(
    calls: Vec<Calls>,
    errno: i32,
    body: impl FnOnce() -> T + Send + 'static,
) -> T {
    let refusing = thread::spawn(move || {
        install(&filter(&calls, libc::SECCOMP_RET_ERRNO | errno as u32), 0);
        body()
    });
    refusing.join().unwrap_or_else(|payload| std::panic::resume_unwind(payload))
}

/// Lets calls of this thread fail with `errno`, to its end.
pub(crate) fn refuse_from_now_on(calls: impl Into<Calls>, errno: i32) {
    install(&filter(&[calls.into()], libc::SECCOMP_RET_ERRNO | errno as u32), 0);
}

/// Makes the program of `command` run where a call fails with `errno`.
pub(crate) fn forbid(command: &mut Command, number: c_long, errno: i32) {
    let filter = filter(&[number.into()], libc::SECCOMP_RET_ERRNO | errno as u32);
    let install = move || {
        install(&filter, 0);
        Ok(())
    };
    // SAFETY: between fork and exec it makes two system calls and allocates nothing.
    unsafe { command.pre_exec(install) };
}

/// What a kernel lacks.
#[derive(Clone, Copy)]
pub(crate) struct Lacking {
    /// The set-up flags that it does not know.
    pub(crate) flags: u32,
    /// An operation that it does not know.
    pub(crate) operation: Option<u8>,
}

/// Runs `body` on a thread for which the kernel lacks some things.
pub(crate) fn lacking<T: Send + 'static>(
    lacking: Lacking,
    body: impl FnOnce() -> T + Send + 'static,
) -> T {
    let mut calls = vec![libc::SYS_io_uring_setup.into()];
    calls.extend(lacking.operation.map(|_| Calls {
        number: libc::SYS_io_uring_register,
        second_argument: Some(REGISTER_PROBE),
    }));
    supervised(calls, move |call| decide(call, lacking), body)
}

/// Which of the calls of a kind fail, counted from one.
#[derive(Clone, Copy, Debug)]
pub(crate) enum When {
    /// Each whose number is a multiple of this.
    Every(u64),
    /// From one to another, both included.
    Between(u64, u64),
    /// From this one on.
    From(u64),
    /// From this one on, for so long.
    For(u64, Duration),
}

/// Counts calls.
struct Counted {
    when: When,
    made: u64,
    /// When the first of them failed.
    began: Option<Instant>,
}

impl Counted {
    fn new(when: When) -> Self {
        Self { when, made: 0, began: None }
    }

    /// Counts one more. Returns whether it fails.
    fn next_fails(&mut self) -> bool {
        self.made += 1;
        match self.when {
            When::Every(period) => self.made % period == 0,
            When::Between(first, last) => (first..=last).contains(&self.made),
            When::From(first) => self.made >= first,
            When::For(first, time) => {
                self.made >= first && self.began.get_or_insert_with(Instant::now).elapsed() < time
            }
        }
    }
}

/// Runs `body` on a thread for which some of the calls fail with `errno`. Returns also how many
/// have failed.
pub(crate) fn failing<T: Send + 'static>(
    calls: impl Into<Calls>,
    errno: i32,
    when: When,
    body: impl FnOnce() -> T + Send + 'static,
) -> (T, u64) {
    let (mut counted, failed) = (Counted::new(when), Arc::new(AtomicU64::new(0)));
    let counter = Arc::clone(&failed);
    let decide = move |call: &seccomp_data| {
        if !counted.next_fails() {
            return Verdict::Continue;
        }
        counter.fetch_add(1, Ordering::Relaxed);
        if c_long::from(call.nr) == libc::SYS_close {
            // An error of `close` is one of what it has done beside closing.
            // SAFETY: the thread that waits in the call has given the descriptor up by it.
            unsafe { libc::close(call.args[0] as i32) };
        }
        Verdict::Answer(errno)
    };
    let output = supervised(vec![calls.into()], decide, body);
    (output, failed.load(Ordering::Relaxed))
}

/// Runs `body` on a thread for which one of the calls that `errnos` lists fails: the one with the
/// `number`, in the order in which they are made. The error is one of those that are listed for
/// that call, by turns. Returns also which call has failed, and how.
pub(crate) fn failing_once<T: Send + 'static>(
    errnos: &'static [(c_long, &'static [i32])],
    number: usize,
    body: impl FnOnce() -> T + Send + 'static,
) -> (T, Option<(c_long, i32)>) {
    let (mut made, (failed, failures)) = (0, mpsc::channel());
    let decide = move |call: &seccomp_data| {
        made += 1;
        if made != number {
            return Verdict::Continue;
        }
        let listed = errnos.iter().find(|(number, _)| *number == c_long::from(call.nr));
        let (call, errnos) = listed.expect("no other is supervised");
        let errno = errnos[number % errnos.len()];
        failed.send((*call, errno)).unwrap();
        Verdict::Answer(errno)
    };
    let calls = errnos.iter().map(|(number, _)| Calls::from(*number)).collect();
    let output = supervised(calls, decide, body);
    (output, failures.try_recv().ok())
}

/// Runs `body` on a thread of a machine without IPv6.
pub(crate) fn without_ipv6<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> T {
    let decide = |call: &seccomp_data| match call.args[0] == libc::AF_INET6 as u64 {
        true => Verdict::Answer(libc::EAFNOSUPPORT),
        false => Verdict::Continue,
    };
    supervised(vec![libc::SYS_socket.into()], decide, body)
}

/// Runs `body` on a thread for whose calls `decide` does, and for those of the threads that it has
/// started. Those of its child processes are the kernel's.
fn supervised<T: Send + 'static>(
    calls: Vec<Calls>,
    decide: impl FnMut(&seccomp_data) -> Verdict + Send + 'static,
    body: impl FnOnce() -> T + Send + 'static,
) -> T {
    let (sender, listeners) = mpsc::channel();
    // Started first, or the filter would hold for it as well.
    let supervisor = thread::spawn(move || supervise(listeners.recv().unwrap(), decide));
    let supervised = thread::spawn(move || {
        let filter = filter(&calls, libc::SECCOMP_RET_USER_NOTIF);
        sender.send(install(&filter, libc::SECCOMP_FILTER_FLAG_NEW_LISTENER)).unwrap();
        body()
    });
    let outcome = supervised.join();
    // It goes on while there are threads that the supervised one has started.
    if supervisor.is_finished() {
        supervisor.join().unwrap();
    }
    outcome.unwrap_or_else(|payload| std::panic::resume_unwind(payload))
}

/// A program that gives `verdict` for some calls and allows all others.
fn filter(calls: &[Calls], verdict: u32) -> Vec<sock_filter> {
    let statement = |code, k| sock_filter { code: code as u16, jt: 0, jf: 0, k };
    let load = |offset: usize| statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset as u32);
    let skip_unless = |k, count| sock_filter {
        jf: count,
        ..statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, k)
    };
    let give = |verdict| statement(libc::BPF_RET | libc::BPF_K, verdict);
    let mut program = Vec::new();
    for calls in calls {
        program.push(load(offset_of!(seccomp_data, nr)));
        match calls.second_argument {
            None => program.push(skip_unless(calls.number as u32, 1)),
            Some(value) => program.extend([
                skip_unless(calls.number as u32, 3),
                // Of a number that fits in its lower half; the machine is little-endian.
                load(offset_of!(seccomp_data, args) + size_of::<u64>()),
                skip_unless(value, 1),
            ]),
        }
        program.push(give(verdict));
    }
    program.push(give(libc::SECCOMP_RET_ALLOW));
    program
}

/// Installs a filter for the calling thread. Gives the listener, if one was asked for.
fn install(filter: &[sock_filter], flags: c_ulong) -> i32 {
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_ptr().cast_mut() };
    // SAFETY: the calls read the program, which lives across them, and nothing else.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        let mode = libc::SECCOMP_SET_MODE_FILTER;
        let listener = libc::syscall(libc::SYS_seccomp, mode, flags, &program);
        assert!(listener >= 0, "seccomp: {}", io::Error::last_os_error());
        listener as i32
    }
}

const NOTIFY_RECEIVE: c_ulong = 0xc050_2100;
const NOTIFY_SEND: c_ulong = 0xc018_2101;
const NOTIFY_CONTINUE: u32 = 1;

/// Decides on the calls of the supervised thread until it has ended.
fn supervise(listener: i32, mut decide: impl FnMut(&seccomp_data) -> Verdict) {
    loop {
        let mut ready = libc::pollfd { fd: listener, events: libc::POLLIN, revents: 0 };
        // SAFETY: the call reads and writes one `pollfd`.
        assert_eq!(unsafe { libc::poll(&mut ready, 1, -1) }, 1);
        if ready.revents & libc::POLLIN == 0 {
            // SAFETY: the descriptor is this function's.
            unsafe { libc::close(listener) };
            return;
        }
        // SAFETY: the kernel wants it zeroed, and fills it.
        let mut call: seccomp_notif = unsafe { zeroed() };
        // SAFETY: the call writes one notification.
        if unsafe { libc::ioctl(listener, NOTIFY_RECEIVE, &mut call) } != 0 {
            // A signal has interrupted the call meanwhile, or its thread is gone.
            assert_eq!(io::Error::last_os_error().raw_os_error(), Some(libc::ENOENT));
            continue;
        }
        let verdict = if is_own(call.pid) { decide(&call.data) } else { Verdict::Continue };
        let (error, flags) = match verdict {
            Verdict::Continue => (0, NOTIFY_CONTINUE),
            Verdict::Answer(errno) => (-errno, 0),
        };
        let answer = seccomp_notif_resp { id: call.id, val: 0, error, flags };
        // SAFETY: the call reads one response.
        if unsafe { libc::ioctl(listener, NOTIFY_SEND, &answer) } != 0 {
            assert_eq!(io::Error::last_os_error().raw_os_error(), Some(libc::ENOENT));
        }
    }
}

/// Whether a thread is one of this process.
fn is_own(thread: u32) -> bool {
    std::fs::exists(format!("/proc/self/task/{thread}")).is_ok_and(|exists| exists)
}

enum Verdict {
    /// The kernel is to decide.
    Continue,
    /// Success if it is zero, else the error.
    Answer(i32),
}

fn decide(call: &seccomp_data, lacking: Lacking) -> Verdict {
    if c_long::from(call.nr) == libc::SYS_io_uring_setup {
        // SAFETY: the supervised thread waits in the call, whose second argument is a set of
        // parameters. The flags are its third word.
        let flags = unsafe { (call.args[1] as *const u32).add(2).read() };
        return match flags & lacking.flags {
            0 => Verdict::Continue,
            _ => Verdict::Answer(libc::EINVAL),
        };
    }
    let [ring, opcode, probe, count, ..] = call.args;
    // SAFETY: this is the supervised thread's own call, for which it has the memory.
    let result = unsafe { libc::syscall(call.nr.into(), ring, opcode, probe, count) };
    assert_eq!(result, 0, "a probe from another thread: {}", io::Error::last_os_error());
    // Behind a head of sixteen bytes, each operation has eight: its flags are the second half-word.
    let operation = usize::from(lacking.operation.expect("only then probes are supervised"));
    // SAFETY: the probe has room for all operations.
    unsafe { (probe as *mut u16).add(8 + 4 * operation + 1).write(0) };
    Verdict::Answer(0)
}
