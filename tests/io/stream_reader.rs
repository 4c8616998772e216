//! Lines, records and exact numbers of bytes out of pieces of any size, whatever is dropped
//! between.
//!
//! Most of this needs no kernel: the bytes come from a source that follows a script. The cases are
//! those of asyncio's streams.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::mem;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use annulus::buf::{BufResult, IoBufMut, Lease};
use annulus::io::{AsyncRead, ReadError, StreamReader};
use futures_util::stream::FusedStream;
use futures_util::{FutureExt, StreamExt};

use crate::common::patience::patient;
use crate::common::random::seeded;
use crate::common::rounds::rounds;
use crate::common::watchdog::run;

enum Step {
    Bytes(Vec<u8>),
    /// Nothing yet.
    Wait,
    Fail(ErrorKind),
}

/// Gives what the script says, and then the end.
#[derive(Default)]
struct Script(VecDeque<Step>);

impl AsyncRead for Script {
    async fn recv(&mut self) -> io::Result<Lease> {
        poll_fn(|_| match self.0.pop_front() {
            None => Poll::Ready(Ok(Lease::default())),
            Some(Step::Bytes(bytes)) => Poll::Ready(Ok(bytes.into())),
            Some(Step::Wait) => Poll::Pending,
            Some(Step::Fail(kind)) => Poll::Ready(Err(kind.into())),
        })
        .await
    }

    async fn read<B: IoBufMut>(&mut self, mut buffer: B) -> BufResult<usize, B> {
        match self.recv().await {
            Ok(lease) => {
                assert!(lease.len() <= buffer.bytes_total(), "the scripts here have small pieces");
                BufResult(Ok(buffer.fill_from(&lease)), buffer)
            }
            Err(error) => BufResult(Err(error), buffer),
        }
    }
}

/// How long the processor has worked for this thread.
fn thread_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the place is valid for the time that is written to it.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    assert_eq!(result, 0);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn script<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Script {
    Script(pieces.into_iter().map(|piece| Step::Bytes(piece.to_vec())).collect())
}

fn reader(pieces: &[&[u8]]) -> StreamReader<Script> {
    StreamReader::new(script(pieces.iter().copied()))
}

fn limited(limit: usize, pieces: &[&[u8]]) -> StreamReader<Script> {
    StreamReader::with_limit(script(pieces.iter().copied()), limit)
}

/// The output of a future that need not wait. Now and then it lets others go first, which here is
/// one more poll.
fn now<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let output = future.as_mut().now_or_never().or_else(|| future.now_or_never());
    output.expect("nothing has to be waited for")
}

fn incomplete(outcome: Result<Lease, ReadError>) -> (Vec<u8>, Option<usize>) {
    match outcome {
        Err(ReadError::Incomplete { partial, expected }) => (partial.to_vec(), expected),
        other => panic!("{other:?} is not an early end"),
    }
}

fn overrun(outcome: Result<Lease, ReadError>) -> usize {
    match outcome {
        Err(ReadError::LimitOverrun { consumed }) => consumed,
        other => panic!("{other:?} is not beyond the limit"),
    }
}

#[test]
fn a_read_gives_what_is_there_and_no_more_than_asked() {
    let mut reader = reader(&[b"hello", b"world"]);
    assert!(now(reader.read(0)).unwrap().is_empty());
    assert_eq!(&*now(reader.read(3)).unwrap(), b"hel");
    assert_eq!(&*now(reader.read(100)).unwrap(), b"lo");
    assert_eq!(&*now(reader.read(100)).unwrap(), b"world");
    assert!(!reader.at_eof(), "the end has not been met");
    assert!(now(reader.read(100)).unwrap().is_empty());
    assert!(reader.at_eof());
}

#[test]
fn a_read_to_the_end_takes_all_beyond_the_limit_too() {
    let mut reader = limited(3, &[b"line1\n", b"line2"]);
    assert_eq!(&*now(reader.read_to_end()).unwrap(), b"line1\nline2");
    assert!(reader.at_eof());
    assert!(now(reader.read_to_end()).unwrap().is_empty());
}

#[test]
fn an_exact_read_spans_pieces_and_leaves_the_rest() {
    let mut reader = limited(3, &[b"abc", b"def", b"ghi"]);
    assert!(now(reader.read_exact(0)).unwrap().is_empty());
    assert_eq!(&*now(reader.read_exact(7)).unwrap(), b"abcdefg");
    assert_eq!(&*now(reader.read_exact(1)).unwrap(), b"h");
    assert_eq!(incomplete(now(reader.read_exact(9))), (b"i".to_vec(), Some(9)));
    assert_eq!(incomplete(now(reader.read_exact(9))), (Vec::new(), Some(9)));
}

