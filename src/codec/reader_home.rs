//! A reader that a future has while it receives.
//!
//! A stream of frames is polled, and a receive is a future that borrows the reader. So the future
//! takes the reader along, and returns it when it is dropped, whether or not it has ended.

use std::cell::Cell;
use std::rc::Rc;

use crate::io::StreamReader;

/// Where the reader is, unless a future has it.
pub(super) struct ReaderHome<R>(Rc<Cell<Option<StreamReader<R>>>>);

/// A reader that has been taken out. Dropped, it is returned.
pub(super) struct TakenReader<R> {
    /// `None` only while it is dropped.
    reader: Option<StreamReader<R>>,
    home: Rc<Cell<Option<StreamReader<R>>>>,
}

const TAKEN: &str = "no future has the reader";
const THERE: &str = "the reader is there until it is returned";

impl<R> ReaderHome<R> {
    pub(super) fn new(reader: StreamReader<R>) -> Self {
        Self(Rc::new(Cell::new(Some(reader))))
    }

    /// The reader, which no future has.
    pub(super) fn take(&self) -> TakenReader<R> {
        let reader = Some(self.0.take().expect(TAKEN));
        TakenReader { reader, home: Rc::clone(&self.0) }
    }

    pub(super) fn into_inner(self) -> StreamReader<R> {
        self.0.take().expect(TAKEN)
    }
}

impl<R> TakenReader<R> {
    pub(super) fn get(&mut self) -> &mut StreamReader<R> {
        self.reader.as_mut().expect(THERE)
    }
}

impl<R> Drop for TakenReader<R> {
    fn drop(&mut self) {
        self.home.set(self.reader.take());
    }
}
