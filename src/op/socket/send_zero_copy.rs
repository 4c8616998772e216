//! Sending without a copy: the kernel sends from the buffer itself, and needs it until the peer has
//! acknowledged the bytes.
//!
//! The SQE completes twice, first with the result, as any send does, and then with the
//! *notification* that the memory is free. The send goes on after the first; the buffer stays in
//! the slot until the second. If the kernel had to copy after all, as it always does on the
//! loopback interface, the notification says so, and the socket sends in the usual way from then
//! on.
//!
//! Dropped in flight, it is as with any send: a part may have been sent, and the next send waits
//! for its end. That is its result, which does not wait for the peer; the notification does, and
//! keeps nothing but the buffer.

use std::io;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll};

use super::fd::SocketFd;
use super::payload::SEND_FLAGS;
use super::send::send_rest;
use super::stream::StreamSocket;
use crate::buf::IoBuf;
use crate::driver::Orphan;
use crate::op::drain::Draining;
use crate::op::operation::{Operation, Step, sqe_length};
use crate::sys::errno::{EINVAL, EOPNOTSUPP};
use crate::sys::socket::REPORT_USAGE;
use crate::sys::{Completion, Submission, opcode};

/// Sends all of a buffer.
pub(crate) struct SendZeroCopy<B: IoBuf> {
    socket: Rc<StreamSocket>,
    /// Slots hold it too, each until its notification.
    buffer: Rc<B>,
    sent: usize,
}

/// Why it has not sent.
pub(crate) enum Unsent<B> {
    /// The kernel cannot send without a copy, and has sent nothing.
    Refused(SharedBuffer<B>),
    Failed(io::Error),
}

/// The buffer of a send that was refused, to be sent in another way. The notification may be yet to
/// come: then a slot has the buffer, too.
pub(crate) struct SharedBuffer<B>(Rc<B>);

// SAFETY: the memory is that of a buffer that lives as long as this and does not change, as no one
// has it by a `&mut`: the `Rc` was made here, and is given out inside of this type alone.
unsafe impl<B: IoBuf> IoBuf for SharedBuffer<B> {
    fn stable_ptr(&self) -> *const u8 {
        self.0.stable_ptr()
    }

    fn bytes_init(&self) -> usize {
        self.0.bytes_init()
    }
}

impl<B: IoBuf> SendZeroCopy<B> {
    pub(crate) fn new(socket: &Rc<StreamSocket>, buffer: B) -> Self {
        Self { socket: Rc::clone(socket), buffer: Rc::new(buffer), sent: 0 }
    }

    fn left(&self) -> usize {
        self.buffer.bytes_init() - self.sent
    }

    fn unsent(self, result: Completion, error: io::Error) -> Unsent<B> {
        let is_refusal = result.failed_with(EINVAL) || result.failed_with(EOPNOTSUPP);
        if is_refusal && self.sent == 0 {
            self.socket.copies_anyway.set(true);
            Unsent::Refused(SharedBuffer(self.buffer))
        } else {
            Unsent::Failed(error)
        }
    }
}

// SAFETY: the SQE points to the buffer's memory, which does not move (`IoBuf`) and which nothing
// here changes. The buffer is kept here until the result, and by the keeper until the notification,
// which follows if and only if the result has the more-flag (`uring-sys-tests`,
// zero_copy_two_completions and zero_copy_errors_notify_too).
unsafe impl<B: IoBuf> Operation for SendZeroCopy<B> {
    type Output = Result<(), Unsent<B>>;

    const NOTIFIES: bool = true;

    fn keeper(&self) -> Option<Box<dyn Orphan>> {
        let socket = Rc::downgrade(&self.socket);
        Some(Box::new(UntilNotified { socket, _buffer: Rc::clone(&self.buffer) }))
    }

    fn poll_ready(&self, context: &Context<'_>) -> Poll<Option<Self::Output>> {
        self.socket.poll_writes_drained(context).map(|()| None)
    }

    fn submission(&mut self) -> Submission {
        let length = sqe_length(self.left());
        // SAFETY: `sent` is at most the number of initialised bytes.
        let source = unsafe { self.buffer.stable_ptr().add(self.sent) };
        self.socket.submission(|fd| {
            opcode::SendZc::new(fd, source, length).flags(SEND_FLAGS).zc_flags(REPORT_USAGE).build()
        })
    }