#[test]
fn a_line_comes_with_its_end_and_the_last_without_one() {
    let mut reader = reader(&[b"chunk1 ", b"chunk2 ", b"chunk3 \n chunk4\n", b"last"]);
    assert_eq!(&*now(reader.read_line()).unwrap(), b"chunk1 chunk2 chunk3 \n");
    assert_eq!(&*now(reader.read_line()).unwrap(), b" chunk4\n");
    assert_eq!(&*now(reader.read_line()).unwrap(), b"last");
    assert!(now(reader.read_line()).unwrap().is_empty());
}

#[test]
fn the_limit_does_not_count_the_separator() {
    for line in ["123456\n", "1234567\n"] {
        assert_eq!(&*now(limited(7, &[line.as_bytes()]).read_line()).unwrap(), line.as_bytes());
    }
    assert_eq!(overrun(now(limited(7, &[b"12345678\n"]).read_line())), 8);
    assert_eq!(&*now(limited(3, &[b"abc--", b"--"]).read_until("----")).unwrap(), b"abc----");
    assert_eq!(overrun(now(limited(3, &[b"abcd--", b"--"]).read_until("----"))), 4);
    let mut reader = limited(3, &[b"abcd\nefgh\n"]);
    assert_eq!(overrun(now(reader.read_line())), 4);
    reader.set_limit(4);
    assert_eq!(&*now(reader.read_line()).unwrap(), b"efgh\n");
}

#[test]
fn a_line_beyond_the_limit_is_discarded_to_its_end_however_it_arrives() {
    let text = b"first\nmuch too long DELETE everything\nlast\n";
    for cut in 7..text.len() {
        for later in cut..text.len() {
            let pieces = [&text[..cut], &text[cut..later], &text[later..]];
            let mut reader = StreamReader::with_limit(
                script(pieces.into_iter().filter(|piece| !piece.is_empty())),
                8,
            );
            assert_eq!(&*now(reader.read_line()).unwrap(), b"first\n");
            assert!(overrun(now(reader.read_line())) > 8);
            assert_eq!(&*now(reader.read_line()).unwrap(), b"last\n");
            assert!(now(reader.read_line()).unwrap().is_empty());
        }
    }
}

/// By a read of bytes, too, and by one that is dropped while it waits for the end of the line.
#[test]
fn no_method_reads_the_rest_of_a_line_beyond_the_limit() {
    let reader = || {
        let steps = [
            Step::Bytes(b"too long".to_vec()),
            Step::Bytes(b" and longer".to_vec()),
            Step::Wait,
            Step::Bytes(b"DELETE\n".to_vec()),
            Step::Bytes(b"next\n".to_vec()),
        ];
        let mut reader = StreamReader::with_limit(Script(steps.into()), 4);
        assert_eq!(overrun(now(reader.read_line())), 8);
        assert!(reader.buffer().is_empty());
        assert!(reader.read_line().now_or_never().is_none());
        assert!(reader.buffer().is_empty());
        reader
    };
    assert_eq!(&*now(reader().read_line()).unwrap(), b"next\n");
    assert_eq!(&*now(reader().read_until("x")).unwrap(), b"nex");
    assert_eq!(&*now(reader().read(100)).unwrap(), b"next\n");
    assert_eq!(&*now(reader().read_exact(2)).unwrap(), b"ne");
    assert_eq!(&*now(reader().read_to_end()).unwrap(), b"next\n");
    assert_eq!(now(reader().fill()).unwrap(), b"next\n");
    let BufResult(count, buffer) = now(AsyncRead::read(&mut reader(), Vec::with_capacity(20)));
    assert_eq!((count.unwrap(), &*buffer), (5, &b"next\n"[..]));
}

#[test]
fn a_line_beyond_the_limit_that_does_not_end_is_discarded_to_the_end() {
    let mut reader = limited(3, &[b"endless", b" line"]);
    assert_eq!(overrun(now(reader.read_line())), 7);
    assert!(now(reader.read_line()).unwrap().is_empty());
    assert!(reader.at_eof());
}

