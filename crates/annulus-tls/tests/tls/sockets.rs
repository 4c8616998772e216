//! TLS over sockets of the kernel: servers, drops, and connections that begin without TLS.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use annulus::blocking::to_thread;
use annulus::io::{AsyncRead, AsyncWrite};
use annulus::join::gather;
use annulus::net::{self, ServerOptions, TcpListener, TcpStream, UnixStream, open_connection};
use annulus_tls::rustls::{ClientConnection, StreamOwned};
use annulus_tls::{
    StreamReader, StreamWriter, TlsAcceptor, TlsConnector, TlsStream, start_server,
    start_server_with, tls_error,
};

use crate::certificates::{both, localhost};
use crate::{patience, run};

async fn shout(mut reader: StreamReader, mut writer: StreamWriter) -> io::Result<()> {
    loop {
        let line = reader.read_line().await?;
        if line.is_empty() {
            return Ok(());
        }
        writer.write(line.to_ascii_uppercase()).await?;
    }
}

fn ends() -> (TlsAcceptor, TlsConnector) {
    let (server, client) = both();
    (TlsAcceptor::new(server), TlsConnector::new(client))
}

async fn pair() -> (TlsStream, TlsStream) {
    let (acceptor, connector) = ends();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    let address = listener.local_addr().expect("an address");
    let connect = async {
        let stream = TcpStream::connect(address).await?;
        connector.connect(localhost(), stream).await
    };
    let accept = async { acceptor.accept(listener.accept().await?.0).await };
    let (near, far) = gather((connect, accept)).await;
    (near.expect("the client"), far.expect("the server"))
}

#[test]
fn a_server_serves_buffered_handlers_through_tls() {
    run(async {
        let (acceptor, connector) = ends();
        let server = start_server(shout, "127.0.0.1:0", acceptor).await.expect("a server");
        let stream = TcpStream::connect(server.local_addrs()[0]).await.expect("a connection");
        let stream = connector.connect(localhost(), stream).await.expect("a handshake");
        let (mut reader, mut writer) = stream.into_buffered();
        for _ in 0..100 {
            writer.write("hello\n").await.expect("a write");
            assert_eq!(&*reader.read_line().await.expect("a line"), b"HELLO\n");
        }
        writer.write_eof();
        // EOF, and not an error: the server has sent `close_notify`.
        assert_eq!(&*reader.read_line().await.expect("EOF"), b"");
    });
}

#[test]
fn tls_runs_over_unix_sockets() {
    run(async {
        let (acceptor, connector) = ends();
        let (near, far) = UnixStream::pair().expect("a pair");
        let ends = gather((connector.connect(localhost(), near), acceptor.accept(far))).await;
        let (mut near, mut far) = (ends.0.expect("the client"), ends.1.expect("the server"));
        near.write_all("hello").await.0.expect("a write");
        assert_eq!(&*far.recv().await.expect("a read"), b"hello");
    });
}

#[test]
fn tls_runs_within_tls() {
    run(async {
        let (acceptor, connector) = ends();
        let (near, far) = pair().await;
        let ends = gather((connector.connect(localhost(), near), acceptor.accept(far))).await;
        let (mut near, mut far) = (ends.0.expect("the client"), ends.1.expect("the server"));
        near.write_all(vec![5; 100_000]).await.0.expect("a write");
        near.shutdown().await.expect("a shutdown");
        let mut count = 0;
        loop {
            match far.recv().await.expect("a read").len() {
                0 => break,
                more => count += more,
            }
        }
        assert_eq!(count, 100_000);
    });
}

/// The peer reads a little at a time, so most is written before it is read, and the end of it is
/// with rustls and with the runtime when the stream is dropped.
#[test]
fn what_was_written_before_a_drop_reaches_a_slow_peer_in_full() {
    const TOTAL: usize = 5_242_880;
    run(async {
        let (mut near, far) = pair().await;
        let write = async {
            let (bytes, mut written) = (vec![9; TOTAL], 0);
            while written < TOTAL {
                let write = poll_fn(|context| {
                    let rest = &bytes[written..];
                    tokio::io::AsyncWrite::poll_write(Pin::new(&mut near), context, rest)
                });
                written += write.await.expect("a write");
            }
            drop(near);
        };
        let read = async {
            let (mut far, mut count) = (far, 0);
            loop {
                let BufCount(some) = BufCount::read(&mut far).await;
                if some == 0 {
                    return count;
                }
                count += some;
                if count % 16 == 0 {
                    annulus::time::sleep(Duration::from_micros(100)).await;
                }
            }
        };
        let ((), count) = gather((write, read)).await;
        assert_eq!(count, TOTAL);
    });
}