    fn sends_on(&self) -> Option<&SocketFd> {
        Some(&self.socket)
    }

    fn complete(mut self, result: Completion) -> Step<Self> {
        let count = match self.socket.sent(result, "send") {
            Ok(count) => count,
            Err(error) => return Step::Done(Err(self.unsent(result, error))),
        };
        let is_short = count < sqe_length(self.left()) as usize;
        if self.sent == 0 {
            self.socket.driver().counters().zero_copy_sends.increment();
        }
        self.sent += count;
        if self.left() == 0 { Step::Done(Ok(())) } else { send_rest(self, is_short) }
    }

    fn on_orphaned(&self) -> Option<Draining> {
        Some(Draining::write(&self.socket))
    }

    fn settle(self, result: Completion) {
        self.socket.note_error(result);
    }
}

/// A buffer whose bytes have been sent, until the notification.
struct UntilNotified<B> {
    socket: Weak<StreamSocket>,
    _buffer: Rc<B>,
}

impl<B> Orphan for UntilNotified<B> {
    fn settle(&mut self, notification: Completion) {
        if let Some(socket) = self.socket.upgrade().filter(|_| notification.zero_copy_was_copied())
        {
            socket.copies_anyway.set(true);
        }
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
    use crate::op::Op;
    use crate::op::tests::bench::{Bench, poll};
    use crate::op::tests::memory::{GuardedBuffer, LARGEST, Pool};

    const BYTE: u8 = 0x5a;

    fn pair(bench: &Bench) -> (Rc<StreamSocket>, TcpStream) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (far, _) = listener.accept().unwrap();
        (Rc::new(StreamSocket::new(Rc::clone(&bench.driver), OwnedFd::from(near))), far)
    }

    fn send_of(
        bench: &Bench,
        socket: &Rc<StreamSocket>,
        buffer: GuardedBuffer,
    ) -> Op<SendZeroCopy<GuardedBuffer>> {
        Op::new(&bench.driver, SendZeroCopy::new(socket, buffer))
    }

    fn finish(bench: &Bench, send: &mut Op<SendZeroCopy<GuardedBuffer>>) {
        loop {
            match poll(send) {
                Poll::Ready(Ok(())) => return,
                Poll::Ready(Err(_)) => panic!("the send failed"),
                Poll::Pending => bench.driver.turn(false),
            }
        }
    }

    #[test]
    fn a_buffer_is_kept_to_its_notification_and_then_freed() {
        let pool = Pool::new(64);
        let bench = Bench::new();
        let (socket, mut far) = pair(&bench);
        let reader = thread::spawn(move || {
            let mut all = Vec::new();
            far.read_to_end(&mut all).unwrap();
            all
        });
        for _ in 0..50 {
            let buffer = pool.filled(LARGEST, BYTE);
            finish(&bench, &mut send_of(&bench, &socket, buffer));
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

    /// Against a peer that does not read at first: dropped, the buffers live on as long as the
    /// kernel sends from them, and the next send waits.
    #[test]
    fn a_dropped_send_keeps_its_buffer_until_the_kernel_has_released_it() {
        let pool = Pool::new(1024);
        let bench = Bench::new();
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
                let mut send = send_of(&bench, &socket, pool.filled(LARGEST, BYTE));
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
    fn a_socket_that_cannot_send_zero_copy_returns_the_buffer() {
        let pool = Pool::new(4);
        let bench = Bench::new();
        let (near, _far) = std::os::unix::net::UnixStream::pair().unwrap();
        let socket = Rc::new(StreamSocket::new(Rc::clone(&bench.driver), OwnedFd::from(near)));
        let mut send = send_of(&bench, &socket, pool.filled(LARGEST, BYTE));
        let refused = loop {
            match poll(&mut send) {
                Poll::Ready(Err(Unsent::Refused(buffer))) => break buffer,
                Poll::Ready(_) => panic!("the send was not refused"),
                Poll::Pending => bench.driver.turn(false),
            }
        };
        assert_eq!(refused.as_bytes(), vec![BYTE; LARGEST]);
        assert!(!socket.may_send_zero_copy());
        drop((send, refused));
        bench.driver.close(Duration::from_secs(5));
    }
}