#[test]
fn a_record_beyond_the_limit_is_skipped_by_the_next_one_if_it_was_not_taken() {
    let pieces: &[&[u8]] = &[b"much too long\r", b"\nshort\r\nrest"];
    let mut skipping = limited(6, pieces);
    assert_eq!(overrun(now(skipping.read_until("\r\n"))), 13);
    assert_eq!(skipping.buffer(), b"much too long\r");
    assert_eq!(&*now(skipping.read_until("\r\n")).unwrap(), b"short\r\n");
    // Also by a read up to something else.
    let mut skipping = limited(6, pieces);
    assert_eq!(overrun(now(skipping.read_until("\r\n"))), 13);
    assert_eq!(&*now(skipping.read_until("t")).unwrap(), b"short");
    // Not once some of it has been taken: then its end is the caller's matter.
    let mut taking = limited(9, pieces);
    assert_eq!(overrun(now(taking.read_until("\r\n"))), 13);
    assert_eq!(&*now(taking.read_exact(5)).unwrap(), b"much ");
    assert_eq!(&*now(taking.read_until("\r\n")).unwrap(), b"too long\r\n");
    let mut consuming = limited(9, pieces);
    assert_eq!(overrun(now(consuming.read_until("\r\n"))), 13);
    consuming.consume(5);
    assert_eq!(&*now(consuming.read_line()).unwrap(), b"too long\r\n");
}

#[test]
fn a_separator_is_found_where_pieces_meet() {
    let mut reader = reader(&[b"some thing", b"AA", b"A", b"\xff AAAA"]);
    assert_eq!(&*now(reader.read_until(b"AAA")).unwrap(), b"some thingAAA");
    assert_eq!(&*now(reader.read_until(b"AAA")).unwrap(), b"\xff AAA");
    assert_eq!(incomplete(now(reader.read_until(b"AAA"))), (b"A".to_vec(), None));
    assert!(reader.at_eof());
}

#[test]
fn the_separator_that_ends_first_of_several_counts() {
    let text: &[u8] = b"some dataAAAAxyzBBB";
    for cut in 0..text.len() {
        let mut reader = reader(&[&text[..cut], &text[cut..]]);
        if cut == 0 {
            // An empty piece would be the end.
            reader = StreamReader::new(script([text]));
        }
        let separators: &[&[u8]] = &[b"BBB", b"AAAA", b"AAA", b"dataAAAAx"];
        assert_eq!(&*now(reader.read_until_any(separators)).unwrap(), b"some dataAAA");
        assert_eq!(&*now(reader.read_until_any(&[b"y", b"AxyzB"])).unwrap(), b"Axy");
    }
}

#[test]
fn beyond_the_limit_all_stays_and_can_be_read_without_tearing_a_separator() {
    let mut reader = limited(3, &[b"some dataA", b"AAx"]);
    let consumed = overrun(now(reader.read_until(b"AAA")));
    assert_eq!(consumed, 8, "the A could begin a separator");
    assert_eq!(&*now(reader.read_exact(consumed)).unwrap(), b"some dat");
    assert_eq!(overrun(now(reader.read_until(b"x"))), 4);
    assert_eq!(&*now(reader.read_to_end()).unwrap(), b"aAAAx");
    // A separator that is found too far away.
    let mut reader = limited(7, &[b"some dataAAA"]);
    assert_eq!(overrun(now(reader.read_until(b"AAA"))), 9);
    assert_eq!(&*now(reader.read_exact(12)).unwrap(), b"some dataAAA");
}

#[test]
#[should_panic(expected = "at least one byte")]
fn an_empty_separator_panics() {
    let _ = now(reader(&[b"data"]).read_until(b""));
}

#[test]
#[should_panic(expected = "the limit of a reader")]
fn a_limit_of_nothing_panics() {
    limited(0, &[]);
}

#[test]
fn lines_are_text_without_their_ends() {
    let mut reader =
        limited(8, &[b"one\r\ntwo\n\n", b"caf\xc3", b"\xa9\n\xff\nmuch too long\nlast"]);
    let lines =
        now(reader.lines().map(|line| line.map_err(|error| error.kind())).collect::<Vec<_>>());
    let text = |text: &str| Ok(text.to_owned());
    let invalid = || Err(ErrorKind::InvalidData);
    let expected =
        [text("one"), text("two"), text(""), text("café"), invalid(), invalid(), text("last")];
    assert_eq!(lines, expected);
}