/// How many bytes a read has returned.
struct BufCount(usize);

impl BufCount {
    async fn read(stream: &mut TlsStream) -> Self {
        let read = AsyncRead::read(stream, Vec::with_capacity(8 * 1024)).await;
        Self(read.0.expect("a read without truncation"))
    }
}

#[test]
fn a_writer_of_a_peer_that_does_not_read_waits_and_holds_little() {
    run(async {
        let (mut near, far) = pair().await;
        let (bytes, mut written) = (vec![0; 100_000], 0);
        let fill = async {
            loop {
                let write = poll_fn(|context| {
                    tokio::io::AsyncWrite::poll_write(Pin::new(&mut near), context, &bytes)
                });
                written += write.await.expect("a write");
                assert!(written < 64 << 20, "nothing bounds it");
            }
        };
        let limit = Duration::from_millis(300);
        annulus::time::timeout(limit, fill).await.expect_err("it waits in the end");
        // What is not with the kernel: 64 KiB of records, and as much that is staged.
        assert!(near.get_ref().unsent() <= 128 * 1024, "{}", near.get_ref().unsent());
        near.abort();
        drop(far);
    });
}

/// The client sends its first message of TLS together with the command: the server has read it
/// before it knows that TLS begins.
#[test]
fn tls_begins_behind_a_command_with_which_the_client_hello_has_already_come() {
    async fn mail(
        mut reader: net::StreamReader,
        mut writer: net::StreamWriter,
        acceptor: &TlsAcceptor,
    ) -> io::Result<()> {
        assert_eq!(&*reader.read_line().await?, b"STARTTLS\r\n");
        assert!(!reader.buffer().is_empty(), "the first message of TLS has come along");
        writer.write("220 go ahead\r\n").await?;
        let (mut reader, mut writer) = acceptor.start_tls(reader, writer).await?.into_buffered();
        let line = reader.read_line().await?;
        writer.write(line.to_ascii_uppercase()).await
    }
    run(async {
        let (server, client) = both();
        let acceptor = TlsAcceptor::new(server);
        let handle = async move |reader, writer| mail(reader, writer, &acceptor).await;
        let server = net::start_server(handle, "127.0.0.1:0").await.expect("a server");
        let address = server.local_addrs()[0];
        let answer = to_thread(move || {
            let mut tls = ClientConnection::new(client, localhost()).expect("a connection");
            let mut first = b"STARTTLS\r\n".to_vec();
            tls.write_tls(&mut first)?;
            let mut stream = std::net::TcpStream::connect(address)?;
            stream.set_read_timeout(Some(patience::limit()))?;
            stream.write_all(&first)?;
            let mut greeting = [0; 14];
            stream.read_exact(&mut greeting)?;
            assert_eq!(&greeting, b"220 go ahead\r\n");
            let mut stream = BufReader::new(StreamOwned::new(tls, stream));
            stream.get_mut().write_all(b"mail\r\n")?;
            let mut line = String::new();
            stream.read_line(&mut line)?;
            io::Result::Ok(line)
        });
        assert_eq!(answer.await.expect("the thread").expect("the client"), "MAIL\r\n");
    });
}

#[test]
fn tls_begins_in_the_middle_from_the_client_s_side() {
    run(async {
        let (acceptor, connector) = ends();
        let handle = async move |mut reader: net::StreamReader, mut writer: net::StreamWriter| {
            reader.read_line().await?;
            writer.write("220 go ahead\r\n").await?;
            let stream = acceptor.start_tls(reader, writer).await?;
            let (reader, writer) = stream.into_buffered();
            shout(reader, writer).await
        };
        let server = net::start_server(handle, "127.0.0.1:0").await.expect("a server");
        let opened = open_connection(server.local_addrs()[0]).await;
        let (mut reader, mut writer) = opened.expect("a connection");
        writer.write("STARTTLS\r\n").await.expect("a write");
        assert_eq!(&*reader.read_line().await.expect("a line"), b"220 go ahead\r\n");
        let stream = connector.start_tls(localhost(), reader, writer).await.expect("a handshake");
        let (mut reader, mut writer) = stream.into_buffered();
        writer.write("mail\r\n").await.expect("a write");
        assert_eq!(&*reader.read_line().await.expect("a line"), b"MAIL\r\n");
    });
}

