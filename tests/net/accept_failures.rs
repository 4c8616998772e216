//! What befalls one connection, or a moment, does not end a listener.

use std::io::{ErrorKind, Write};
use std::net::{Shutdown, SocketAddr, TcpStream as Peer};
use std::time::Duration;

use annulus::buf::BufResult;
use annulus::net::{StreamReader, StreamWriter, TcpListener, TcpStream, start_server};
use annulus::time::timeout;

use crate::common::net::reset;
use crate::common::seccomp::refusing;
use crate::common::watchdog::run;

async fn echo(mut reader: StreamReader, mut writer: StreamWriter) -> std::io::Result<()> {
    let line = reader.read_line().await?;
    writer.write(line).await
}

async fn all_are_served(address: SocketAddr) {
    for _ in 0..5 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all("hello\n").await.0.unwrap();
        let BufResult(result, echoed) = stream.read_exact(vec![0; 6]).await;
        result.unwrap();
        assert_eq!(echoed, b"hello\n");
    }
}

#[test]
fn a_server_serves_peers_whose_address_the_system_does_not_tell() {
    for errno in [libc::ENOBUFS, libc::EPERM, libc::EACCES] {
        refusing(libc::SYS_getpeername, errno, || {
            run(async {
                let server = start_server(echo, "127.0.0.1:0").await.unwrap();
                all_are_served(server.local_addrs()[0]).await;
                assert!(server.is_serving());
            });
        });
    }
}

#[test]
fn without_getpeername_the_address_is_still_known() {
    refusing(libc::SYS_getpeername, libc::EPERM, || {
        run(async {
            for host in ["127.0.0.1:0", "[::1]:0"] {
                let Ok(listener) = TcpListener::bind(host).await else { continue };
                let peer = Peer::connect(listener.local_addr().unwrap()).unwrap();
                let (stream, from) = listener.accept().await.unwrap();
                assert_eq!(from, peer.local_addr().unwrap());
                assert_eq!(stream.peer_addr().unwrap(), from);
            }
        });
    });
}

#[test]
fn an_address_that_cannot_be_had_at_all_is_unspecified() {
    refusing(libc::SYS_getpeername, libc::EPERM, || {
        refusing(libc::SYS_getsockopt, libc::EPERM, || {
            run(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                let mut peer = Peer::connect(listener.local_addr().unwrap()).unwrap();
                let (mut stream, from) = listener.accept().await.unwrap();
                assert_eq!(from, "0.0.0.0:0".parse().unwrap());
                assert_eq!(stream.peer_addr().unwrap_err().kind(), ErrorKind::PermissionDenied);
                peer.write_all(b"x").unwrap();
                stream.read_exact(Box::new([0; 1])).await.0.unwrap();
            });
        });
    });
}

#[test]
fn the_address_of_a_peer_that_is_gone_is_still_known() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let peer = Peer::connect(address).unwrap();
        let (mut stream, from) = listener.accept().await.unwrap();
        reset(peer);
        stream.recv().await.unwrap_err();
        assert_eq!(stream.peer_addr().unwrap(), from);
        // Asked for the first time when it is gone.
        let connecting = Peer::connect(address).unwrap();
        let (adopted, from) = listener.accept().await.unwrap();
        let mut adopted = TcpStream::from_std(adopted.into_std().await.unwrap().stream);
        reset(connecting);
        adopted.recv().await.unwrap_err();
        assert_eq!(adopted.peer_addr().unwrap(), from);
        let (read, write) = adopted.into_split();
        assert_eq!((read.peer_addr().unwrap(), write.peer_addr().unwrap()), (from, from));
    });
}

#[test]
fn what_is_not_a_listening_socket_any_more_ends_the_accept() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let accepting = timeout(Duration::from_millis(5), listener.accept()).await;
        assert!(accepting.is_err(), "no client has connected");
        socket2::SockRef::from(&listener).shutdown(Shutdown::Both).unwrap();
        let error = listener.accept().await.unwrap_err();
        assert_eq!(annulus::raw_os_error(&error), Some(libc::EINVAL), "{error}");
        assert_eq!(listener.close().await.len(), 0);
    });
}
