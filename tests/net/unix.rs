//! Unix stream sockets: what TCP's streams, listeners and servers promise, at paths and at abstract
//! names.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream as Peer};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::common::incidents::Incidents;
use crate::common::patience::patient;
use crate::common::poll::{once, times, until, yield_times};
use crate::common::skip::build_or_skip;
use crate::common::watchdog::{block_on, run};
use annulus::net::{
    IntoStd, ListenOptions, OwnedReadHalf, OwnedWriteHalf, ServerOptions, StreamReader,
    StreamWriter, TcpListener, TcpStream, UnixListener, UnixStream, copy_bidirectional,
    open_unix_connection, start_server_on, start_unix_server, start_unix_server_with,
};
use annulus::{Incident, Runtime, metrics, spawn};

/// A path in a directory of its own, which is removed at the end.
struct SocketPath(PathBuf);

impl SocketPath {
    fn new() -> Self {
        let directory = std::env::temp_dir().join(&unique("annulus-unix")[1..]);
        fs::create_dir(&directory).unwrap();
        Self(directory.join("socket"))
    }
}

impl AsRef<Path> for SocketPath {
    fn as_ref(&self) -> &Path {
        &self.0
    }
}

impl Drop for SocketPath {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(self.0.parent().unwrap());
    }
}

