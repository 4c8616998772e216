//! How connections end, and what they hold until then.

use std::future::poll_fn;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use annulus::io::{AsyncRead, AsyncWrite};
use annulus::join::gather;
use annulus_tls::rustls::Error;
use annulus_tls::{TlsStream, WriteHalf, tls_error};

use crate::pipe::{Pipe, pipe};
use crate::{connected, run};

async fn read_to_end(mut source: impl AsyncRead) -> (usize, io::Result<()>) {
    let mut count = 0;
    loop {
        match source.recv().await {
            Ok(bytes) if bytes.is_empty() => return (count, Ok(())),
            Ok(bytes) => count += bytes.len(),
            Err(error) => return (count, Err(error)),
        }
    }
}

/// Polls a write once with a waker that does nothing.
fn try_write(stream: &mut TlsStream<Pipe>, bytes: &[u8]) -> Poll<io::Result<usize>> {
    let mut context = Context::from_waker(Waker::noop());
    tokio::io::AsyncWrite::poll_write(Pin::new(stream), &mut context, bytes)
}

#[test]
fn a_connection_without_close_notify_is_truncated_and_one_with_it_has_ended() {
    run(async {
        for is_attacked in [false, true] {
            let (near, far) = pipe(100_000);
            let watch = near.watch();
            let (mut client, server) = connected(near, far).await;
            client.write_all("half of it").await.0.expect("a write");
            if is_attacked {
                watch.truncate();
            } else {
                client.shutdown().await.expect("a shutdown");
            }
            let (count, end) = read_to_end(server).await;
            assert_eq!(count, 10);
            let kind = end.err().map(|error| error.kind());
            assert_eq!(kind, is_attacked.then_some(io::ErrorKind::UnexpectedEof));
        }
    });
}

#[test]
fn a_dropped_stream_sends_what_was_written_and_close_notify_to_a_slow_peer() {
    run(async {
        // Far less than what is written: the stream is dropped with most of it.
        let (near, far) = pipe(1_000);
        let (mut client, server) = connected(near, far).await;
        let Poll::Ready(Ok(accepted)) = try_write(&mut client, &[7; 50_000]) else {
            panic!("the buffer is empty")
        };
        assert!(accepted > 40_000, "{accepted}");
        drop(client);
        let (count, end) = read_to_end(server).await;
        end.expect("close_notify");
        assert_eq!(count, accepted);
    });
}

#[test]
fn a_stream_that_is_dropped_by_a_panic_sends_no_close_notify() {
    run(async {
        let (near, far) = pipe(100_000);
        let (mut client, server) = connected(near, far).await;
        client.write_all("half of it").await.0.expect("a write");
        let caught = panic::catch_unwind(AssertUnwindSafe(move || {
            let _client = client;
            panic::resume_unwind(Box::new(()));
        }));
        assert!(caught.is_err());
        let (count, end) = read_to_end(server).await;
        assert_eq!(count, 10);
        assert_eq!(end.expect_err("truncated").kind(), io::ErrorKind::UnexpectedEof);
    });
}

#[test]
fn a_dropped_writing_half_ends_its_direction_and_not_the_other() {
    run(async {
        let (near, far) = pipe(100);
        let watch = near.watch();
        let (client, server) = connected(near, far).await;
        let (client_read, mut client_write) = client.into_split();
        let (server_read, mut server_write) = server.into_split();
        let request = async {
            client_write.write_all(vec![1; 3_000]).await.0.expect("a write");
            drop(client_write);
        };
        let ((), (count, end)) = gather((request, read_to_end(server_read))).await;
        end.expect("close_notify");
        assert_eq!(count, 3_000);
        assert!(watch.is_shut_down());
        let answer = async {
            server_write.write_all(vec![2; 5_000]).await.0.expect("a write");
            server_write.shutdown().await.expect("a shutdown");
        };
        let ((), (count, end)) = gather((answer, read_to_end(client_read))).await;
        end.expect("close_notify");
        assert_eq!(count, 5_000);
    });
}

#[test]
fn a_dropped_writing_half_sends_what_was_written_while_the_other_half_lives() {
    run(async {
        let (near, far) = pipe(1_000);
        let (client, server) = connected(near, far).await;
        let (_read, mut write) = client.into_split();
        let mut context = Context::from_waker(Waker::noop());
        let written =
            tokio::io::AsyncWrite::poll_write(Pin::new(&mut write), &mut context, &[7; 50_000]);
        let Poll::Ready(Ok(accepted)) = written else { panic!("the buffer is empty") };
        drop(write);
        let (count, end) = read_to_end(server).await;
        end.expect("close_notify");
        assert_eq!(count, accepted);
    });
}

