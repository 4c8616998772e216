//! A random schedule of reads and writes that are dropped, through both families of traits.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use annulus::join::gather;
use annulus_tls::{ReadHalf, WriteHalf};

use crate::pipe::{Pipe, pipe};
use crate::{connected, random, run};

/// How much goes in each direction.
const TOTAL: usize = 400_000;

#[derive(Clone, Copy)]
enum Family {
    Tokio,
    Futures,
}

/// Polls once or a few times, and then drops it if it still waits.
async fn impatient<F: Future>(random: &mut fastrand::Rng, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut polls = random.u8(1..4);
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending if polls == 0 => Poll::Ready(None),
        Poll::Pending => {
            polls -= 1;
            Poll::Pending
        }
    })
    .await
}

fn bytes(seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; TOTAL];
    fastrand::Rng::with_seed(seed).fill(&mut bytes);
    bytes
}

fn poll_read(
    half: &mut ReadHalf<Pipe>,
    context: &mut Context<'_>,
    family: Family,
    buffer: &mut [u8],
) -> Poll<io::Result<usize>> {
    match family {
        Family::Futures => futures_io::AsyncRead::poll_read(Pin::new(half), context, buffer),
        Family::Tokio => {
            let mut buffer = tokio::io::ReadBuf::new(buffer);
            let read = tokio::io::AsyncRead::poll_read(Pin::new(half), context, &mut buffer);
            read.map_ok(|()| buffer.filled().len())
        }
    }
}

fn poll_write(
    half: &mut WriteHalf<Pipe>,
    context: &mut Context<'_>,
    family: Family,
    bytes: &[u8],
) -> Poll<io::Result<usize>> {
    match family {
        Family::Futures => futures_io::AsyncWrite::poll_write(Pin::new(half), context, bytes),
        Family::Tokio => tokio::io::AsyncWrite::poll_write(Pin::new(half), context, bytes),
    }
}

async fn read_all(mut half: ReadHalf<Pipe>, family: Family, mut random: fastrand::Rng) -> Vec<u8> {
    let mut read = Vec::new();
    let mut buffer = vec![0; 20_000];
    loop {
        let room = random.usize(1..=buffer.len());
        let buffer = &mut buffer[..room];
        let next = poll_fn(|context| poll_read(&mut half, context, family, buffer));
        match impatient(&mut random, next).await.transpose().expect("a read") {
            None => annulus::yield_now().await,
            Some(0) => return read,
            Some(count) => read.extend_from_slice(&buffer[..count]),
        }
    }
}

async fn write_all(
    mut half: WriteHalf<Pipe>,
    family: Family,
    mut random: fastrand::Rng,
    bytes: &[u8],
) {
    let mut rest = bytes;
    while !rest.is_empty() {
        let some = &rest[..random.usize(1..=rest.len().min(30_000))];
        let next = poll_fn(|context| poll_write(&mut half, context, family, some));
        match impatient(&mut random, next).await.transpose().expect("a write") {
            None => annulus::yield_now().await,
            Some(count) => rest = &rest[count..],
        }
        if random.u8(..4) == 0 {
            let flush =
                poll_fn(|context| tokio::io::AsyncWrite::poll_flush(Pin::new(&mut half), context));
            drop(impatient(&mut random, flush).await);
        }
    }
    // The drop sends the rest, and `close_notify`.
}

#[test]
fn dropped_reads_and_writes_lose_no_byte_through_either_family_of_traits() {
    run(async {
        let mut random = random::seeded();
        for round in 0..6 {
            let (near, far) = pipe(random.usize(100..50_000));
            let (near, far) = (near.with_whims(random.fork()), far.with_whims(random.fork()));
            let (client, server) = connected(near, far).await;
            let (there, back) = (bytes(round), bytes(round + 100));
            let (client_read, client_write) = client.into_split();
            let (server_read, server_write) = server.into_split();
            let (received, answered, (), ()) = gather((
                read_all(server_read, Family::Tokio, random.fork()),
                read_all(client_read, Family::Futures, random.fork()),
                write_all(client_write, Family::Futures, random.fork(), &there),
                write_all(server_write, Family::Tokio, random.fork(), &back),
            ))
            .await;
            assert!(received == there, "the server has received something else");
            assert!(answered == back, "the client has received something else");
        }
    });
}
