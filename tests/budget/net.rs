//! Of `annulus::net`: the transfers of a stream. They take from the budget whether they do
//! something or nothing.

use std::fs::File;
use std::future::poll_fn;
use std::io::{self, Write};
use std::net::Shutdown;
use std::thread;

use annulus::net::{Polled, TcpListener, TcpStream, UdpSocket, lookup};

use super::Trials;
use crate::common::net::connected;
use crate::common::polled::{flush, read, sent, shutdown, write};
use crate::common::watchdog::run;

#[test]
fn no_transfer_of_nothing_starves_others() {
    run(async {
        let mut trials = Trials::default();
        let (mut stream, _peer) = connected();
        let empty = || Vec::<u8>::new();
        trials.ready("read", async || stream.read(empty()).await.0.unwrap()).await;
        trials.ready("read_exact", async || stream.read_exact(empty()).await.0.unwrap()).await;
        trials.ready("peek", async || stream.peek(empty()).await.0.unwrap()).await;
        trials.ready("write", async || stream.write("").await.0.unwrap()).await;
        trials.ready("write_all", async || stream.write_all("").await.0.unwrap()).await;
        trials.ready("write_vectored", async || stream.write_vectored(vec![""]).await.0).await;
        trials.ready("all vectored", async || stream.write_all_vectored(vec![""]).await.0).await;
        trials.ready("zero copy", async || stream.write_all_zero_copy("").await.unwrap()).await;
        let file = File::open("Cargo.toml").unwrap();
        trials.ready("send_file", async || stream.send_file(&file, 1..1).await.unwrap()).await;
        trials.ready("shutdown", async || stream.shutdown(Shutdown::Read).await.unwrap()).await;
    });
}

#[test]
fn no_transfer_of_a_few_bytes_starves_others() {
    run(async {
        let mut trials = Trials::default();
        let (mut stream, mut peer) = connected();
        trials.ready("write", async || stream.write("x").await.0.unwrap()).await;
        trials.ready("write_all", async || stream.write_all("x").await.0.unwrap()).await;
        trials.ready("write_vectored", async || stream.write_vectored(vec!["x"]).await.0).await;
        trials.ready("all vectored", async || stream.write_all_vectored(vec!["x"]).await.0).await;
        trials.ready("zero copy", async || stream.write_all_zero_copy("x").await.unwrap()).await;
        let file = File::open("Cargo.toml").unwrap();
        trials.ready("send_file", async || stream.send_file(&file, ..1).await.unwrap()).await;
        peer.write_all(&[7; 5000]).unwrap();
        trials.ready("peek", async || stream.peek(vec![0; 1]).await.0.unwrap()).await;
        trials.ready("read", async || stream.read(vec![0; 1]).await.0.unwrap()).await;
        trials.ready("read_exact", async || stream.read_exact(vec![0; 1]).await.0.unwrap()).await;
        peer.shutdown(Shutdown::Write).unwrap();
        while !stream.recv().await.is_ok_and(|lease| lease.is_empty()) {}
        trials.ready("recv at the end", async || stream.recv().await.unwrap()).await;
        trials.ready("read at the end", async || stream.read(vec![0; 1]).await.0.unwrap()).await;
    });
}

/// What dropped reads have left is served without asking the kernel.
#[test]
fn no_read_of_what_dropped_reads_have_left_starves_others() {
    run(async {
        let mut trials = Trials::default();
        let (mut stream, mut peer) = connected();
        peer.write_all(&[7; 100_000]).unwrap();
        drop_a_read(&mut stream).await;
        trials.ready("peek", async || stream.peek(vec![0; 1]).await.0.unwrap()).await;
        trials.ready("read", async || stream.read(vec![0; 1]).await.0.unwrap()).await;
        trials.ready("read_exact", async || stream.read_exact(vec![0; 1]).await.0.unwrap()).await;
    });
}

async fn drop_a_read(stream: &mut annulus::net::TcpStream) {
    use crate::common::poll::{times, yield_times};
    assert!(times(1, stream.read(vec![0; 50_000])).await.is_none());
    yield_times(3).await;
}

