//! Sending without a copy: the kernel sends from the buffer itself, and needs it until the peer has
//! acknowledged the bytes.
//!
//! The entry completes twice, first with the result, as any send does, and then with the *notice* that the
//! memory is free. Whoever sends goes on after the first; the buffer stays in the slot until the second.
//! If the kernel had to copy after all, as it always does on the loopback interface, the notice says so,
//! and the socket sends in the usual way from then on.
//!
//! Dropped in flight, it is as with any send: a part may have been sent, and the next send waits for its
//! end. That is its result, which does not wait for the peer; the notice does, and keeps nothing but the
//! buffer.

use std::future::Future;
use std::io;
use std::mem;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, ready};

use super::ending::Leaving;
use super::payload::AT_ONCE;
use super::room::Room;
use super::{Socket, Stage, check_loop, entry_length};
use crate::buf::IoBuf;
use crate::driver::{Key, Orphan};
use crate::sys::errno::{EAGAIN, ECANCELED, EINTR, EINVAL, EOPNOTSUPP};
use crate::sys::socket::REPORT_USAGE;
use crate::sys::{Completion, opcode};

/// Sends all of a buffer.
pub(crate) struct SendZeroCopy<B: IoBuf> {
    socket: Rc<Socket>,
    /// Slots hold it too, each until its notice. `None` once it is over.
    buffer: Option<Rc<B>>,
    sent: usize,
    stage: Stage,
}

/// Why it has not sent.
pub(crate) enum Unsent<B> {
    /// The kernel cannot send so, and has sent nothing.
    Refused(B),
    Failed(io::Error),
}

impl<B: IoBuf> SendZeroCopy<B> {
    pub(crate) fn new(socket: &Rc<Socket>, buffer: B) -> Self {
        let (socket, buffer) = (Rc::clone(socket), Some(Rc::new(buffer)));
        Self { socket, buffer, sent: 0, stage: Stage::Nothing }
    }

    fn buffer(&self) -> &Rc<B> {
        self.buffer.as_ref().expect("a send was polled after its end")
    }

    fn left(&self) -> usize {
        self.buffer().bytes_init() - self.sent
    }

    /// Starts the next step. `None` if the driver is closed.
    fn submit(&self) -> Option<Key> {
        let length = entry_length(self.left());
        // SAFETY: `sent` is at most the number of initialised bytes.
        let source = unsafe { self.buffer().stable_ptr().add(self.sent) };
        let entry = self.socket.entry(|fd| {
            opcode::SendZc::new(fd, source, length).flags(AT_ONCE).zc_flags(REPORT_USAGE).build()
        });
        // SAFETY: the entry points to the buffer's memory, which does not move (`IoBuf`) and which nothing
        // here changes. The buffer is kept here until the result, and by an orphan until the notice.
        unsafe { self.socket.driver().submit_with_notification(entry) }
    }

    /// What the slot keeps until the notice.
    fn kept(&self, buffer: Rc<B>) -> Box<Kept<B>> {
        Box::new(Kept { socket: Rc::downgrade(&self.socket), _buffer: buffer })
    }

    /// The result of a step has come: lets the slot keep the buffer until the notice, if one follows.
    fn let_go(&self, key: Key, result: Completion) {
        let driver = self.socket.driver();
        if result.more() {
            driver.keep(key, self.kept(Rc::clone(self.buffer())));
        } else {
            driver.free_ended(key);
        }
    }

    /// Says what comes after a step.
    fn after(&mut self, result: Completion) -> Result<Stage, Unsent<B>> {
        let full = || Stage::Room(Room::awaited(&self.socket));
        match result.errno() {
            Some(EINTR) => return Ok(Stage::Nothing),
            Some(EAGAIN) => return Ok(full()),
            _ => {}
        }
        let count = match self.socket.sent(result, "send") {
            Ok(count) => count,
            Err(error) => return Err(self.unsent(result, error)),
        };
        let is_short = count < entry_length(self.left()) as usize;
        let stage = if is_short { full() } else { Stage::Nothing };
        if self.sent == 0 {
            self.socket.driver().counters().zero_copy_sends.increment();
        }
        self.sent += count;
        Ok(stage)
    }

