//! Connections on loopback, and tasks that echo.

use annulus::buf::BufResult;
use annulus::net::{TcpListener, TcpStream};

/// The two ends of a connection.
pub(crate) async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("its address");
    let near = TcpStream::connect(address).await.expect("the listener is there");
    let (far, _) = listener.accept().await.expect("a connection is there");
    listener.close().await;
    (near, far)
}

/// Sends back all that comes, to the end of the stream.
pub(crate) async fn echo(mut stream: TcpStream) {
    let mut buffer = Vec::with_capacity(1024);
    loop {
        let BufResult(result, filled) = stream.read(buffer).await;
        match result {
            Ok(0) | Err(_) => return,
            Ok(_) => buffer = stream.write_all(filled).await.1,
        }
    }
}

/// Sends `message` and reads it back.
pub(crate) async fn ask(stream: &mut TcpStream, message: &[u8]) {
    let BufResult(result, sent) = stream.write_all(message.to_vec()).await;
    result.expect("the peer takes it");
    let BufResult(result, reply) = stream.read_exact(vec![0; sent.len()]).await;
    result.expect("the peer replies");
    assert_eq!(reply, sent);
}
