//! I/O of one runtime that is awaited in another of the same thread: the loop of its own does not
//! run meanwhile, so it would wait for ever, and says so instead.

use std::io::Write;
use std::net::{Shutdown, TcpListener as PeerListener, TcpStream as Peer};
use std::panic::{AssertUnwindSafe, catch_unwind};

use annulus::Runtime;
use annulus::net::{TcpListener, TcpStream};

use crate::common::bounded::bounded;
use crate::common::net::connected;
use crate::common::panics::message;
use crate::common::poll::times;

/// Runs a wait in a second runtime, which must panic.
fn refuses<T>(wait: impl AsyncFnOnce(&mut TcpStream) -> T) {
    let (first, second) = (Runtime::new().unwrap(), Runtime::new().unwrap());
    let (mut stream, mut peer) = first.block_on(async { connected() });
    peer.write_all(b"hello").unwrap();
    let outcome = catch_unwind(AssertUnwindSafe(|| drop(second.block_on(wait(&mut stream)))));
    let text = message(&*outcome.expect_err("it would wait for ever"));
    assert!(text.contains("belongs to another runtime of this thread"), "{text}");
    // In its own it goes on.
    first.block_on(async {
        assert_eq!(&*stream.recv().await.unwrap(), b"hello");
        stream.write_all("hello").await.0.unwrap();
    });
}

#[test]
fn every_transfer_of_another_runtimes_stream_panics_instead_of_waiting_for_ever() {
    bounded(|| {
        refuses(async |stream| stream.recv().await);
        refuses(async |stream| stream.read(vec![0; 16]).await);
        refuses(async |stream| stream.read_exact(vec![0; 16]).await);
        refuses(async |stream| stream.peek(vec![0; 16]).await);
        refuses(async |stream| stream.write("x").await);
        refuses(async |stream| stream.write_all(vec![0; 1 << 20]).await);
        refuses(async |stream| stream.write_all_vectored(vec!["x"]).await);
        refuses(async |stream| stream.write_all_zero_copy(vec![0; 1 << 20]).await);
        refuses(async |stream| stream.shutdown(Shutdown::Write).await);
        refuses(async |stream| {
            let file = std::fs::File::open("Cargo.toml").unwrap();
            stream.send_file(&file, ..).await
        });
    });
}

#[test]
fn an_accept_on_another_runtimes_listener_and_a_connect_that_began_there_panic() {
    bounded(|| {
        let (first, second) = (Runtime::new().unwrap(), Runtime::new().unwrap());
        let listener = first.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let _client = Peer::connect(address).unwrap();
        assert!(catch_unwind(AssertUnwindSafe(|| second.block_on(listener.accept()))).is_err());
        first.block_on(listener.accept()).unwrap();

        let other = PeerListener::bind("127.0.0.1:0").unwrap();
        let mut connecting = Box::pin(TcpStream::connect(other.local_addr().unwrap()));
        first.block_on(async { assert!(times(1, connecting.as_mut()).await.is_none()) });
        let wait = AssertUnwindSafe(|| second.block_on(connecting.as_mut()));
        assert!(catch_unwind(wait).is_err());
    });
}

#[test]
fn what_belonged_to_a_runtime_that_has_ended_fails_in_any() {
    bounded(|| {
        let (first, second) = (Runtime::new().unwrap(), Runtime::new().unwrap());
        let (mut stream, _peer) = first.block_on(async { connected() });
        drop(first);
        second.block_on(async {
            assert!(stream.recv().await.is_err());
            assert!(stream.write_all("x").await.0.is_err());
        });
    });
}