#[test]
fn an_abort_and_a_close_end_the_wait_of_the_reading_half() {
    run(async {
        for closes in [false, true] {
            let (near, far) = pipe(100_000);
            let (client, server) = connected(near, far).await;
            let (read, mut write) = client.into_split();
            let waiting = annulus::spawn(read_to_end(read));
            // Until it waits, behind the server's tickets.
            for _ in 0..10 {
                annulus::yield_now().await;
            }
            let end: fn(&mut WriteHalf<Pipe>) =
                if closes { AsyncWrite::close } else { AsyncWrite::abort };
            end(&mut write);
            let (count, end) = waiting.await.expect("the task");
            end.expect("EOF at the end that has closed or aborted");
            assert_eq!(count, 0);
            drop(write);
            let (_, end) = read_to_end(server).await;
            assert_eq!(end.is_ok(), closes, "{end:?}");
        }
    });
}

#[test]
fn a_peer_that_does_not_read_makes_the_writer_wait_and_bounds_what_is_held() {
    run(async {
        let (near, far) = pipe(10_000);
        let (mut client, server) = connected(near, far).await;
        client.set_buffer_limit(30_000);
        let mut accepted = 0;
        while let Poll::Ready(result) = try_write(&mut client, &[0; 7_000]) {
            accepted += result.expect("a write");
            assert!(accepted < 100_000, "nothing bounds it");
        }
        // The pipe's, the limit, and a record.
        assert!((30_000..=60_000).contains(&accepted), "{accepted}");
        drop(server);
    });
}

/// A writer waits for room in the transport. The peer updates its keys, which the reader answers:
/// the answer goes through the same transport, whose only waker is the writer's. If the reader
/// replaced it, the writer would never be woken.
#[test]
fn a_reader_that_has_something_to_send_leaves_the_writer_its_wake_up() {
    run(async {
        let (near, far) = pipe(20_000);
        let (client, mut server) = connected(near, far).await;
        let (client_read, mut client_write) = client.into_split();
        let writing = annulus::spawn(async move {
            client_write.write_all(vec![3; 300_000]).await.0.expect("a write");
        });
        let reading = annulus::spawn(read_to_end(client_read));
        annulus::yield_now().await;
        for _ in 0..3 {
            server.refresh_traffic_keys().expect("new keys");
            server.write_all("with new keys").await.0.expect("a write");
            annulus::yield_now().await;
        }
        let (server_read, mut server_write) = server.into_split();
        let received = read_to_end(server_read).await;
        assert_eq!(received.0, 300_000);
        received.1.expect("close_notify");
        writing.await.expect("the writer");
        server_write.shutdown().await.expect("a shutdown");
        let (count, end) = reading.await.expect("the reader");
        assert_eq!(count, 3 * 13);
        end.expect("close_notify");
    });
}

#[test]
fn a_dropped_read_leaves_its_bytes_to_the_next_one() {
    run(async {
        let (near, far) = pipe(100_000);
        let (mut client, mut server) = connected(near, far).await;
        {
            let mut read = pin!(server.recv());
            let first = poll_fn(|context| Poll::Ready(read.as_mut().poll(context).is_pending()));
            assert!(first.await);
        }
        client.write_all("kept").await.0.expect("a write");
        assert_eq!(&*server.recv().await.expect("a read"), b"kept");
    });
}

#[test]
fn what_is_written_after_a_shutdown_is_refused() {
    run(async {
        let (near, far) = pipe(100_000);
        let (mut client, _server) = connected(near, far).await;
        client.shutdown().await.expect("a shutdown");
        client.shutdown().await.expect("once more");
        let error = client.write_all("late").await.0.expect_err("shut down");
        assert_eq!(error.kind(), io::ErrorKind::NotConnected);
    });
}

/// Each update costs the receiver the derivation of a key and, if it is asked for, an answer.
#[test]
fn a_flood_of_key_updates_ends_the_connection_and_is_not_answered_without_bound() {
    run(async {
        let (near, far) = pipe(100_000);
        let watch = near.watch();
        let (mut client, mut server) = connected(near, far).await;
        let before = watch.written();
        for _ in 0..1_000 {
            server.refresh_traffic_keys().expect("new keys");
        }
        poll_fn(|context| tokio::io::AsyncWrite::poll_flush(Pin::new(&mut server), context))
            .await
            .expect("a flush");
        let error = client.recv().await.expect_err("too many");
        assert!(matches!(tls_error(&error), Some(Error::PeerMisbehaved(_))), "{error}");
        assert!(watch.written() - before < 4_096, "{} bytes", watch.written() - before);
    });
}
