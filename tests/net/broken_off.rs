//! A connection that is broken off is heard as a reset: a peer that reads to the end must not take
//! half an answer for a whole one. And it ends what it belongs to, whenever it comes.

use std::future::pending;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream as Peer;
use std::thread;
use std::time::Duration;

use annulus::net::{
    ServerOptions, StreamReader, StreamWriter, open_connection, start_server, start_server_with,
};
use annulus::time::timeout;

use crate::common::conditions::until;
use crate::common::net::{connected, reset};
use crate::common::patience::limit;
use crate::common::watchdog::run;

/// What a client reads to the end of its connection, on a thread of its own.
fn client(address: std::net::SocketAddr) -> thread::JoinHandle<(Vec<u8>, io::Result<()>)> {
    thread::spawn(move || {
        let mut stream = Peer::connect(address).unwrap();
        stream.set_read_timeout(Some(limit())).unwrap();
        let (mut all, mut piece) = (Vec::new(), [0; 64]);
        loop {
            match stream.read(&mut piece) {
                Ok(0) => return (all, Ok(())),
                Ok(count) => all.extend_from_slice(&piece[..count]),
                Err(error) => return (all, Err(error)),
            }
        }
    })
}

async fn assert_reset(client: thread::JoinHandle<(Vec<u8>, io::Result<()>)>) {
    until(|| client.is_finished()).await;
    let (_, end) = client.join().unwrap();
    assert_eq!(
        end.expect_err("half an answer ends as a whole one").kind(),
        ErrorKind::ConnectionReset
    );
}

#[test]
fn an_abort_by_the_handler_is_heard_as_a_reset() {
    run(async {
        let handler = async |_: StreamReader, mut writer: StreamWriter| {
            writer.write("half an ans").await?;
            writer.flush().await?;
            writer.abort();
            io::Result::Ok(())
        };
        let server = start_server(handler, "127.0.0.1:0").await.unwrap();
        assert_reset(client(server.local_addrs()[0])).await;
    });
}

/// The handlers wait for ever, for a line or for nothing at all.
#[test]
fn clients_that_a_server_aborts_or_cuts_hear_a_reset() {
    run(async {
        for (cuts, reads) in [(true, true), (true, false), (false, true), (false, false)] {
            let handler = async move |mut reader: StreamReader, mut writer: StreamWriter| {
                writer.write("half an ans").await.unwrap();
                writer.flush().await.unwrap();
                if reads {
                    assert!(reader.read_line().await.unwrap().is_empty());
                }
                pending::<()>().await;
            };
            let server = start_server(handler, "127.0.0.1:0").await.unwrap();
            let client = client(server.local_addrs()[0]);
            until(|| server.active_connections() == 1).await;
            if cuts {
                assert_eq!(server.shutdown(Duration::from_millis(5)).await.aborted, 1);
            } else {
                server.abort_clients();
            }
            assert_reset(client).await;
        }
    });
}

/// The write has not been sent when the abort comes.
#[test]
fn a_handler_that_writes_and_aborts_at_once_keeps_neither_the_server_nor_its_places() {
    run(async {
        let handler = async |_: StreamReader, mut writer: StreamWriter| {
            writer.write("421 go away\r\n").await?;
            writer.abort();
            io::Result::Ok(())
        };
        let options = ServerOptions::new().max_connections(2);
        let server = start_server_with(handler, "127.0.0.1:0", &options).await.unwrap();
        for _ in 0..5 {
            let (mut reader, _writer) = open_connection(server.local_addrs()[0]).await.unwrap();
            let read = timeout(limit(), reader.read(100)).await.expect("each is served");
            assert_eq!(read.unwrap_err().kind(), ErrorKind::ConnectionReset);
        }
        server.close();
        timeout(limit(), server.wait_closed()).await.expect("the server ends");
        assert_eq!(server.active_connections(), 0);
    });
}

/// The kernel reports an error once, to whatever comes first.
#[test]
fn a_reset_that_the_writer_meets_first_is_an_error_of_its_reader_each_time() {
    run(async {
        let (stream, peer) = connected();
        let (mut reader, mut writer) = stream.into_buffered();
        reset(peer);
        // Nothing reads meanwhile.
        until(|| writer.write_nowait("to a peer that is gone").is_err()).await;
        for _ in 0..2 {
            let line = reader.read_line().await;
            let error = line.expect_err("a reset connection reads as ended");
            assert_eq!(io::Error::from(error).kind(), ErrorKind::ConnectionReset);
            reader.read_to_end().await.unwrap_err();
            assert!(!reader.at_eof());
        }
    });
}

#[test]
fn a_body_that_a_reset_has_cut_off_is_never_taken_for_whole() {
    run(async {
        let (stream, mut peer) = connected();
        let (mut reader, _writer) = stream.into_buffered();
        peer.write_all(b"half of a mess").unwrap();
        reader.fill().await.unwrap();
        reset(peer);
        for _ in 0..3 {
            let error = reader.read_to_end().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        }
        assert_eq!(&*reader.read(100).await.unwrap(), b"half of a mess");
        reader.read(100).await.unwrap_err();
    });
}
