//! Writing through a queue: what was written goes out whole, once and in order, whatever is
//! dropped, and the queue stays bounded.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use annulus::Runtime;
use annulus::buf::{BufResult, IoBuf};
use annulus::io::{AsyncWrite, StreamWriter};
use annulus::net::{TcpListener, open_connection};
use annulus::sync::Semaphore;
use annulus::time::sleep;
use annulus::yield_now;
use blake3::Hasher;

use crate::common::net::{connected, reset};
use crate::common::patience::limit;
use crate::common::poll::{once, times, until, yield_times};
use crate::common::random::seeded;
use crate::common::watchdog::{block_on, run};

/// Takes what is written when it is allowed to, and writes down each piece.
#[derive(Clone)]
struct Sink(Rc<Taken>);

struct Taken {
    pieces: RefCell<Vec<Vec<u8>>>,
    allowed: Semaphore,
    fails: Cell<bool>,
    end: RefCell<Vec<&'static str>>,
}

impl Sink {
    fn closed() -> Self {
        Self(Rc::new(Taken {
            pieces: RefCell::default(),
            allowed: Semaphore::new(0),
            fails: Cell::new(false),
            end: RefCell::default(),
        }))
    }

    fn open() -> Self {
        let sink = Self::closed();
        sink.allow(1000);
        sink
    }

    fn allow(&self, writes: usize) {
        self.0.allowed.add_permits(writes);
    }

    fn pieces(&self) -> Vec<Vec<u8>> {
        self.0.pieces.take()
    }

    fn end(&self) -> Vec<&'static str> {
        self.0.end.borrow().clone()
    }
}

/// The writing half, whose drop is noted.
struct Half(Sink);

impl AsyncWrite for Half {
    async fn write_all<B: IoBuf>(&mut self, buffer: B) -> BufResult<(), B> {
        self.0.0.allowed.acquire().await.unwrap().forget();
        if self.0.0.fails.get() {
            return BufResult(Err(ErrorKind::BrokenPipe.into()), buffer);
        }
        self.0.0.pieces.borrow_mut().push(buffer.as_bytes().to_vec());
        BufResult(Ok(()), buffer)
    }

    async fn shutdown(&mut self) -> io::Result<()> {
        self.0.0.end.borrow_mut().push("shutdown");
        Ok(())
    }

    fn abort(&mut self) {
        self.0.0.end.borrow_mut().push("abort");
    }
}

impl Drop for Half {
    fn drop(&mut self) {
        self.0.0.end.borrow_mut().push("dropped");
    }
}

fn writer(sink: &Sink) -> StreamWriter<Half> {
    StreamWriter::new(Half(sink.clone()))
}

#[test]
fn what_is_written_in_one_turn_goes_out_at_once() {
    run(async {
        let sink = Sink::open();
        let mut writer = writer(&sink);
        writer.write("one ").await.unwrap();
        writer.write_nowait(b"two ").unwrap();
        writer.write_lines(["three ", "four"]).await.unwrap();
        assert_eq!(writer.unsent(), 18);
        writer.flush().await.unwrap();
        assert_eq!(sink.pieces(), [b"one two three four"]);
        writer.write("later").await.unwrap();
        writer.flush().await.unwrap();
        assert_eq!(sink.pieces(), [b"later"]);
    });
}

#[test]
fn what_is_written_while_a_send_is_under_way_goes_out_with_the_next() {
    run(async {
        let sink = Sink::closed();
        let mut writer = writer(&sink);
        writer.write("first").await.unwrap();
        yield_now().await;
        for piece in ["se", "co", "nd"] {
            writer.write(piece).await.unwrap();
            yield_now().await;
        }
        sink.allow(2);
        writer.flush().await.unwrap();
        assert_eq!(sink.pieces(), [b"first".to_vec(), b"second".to_vec()]);
    });
}

#[test]
fn writes_beyond_the_limit_wait_until_a_quarter_is_left() {
    run(async {
        let sink = Sink::closed();
        let mut writer = StreamWriter::with_limit(Half(sink.clone()), 100);
        // However large a write is, alone it need not wait.
        writer.write([1; 200]).await.unwrap();
        let mut beyond = Box::pin(writer.write([2; 1]));
        assert!(times(3, beyond.as_mut()).await.is_none());
        sink.allow(1);
        yield_times(4).await;
        assert!(once(beyond.as_mut()).await.is_ready());
        drop(beyond);
        writer.write([3; 99]).await.unwrap();
        assert_eq!(writer.unsent(), 100, "just as many as the limit are within it");
        assert!(once(Box::pin(writer.drain()).as_mut()).await.is_ready());
        assert!(times(3, writer.write([4; 1])).await.is_none());
        writer.write_nowait([4; 1]).unwrap();
        assert!(times(3, writer.drain()).await.is_none());
        sink.allow(1);
        writer.drain().await.unwrap();
        assert!(writer.unsent() <= 25);
    });
}

