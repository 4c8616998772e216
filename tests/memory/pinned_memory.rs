//! What a peer that sends and never reads can make a server keep.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream as Peer;

use annulus::Runtime;
use annulus::net::{Server, StreamReader, StreamWriter, start_server};

use crate::allocator;
use crate::common::bounded::bounded_by;
use crate::common::conditions::until;
use crate::common::patience::limit;

const KIB: isize = 1024;

/// What each of many peers makes a server hold, in bytes of the process's memory.
#[derive(Debug)]
struct Held {
    /// While it sends as much as it can, and reads nothing.
    unread: isize,
    /// When it has read all in the end.
    read: isize,
}

fn held<H: AsyncFn(StreamReader, StreamWriter) + 'static>(handler: H) -> Held {
    const PEERS: usize = 30;
    // No more than one large buffer, so that most peers are served from memory of their own.
    let runtime = Runtime::builder().large_buffers(1, 256 << 10).build().unwrap();
    let held = async {
        let server = start_server(handler, "127.0.0.1:0").await.unwrap();
        // The first make the runtime's own memory grow to its size.
        let mut first = connect(&server, 10);
        fill(&mut first).await;
        let before = allocator::held();
        let mut peers = connect(&server, PEERS);
        fill(&mut peers).await;
        let unread = allocator::held() - before;
        drain(&mut peers).await;
        let read = allocator::held() - before;
        // The handlers end with their peers.
        drop((first, peers));
        until(|| server.active_connections() == 0).await;
        Held { unread: unread / PEERS as isize, read: read / PEERS as isize }
    };
    bounded_by(3 * limit(), || runtime.block_on(held))
}

fn connect(server: &Server, count: usize) -> Vec<Peer> {
    let connect = |_| {
        let peer = Peer::connect(server.local_addrs()[0]).unwrap();
        peer.set_nonblocking(true).unwrap();
        peer
    };
    (0..count).map(connect).collect()
}

/// Does something to each peer until it moves no more bytes.
async fn pump(peers: &mut [Peer], mut step: impl FnMut(&mut Peer) -> io::Result<usize>) {
    let mut idle = 0;
    until(|| {
        let mut moved = 0;
        for peer in &mut *peers {
            match step(peer) {
                Ok(count) => moved += count,
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
        }
        idle = if moved == 0 { idle + 1 } else { 0 };
        idle > 30
    })
    .await;
}

async fn fill(peers: &mut [Peer]) {
    let mut text = vec![b'x'; 64 << 10];
    text.iter_mut().step_by(1000).for_each(|byte| *byte = b'\n');
    pump(peers, |peer| peer.write(&text)).await;
}

async fn drain(peers: &mut [Peer]) {
    let mut piece = vec![0; 256 << 10];
    pump(peers, |peer| peer.read(&mut piece)).await;
}

/// The writer's limit of 64 KiB, what was received last, and some room for the rest.
fn assert_bounded(held: &Held) {
    println!("{held:?}");
    assert!(held.unread <= 176 * KIB, "{held:?}");
    assert!(held.read <= 16 * KIB, "{held:?}");
}

#[test]
fn an_echo_holds_the_writers_limit_and_a_piece_for_a_peer_that_does_not_read() {
    assert_bounded(&held(async |mut reader: StreamReader, mut writer: StreamWriter| {
        while let Ok(piece) = reader.read(usize::MAX).await {
            if piece.is_empty() || writer.write(piece).await.is_err() {
                return;
            }
        }
    }));
}

#[test]
fn a_server_of_lines_holds_the_writers_limit_and_a_piece_for_a_peer_that_does_not_read() {
    assert_bounded(&held(async |mut reader: StreamReader, mut writer: StreamWriter| {
        while let Ok(line) = reader.read_line().await {
            if line.is_empty() || writer.write(line).await.is_err() {
                return;
            }
        }
    }));
}

#[test]
fn a_copy_holds_the_writers_limit_and_a_piece_for_a_peer_that_does_not_read() {
    assert_bounded(&held(async |mut reader: StreamReader, mut writer: StreamWriter| {
        let _ = reader.copy_to(&mut writer).await;
    }));
}