#[test]
fn what_is_there_can_be_looked_at_and_consumed() {
    let mut reader = reader(&[b"  text", b" more"]);
    assert_eq!(now(reader.fill()).unwrap(), b"  text");
    reader.consume(2);
    assert_eq!(now(reader.fill()).unwrap(), b"text");
    reader.consume(4);
    assert_eq!(now(reader.fill()).unwrap(), b" more");
    reader.consume(5);
    assert!(now(reader.fill()).unwrap().is_empty());
    assert!(reader.at_eof());
}

#[test]
#[should_panic(expected = "3 of 2 bytes")]
fn consuming_more_than_is_there_panics() {
    let mut reader = reader(&[b"ab"]);
    now(reader.fill()).unwrap();
    reader.consume(3);
}

#[test]
fn a_failure_comes_behind_what_was_received_and_is_final() {
    let reset = |outcome: Result<Lease, ReadError>| match outcome {
        Err(ReadError::Io(error)) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        other => panic!("{other:?}"),
    };
    // What comes behind the failure would look like an end.
    let steps = [Step::Bytes(b"half a line".to_vec()), Step::Fail(ErrorKind::ConnectionReset)];
    let mut reader = StreamReader::new(Script(steps.into()));
    for _ in 0..2 {
        reset(now(reader.read_to_end()).map_err(ReadError::from));
        reset(now(reader.read_line()));
        reset(now(reader.read_until("x")));
        reset(now(reader.read_exact(100)));
    }
    assert_eq!(&*now(reader.read_exact(4)).unwrap(), b"half");
    assert_eq!(&*now(reader.read(100)).unwrap(), b" a line");
    for _ in 0..2 {
        reset(now(reader.read(100)).map_err(ReadError::from));
        reset(now(reader.read_to_end()).map_err(ReadError::from));
        reset(now(reader.read_line()));
        reset(now(reader.fill()).map(|_| Lease::default()).map_err(ReadError::from));
        let BufResult(outcome, _) = now(AsyncRead::read(&mut reader, Vec::with_capacity(10)));
        reset(outcome.map(|_| Lease::default()).map_err(ReadError::from));
        assert!(!reader.at_eof());
    }
}