#[test]
fn a_write_that_is_dropped_while_it_waits_has_queued_nothing() {
    run(async {
        let sink = Sink::closed();
        let mut writer = StreamWriter::with_limit(Half(sink.clone()), 2);
        writer.write("all").await.unwrap();
        let mut dropped = Box::pin(writer.write("nothing"));
        assert!(once(dropped.as_mut()).await.is_pending());
        drop(dropped);
        let mut dropped = Box::pin(writer.write_lines(["no", "thing"]));
        assert!(once(dropped.as_mut()).await.is_pending());
        drop(dropped);
        sink.allow(100);
        writer.write(" of it").await.unwrap();
        writer.close();
        writer.wait_closed().await.unwrap();
        assert_eq!(sink.pieces().concat(), b"all of it");
    });
}

/// What a writer says in all its ways: write, drain, flush, and, closed, wait_closed.
async fn outcomes(mut writer: StreamWriter<Half>) -> [io::Result<()>; 5] {
    let written = writer.write("more").await;
    let nowait = writer.write_nowait("more");
    let (drained, flushed) = (writer.drain().await, writer.flush().await);
    assert_eq!(writer.unsent(), 0);
    writer.close();
    [written, nowait, drained, flushed, writer.wait_closed().await]
}

fn kinds(outcomes: [io::Result<()>; 5]) -> [ErrorKind; 5] {
    outcomes.map(|outcome| outcome.unwrap_err().kind())
}

#[test]
fn a_failure_is_reported_each_time() {
    run(async {
        let sink = Sink::open();
        sink.0.fails.set(true);
        let mut writer = writer(&sink);
        writer.write("lost").await.unwrap();
        assert_eq!(writer.flush().await.unwrap_err().kind(), ErrorKind::BrokenPipe);
        assert!(writer.is_closing());
        writer.wait_closed().await.unwrap_err();
        assert_eq!(kinds(outcomes(writer).await), [ErrorKind::BrokenPipe; 5]);
        assert_eq!(sink.end(), ["dropped"]);
    });
}

#[test]
fn what_an_abort_threw_away_is_not_called_sent() {
    run(async {
        for turns in 0..3 {
            let mut writer = writer(&Sink::closed());
            writer.write("never sent").await.unwrap();
            yield_times(turns).await;
            writer.abort();
            writer.abort();
            let [written, nowait, drained, flushed, closed] = outcomes(writer).await;
            for outcome in [written, nowait, drained, flushed] {
                assert_eq!(outcome.unwrap_err().kind(), ErrorKind::ConnectionAborted);
            }
            closed.expect("it was the writer's own doing");
        }
    });
}

/// The task is ended with bytes unsent, before its first poll or later.
#[test]
fn what_the_end_of_a_runtime_threw_away_is_not_called_sent() {
    for turns in 0..3 {
        let sink = Sink::closed();
        let runtime = Runtime::builder().flush_timeout(Duration::ZERO).build().unwrap();
        let writer = runtime.block_on(async {
            let mut writer = writer(&sink);
            writer.write("never sent").await.unwrap();
            yield_times(turns).await;
            writer
        });
        drop(runtime);
        assert_eq!(sink.end(), ["dropped"]);
        let kinds = run(async { kinds(outcomes(writer).await) });
        assert_eq!(kinds, [ErrorKind::BrokenPipe; 5]);
        assert!(sink.pieces().is_empty());
    }
}

#[test]
fn a_writer_that_outlives_its_runtime_takes_nothing_although_all_was_sent() {
    let sink = Sink::open();
    let runtime = Runtime::new().unwrap();
    let writer = runtime.block_on(async {
        let mut writer = writer(&sink);
        writer.write("sent").await.unwrap();
        writer.flush().await.unwrap();
        writer
    });
    drop(runtime);
    assert_eq!(run(async { kinds(outcomes(writer).await) }), [ErrorKind::BrokenPipe; 5]);
    assert_eq!(sink.pieces(), [b"sent"]);
}

