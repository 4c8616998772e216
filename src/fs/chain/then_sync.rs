//! The futures of writes, to which a synchronisation can be linked.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use crate::buf::{BufResult, IoBuf};
use crate::op::{
    FileFd, Linked, Op, Part, SharedSync, WriteAllLink, WriteAt, WriteLink, WriteThenSync,
};

/// A write that has perhaps begun.
pub(in crate::fs) enum Writing<B: IoBuf> {
    Op(Op<WriteAt<B>>),
    Known(Known<B>),
}

/// A write whose outcome is known without the kernel.
pub(in crate::fs) struct Known<B> {
    file: Rc<FileFd>,
    /// `None` once they have been returned.
    outcome: Option<BufResult<usize, B>>,
}

impl<B: IoBuf> Writing<B> {
    pub(in crate::fs) fn new(file: &Rc<FileFd>, write: WriteAt<B>) -> Self {
        Self::Op(Op::new(file.driver(), write))
    }

    /// A write that is refused, or of no bytes.
    pub(in crate::fs) fn known(file: &Rc<FileFd>, outcome: io::Result<()>, buffer: B) -> Self {
        let outcome = Some(BufResult(outcome.map(|()| 0), buffer));
        Self::Known(Known { file: Rc::clone(file), outcome })
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<BufResult<usize, B>> {
        match self {
            Self::Op(write) => Pin::new(write).poll(context),
            Self::Known(known) => {
                Poll::Ready(known.outcome.take().expect("a write was polled after its end"))
            }
        }
    }

    /// Takes the write, to link a synchronisation to it.
    #[track_caller]
    fn into_link(self) -> (Rc<FileFd>, Linked<WriteAt<B>>) {
        match self {
            Self::Op(write) => {
                let write = write.into_operation();
                (Rc::clone(write.file()), Linked::new(write))
            }
            Self::Known(Known { file, outcome }) => {
                let outcome = outcome.expect("a write is linked before it is polled");
                (
                    file,
                    if outcome.is_ok() { Linked::done(outcome) } else { Linked::refused(outcome) },
                )
            }
        }
    }
}

impl<B: IoBuf> Unpin for Writing<B> {}

/// Defines the future of a write, and how a synchronisation is linked to it.
macro_rules! write_future {
    ($(#[$doc:meta])* $name:ident -> $output:ty, $convert:expr, $link:ident, $short:literal) => {
        $(#[$doc])*
        #[must_use = "futures do nothing unless polled"]
        pub struct $name<B: IoBuf>(Writing<B>);

        impl<B: IoBuf> $name<B> {
            pub(in crate::fs) fn new(write: Writing<B>) -> Self {
                Self(write)
            }

            /// Links a [`sync_data`](crate::fs::File::sync_data) to the write, in the same
            /// submission.
            ///
            /// The kernel synchronises as soon as it has written. A success means that what was
            /// written is durable. While other tasks wait to synchronise the file, or eight are
            /// under way, the write is submitted alone, and then waits for the next with all
            /// others ([`sync_data`](crate::fs::File::sync_data)).
            #[doc = $short]
            ///
            /// # Errors
            ///
            /// Those of the write, after which nothing is synchronised, and those of the
            /// synchronisation, after which the bytes may be durable or not. To tell them apart, or
            /// to learn how much was written all the same, use
            /// [`File::chain`](crate::fs::File::chain).
            ///
            /// # Panics
            ///
            /// If the write has been polled.
            ///
            /// # Cancel safety
            ///
            /// Dropped, the write may happen in full, in part or not at all, and be durable or not.
            /// Later operations of this file [wait for it](crate::fs::File#dropped-writes).
            #[doc(alias = "fdatasync")]
            #[track_caller]
            pub fn then_sync_data(self) -> ThenSync<$link<B>> {
                let (file, write) = self.0.into_link();
                ThenSync(WriteThenSync::new($link::new(write), SharedSync::data(&file)))
            }

            /// Links a [`sync_all`](crate::fs::File::sync_all) to the write, in the same
            /// submission. Otherwise as [`then_sync_data`](Self::then_sync_data).
            ///
            /// # Errors
            ///
            /// As for [`then_sync_data`](Self::then_sync_data).
            ///
            /// # Panics
            ///
            /// As for [`then_sync_data`](Self::then_sync_data).
            ///
            /// # Cancel safety
            ///
            /// As for [`then_sync_data`](Self::then_sync_data).
            #[doc(alias = "fsync")]
            #[track_caller]
            pub fn then_sync_all(self) -> ThenSync<$link<B>> {
                let (file, write) = self.0.into_link();
                ThenSync(WriteThenSync::new($link::new(write), SharedSync::all(&file)))
            }
        }

        impl<B: IoBuf> Future for $name<B> {
            type Output = BufResult<$output, B>;

            fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
                self.0.poll(context).map(|written| written.map($convert))
            }
        }
    };
}

write_future! {
    /// The future of [`File::write_at`](crate::fs::File::write_at).
    Write -> usize, |count| count, WriteLink,
    "If the write was short, the synchronisation is a submission of its own, and the count says \
     how much is durable."
}

write_future! {
    /// The future of [`File::write_all_at`](crate::fs::File::write_all_at) and
    /// [`File::append`](crate::fs::File::append).
    WriteAll -> (), drop, WriteAllLink,
    "If the write was short, the rest is written in a further submission, and synchronised with it."
}

/// The future of a write and the synchronisation that is linked to it.
///
/// It allocates nothing.
#[must_use = "futures do nothing unless polled"]
pub struct ThenSync<P: Part>(WriteThenSync<P>);

impl<T, B, P: Part<Output = BufResult<T, B>>> Future for ThenSync<P> {
    type Output = BufResult<T, B>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context)
    }
}
