//! What has been written when the main task returns is sent before the runtime ends, within a
//! bound.

use std::fs::File;
use std::future::pending;
use std::io::{self, Read, Write as _};
use std::net::{TcpListener, TcpStream as Peer};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use annulus::buf::{BufResult, IoBuf};
use annulus::io::AsyncWrite;
use annulus::net::{StreamWriter, open_connection};
use annulus::{Incident, Runtime, yield_now};

use crate::common::incidents::Incidents;
use crate::common::patience::{limit, patient};
use crate::common::poll::{times, yield_times};
use crate::common::watchdog::{Watchdog, block_on, run};

/// What a peer receives to the end.
fn peer(listener: TcpListener) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        all
    })
}

fn patient_runtime() -> Runtime {
    Runtime::builder().flush_timeout(limit()).build().unwrap()
}

/// What is done with a writer after the last write.
#[derive(Clone, Copy)]
enum Then {
    Drop,
    Close,
    WriteEof,
    /// Another task has it still.
    Keep,
}

fn end(mut writer: StreamWriter, then: Then) {
    match then {
        Then::Drop => {}
        Then::Close => writer.close(),
        Then::WriteEof => writer.write_eof(),
        Then::Keep => drop(annulus::spawn(async move {
            let _writer = writer;
            pending::<()>().await;
        })),
    }
}

#[test]
fn the_last_words_of_the_main_task_are_received() {
    // More than fits in the sockets, too.
    for length in [4, 200_000, 8 << 20] {
        for then in [Then::Drop, Then::Close, Then::WriteEof, Then::Keep] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            let peer = peer(listener);
            let main = async move {
                let (_reader, mut writer) = open_connection(address).await.unwrap();
                writer.write(vec![7; length]).await.unwrap();
                end(writer, then);
            };
            // A few are sent by default, too.
            if length == 4 {
                run(main);
            } else {
                block_on(&patient_runtime(), main);
            }
            assert_eq!(peer.join().unwrap().len(), length);
        }
    }
}

#[test]
fn a_file_that_is_being_sent_when_the_main_task_returns_is_received() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let peer = peer(listener);
    let path = std::env::temp_dir().join(format!("annulus-last-words-{:x}", fastrand::u64(..)));
    let mut file = File::options().create_new(true).read(true).write(true).open(&path).unwrap();
    std::fs::remove_file(path).unwrap();
    file.write_all(&[7; 8 << 20]).unwrap();
    block_on(&patient_runtime(), async move {
        let (_reader, mut writer) = open_connection(address).await.unwrap();
        let sent = times(1, writer.send_file(&file, ..)).await;
        assert!(sent.is_none());
    });
    assert_eq!(peer.join().unwrap().len(), 8 << 20);
}

/// A connection with more unsent than the sockets take.
async fn stuck(listener: &TcpListener) -> (StreamWriter, Peer) {
    let address = listener.local_addr().unwrap();
    let (_, mut writer) = open_connection(address).await.unwrap();
    let (peer, _) = listener.accept().unwrap();
    writer.write_nowait(vec![7; 32 << 20]).unwrap();
    yield_now().await;
    (writer, peer)
}

#[test]
fn a_peer_that_does_not_read_holds_up_the_end_no_longer_than_the_bound() {
    let _watchdog = Watchdog::new(limit());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (incidents, bound) = (Incidents::default(), Duration::from_millis(20));
    let its = incidents.clone();
    let builder = Runtime::builder().on_incident(move |incident| its.report(incident));
    let runtime = builder.flush_timeout(bound).build().unwrap();
    let (writer, peer) = runtime.block_on(stuck(&listener));
    let before = Instant::now();
    drop(runtime);
    let took = before.elapsed();
    assert!(took >= bound, "only {took:?}");
    assert!(took < patient(Duration::from_secs(5)), "{took:?}");
    let seen = incidents.take();
    assert!(matches!(seen[..], [Incident::UnsentDataLost { count: 1 }]), "{seen:?}");
    drop((writer, peer));
}

/// Takes some turns for each write.
struct Slow;

impl AsyncWrite for Slow {
    async fn write_all<B: IoBuf>(&mut self, buffer: B) -> BufResult<(), B> {
        yield_times(3).await;
        BufResult(Ok(()), buffer)
    }

    async fn shutdown(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn abort(&mut self) {}
}

/// The end waits for what was written before it began.
#[test]
fn a_writer_that_never_stops_does_not_hold_up_the_end() {
    let _watchdog = Watchdog::new(limit());
    let runtime = Runtime::builder().flush_timeout(Duration::from_secs(3600)).build().unwrap();
    runtime.block_on(async {
        // Something is being sent or queued at any moment.
        let mut writer = annulus::io::StreamWriter::new(Slow);
        annulus::spawn(async move {
            loop {
                writer.write_nowait("x").unwrap();
                yield_now().await;
            }
        });
        yield_times(10).await;
    });
    drop(runtime);
}