/// An attacker sends a command in the clear behind STARTTLS, to be carried out as the client's.
#[test]
fn what_is_sent_in_the_clear_behind_the_command_is_not_read_through_tls() {
    run(async {
        let (acceptor, _) = ends();
        let outcome = Rc::new(RefCell::new(None));
        let told = Rc::clone(&outcome);
        let handle = async move |mut reader: net::StreamReader, writer| {
            reader.read_line().await.expect("a line");
            *told.borrow_mut() = Some(acceptor.start_tls(reader, writer).await.map(drop));
        };
        let server = net::start_server(handle, "127.0.0.1:0").await.expect("a server");
        let opened = open_connection(server.local_addrs()[0]).await;
        let (mut reader, mut writer) = opened.expect("a connection");
        writer.write("STARTTLS\r\nMAIL FROM: <attacker>\r\n").await.expect("a write");
        writer.write_eof();
        let alert = reader.read_to_end().await.expect("an alert and EOF");
        assert_eq!((alert.len(), alert[0]), (7, 21));
        // The handler learns later that its end has been sent.
        while outcome.borrow().is_none() {
            annulus::time::sleep(Duration::from_millis(1)).await;
        }
        let error = outcome.take().expect("it has just been set").expect_err("no TLS");
        assert!(tls_error(&error).is_some(), "{error}");
    });
}

#[test]
fn clients_that_do_nothing_hold_a_place_of_the_server_no_longer_than_a_handshake_may_take() {
    run(async {
        let (acceptor, connector) = ends();
        // Of this clock, which is moved: long for the client that does its part, however busy the
        // machine is, and less than the whole test may take.
        annulus::time::pause();
        let limit = patience::limit() / 4;
        let acceptor = acceptor.handshake_timeout(limit);
        let options = ServerOptions::new().max_connections(2);
        let server = start_server_with(shout, "127.0.0.1:0", acceptor, &options).await;
        let server = server.expect("a server");
        let mut idle = Vec::new();
        for _ in 0..2 {
            idle.push(TcpStream::connect(server.local_addrs()[0]).await.expect("a connection"));
        }
        while server.active_connections() < 2 {
            annulus::time::sleep(Duration::from_millis(1)).await;
        }
        let stream = TcpStream::connect(server.local_addrs()[0]).await.expect("a connection");
        annulus::time::advance(limit).await;
        annulus::time::resume();
        let mut stream = connector.connect(localhost(), stream).await.expect("a handshake");
        stream.write_all("served\n").await.0.expect("a write");
        assert_eq!(&*stream.recv().await.expect("a read"), b"SERVED\n");
        for idle in &mut idle {
            assert!(idle.recv().await.expect("EOF").is_empty());
        }
        assert_eq!(server.active_connections(), 1);
    });
}

#[test]
fn a_dropped_writing_half_shuts_down_the_socket_and_the_other_half_reads_on() {
    run(async {
        let (near, mut far) = pair().await;
        let (mut read, mut write) = near.into_split();
        write.write_all("question").await.0.expect("a write");
        drop(write);
        assert_eq!(&*far.recv().await.expect("a read"), b"question");
        assert!(far.recv().await.expect("close_notify").is_empty());
        far.write_all("answer").await.0.expect("a write");
        assert_eq!(&*read.recv().await.expect("a read"), b"answer");
    });
}

#[test]
fn an_aborted_stream_resets_the_connection() {
    run(async {
        let (near, mut far) = pair().await;
        near.abort();
        let error = far.recv().await.expect_err("a reset");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    });
}

#[test]
fn a_handler_that_returns_leaves_what_it_has_written_to_be_sent() {
    run(async {
        let (acceptor, connector) = ends();
        let big = Arc::new(vec![4_u8; 30_000_000]);
        let copy = Arc::clone(&big);
        let handle =
            async move |_: StreamReader, mut writer: StreamWriter| writer.write(&**copy).await;
        let server = start_server(handle, "127.0.0.1:0", acceptor).await.expect("a server");
        let stream = TcpStream::connect(server.local_addrs()[0]).await.expect("a connection");
        let stream = connector.connect(localhost(), stream).await.expect("a handshake");
        let (mut reader, _writer) = stream.into_buffered();
        annulus::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(server.active_connections(), 1, "what it has written is not sent yet");
        assert!(*reader.read_to_end().await.expect("EOF") == **big);
        while server.active_connections() > 0 {
            annulus::time::sleep(Duration::from_millis(1)).await;
        }
    });
}