/// Panics in the middle of a write.
struct Panics;

impl AsyncWrite for Panics {
    async fn write_all<B: IoBuf>(&mut self, _buffer: B) -> BufResult<(), B> {
        panic!("expected by the test")
    }

    async fn shutdown(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn abort(&mut self) {}
}

#[test]
fn what_a_panic_threw_away_is_not_called_sent_and_nothing_more_is_taken() {
    let runtime = Runtime::builder().on_incident(|_| {}).build().unwrap();
    block_on(&runtime, async {
        let mut writer = StreamWriter::new(Panics);
        writer.write("never sent").await.unwrap();
        assert_eq!(writer.flush().await.unwrap_err().kind(), ErrorKind::BrokenPipe);
        for _ in 0..2 {
            assert_eq!(writer.write("more").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
            assert_eq!(writer.drain().await.unwrap_err().kind(), ErrorKind::BrokenPipe);
        }
        assert_eq!(writer.unsent(), 0);
        assert_eq!(writer.wait_closed().await.unwrap_err().kind(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn an_error_keeps_its_number_each_time() {
    run(async {
        let (stream, peer) = connected();
        let (_reader, mut writer) = stream.into_buffered();
        reset(peer);
        until(|| writer.write_nowait("to a peer that is gone").is_err()).await;
        for _ in 0..2 {
            let error = writer.flush().await.unwrap_err();
            let code = annulus::raw_os_error(&error);
            assert!(matches!(code, Some(libc::EPIPE | libc::ECONNRESET)), "{error:?}: {code:?}");
            assert!(error.to_string().starts_with("send: "), "{error}");
        }
    });
}

#[test]
fn closing_sends_what_is_queued_and_releases_the_connection() {
    run(async {
        let sink = Sink::open();
        let mut writer = writer(&sink);
        writer.write("all").await.unwrap();
        writer.close();
        assert!(writer.is_closing());
        assert_eq!(writer.write("more").await.unwrap_err().kind(), ErrorKind::NotConnected);
        assert!(sink.pieces().is_empty());
        writer.wait_closed().await.unwrap();
        assert_eq!(sink.pieces(), [b"all"]);
        assert_eq!(sink.end(), ["dropped"]);
        writer.wait_closed().await.unwrap();
    });
}

#[test]
fn a_writer_that_never_wrote_releases_its_connection_at_once() {
    run(async {
        let sink = Sink::open();
        let mut unused = writer(&sink);
        unused.close();
        assert_eq!(sink.end(), ["dropped"]);
        unused.wait_closed().await.unwrap();
        drop(writer(&sink));
        assert_eq!(sink.end(), ["dropped", "dropped"]);
    });
}

#[test]
fn a_dropped_writer_still_sends_what_is_queued() {
    run(async {
        let sink = Sink::closed();
        let mut writer = writer(&sink);
        writer.write("first").await.unwrap();
        yield_now().await;
        writer.write(" second").await.unwrap();
        drop(writer);
        yield_times(3).await;
        assert!(sink.end().is_empty());
        sink.allow(2);
        until(|| !sink.end().is_empty()).await;
        assert_eq!(sink.pieces().concat(), b"first second");
        assert_eq!(sink.end(), ["dropped"]);
    });
}

#[test]
fn the_end_of_writing_comes_behind_what_is_queued_and_keeps_the_connection() {
    run(async {
        let sink = Sink::open();
        let mut writer = writer(&sink);
        writer.write("all").await.unwrap();
        writer.write_eof();
        writer.write_eof();
        until(|| !sink.end().is_empty()).await;
        assert_eq!((sink.pieces(), sink.end()), (vec![b"all".to_vec()], vec!["shutdown"]));
        assert!(!writer.is_closing());
        assert_eq!(writer.write_nowait("more").unwrap_err().kind(), ErrorKind::NotConnected);
        writer.close();
        writer.wait_closed().await.unwrap();
        assert_eq!(sink.end(), ["shutdown", "dropped"]);
    });
}

#[test]
fn an_abort_sends_nothing_more() {
    run(async {
        // Before the task is first polled, while it sends, and without a task.
        for turns in 0..3 {
            let sink = Sink::closed();
            let mut aborted = writer(&sink);
            aborted.write("never sent").await.unwrap();
            yield_times(turns).await;
            aborted.abort();
            assert!(aborted.is_closing());
            aborted.wait_closed().await.unwrap();
            assert_eq!(sink.end(), ["abort", "dropped"]);
            assert!(sink.pieces().is_empty());
            assert_eq!(aborted.unsent(), 0);
        }
        let sink = Sink::closed();
        let mut unused = writer(&sink);
        unused.abort();
        assert_eq!(sink.end(), ["abort", "dropped"]);
        unused.wait_closed().await.unwrap();
    });
}

#[test]
fn waiting_for_the_end_of_an_open_writer_waits_until_it_is_closed() {
    run(async {
        for sink in [Sink::open(), Sink::closed()] {
            let mut writer = writer(&sink);
            let mut waiting = Box::pin(writer.wait_closed());
            assert!(times(5, waiting.as_mut()).await.is_none());
            drop(waiting);
            writer.write("all").await.unwrap();
            assert!(times(5, writer.wait_closed()).await.is_none());
            sink.allow(1);
            writer.close();
            writer.wait_closed().await.unwrap();
        }
    });
}

#[test]
fn the_end_of_writing_is_not_forgotten_when_the_writer_is_closed_or_dropped_right_after() {
    run(async {
        for closes in [true, false] {
            let sink = Sink::open();
            let mut writer = writer(&sink);
            writer.write("all").await.unwrap();
            writer.write_eof();
            if closes {
                writer.close();
            }
            drop(writer);
            until(|| sink.end().len() > 1).await;
            assert_eq!(sink.end(), ["shutdown", "dropped"]);
            assert_eq!(sink.pieces(), [b"all"]);
        }
    });
}

#[test]
fn a_writer_is_taken_apart_once_all_is_sent() {
    run(async {
        let sink = Sink::open();
        let mut used = writer(&sink);
        used.write("all").await.unwrap();
        let half = used.into_inner().await.unwrap();
        assert_eq!(sink.pieces(), [b"all"]);
        assert!(sink.end().is_empty());
        drop(half);
        assert_eq!(sink.end(), ["dropped"]);
        drop(writer(&sink).into_inner().await.unwrap());
        assert_eq!(sink.end(), ["dropped", "dropped"]);
        // Dropped meanwhile, it is dropped as any writer: what is queued is sent.
        let sink = Sink::closed();
        let mut dropped = writer(&sink);
        dropped.write("all").await.unwrap();
        assert!(times(3, dropped.into_inner()).await.is_none());
        sink.allow(1);
        until(|| !sink.end().is_empty()).await;
        assert_eq!((sink.pieces(), sink.end()), (vec![b"all".to_vec()], vec!["dropped"]));
        // Not after its end, nor after a failure.
        let mut ended = writer(&Sink::open());
        ended.write_eof();
        assert_eq!(ended.into_inner().await.err().unwrap().kind(), ErrorKind::NotConnected);
        let mut aborted = writer(&Sink::open());
        aborted.abort();
        assert_eq!(aborted.into_inner().await.err().unwrap().kind(), ErrorKind::ConnectionAborted);
        let sink = Sink::open();
        sink.0.fails.set(true);
        let mut failing = writer(&sink);
        failing.write("lost").await.unwrap();
        assert_eq!(failing.into_inner().await.err().unwrap().kind(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn the_halves_of_a_buffered_connection_make_a_stream_again() {
    run(async {
        let (stream, mut peer) = connected();
        let (mut reader, mut writer) = stream.into_buffered();
        peer.write_all(b"a line\nmore").unwrap();
        assert_eq!(&*reader.read_line().await.unwrap(), b"a line\n");
        writer.write("one ").await.unwrap();
        let (read, unread) = reader.into_parts();
        let mut stream = read.reunite(writer.into_inner().await.unwrap()).unwrap();
        assert_eq!(&*unread, b"more");
        stream.write_all("two").await.0.unwrap();
        drop(stream);
        let mut all = String::new();
        peer.read_to_string(&mut all).unwrap();
        assert_eq!(all, "one two");
    });
}

#[test]
fn an_aborted_connection_is_reset_and_its_reader_comes_to_an_end() {
    run(async {
        for (writes, turns) in [(false, 0), (true, 0), (true, 2)] {
            let (stream, mut peer) = connected();
            let (mut reader, mut writer) = stream.into_buffered();
            writer.write("half an ans").await.unwrap();
            writer.flush().await.unwrap();
            let mut reading = Box::pin(reader.read(10));
            assert!(once(reading.as_mut()).await.is_pending());
            if writes {
                writer.write("wer").await.unwrap();
                yield_times(turns).await;
            }
            writer.abort();
            writer.wait_closed().await.unwrap();
            // The peer hears of it while the reader is still there.
            peer.set_read_timeout(Some(limit())).unwrap();
            let error = peer.read_to_end(&mut Vec::new()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
            assert!(reading.await.unwrap().is_empty());
            assert!(reader.read(10).await.unwrap().is_empty());
            assert!(reader.at_eof());
        }
    });
}

/// A peer that does not read, so that a send stays in flight.
#[test]
fn an_abort_in_the_middle_of_a_send_is_heard_as_a_reset() {
    run(async {
        let (stream, mut peer) = connected();
        let (reader, mut writer) = stream.into_buffered();
        writer.write_nowait(vec![7; 32 << 20]).unwrap();
        sleep(Duration::from_millis(5)).await;
        assert!(writer.unsent() > 0);
        writer.abort();
        writer.wait_closed().await.unwrap();
        peer.set_read_timeout(Some(limit())).unwrap();
        let error = peer.read_to_end(&mut Vec::new()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        drop(reader);
    });
}

#[test]
fn closing_a_writer_ends_reading_once_all_is_sent() {
    run(async {
        for used in [true, false] {
            let (stream, mut peer) = connected();
            let (mut reader, mut writer) = stream.into_buffered();
            let reading = annulus::spawn(async move {
                let end = reader.read(10).await.unwrap();
                (reader, end)
            });
            yield_now().await;
            if used {
                writer.write("all").await.unwrap();
            }
            writer.close();
            writer.wait_closed().await.unwrap();
            let (mut reader, end) = reading.await.unwrap();
            assert!(end.is_empty());
            // Whatever the peer goes on to send.
            let _ = peer.write_all(b"are you there?");
            assert!(reader.read(10).await.unwrap().is_empty());
            assert!(reader.at_eof());
            let mut all = String::new();
            peer.set_read_timeout(Some(limit())).unwrap();
            let read = peer.read_to_string(&mut all);
            assert_eq!(all, if used { "all" } else { "" });
            // The peer has written to a connection that is closed.
            read.unwrap_or_else(|error| {
                assert_eq!(error.kind(), ErrorKind::ConnectionReset);
                0
            });
        }
    });
}

#[test]
fn a_reader_goes_on_after_the_end_of_writing_and_after_its_writer_is_dropped() {
    run(async {
        for drops in [true, false] {
            let (stream, mut peer) = connected();
            let (mut reader, mut writer) = stream.into_buffered();
            writer.write("a question").await.unwrap();
            let _kept = if drops {
                drop(writer);
                None
            } else {
                writer.write_eof();
                Some(writer)
            };
            let answering = thread::spawn(move || {
                let mut question = String::new();
                peer.read_to_string(&mut question).unwrap();
                peer.write_all(b"an answer").unwrap();
                question
            });
            assert_eq!(&*reader.read_to_end().await.unwrap(), b"an answer");
            assert_eq!(answering.join().unwrap(), "a question");
        }
    });
}

#[test]
fn a_file_is_sent_in_order_with_what_is_written() {
    run(async {
        let path = std::env::temp_dir().join(format!("annulus-writer-{:x}", fastrand::u64(..)));
        let mut file = File::options().create_new(true).read(true).write(true).open(&path).unwrap();
        std::fs::remove_file(path).unwrap();
        let content: Vec<u8> = (0..3 << 20).map(|n: u32| n as u8).collect();
        file.write_all(&content).unwrap();
        let (stream, mut peer) = connected();
        let (_reader, mut writer) = stream.into_buffered();
        let receiving = thread::spawn(move || {
            let mut all = Vec::new();
            peer.read_to_end(&mut all).unwrap();
            all
        });
        writer.write("head").await.unwrap();
        assert_eq!(writer.send_file(&file, ..).await.unwrap(), content.len() as u64);
        writer.write("middle").await.unwrap();
        assert_eq!(writer.send_file(&file, 1..3).await.unwrap(), 2);
        // Dropped once it has begun, all of it is sent; what is written meanwhile comes behind it.
        let dropped = times(1, writer.send_file(&file, ..)).await;
        assert!(dropped.is_none());
        writer.write("tail").await.unwrap();
        let kind = writer.send_file(&File::open(".").unwrap(), ..).await.unwrap_err().kind();
        assert_eq!(kind, ErrorKind::InvalidInput);
        writer.close();
        writer.wait_closed().await.unwrap();
        let all = receiving.join().unwrap();
        let expected =
            [b"head", &content[..], b"middle", &content[1..3], &content[..], b"tail"].concat();
        assert!(all == expected, "{} bytes of {}", all.len(), expected.len());
    });
}

#[test]
fn a_writer_knows_both_addresses_until_it_has_released_its_connection() {
    run(async {
        let (stream, peer) = connected();
        let (_reader, mut writer) = stream.into_buffered();
        assert_eq!(writer.peer_addr().unwrap(), peer.local_addr().unwrap());
        writer.write("x").await.unwrap();
        writer.flush().await.unwrap();
        assert_eq!(writer.local_addr().unwrap(), peer.peer_addr().unwrap());
        drop(_reader);
        writer.close();
        writer.wait_closed().await.unwrap();
        yield_times(3).await;
        assert_eq!(writer.peer_addr().unwrap_err().kind(), ErrorKind::NotConnected);
    });
}

#[test]
fn a_peer_that_is_gone_is_reported() {
    run(async {
        let (stream, peer) = connected();
        let (_reader, mut writer) = stream.into_buffered();
        reset(peer);
        let mut failure = None;
        while failure.is_none() {
            failure = writer.write("to a peer that is gone").await.err();
            yield_now().await;
        }
        let kind = failure.unwrap().kind();
        assert!([ErrorKind::BrokenPipe, ErrorKind::ConnectionReset].contains(&kind), "{kind}");
    });
}

/// Both ends read and write lines, and neither knows when the other's come.
#[test]
fn lines_go_there_and_back() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = annulus::spawn(async move {
            let (mut reader, mut writer) = listener.accept().await.unwrap().0.into_buffered();
            loop {
                let line = reader.read_line().await.unwrap();
                if line.is_empty() {
                    return;
                }
                writer.write(line).await.unwrap();
            }
        });
        let (mut reader, mut writer) = open_connection(address).await.unwrap();
        for n in 0..1000 {
            writer.write(format!("line {n}\n")).await.unwrap();
        }
        writer.write_eof();
        for n in 0..1000 {
            assert_eq!(*reader.read_line().await.unwrap(), *format!("line {n}\n").as_bytes());
        }
        assert!(reader.read(1).await.unwrap().is_empty());
        server.await.unwrap();
    });
}

/// Writes, drains and flushes that are dropped again and again, against a peer that is slow now and
/// then: what arrives is what the writes that were not dropped have written.
#[test]
fn a_stream_written_by_futures_that_are_dropped_again_and_again_arrives_whole() {
    let mut random = seeded();
    run(async {
        let (stream, mut peer) = connected();
        let mut pauses = random.fork();
        let receiver = thread::spawn(move || {
            let (mut hash, mut buffer) = (Hasher::new(), vec![0; 32 << 10]);
            loop {
                let most = pauses.usize(1..=buffer.len());
                match peer.read(&mut buffer[..most]).unwrap() {
                    0 => return hash.finalize(),
                    count => hash.update(&buffer[..count]),
                };
                if pauses.u8(0..4) == 0 {
                    thread::sleep(Duration::from_micros(pauses.u64(1..200)));
                }
            }
        });
        let (_reader, mut writer) = stream.into_buffered();
        let (mut hash, mut dropped) = (Hasher::new(), 0);
        let mut piece = vec![0; 40 << 10];
        for _ in 0..4000 {
            let count =
                if random.bool() { random.usize(1..200) } else { random.usize(1..piece.len()) };
            random.fill(&mut piece[..count]);
            let polls = random.usize(1..5);
            match random.u8(0..4) {
                0 => dropped += usize::from(times(polls, writer.drain()).await.is_none()),
                1 => dropped += usize::from(times(polls, writer.flush()).await.is_none()),
                _ => match times(polls, writer.write(&piece[..count])).await {
                    Some(written) => {
                        written.unwrap();
                        hash.update(&piece[..count]);
                    }
                    None => dropped += 1,
                },
            }
        }
        writer.close();
        writer.wait_closed().await.unwrap();
        assert_eq!(hash.finalize(), receiver.join().unwrap());
        assert!(dropped > 300, "only {dropped} were dropped");
    });
}
