//! Message headers that are used again, so that a datagram costs no allocation.

use std::cell::RefCell;

use crate::sys::datagram::{Asks, RecvHeader, SendHeader};

/// How many of either kind a socket keeps.
const KEPT: usize = 4;

/// The unused headers of a socket.
#[expect(clippy::vec_box, reason = "a header must not move while the kernel uses it")]
pub(super) struct SpareHeaders {
    /// Of the receives.
    asks: Asks,
    recv: RefCell<Vec<Box<RecvHeader>>>,
    send: RefCell<Vec<Box<SendHeader>>>,
}

impl SpareHeaders {
    pub(super) fn with(asks: Asks) -> Self {
        Self { asks, recv: RefCell::default(), send: RefCell::default() }
    }

    pub(super) fn take_recv(&self) -> Box<RecvHeader> {
        let spare = self.recv.borrow_mut().pop();
        spare.unwrap_or_else(|| RecvHeader::new(self.asks))
    }

    pub(super) fn keep_recv(&self, header: Box<RecvHeader>) {
        keep(&self.recv, header);
    }

    pub(super) fn take_send(&self) -> Box<SendHeader> {
        self.send.borrow_mut().pop().unwrap_or_else(SendHeader::new)
    }

    pub(super) fn keep_send(&self, header: Box<SendHeader>) {
        keep(&self.send, header);
    }
}

fn keep<T>(spare: &RefCell<Vec<T>>, header: T) {
    let mut spare = spare.borrow_mut();
    if spare.len() < KEPT {
        spare.push(header);
    }
}
