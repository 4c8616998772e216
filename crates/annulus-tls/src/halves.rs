//! The two halves of a TLS connection, for two tasks of one thread.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use annulus::Handle;
use annulus::net::{Polled, TcpStream};
use annulus::sync::Event;
use annulus::time::timeout;

use crate::access::{Access, impl_read, impl_write};
use crate::engine::Engine;
use crate::stream::{LINGER, TlsInfo, TlsStream, finish};
use crate::transport::Transport;

/// A buffered reader of a TLS connection: without a parameter, over TCP.
///
/// See [`annulus::io::StreamReader`].
pub type StreamReader<T = Polled<TcpStream>> = annulus::io::StreamReader<ReadHalf<T>>;

/// A buffered writer of a TLS connection: without a parameter, over TCP.
///
/// See [`annulus::io::StreamWriter`]. When it is dropped, or shut down by
/// [`write_eof`](annulus::io::StreamWriter::write_eof), `close_notify` follows what is queued.
pub type StreamWriter<T = Polled<TcpStream>> = annulus::io::StreamWriter<WriteHalf<T>>;

/// The reading half of a TLS connection, made by [`TlsStream::into_split`].
pub struct ReadHalf<T: Transport = Polled<TcpStream>> {
    shared: Rc<Shared<T>>,
}

/// The writing half of a TLS connection, made by [`TlsStream::into_split`].
///
/// Dropping it sends `close_notify`, and shuts down the writing direction below, in the background
/// and within ten seconds.
pub struct WriteHalf<T: Transport = Polled<TcpStream>> {
    /// `None` only while it is taken apart.
    shared: Option<Rc<Shared<T>>>,
}

struct Shared<T: Transport> {
    /// `None` once the halves have been reunited, or the last of them has been dropped.
    engine: RefCell<Option<Box<Engine<T>>>>,
    /// The waker of a read that waits, which the other half may end.
    reader: Cell<Option<Waker>>,
    /// Set when nothing more will be written.
    writing_ended: Rc<Event>,
}

pub(crate) fn split<T: Transport>(engine: Box<Engine<T>>) -> (ReadHalf<T>, WriteHalf<T>) {
    let shared = Rc::new(Shared {
        engine: RefCell::new(Some(engine)),
        reader: Cell::default(),
        writing_ended: Rc::default(),
    });
    (ReadHalf { shared: Rc::clone(&shared) }, WriteHalf { shared: Some(shared) })
}

impl<T: Transport> Shared<T> {
    fn with<R>(&self, run: impl FnOnce(&mut Engine<T>) -> R) -> R {
        let mut engine = self.engine.borrow_mut();
        run(engine.as_mut().expect("the engine is there as long as there is a half"))
    }

    /// Wakes both directions, after one half has ended the other.
    fn wake_all(&self) {
        let writer = self.with(Engine::take_unblocked);
        for waker in [self.reader.take(), writer].into_iter().flatten() {
            waker.wake();
        }
    }
}

impl<T: Transport> Drop for Shared<T> {
    fn drop(&mut self) {
        if let Some(engine) = self.engine.get_mut().take() {
            finish(engine);
        }
    }
}

impl<T: Transport> ReadHalf<T> {
    /// What was negotiated in the handshake.
    pub fn info(&self) -> TlsInfo {
        self.shared.with(|engine| TlsInfo::of(&engine.connection))
    }

    /// Makes the stream whole again.
    ///
    /// # Errors
    ///
    /// Both halves, if they are of different streams.
    pub fn reunite(self, mut write: WriteHalf<T>) -> Result<TlsStream<T>, (Self, WriteHalf<T>)> {
        if !Rc::ptr_eq(&self.shared, write.shared()) {
            return Err((self, write));
        }
        write.shared = None;
        let engine = self.shared.engine.take();
        Ok(TlsStream::new(engine.expect("the engine is there as long as there is a half")))
    }
}

impl<T: Transport> WriteHalf<T> {
    fn shared(&self) -> &Rc<Shared<T>> {
        self.shared.as_ref().expect("a half is taken apart only when it is consumed")
    }

    /// What was negotiated in the handshake.
    pub fn info(&self) -> TlsInfo {
        self.shared().with(|engine| TlsInfo::of(&engine.connection))
    }

    /// Waits until nothing more will be written: this half and what it has written are gone.
    pub(crate) fn ended(&self) -> impl Future<Output = ()> + use<T> {
        let ended = Rc::clone(&self.shared().writing_ended);
        async move { ended.wait().await }
    }
}

impl<T: Transport> Drop for WriteHalf<T> {
    fn drop(&mut self) {
        let Some(shared) = self.shared.take() else { return };
        let ended = EndsWriting(Rc::clone(&shared.writing_ended));
        // The last half: the drop of the engine sends the rest.
        if Rc::strong_count(&shared) == 1 {
            return;
        }
        let mut context = Context::from_waker(Waker::noop());
        let may_close = shared.with(Engine::begin_close);
        let is_closing =
            may_close && shared.with(|engine| engine.poll_close(&mut context)).is_pending();
        if is_closing && Handle::try_current().is_some() {
            drop(annulus::spawn(async move {
                let _ended = ended;
                let close = poll_fn(|context| shared.with(|engine| engine.poll_close(context)));
                // There is no caller that could learn of an error.
                let _ = timeout(LINGER, close).await;
            }));
        }
    }
}

/// Tells of the end of the writing direction when it is dropped.
struct EndsWriting(Rc<Event>);

impl Drop for EndsWriting {
    fn drop(&mut self) {
        self.0.set();
    }
}

impl<T: Transport> Access for ReadHalf<T> {
    type Transport = T;

    fn with<R>(&mut self, run: impl FnOnce(&mut Engine<T>) -> R) -> R {
        self.shared.with(run)
    }

    fn note_reader(&mut self, context: &Context<'_>) {
        let noted = self.shared.reader.take();
        let noted = noted.filter(|noted| noted.will_wake(context.waker()));
        self.shared.reader.set(Some(noted.unwrap_or_else(|| context.waker().clone())));
    }
}

impl<T: Transport> Access for WriteHalf<T> {
    type Transport = T;

    fn with<R>(&mut self, run: impl FnOnce(&mut Engine<T>) -> R) -> R {
        self.shared().with(run)
    }
}

impl_read! { ReadHalf }
impl_write! { WriteHalf {
    fn abort(&mut self) {
        self.shared().with(Engine::abort);
        self.shared().wake_all();
    }

    fn close(&mut self) {
        self.shared().with(Engine::end_reading);
        self.shared().wake_all();
    }
} }

impl<T: Transport> fmt::Debug for ReadHalf<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadHalf").finish_non_exhaustive()
    }
}

impl<T: Transport> fmt::Debug for WriteHalf<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteHalf").finish_non_exhaustive()
    }
}