#[test]
fn no_poll_form_starves_others() {
    run(async {
        let mut trials = Trials::default();
        let (stream, mut peer) = connected();
        // So much that nothing waits for the kernel.
        let mut stream = Polled::with_write_limit(stream, 1 << 20);
        trials.ready("poll_read of nothing", async || read(&mut stream, 0).await.unwrap()).await;
        trials.ready("poll_write of nothing", async || write(&mut stream, b"").await).await;
        trials.ready("poll_flush", async || flush(&mut stream).await.unwrap()).await;
        trials.ready("poll_sent", async || sent(&mut stream).await.unwrap()).await;
        trials.ready("poll_write", async || write(&mut stream, b"x").await.unwrap()).await;
        peer.write_all(&[7; 100_000]).unwrap();
        trials.ready("poll_fill", async || fill_some(&mut stream).await).await;
        trials.ready("poll_read", async || read(&mut stream, 1).await.unwrap()).await;
        peer.shutdown(Shutdown::Write).unwrap();
        while !read(&mut stream, 100_000).await.unwrap().is_empty() {}
        trials.ready("poll_fill at the end", async || fill_some(&mut stream).await).await;
        trials.ready("poll_read at the end", async || read(&mut stream, 9000).await).await;
        shutdown(&mut stream).await.unwrap();
        trials.ready("poll_shutdown", async || shutdown(&mut stream).await.unwrap()).await;
        trials.ready("poll_write after it", async || write(&mut stream, b"x").await).await;
    });
}

async fn fill_some(stream: &mut Polled<TcpStream>) {
    poll_fn(|context| stream.poll_fill(context).map_ok(drop)).await.unwrap();
}

/// A peer that takes and sends as fast as it can: large writes and reads are inline calls.
#[test]
fn no_bulk_by_polls_starves_others() {
    run(async {
        let mut trials = Trials::default();
        let (stream, peer) = connected();
        let mut sink = peer.try_clone().unwrap();
        let takes = thread::spawn(move || io::copy(&mut sink, &mut io::sink()));
        let gives = thread::spawn(move || while (&peer).write_all(&[7; 1 << 16]).is_ok() {});
        let mut stream = Polled::new(stream);
        let bulk = vec![7; 10_000];
        trials.ready("poll_write", async || write(&mut stream, &bulk).await.unwrap()).await;
        trials.ready("poll_read", async || read(&mut stream, 10_000).await.unwrap()).await;
        drop(stream);
        let _ = takes.join().unwrap();
        gives.join().unwrap();
    });
}

#[test]
fn no_local_question_starves_others() {
    run(async {
        let mut trials = Trials::default();
        let bind = async || TcpListener::bind("127.0.0.1:0").await.unwrap();
        trials.ready("bind", bind).await;
        trials.ready("lookup", async || lookup("127.0.0.1:0").await.unwrap()).await;
    });
}

/// A peer sends as fast as this socket receives: there is always a datagram.
#[test]
fn no_datagram_starves_others() {
    run(async {
        let mut trials = Trials::default();
        let (near, far) = (udp().await, udp().await);
        let to = near.local_addr().unwrap();
        near.connect(far.local_addr().unwrap()).await.unwrap();
        far.connect(to).await.unwrap();
        trials.ready("send", async || far.send("x").await.0.unwrap()).await;
        trials.ready("send_to", async || far.send_to("x", to).await.0.unwrap()).await;
        let one = || [("x", to)];
        trials.ready("send_many", async || far.send_many(one()).await.len()).await;
        trials.ready("peek", async || near.peek(vec![0; 1]).await.0.unwrap()).await;
        let recv = async || {
            far.send("x").await.0.unwrap();
            near.recv(vec![0; 1]).await.0.unwrap()
        };
        trials.ready("recv", recv).await;
        let recv_msg = async || {
            far.send("x").await.0.unwrap();
            near.recv_msg().await.unwrap()
        };
        trials.ready("recv_msg", recv_msg).await;
        let mut memory = [0; 1];
        let mut polled = async || {
            far.send("x").await.0.unwrap();
            poll_fn(|context| near.poll_recv(context, &mut memory)).await.unwrap()
        };
        trials.ready("poll_recv", async || polled().await).await;
        let poll_send = async || poll_fn(|context| far.poll_send(context, b"x")).await.unwrap();
        trials.ready("poll_send", poll_send).await;
    });
}

async fn udp() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").await.unwrap()
}
