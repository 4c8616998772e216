//! Connections over the loopback interface, with the standard library's sockets at the far end.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};

use socket2::{Domain, SockRef, Socket, Type};

/// Two ends of one connection, both blocking.
pub(crate) fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (far, _) = listener.accept().unwrap();
    // Tests that write many small pieces mean each to arrive.
    near.set_nodelay(true).unwrap();
    far.set_nodelay(true).unwrap();
    (near, far)
}

/// The near end as a stream of this thread's runtime, and the far end.
pub(crate) fn connected() -> (annulus::net::TcpStream, TcpStream) {
    let (near, far) = pair();
    (annulus::net::TcpStream::from_std(near), far)
}

/// An accepted connection of this thread's runtime, and the far end.
pub(crate) async fn accepted() -> (annulus::net::TcpStream, TcpStream) {
    let listener = annulus::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    peer.set_nodelay(true).unwrap();
    let (stream, from) = listener.accept().await.unwrap();
    assert_eq!(from, peer.local_addr().unwrap());
    listener.close().await;
    (stream, peer)
}

/// Closes a connection so that the peer finds it reset.
pub(crate) fn reset(stream: TcpStream) {
    let stream = Socket::from(stream);
    stream.set_linger(Some(std::time::Duration::ZERO)).unwrap();
}

/// A listener whose backlog is full, and what fills it: further clients wait.
pub(crate) fn full_listener() -> (TcpListener, Vec<TcpStream>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    // A smaller backlog than it has; the kernel keeps one connection more than it says.
    SockRef::from(&listener).listen(0).unwrap();
    let waiting = TcpStream::connect(address).unwrap();
    (listener, vec![waiting])
}

/// An address of the loopback interface that refuses connections for as long as the socket lives.
/// No other test can listen at its port, as at one that is free.
pub(crate) fn refusing() -> (Socket, SocketAddr) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    (socket, address)
}