#[test]
fn a_failure_that_a_read_into_a_buffer_met_is_final_too() {
    let mut reader = StreamReader::new(Script([Step::Fail(ErrorKind::ConnectionReset)].into()));
    for _ in 0..2 {
        let BufResult(outcome, _) = now(AsyncRead::read(&mut reader, Vec::with_capacity(10)));
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::ConnectionReset);
    }
    assert_eq!(now(reader.read(10)).unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[test]
fn a_failure_that_passes_is_not_final() {
    for kind in [ErrorKind::Interrupted, ErrorKind::OutOfMemory, ErrorKind::WouldBlock] {
        let steps = [Step::Fail(kind), Step::Bytes(b"all".to_vec())];
        let mut reader = StreamReader::new(Script(steps.into()));
        assert_eq!(now(reader.read(10)).unwrap_err().kind(), kind);
        assert_eq!(&*now(reader.read_to_end()).unwrap(), b"all");
    }
}

#[test]
fn an_end_is_final_and_the_source_is_not_asked_again() {
    // A source that goes on behind its end.
    let source = || script([&b"all"[..], b"", b"more"]);
    let mut reader = StreamReader::new(source());
    assert_eq!(&*now(reader.read_to_end()).unwrap(), b"all");
    for _ in 0..3 {
        assert!(now(reader.read(10)).unwrap().is_empty());
        assert!(now(reader.read_line()).unwrap().is_empty());
        assert!(now(reader.fill()).unwrap().is_empty());
        let BufResult(count, _) = now(AsyncRead::read(&mut reader, Vec::with_capacity(10)));
        assert_eq!(count.unwrap(), 0);
        assert!(reader.at_eof());
    }
    let (source, _) = reader.into_parts();
    assert_eq!(source.0.len(), 1);
}

#[test]
fn an_end_that_a_read_into_a_buffer_met_is_known() {
    let mut reader = reader(&[]);
    let BufResult(count, _) = now(AsyncRead::read(&mut reader, Vec::with_capacity(0)));
    assert_eq!(count.unwrap(), 0);
    assert!(!reader.at_eof(), "a buffer without room meets no end");
    let BufResult(count, _) = now(AsyncRead::read(&mut reader, Vec::with_capacity(8)));
    assert_eq!(count.unwrap(), 0);
    assert!(reader.at_eof());
}

#[test]
fn lines_end_after_a_failure_of_the_stream() {
    let steps = [Step::Bytes(b"one\ntwo".to_vec()), Step::Fail(ErrorKind::ConnectionReset)];
    let mut reader = StreamReader::new(Script(steps.into()));
    let mut lines = reader.lines();
    assert_eq!(now(lines.next()).unwrap().unwrap(), "one");
    assert_eq!(now(lines.next()).unwrap().unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert!(!lines.is_terminated());
    assert!(now(lines.next()).is_none());
    assert!(lines.is_terminated());
    assert!(now(lines.next()).is_none());
}

#[test]
fn what_is_there_can_be_seen_without_waiting() {
    let mut reader = reader(&[b"one\ntwo"]);
    assert!(reader.buffer().is_empty());
    now(reader.read_line()).unwrap();
    assert_eq!(reader.buffer(), b"two");
    reader.consume(3);
    assert!(reader.buffer().is_empty());
}

/// A peer that sends short records makes each cost as much as all that is behind it, if that is
/// searched for the separators that do not occur.
#[test]
fn what_a_record_costs_does_not_depend_on_what_is_behind_it() {
    const RECORDS: usize = 256 * 1024;
    let orders: [&[&[u8]]; 3] = [&[b".", b"!", b"?"], &[b"!", b"?", b"."], &[b"!?", b".", b"??"]];
    for separators in orders {
        let text = vec![b'.'; RECORDS];
        let mut reader = reader(&[&text]);
        let before = thread_time();
        let mut count = 0;
        let counting = async {
            while reader.read_until_any(separators).await.is_ok() {
                count += 1;
            }
        };
        run(counting);
        let took = thread_time() - before;
        assert_eq!(count, RECORDS);
        // It is a fraction of a second; searching all that is there each time takes minutes.
        assert!(took < patient(Duration::from_secs(10)), "{took:?} for {RECORDS} records");
    }
}

#[test]
fn errors_convert_and_say_what_is_the_matter() {
    let error: io::Error = now(reader(&[b"abc"]).read_exact(5)).unwrap_err().into();
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
    assert_eq!(error.to_string(), "EOF after 3 of 5 bytes");
    let error: io::Error = now(reader(&[b"abc"]).read_until("x")).unwrap_err().into();
    assert_eq!(error.to_string(), "EOF after 3 bytes, before a separator");
    let error: io::Error = now(limited(1, &[b"abc"]).read_until("x")).unwrap_err().into();
    assert_eq!(error.kind(), ErrorKind::InvalidData);
}

#[test]
fn a_reader_can_be_read_by_another_and_taken_apart() {
    let mut inner = reader(&[b"head\nbody", b" and more"]);
    assert_eq!(&*now(inner.read_line()).unwrap(), b"head\n");
    let BufResult(count, buffer) = now(AsyncRead::read(&mut inner, Vec::with_capacity(2)));
    assert_eq!(&buffer[..count.unwrap()], b"bo");
    let mut outer = StreamReader::new(&mut inner);
    assert_eq!(&*now(outer.read_exact(4)).unwrap(), b"dy a");
    let (_, rest) = outer.into_parts();
    assert_eq!(&*rest, b"nd more");
}

/// Random pieces, read in random ways, each of which is dropped at random polls and asked again:
/// the outcomes are those of a reader that has the whole text before it.
#[test]
fn random_reads_of_random_pieces_agree_with_the_text() {
    let mut random = seeded();
    for _ in 0..rounds(3000) {
        let mut both = Both::random(&mut random);
        for _ in 0..40 {
            match random.u8(0..5) {
                0 => both.read(random.usize(0..40)),
                1 => both.read_exact(random.usize(0..40)),
                2 => both.read_until(),
                3 => both.read_line(),
                _ => both.look_and_consume(&mut random),
            }
        }
        both.read_to_end();
    }
}

const SEPARATORS: &[&[u8]] = &[b"|a", b"bb", b"\n", b"|ab"];

/// A reader, and the text that it has not given yet.
struct Both {
    reader: StreamReader<Script>,
    left: Vec<u8>,
    limit: usize,
    /// Whether a record beyond the limit has been met, and nothing of it been read.
    overlong: bool,
}

/// Polls once and drops, until something has come of it.
fn finish<T>(mut attempt: impl FnMut() -> Option<T>) -> T {
    loop {
        if let Some(outcome) = attempt() {
            return outcome;
        }
    }
}

impl Both {
    fn random(random: &mut fastrand::Rng) -> Self {
        let letter = |_| random.choice(*b"abc\n|").unwrap();
        let left: Vec<u8> = (0..200).map(letter).collect();
        let mut steps = VecDeque::new();
        let mut rest = &left[..];
        while !rest.is_empty() {
            if random.bool() {
                steps.push_back(Step::Wait);
            }
            let (piece, behind) = rest.split_at(random.usize(1..=rest.len().min(30)));
            steps.push_back(Step::Bytes(piece.to_vec()));
            rest = behind;
        }
        let limit = random.usize(1..60);
        Self {
            reader: StreamReader::with_limit(Script(steps), limit),
            left,
            limit,
            overlong: false,
        }
    }

    /// Where the first record ends, and where its separator begins.
    fn record(&self) -> Option<(usize, usize)> {
        let ends = SEPARATORS.iter().filter_map(|separator| {
            let mut windows = self.left.windows(separator.len());
            let start = windows.position(|window| window == *separator)?;
            Some((start + separator.len(), start))
        });
        ends.min()
    }

    /// A record is read: one beyond the limit, of which nothing was read, is skipped.
    fn skip_overlong(&mut self) {
        if mem::take(&mut self.overlong) {
            let end = self.record().map_or(self.left.len(), |(end, _)| end);
            self.left.drain(..end);
        }
    }

    /// The reader has given this.
    fn expect(&mut self, bytes: &[u8]) {
        assert!(self.left.starts_with(bytes), "{bytes:?} does not begin {:?}", self.left);
        self.left.drain(..bytes.len());
    }

    /// The reader has come to its end, with this.
    fn expect_end(&mut self, partial: &[u8]) {
        self.expect(partial);
        assert!(self.left.is_empty());
    }

    fn read(&mut self, most: usize) {
        self.overlong = false;
        let lease = finish(|| self.reader.read(most).now_or_never()).unwrap();
        assert!(lease.len() <= most && (!lease.is_empty() || most == 0 || self.left.is_empty()));
        self.expect(&lease);
    }

    fn read_exact(&mut self, count: usize) {
        self.overlong = false;
        match finish(|| self.reader.read_exact(count).now_or_never()) {
            Ok(lease) => {
                assert_eq!(lease.len(), count);
                self.expect(&lease);
            }
            outcome => {
                let (partial, expected) = incomplete(outcome);
                assert_eq!(expected, Some(count));
                self.expect_end(&partial);
            }
        }
    }

    fn read_until(&mut self) {
        self.skip_overlong();
        let record = self.record();
        match finish(|| self.reader.read_until_any(SEPARATORS).now_or_never()) {
            Ok(lease) => {
                let (end, start) = record.unwrap();
                assert_eq!(lease.len(), end);
                assert!(start <= self.limit);
                self.expect(&lease);
            }
            Err(ReadError::LimitOverrun { consumed }) => {
                assert!(record.is_none_or(|(_, start)| start > self.limit));
                if self.left.len() % 2 == 0 {
                    self.read_exact(consumed);
                } else {
                    self.overlong = true;
                }
            }
            outcome => {
                assert_eq!(record, None);
                self.expect_end(&incomplete(outcome).0);
            }
        }
    }

    fn read_line(&mut self) {
        self.skip_overlong();
        let line = self.left.split_inclusive(|&byte| byte == b'\n').next().unwrap_or_default();
        let line = line.to_vec();
        let outcome = finish(|| self.reader.read_line().now_or_never());
        if line.strip_suffix(b"\n").unwrap_or(&line).len() > self.limit {
            assert!(overrun(outcome) > self.limit);
            self.left.drain(..line.len());
        } else {
            assert_eq!(*outcome.unwrap(), *line);
            self.expect(&line);
        }
    }

    fn look_and_consume(&mut self, random: &mut fastrand::Rng) {
        self.overlong = false;
        let look = || self.reader.fill().now_or_never().map(|there| there.unwrap().to_vec());
        let there = finish(look);
        let count = random.usize(0..=there.len());
        self.reader.consume(count);
        self.expect(&there[..count]);
    }

    fn read_to_end(&mut self) {
        let rest = finish(|| self.reader.read_to_end().now_or_never()).unwrap();
        self.expect_end(&rest);
    }
}
