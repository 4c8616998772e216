//! The buffered reader under random chunks, calls and cancels, against a model.

mod model;
mod source;

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use super::{AsyncRead, ReadError, StreamReader};
use crate::fuzz_input::Input;
use model::{Model, Outcome};
pub(crate) use source::{End, Source};

/// Polls a future until it is ready, or drops it when it waits: `None`.
pub(crate) fn finish<F: Future>(future: F, is_dropped: bool) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return Some(output),
            Poll::Pending if is_dropped => return None,
            Poll::Pending => {}
        }
    }
}

/// The input: the content, then how it is cut, then the calls.
pub(crate) fn reader(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let end = if input.flag() { End::Eof } else { End::Error };
    let limit = 1 + input.below(12);
    let content = input.bytes().to_vec();
    let script = input.bytes().to_vec();
    let mut model = Model::new(content.clone(), end, limit);
    let mut reader = StreamReader::with_limit(Source::new(content, script, end), limit);
    // At the end of the input, further calls would only repeat what was seen.
    while !input.is_over() {
        call(&mut reader, &mut model, &mut input);
    }
    let (_, rest) = reader.into_parts();
    model.check_rest(&rest);
}

fn call(reader: &mut StreamReader<Source>, model: &mut Model, input: &mut Input<'_>) {
    let is_dropped = input.flag();
    match input.below(9) {
        0 => {
            let max = input.below(20);
            let read = finish(reader.read(max), is_dropped);
            model.check_some("read", read.map(|read| read.map(|it| it.to_vec())), max, true);
        }
        1 => {
            let count = input.below(40);
            let read = finish(reader.read_exact(count), is_dropped);
            model.check("read_exact", read.map(outcome), |model| model.exact(count));
        }
        2 => {
            let read = finish(reader.read_to_end(), is_dropped);
            let read = read.map(|it| outcome(it.map_err(ReadError::from)));
            model.check("read_to_end", read, Model::read_to_end);
        }
        3 => {
            let read = finish(reader.read_line(), is_dropped);
            model.check("read_line", read.map(outcome), Model::line);
        }
        4 => {
            let separator = separator(input);
            let read = finish(reader.read_until(&separator), is_dropped);
            model.check("read_until", read.map(outcome), |model| model.until(&[separator]));
        }
        5 => {
            let separators = [separator(input), separator(input)];
            let read = {
                let separators = [&separators[0][..], &separators[1][..]];
                finish(reader.read_until_any(&separators), is_dropped)
            };
            model.check("read_until_any", read.map(outcome), |model| model.until(&separators));
        }
        6 => {
            let filled = finish(reader.fill(), is_dropped).map(|it| it.map(<[u8]>::to_vec));
            let length = filled.as_ref().and_then(|it| it.as_ref().ok()).map(Vec::len);
            model.check_some("fill", filled, usize::MAX, false);
            if let Some(length) = length {
                let count = input.below(length + 1);
                reader.consume(count);
                model.consume(count);
            }
        }
        7 => {
            let limit = 1 + input.below(30);
            reader.set_limit(limit);
            model.set_limit(limit);
        }
        _ => {
            let capacity = input.below(20);
            let read = finish(AsyncRead::read(reader, Vec::with_capacity(capacity)), is_dropped);
            let read = read.map(|read| {
                read.into_result().map(|(count, bytes)| {
                    assert_eq!(count, bytes.len(), "a read fills what it says");
                    bytes
                })
            });
            model.check_some("read into memory", read, capacity, true);
        }
    }
    if reader.at_eof() {
        model.check_eof();
    }
}

fn separator(input: &mut Input<'_>) -> Vec<u8> {
    (0..=input.below(3)).map(|_| b'a' + input.byte() % 3).collect()
}

fn outcome(read: Result<crate::buf::Lease, ReadError>) -> Outcome {
    match read {
        Ok(bytes) => Outcome::Bytes(bytes.to_vec()),
        Err(ReadError::Incomplete { partial, .. }) => Outcome::Incomplete(partial.to_vec()),
        Err(ReadError::LimitOverrun { consumed }) => Outcome::Overrun(consumed),
        Err(ReadError::Io(_)) => Outcome::Failed,
    }
}