/// An abstract name that no other test has.
fn unique(what: &str) -> String {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    format!("\0{what}-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Connects to an abstract name, outside of the runtime.
fn peer(name: &str) -> Peer {
    Peer::connect_addr(&SocketAddr::from_abstract_name(&name[1..]).unwrap()).unwrap()
}

/// A stream, and its peer outside of the runtime.
fn connected() -> (UnixStream, Peer) {
    let (near, far) = Peer::pair().unwrap();
    (UnixStream::from_std(near), far)
}

async fn echo(
    mut reader: StreamReader<UnixStream>,
    mut writer: StreamWriter<UnixStream>,
) -> std::io::Result<()> {
    loop {
        let line = reader.read_line().await?;
        if line.is_empty() {
            return Ok(());
        }
        writer.write(line).await?;
    }
}

#[test]
fn a_message_is_echoed_at_a_path_and_at_an_abstract_name() {
    run(async {
        let path = SocketPath::new();
        for place in [path.0.clone(), PathBuf::from(unique("echo"))] {
            let listener = UnixListener::bind(&place).unwrap();
            let mut client = UnixStream::connect(&place).await.unwrap();
            let (mut stream, from) = listener.accept().await.unwrap();
            assert!(from.is_unnamed());
            client.write_all("ping").await.0.unwrap();
            let ((), message) = stream.read_exact(Box::new([0; 4])).await.into_result().unwrap();
            stream.write_all(message).await.0.unwrap();
            assert_eq!(&*client.recv().await.unwrap(), b"ping");
        }
    });
}

#[test]
fn addresses_are_paths_and_names_and_clients_have_none() {
    run(async {
        let path = SocketPath::new();
        let listener = UnixListener::bind(&path).unwrap();
        let client = UnixStream::connect(&path).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let here = Some(path.as_ref());
        assert_eq!(listener.local_addr().unwrap().as_pathname(), here);
        assert_eq!(stream.local_addr().unwrap().as_pathname(), here);
        assert_eq!(client.peer_addr().unwrap().as_pathname(), here);
        assert!(client.local_addr().unwrap().is_unnamed());
        assert!(stream.peer_addr().unwrap().is_unnamed());
        assert!(format!("{stream:?}").starts_with("UnixStream { fd: Some("), "{stream:?}");
        assert!(format!("{listener:?}").starts_with("UnixListener { fd: "), "{listener:?}");

        let name = SocketAddr::from_abstract_name(&unique("address")[1..]).unwrap();
        let listener = UnixListener::bind_addr(&name, &ListenOptions::new()).unwrap();
        let (reader, writer) = UnixStream::connect_addr(&name).await.unwrap().into_buffered();
        let peers = [reader.get_ref().peer_addr(), writer.peer_addr(), listener.local_addr()];
        for address in peers {
            assert_eq!(address.unwrap().as_abstract_name(), name.as_abstract_name());
        }
    });
}

#[test]
fn a_pair_is_connected_both_ways_and_each_way_ends_alone() {
    run(async {
        let (mut first, mut second) = UnixStream::pair().unwrap();
        first.write_all("to second").await.0.unwrap();
        second.write_all("to first").await.0.unwrap();
        assert_eq!(&*second.recv().await.unwrap(), b"to second");
        assert_eq!(&*first.recv().await.unwrap(), b"to first");
        first.shutdown(Shutdown::Write).await.unwrap();
        assert!(second.recv().await.unwrap().is_empty());
        second.write_all("still open").await.0.unwrap();
        assert_eq!(&*first.recv().await.unwrap(), b"still open");
        drop(second);
        assert!(first.recv().await.unwrap().is_empty());
        assert_eq!(first.write_all("x").await.0.unwrap_err().kind(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn a_connect_that_fails_says_to_what() {
    run(async {
        let path = SocketPath::new();
        let error = UnixStream::connect(&path).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        let expected = format!("connect to {}: ", path.0.display());
        assert!(error.to_string().starts_with(&expected), "{error}");
        let error = UnixStream::connect(unique("nothing")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        assert!(error.to_string().starts_with("connect to @nothing-"), "{error}");
        let error = UnixStream::connect("p".repeat(108)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    });
}

#[test]
fn a_connect_waits_while_the_backlog_is_full() {
    run(async {
        let name = SocketAddr::from_abstract_name(&unique("full")[1..]).unwrap();
        let options = ListenOptions::new().backlog(0);
        let listener = UnixListener::bind_addr(&name, &options).unwrap();
        let _first = UnixStream::connect_addr(&name).await.unwrap();
        let mut second = pin!(UnixStream::connect_addr(&name));
        assert!(times(100, second.as_mut()).await.is_none(), "the kernel keeps one");
        drop(listener.accept().await.unwrap());
        let mut second = second.await.unwrap();
        let (mut stream, _) = listener.accept().await.unwrap();
        second.write_all("second").await.0.unwrap();
        assert_eq!(&*stream.recv().await.unwrap(), b"second");
    });
}

#[test]
fn an_address_in_use_says_whether_its_file_is_only_left_over() {
    run(async {
        let path = SocketPath::new();
        let listener = UnixListener::bind(&path).unwrap();
        let in_use =
            format!("listen on {}: Address already in use (os error 98)", path.0.display());
        let error = UnixListener::bind(&path).unwrap_err();
        assert_eq!((error.kind(), error.to_string()), (ErrorKind::AddrInUse, in_use));
        listener.close().await;
        let keeps = ListenOptions::new().unlink(false);
        let address = SocketAddr::from_pathname(&path).unwrap();
        UnixListener::bind_addr(&address, &keeps).unwrap().close().await;
        let error = UnixListener::bind(&path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        assert!(error.to_string().contains("remove it first"), "{error}");
        fs::remove_file(&path).unwrap();
        UnixListener::bind(&path).unwrap().close().await;
    });
}

/// Such a file is the user's, and not to be removed.
#[test]
fn a_file_that_is_no_socket_is_not_taken_for_one_that_is_left_over() {
    run(async {
        let path = SocketPath::new();
        fs::write(&path, "precious").unwrap();
        let error = UnixListener::bind(&path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        assert!(!error.to_string().contains("remove"), "{error}");
        assert!(error.to_string().contains("is not a socket: choose another path"), "{error}");
    });
}

#[test]
fn a_missing_directory_is_named_as_the_cause() {
    run(async {
        let path = SocketPath::new();
        let error = UnixListener::bind(path.0.with_file_name("none").join("socket")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.to_string().contains("its directory does not exist"), "{error}");
    });
}

#[test]
fn a_path_that_is_no_address_is_named_with_its_escapes_and_the_limit() {
    run(async {
        for (path, part) in [("a\0b".to_owned(), r#""a\0b""#), ("p".repeat(108), "107 bytes")] {
            let error = UnixListener::bind(path).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(error.to_string().contains(part), "{error}");
        }
    });
}

#[test]
fn a_dropped_accept_leaves_its_connection_to_the_next() {
    let direct = Runtime::builder().direct_descriptors(8);
    for builder in [Runtime::builder(), direct] {
        let Some(runtime) = build_or_skip(builder) else { continue };
        block_on(&runtime, async {
            let name = unique("dropped-accept");
            let listener = UnixListener::bind(&name).unwrap();
            // The accept is in flight when it is dropped, and the connections come then.
            assert!(times(2, listener.accept()).await.is_none());
            let mut peers: Vec<_> = (0..3).map(|_| peer(&name)).collect();
            for peer in &mut peers {
                peer.write_all(b"hello").unwrap();
                let (mut stream, _) = listener.accept().await.unwrap();
                assert_eq!(&*stream.recv().await.unwrap(), b"hello");
            }
        });
    }
}

#[test]
fn a_dropped_read_loses_no_byte() {
    run(async {
        let (mut stream, mut peer) = connected();
        // In flight, it receives the bytes that come before it is cancelled.
        assert!(times(2, stream.read(vec![0; 16])).await.is_none());
        peer.write_all(b"first").unwrap();
        assert!(once(pin!(stream.read_exact(vec![0; 16])).as_mut()).await.is_pending());
        peer.write_all(b" second").unwrap();
        let ((), read) = stream.read_exact(vec![0; 12]).await.into_result().unwrap();
        assert_eq!(read, b"first second");
        assert!(times(2, stream.recv()).await.is_none());
        drop(peer);
        for _ in 0..2 {
            assert!(stream.recv().await.unwrap().is_empty(), "EOF is not lost, and stays");
        }
    });
}

#[test]
fn small_messages_are_received_on_lease_by_a_multishot_receive() {
    run(async {
        let (mut stream, mut peer) = connected();
        for n in 0..20_u8 {
            peer.write_all(&[n; 10]).unwrap();
            assert_eq!(*stream.recv().await.unwrap(), [n; 10]);
        }
        assert!(metrics().multishot_receives > 0);
        let bulk = vec![7; 1 << 20];
        let sending = std::thread::spawn(move || peer.write_all(&bulk));
        let mut received = 0;
        loop {
            let lease = stream.recv().await.unwrap();
            if lease.is_empty() {
                break;
            }
            received += lease.len();
        }
        assert_eq!(received, 1 << 20);
        sending.join().unwrap().unwrap();
    });
}

#[test]
fn direct_descriptors_carry_unix_sockets_too() {
    let Some(runtime) = build_or_skip(Runtime::builder().direct_descriptors(8)) else { return };
    block_on(&runtime, async {
        let name = unique("direct");
        let listener = UnixListener::bind(&name).unwrap();
        let mut client = UnixStream::connect(&name).await.unwrap();
        let (mut stream, from) = listener.accept().await.unwrap();
        assert!(from.is_unnamed() && stream.peer_addr().unwrap().is_unnamed());
        for stream in [&client, &stream] {
            assert!(format!("{stream:?}").contains("fd: None"), "{stream:?}");
        }
        assert!(metrics().direct_descriptors >= 2);
        client.write_all("direct").await.0.unwrap();
        assert_eq!(&*stream.recv().await.unwrap(), b"direct");
        assert_eq!(client.peer_addr().unwrap().as_abstract_name(), Some(&name.as_bytes()[1..]));
    });
}

#[test]
fn halves_are_reunited_and_the_writing_half_ends_writing() {
    run(async {
        let (stream, mut peer) = connected();
        let (read, write) = stream.into_split();
        let (other, _far) = connected();
        let (other_read, other_write) = other.into_split();
        let error = read.reunite(other_write).unwrap_err();
        assert_eq!(error.to_string(), "the halves are of different streams");
        let _other = other_read.reunite(error.write).unwrap();
        let mut stream = error.read.reunite(write).unwrap();
        stream.write_all("whole").await.0.unwrap();
        let (mut read, write): (OwnedReadHalf<UnixStream>, OwnedWriteHalf<UnixStream>) =
            stream.into_split();
        drop(write);
        let mut text = String::new();
        peer.read_to_string(&mut text).unwrap();
        assert_eq!(text, "whole");
        peer.write_all(b"answer").unwrap();
        assert_eq!(&*read.recv().await.unwrap(), b"answer");
    });
}

#[test]
fn a_stream_goes_to_the_standard_library_with_what_was_received() {
    run(async {
        let (mut stream, mut peer) = connected();
        assert!(times(2, stream.read(vec![0; 16])).await.is_none());
        peer.write_all(b"unread").unwrap();
        assert_eq!(stream.peek(vec![0; 2]).await.into_result().unwrap().1, b"un");
        let IntoStd { stream, unread, error, .. } = stream.into_std().await.unwrap();
        assert!(error.is_none());
        peer.write_all(b" rest").unwrap();
        drop(peer);
        let mut received = unread;
        (&stream).read_to_end(&mut received).unwrap();
        assert_eq!(received, b"unread rest");
        // And back, by its descriptor.
        let mut stream = UnixStream::from(OwnedFd::from(stream));
        assert!(stream.recv().await.unwrap().is_empty());
    });
}

#[test]
fn options_of_every_socket_are_those_of_a_unix_socket() {
    run(async {
        let (stream, _peer) = connected();
        stream.set_send_buffer_size(50_000).unwrap();
        stream.set_recv_buffer_size(40_000).unwrap();
        let (reader, writer) = stream.into_buffered();
        assert_eq!(reader.send_buffer_size().unwrap(), 100_000, "the kernel doubles it");
        assert_eq!(writer.recv_buffer_size().unwrap(), 80_000);
        assert!(reader.take_error().unwrap().is_none());
        assert_eq!(writer.linger().unwrap(), None);
    });
}

#[test]
fn a_file_vectored_buffers_and_zero_copy_go_over_a_unix_socket() {
    run(async {
        let (mut stream, mut peer) = connected();
        let reading = annulus::blocking::to_thread(move || {
            let mut received = Vec::new();
            peer.read_to_end(&mut received).map(|_| received)
        });
        let file = fs::File::open("README.md").unwrap();
        assert_eq!(stream.send_file(&file, ..9).await.unwrap(), 9);
        stream.write_all_vectored(vec!["ab", "", "cd"]).await.0.unwrap();
        stream.write_all_zero_copy(vec![7; 100_000]).await.unwrap();
        drop(stream);
        let received = reading.await.unwrap().unwrap();
        assert_eq!(received[..13], *b"# Annulusabcd");
        assert_eq!(received[13..], vec![7; 100_000]);
    });
}

/// The other end does not read, so the write waits.
#[test]
fn an_abort_ends_a_reader_and_a_writer_that_wait() {
    run(async {
        let (stream, mut peer) = connected();
        let (mut reader, mut writer) = stream.into_buffered();
        let reading = spawn(async move { reader.read(1).await });
        writer.write(vec![0; 1 << 20]).await.unwrap();
        until(|| metrics().in_kernel > 0).await;
        writer.abort();
        assert!(reading.await.unwrap().unwrap().is_empty());
        writer.wait_closed().await.unwrap();
        let mut rest = Vec::new();
        peer.read_to_end(&mut rest).unwrap();
        assert!(rest.len() < 1 << 20, "what was queued is not sent");
    });
}

#[test]
fn a_server_serves_a_path_with_buffered_streams() {
    run(async {
        let path = SocketPath::new();
        let server = start_unix_server(echo, &path).unwrap();
        assert_eq!(server.local_addrs()[0].as_pathname(), Some(path.as_ref()));
        let mut clients = Vec::new();
        for _ in 0..20 {
            clients.push(open_unix_connection(&path).await.unwrap());
        }
        for (reader, writer) in &mut clients {
            writer.write("hello\n").await.unwrap();
            assert_eq!(&*reader.read_line().await.unwrap(), b"hello\n");
        }
        assert_eq!(server.active_connections(), 20);
        drop(clients);
        until(|| server.active_connections() == 0).await;
    });
}

/// The peers do not read, so the handlers wait in a write.
#[test]
fn aborted_clients_end_handlers_that_wait_to_send() {
    run(async {
        let name = unique("abort-clients");
        let send = async |_, mut writer: StreamWriter<UnixStream>| {
            writer.write(vec![0; 1 << 20]).await?;
            writer.flush().await
        };
        let server = start_unix_server(send, &name).unwrap();
        let mut peers: Vec<_> = (0..3).map(|_| peer(&name)).collect();
        until(|| server.active_connections() == 3 && metrics().send_stalls >= 3).await;
        server.abort_clients();
        until(|| server.active_connections() == 0).await;
        for peer in &mut peers {
            let mut rest = Vec::new();
            peer.read_to_end(&mut rest).unwrap();
            assert!(rest.len() < 1 << 20, "what was queued is not sent");
        }
    });
}

/// Most of them are in the kernel's backlog when the server is closed.
#[test]
fn a_closed_server_serves_all_who_had_arrived_within_its_limit() {
    const CLIENTS: usize = 400;
    run(async {
        let name = unique("backlog");
        let options = ServerOptions::new().max_connections(3);
        let server = start_unix_server_with(echo, &name, &options).unwrap();
        let peers: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let mut peer = peer(&name);
                peer.write_all(b"hello\n").unwrap();
                peer.shutdown(Shutdown::Write).unwrap();
                peer
            })
            .collect();
        server.close();
        server.wait_closed().await;
        for mut peer in peers {
            let mut reply = String::new();
            peer.read_to_string(&mut reply).unwrap();
            assert_eq!(reply, "hello\n");
        }
    });
}

#[test]
fn a_shutdown_reports_how_many_completed_and_how_many_it_aborted() {
    run(async {
        let name = unique("shutdown");
        let options = ServerOptions::new().max_connections(2);
        let server = start_unix_server_with(echo, &name, &options).unwrap();
        let mut peers: Vec<_> = (0..3).map(|_| peer(&name)).collect();
        until(|| server.active_connections() == 2).await;
        peers[0].shutdown(Shutdown::Write).unwrap();
        let report = server.shutdown(patient(Duration::from_millis(250))).await;
        assert_eq!((report.completed, report.aborted), (1, 2));
        for peer in &mut peers {
            assert_eq!(peer.read(&mut [0; 8]).unwrap(), 0);
        }
    });
}

#[test]
fn a_handler_that_fails_is_reported_without_an_address() {
    let incidents = Incidents::default();
    let runtime = incidents.runtime();
    block_on(&runtime, async {
        let listener = UnixListener::bind(unique("incident")).unwrap();
        let address = listener.local_addr().unwrap();
        let handler = async |_, _| Err::<(), _>("as told");
        let _server = start_server_on(handler, [listener], &ServerOptions::new()).unwrap();
        let mut peer = Peer::connect_addr(&address).unwrap();
        until(|| incidents.count() > 0).await;
        assert_eq!(peer.read(&mut [0]).unwrap(), 0);
    });
    let told = incidents.take();
    match &told[..] {
        [Incident::HandlerFailed { peer: None, panicked: false, message }] => {
            assert_eq!(message, "as told");
        }
        other => panic!("{other:?}"),
    }
    assert!(told[0].to_string().contains("Unix socket"), "{}", told[0]);
}

#[test]
fn bytes_are_passed_on_between_a_tcp_and_a_unix_connection() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (near, _) = listener.accept().await.unwrap();
        let (unix, mut service) = connected();
        let passing = spawn(copy_bidirectional(near, unix));
        client.write_all("question").await.0.unwrap();
        client.shutdown(Shutdown::Write).await.unwrap();
        let serving = annulus::blocking::to_thread(move || {
            let mut question = String::new();
            service.read_to_string(&mut question).unwrap();
            service.write_all(b"an answer").unwrap();
            question
        });
        assert_eq!(serving.await.unwrap(), "question");
        let ((), answer) = client.read_exact(vec![0; 9]).await.into_result().unwrap();
        assert_eq!(answer, b"an answer");
        assert_eq!(passing.await.unwrap().unwrap(), (8, 9));
    });
}

/// The early connection is not lost: the accept in flight has it, or it is still in the backlog.
#[test]
fn a_listener_goes_to_the_standard_library_with_what_it_had_accepted() {
    run(async {
        for turns in [0, 1, 20] {
            let name = unique("into-std");
            let listener = UnixListener::bind(&name).unwrap();
            assert!(times(2, listener.accept()).await.is_none());
            let mut early = peer(&name);
            yield_times(turns).await;
            let (listener, mut accepted) = listener.into_std().await.unwrap();
            let mut stream = match accepted.pop() {
                Some((stream, _)) => stream,
                None => UnixStream::from(listener.accept().unwrap().0),
            };
            stream.write_all("x").await.0.unwrap();
            assert_eq!(early.read(&mut [0; 2]).unwrap(), 1);
            let _late = peer(&name);
            listener.accept().unwrap();
            let back = UnixListener::from_std(listener);
            let _later = peer(&name);
            back.accept().await.unwrap();
        }
    });
}

#[test]
fn the_credentials_of_a_peer_are_those_of_its_process() {
    run(async {
        let name = unique("credentials");
        let listener = UnixListener::bind(&name).unwrap();
        let client = UnixStream::connect(&name).await.unwrap();
        let (accepted, _) = listener.accept().await.unwrap();
        // SAFETY: the calls take no pointers.
        let (uid, gid) = unsafe { (libc::geteuid(), libc::getegid()) };
        for cred in [client.peer_cred().unwrap(), accepted.peer_cred().unwrap()] {
            assert_eq!((cred.uid(), cred.gid()), (uid, gid));
            assert_eq!(cred.pid(), i32::try_from(std::process::id()).ok());
        }
        let (reader, writer) = accepted.into_buffered();
        assert_eq!(reader.peer_cred().unwrap(), writer.peer_cred().unwrap());
        let (reader, writer) = client.into_split();
        assert_eq!(reader.peer_cred().unwrap(), writer.peer_cred().unwrap());
    });
}

/// The other end of a client's connection is the process that listens.
#[test]
fn an_accepted_connection_has_the_credentials_of_the_process_that_has_connected() {
    const PEER: &str = "import socket, sys\ns = socket.socket(socket.AF_UNIX)\n\
                        s.connect('\\0' + sys.argv[1])\ns.recv(1)\n";
    if std::process::Command::new("python3").arg("--version").output().is_err() {
        return crate::common::skip::skip("python3 is not installed");
    }
    let runtime = build_or_skip(Runtime::builder().direct_descriptors(8));
    for runtime in [Some(Runtime::new().unwrap()), runtime].into_iter().flatten() {
        block_on(&runtime, async {
            let name = unique("other-process");
            let listener = UnixListener::bind(&name).unwrap();
            let mut peer = std::process::Command::new("python3");
            let mut peer = peer.args(["-c", PEER, &name[1..]]).spawn().unwrap();
            let (stream, _) = listener.accept().await.unwrap();
            assert_eq!(stream.peer_cred().unwrap().pid(), i32::try_from(peer.id()).ok());
            peer.kill().unwrap();
            peer.wait().unwrap();
        });
    }
}
