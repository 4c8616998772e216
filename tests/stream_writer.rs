//! Writing through a queue: what was written goes out whole, once and in order, whatever is dropped,
//! and the queue stays bounded.

mod common;

use std::cell::{Cell, RefCell};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use annulus::Runtime;
use annulus::buf::{BufResult, IoBuf};
use annulus::io::{StreamWriter, Write};
use annulus::net::{TcpListener, open_connection};
use annulus::sync::Semaphore;
use annulus::yield_now;
use blake3::Hasher;
use common::net::{connected, reset};
use common::patience::patient;
use common::poll::{once, times, until, yield_times};
use common::random::seeded;
use common::watchdog::run;

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

impl Write for Half {
    async fn write_all<B: IoBuf>(&mut self, buffer: B) -> BufResult<(), B> {
        self.0.0.allowed.acquire().await.unwrap().forget();
        if self.0.0.fails.get() {
            return (Err(ErrorKind::BrokenPipe.into()), buffer);
        }
        self.0.0.pieces.borrow_mut().push(buffer.as_bytes().to_vec());
        (Ok(()), buffer)
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
fn writers_wait_above_the_limit_until_a_quarter_is_left() {
    run(async {
        let sink = Sink::closed();
        let mut writer = StreamWriter::with_limit(Half(sink.clone()), 100);
        writer.write([1; 100]).await.unwrap();
        writer.write([2; 1]).await.unwrap();
        let mut third = Box::pin(writer.write([3; 30]));
        assert!(once(third.as_mut()).await.is_pending());
        sink.allow(1);
        yield_times(4).await;
        assert!(once(third.as_mut()).await.is_ready(), "one byte or none is left");
        drop(third);
        let mut drain = Box::pin(writer.drain());
        assert!(once(drain.as_mut()).await.is_ready(), "few are unsent");
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

#[test]
fn a_failure_is_reported_each_time() {
    run(async {
        let sink = Sink::open();
        sink.0.fails.set(true);
        let mut writer = writer(&sink);
        writer.write("lost").await.unwrap();
        assert_eq!(writer.flush().await.unwrap_err().kind(), ErrorKind::BrokenPipe);
        assert_eq!(writer.write("more").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
        assert_eq!(writer.drain().await.unwrap_err().kind(), ErrorKind::BrokenPipe);
        assert_eq!(writer.unsent(), 0);
        writer.close();
        assert_eq!(writer.wait_closed().await.unwrap_err().kind(), ErrorKind::BrokenPipe);
        assert_eq!(sink.end(), ["dropped"]);
    });
}

#[test]
fn closing_sends_what_is_queued_and_lets_go() {
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
fn a_writer_that_never_wrote_lets_go_at_once() {
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
        let sink = Sink::closed();
        let mut aborted = writer(&sink);
        aborted.write("never sent").await.unwrap();
        yield_now().await;
        aborted.abort();
        assert!(aborted.is_closing());
        aborted.wait_closed().await.unwrap();
        assert_eq!(sink.end(), ["abort", "dropped"]);
        assert!(sink.pieces().is_empty());
        assert_eq!(aborted.unsent(), 0);
        let mut unused = writer(&sink);
        unused.abort();
        assert_eq!(sink.end(), ["abort", "dropped", "abort", "dropped"]);
    });
}

#[test]
#[should_panic(expected = "a writer is closed before its end is awaited")]
fn waiting_for_the_end_of_an_open_writer_panics() {
    run(async { drop(writer(&Sink::open()).wait_closed().await) });
}

#[test]
fn a_runtime_that_ends_drops_what_is_not_sent() {
    let sink = Sink::closed();
    let runtime = Runtime::new().unwrap();
    let writer = runtime.block_on(async {
        let mut writer = writer(&sink);
        writer.write("never sent").await.unwrap();
        writer
    });
    drop(runtime);
    assert_eq!(sink.end(), ["dropped"]);
    drop(writer);
}

#[test]
fn an_aborted_connection_is_reset_and_its_reader_comes_to_an_end() {
    run(async {
        let (stream, mut peer) = connected();
        let (mut reader, mut writer) = stream.into_buffered();
        let mut reading = Box::pin(reader.read(10));
        assert!(once(reading.as_mut()).await.is_pending());
        writer.abort();
        assert!(reading.await.unwrap().is_empty());
        drop((reader, writer));
        peer.set_read_timeout(Some(patient(Duration::from_secs(10)))).unwrap();
        let end = peer.read(&mut [0; 8]);
        assert!(matches!(&end, Ok(0)) || end.unwrap_err().kind() == ErrorKind::ConnectionReset);
        until(|| peer.write(b"to nobody").is_err()).await;
    });
}

#[test]
fn a_peer_that_is_gone_is_heard_of() {
    run(async {
        let (stream, peer) = connected();
        let (_reader, mut writer) = stream.into_buffered();
        reset(peer);
        let mut failure = None;
        while failure.is_none() {
            failure = writer.write("to nobody").await.err();
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
        let mut listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
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