    fn unsent(&mut self, result: Completion, error: io::Error) -> Unsent<B> {
        let is_refusal = result.failed_with(EINVAL) || result.failed_with(EOPNOTSUPP);
        let buffer = self.buffer.take().filter(|_| is_refusal && self.sent == 0);
        match buffer.and_then(Rc::into_inner) {
            Some(buffer) => {
                self.socket.copies_anyway.set(true);
                Unsent::Refused(buffer)
            }
            None => Unsent::Failed(error),
        }
    }
}

impl<B: IoBuf> Unpin for SendZeroCopy<B> {}

impl<B: IoBuf> Future for SendZeroCopy<B> {
    type Output = Result<(), Unsent<B>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        check_loop(this.socket.driver());
        loop {
            let driver = this.socket.driver();
            let failed = match &mut this.stage {
                Stage::Nothing => match this.submit() {
                    Some(key) => {
                        this.stage = Stage::Step(key);
                        continue;
                    }
                    None => Completion::failed(ECANCELED),
                },
                Stage::Room(room) => {
                    let report = ready!(room.poll(&this.socket, context));
                    this.stage = Stage::Nothing;
                    match report.errno() {
                        None => continue,
                        Some(_) => report,
                    }
                }
                &mut Stage::Step(key) => {
                    let result = ready!(driver.poll_next(key, context.waker()));
                    let result = result.expect("the result comes before the end");
                    this.stage = Stage::Nothing;
                    this.let_go(key, result);
                    result
                }
            };
            this.stage = match this.after(failed) {
                Ok(stage) => stage,
                Err(unsent) => return Poll::Ready(Err(unsent)),
            };
            if this.left() == 0 {
                this.buffer = None;
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<B: IoBuf> Drop for SendZeroCopy<B> {
    fn drop(&mut self) {
        let driver = self.socket.driver();
        match mem::replace(&mut self.stage, Stage::Nothing) {
            Stage::Nothing => {}
            Stage::Room(mut room) => room.stop(driver),
            Stage::Step(key) => match driver.try_next(key) {
                Some(result) => {
                    self.socket.note_error(result);
                    self.let_go(key, result);
                }
                None => {
                    let buffer = Rc::clone(self.buffer());
                    let leaving = Leaving::writing(&self.socket);
                    let socket = Rc::clone(&self.socket);
                    let dropped =
                        Dropped { socket, _buffer: Rc::clone(&buffer), _leaving: leaving };
                    driver.keep_until_notified(key, Box::new(dropped), self.kept(buffer));
                }
            },
        }
    }
}

/// A buffer whose bytes have been sent, until the notice.
struct Kept<B> {
    socket: Weak<Socket>,
    _buffer: Rc<B>,
}

impl<B> Orphan for Kept<B> {
    fn settle(&mut self, notice: Completion) {
        if let Some(socket) = self.socket.upgrade().filter(|_| notice.zero_copy_was_copied()) {
            socket.copies_anyway.set(true);
        }
    }
}

/// A send whose future is gone, until its result.
struct Dropped<B> {
    socket: Rc<Socket>,
    _buffer: Rc<B>,
    _leaving: Leaving,
}

impl<B> Orphan for Dropped<B> {
    fn settle(&mut self, result: Completion) {
        self.socket.note_error(result);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::{Ipv4Addr, TcpListener, TcpStream};
    use std::os::fd::OwnedFd;
    use std::sync::atomic::Ordering::Relaxed;
    use std::thread;
    use std::time::Duration;

    use super::*;
    use crate::op::on_workers::memory::{GuardedBuffer, LARGEST, Pool};
    use crate::op::on_workers::{Bench, poll};

    const BYTE: u8 = 0x5a;

    fn pair(bench: &Bench) -> (Rc<Socket>, TcpStream) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (far, _) = listener.accept().unwrap();
        (Rc::new(Socket::new(Rc::clone(&bench.driver), OwnedFd::from(near))), far)
    }

    fn finish(bench: &Bench, send: &mut SendZeroCopy<GuardedBuffer>) {
        loop {
            match poll(send) {
                Poll::Ready(Ok(())) => return,
                Poll::Ready(Err(_)) => panic!("it cannot be sent"),
                Poll::Pending => bench.driver.turn(false),
            }
        }
    }

    #[test]
    fn a_buffer_is_kept_to_its_notice_and_then_freed() {
        let pool = Pool::new(64);
        let bench = Bench::new(&pool);
        let (socket, mut far) = pair(&bench);
        let reader = thread::spawn(move || {
            let mut all = Vec::new();
            far.read_to_end(&mut all).unwrap();
            all
        });
        for _ in 0..50 {
            let buffer = pool.filled(LARGEST, BYTE);
            finish(&bench, &mut SendZeroCopy::new(&socket, buffer));
        }
        while pool.alive() > 0 {
            bench.driver.turn(false);
        }
        pool.verify();
        assert_eq!(bench.driver.metrics().zero_copy_sends, 50);
        assert!(socket.copies_anyway.get(), "the loopback interface copies, and says so");
        drop(socket);
        assert_eq!(reader.join().unwrap(), vec![BYTE; 50 * LARGEST]);
        bench.driver.close(Duration::from_secs(5));
    }

    /// Against a peer that does not read at first: dropped, the buffers live on as long as the kernel
    /// sends from them, and the next send waits.
    #[test]
    fn a_dropped_send_keeps_its_buffer_until_the_kernel_has_let_go() {
        let pool = Pool::new(1024);
        let bench = Bench::new(&pool);
        for round in 0..100 {
            let (socket, mut far) = pair(&bench);
            crate::sys::socket::set_option(
                socket.fd().unwrap(),
                crate::sys::socket::SOL_SOCKET,
                crate::sys::socket::SO_SNDBUF,
                4096,
            )
            .unwrap();
            let mut sends = Vec::new();
            for _ in 0..round % 8 + 1 {
                let mut send = SendZeroCopy::new(&socket, pool.filled(LARGEST, BYTE));
                for _ in 0..round % 5 {
                    if poll(&mut send).is_pending() {
                        bench.driver.turn(false);
                    } else {
                        break;
                    }
                }
                sends.push(send);
            }
            drop(sends);
            pool.verify();
            drop(socket);
            let reader = thread::spawn(move || {
                let mut all = Vec::new();
                let _ = far.read_to_end(&mut all);
                all
            });
            while pool.alive() > 0 {
                bench.driver.turn(false);
            }
            assert!(reader.join().unwrap().iter().all(|&byte| byte == BYTE));
            pool.verify();
        }
        bench.driver.close(Duration::from_secs(5));
        assert_eq!(bench.incidents.load(Relaxed), 0);
    }

    #[test]
    fn a_socket_that_cannot_do_it_gives_the_buffer_back() {
        let pool = Pool::new(4);
        let bench = Bench::new(&pool);
        let (near, _far) = std::os::unix::net::UnixStream::pair().unwrap();
        let socket = Rc::new(Socket::new(Rc::clone(&bench.driver), OwnedFd::from(near)));
        let mut send = SendZeroCopy::new(&socket, pool.filled(LARGEST, BYTE));
        let refused = loop {
            match poll(&mut send) {
                Poll::Ready(Err(Unsent::Refused(buffer))) => break buffer,
                Poll::Ready(_) => panic!("it was not refused"),
                Poll::Pending => bench.driver.turn(false),
            }
        };
        assert_eq!(refused.as_bytes(), vec![BYTE; LARGEST]);
        assert!(!socket.may_send_without_copy());
        drop((send, refused));
        bench.driver.close(Duration::from_secs(5));
    }
}
