//! A write and the synchronisation behind it, as one future.
//!
//! While few synchronisations of the file are in flight the two are linked, and one submission.
//! Otherwise the write is submitted alone, and when it is over the synchronisation waits for a call
//! with the others: [`SharedSync`].

use std::future::Future;
use std::io;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::links::SyncLink;
use super::shared_sync::{LinkedSync, SharedSync};
use crate::buf::BufResult;
use crate::op::chain::{AfterShort, ChainOp, Linked, Part};

/// The future of both. It allocates nothing.
pub(crate) struct WriteThenSync<P: Part> {
    sync: SharedSync,
    stage: Stage<P>,
}

enum Stage<P: Part> {
    /// The write has not begun.
    New(P),
    /// Both are one submission. Meanwhile the guard counts as a call in flight.
    Linked(ChainOp<(P, SyncLink)>, LinkedSync),
    Alone(ChainOp<(P,)>),
    /// The write is over, and the synchronisation waits.
    Written(P::Output),
    Over,
}

impl<P: Part> WriteThenSync<P> {
    pub(crate) fn new(write: P, sync: SharedSync) -> Self {
        Self { sync, stage: Stage::New(write) }
    }

    /// Links the two, if that is allowed.
    fn begin(&self, write: P) -> Stage<P> {
        let driver = self.sync.driver();
        match self.sync.try_link() {
            Some(guard) => {
                let links = (write, SyncLink::new(Linked::new(self.sync.own_call())));
                Stage::Linked(ChainOp::new(driver, links, AfterShort::GoesOn), guard)
            }
            None => Stage::Alone(ChainOp::new(driver, (write,), AfterShort::GoesOn)),
        }
    }
}

impl<P: Part> Unpin for WriteThenSync<P> {}

impl<T, B, P: Part<Output = BufResult<T, B>>> Future for WriteThenSync<P> {
    type Output = BufResult<T, B>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        loop {
            match &mut this.stage {
                Stage::New(_) => {
                    let Stage::New(write) = mem::replace(&mut this.stage, Stage::Over) else {
                        unreachable!("the write has not begun");
                    };
                    this.stage = this.begin(write);
                }
                Stage::Linked(chain, _guard) => {
                    let (written, synced) = ready!(Pin::new(chain).poll(context));
                    this.stage = Stage::Over;
                    return Poll::Ready(joined(written, synced));
                }
                Stage::Alone(write) => {
                    let (written,) = ready!(Pin::new(write).poll(context));
                    if written.0.is_err() {
                        this.stage = Stage::Over;
                        return Poll::Ready(written);
                    }
                    this.stage = Stage::Written(written);
                }
                Stage::Written(_) => {
                    let synced = ready!(Pin::new(&mut this.sync).poll(context));
                    let Stage::Written(written) = mem::replace(&mut this.stage, Stage::Over) else {
                        unreachable!("the write is over");
                    };
                    return Poll::Ready(joined(written, synced));
                }
                Stage::Over => panic!("a write was polled after its end"),
            }
        }
    }
}

fn joined<T, B>(written: BufResult<T, B>, synced: io::Result<()>) -> BufResult<T, B> {
    let BufResult(written, buffer) = written;
    BufResult(written.and_then(|value| synced.map(|()| value)), buffer)
}
