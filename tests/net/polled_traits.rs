//! `Polled` under the I/O traits of Tokio and of futures, both at once: what reads through one has
//! not returned is read through the other, and what is written through either arrives whole.
//!
//! It needs both features, which the crates beside enable: `cargo test --workspace` runs it.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use annulus::net::{OwnedReadHalf, OwnedWriteHalf, Polled, TcpStream};
use annulus::{Runtime, spawn};
use blake3::{Hash, Hasher};
use tokio::io::ReadBuf;

use crate::common::pair::pair;
use crate::common::pattern::pattern;
use crate::common::poll::times;
use crate::common::random::seeded;
use crate::common::skip::build_or_skip;
use crate::common::watchdog::{block_on, run};

/// How many bytes go each way.
const TOTAL: usize = 4 << 20;

/// A way to read or write: which trait's method.
#[derive(Clone, Copy)]
enum Through {
    Tokio,
    Futures,
}

fn any(random: &mut fastrand::Rng) -> Through {
    if random.bool() { Through::Tokio } else { Through::Futures }
}

fn poll_read<R>(
    mut reader: Pin<&mut R>,
    context: &mut Context<'_>,
    through: Through,
    length: usize,
) -> Poll<io::Result<Vec<u8>>>
where
    R: tokio::io::AsyncRead + futures_io::AsyncRead,
{
    match through {
        Through::Tokio => {
            let mut memory = Vec::with_capacity(length + 3);
            let mut buffer = ReadBuf::uninit(memory.spare_capacity_mut());
            buffer.put_slice(b"abc");
            let read = tokio::io::AsyncRead::poll_read(reader.as_mut(), context, &mut buffer);
            assert!(buffer.filled().starts_with(b"abc"), "what was filled stays");
            read.map_ok(|()| buffer.filled()[3..].to_vec())
        }
        Through::Futures => {
            let mut buffer = vec![0; length];
            let read = futures_io::AsyncRead::poll_read(reader.as_mut(), context, &mut buffer);
            read.map_ok(|count| buffer[..count].to_vec())
        }
    }
}

/// Looks at what there is, and takes some of it.
fn poll_take<R>(
    mut reader: Pin<&mut R>,
    context: &mut Context<'_>,
    through: Through,
    most: usize,
) -> Poll<io::Result<Vec<u8>>>
where
    R: tokio::io::AsyncBufRead + futures_io::AsyncBufRead,
{
    use futures_io::AsyncBufRead as Futures;
    use tokio::io::AsyncBufRead as Tokio;
    let filled = match through {
        Through::Tokio => Tokio::poll_fill_buf(reader.as_mut(), context),
        Through::Futures => Futures::poll_fill_buf(reader.as_mut(), context),
    };
    let Poll::Ready(filled) = filled else { return Poll::Pending };
    let filled = filled?;
    let taken = filled[..most.min(filled.len())].to_vec();
    match through {
        Through::Tokio => Tokio::consume(reader, taken.len()),
        Through::Futures => Futures::consume(reader, taken.len()),
    }
    Poll::Ready(Ok(taken))
}

fn poll_write<W>(
    writer: Pin<&mut W>,
    context: &mut Context<'_>,
    through: Through,
    parts: &[IoSlice<'_>],
) -> Poll<io::Result<usize>>
where
    W: tokio::io::AsyncWrite + futures_io::AsyncWrite,
{
    match (through, parts) {
        (Through::Tokio, [part]) => tokio::io::AsyncWrite::poll_write(writer, context, part),
        (Through::Futures, [part]) => futures_io::AsyncWrite::poll_write(writer, context, part),
        (Through::Tokio, _) => tokio::io::AsyncWrite::poll_write_vectored(writer, context, parts),
        (Through::Futures, _) => {
            futures_io::AsyncWrite::poll_write_vectored(writer, context, parts)
        }
    }
}

/// Writes all of it by writes of all sizes through either trait, many of which are dropped while
/// they wait, and ends the direction.
async fn write_all(mut half: Polled<OwnedWriteHalf>, all: Vec<u8>) -> io::Result<()> {
    let mut random = seeded();
    let mut rest = &all[..];
    let mut pinned = Pin::new(&mut half);
    while !rest.is_empty() {
        let longest = [50, 5000, 20_000, 200_000][random.usize(..4)];
        let piece = &rest[..random.usize(1..=longest).min(rest.len())];
        let (first, second) = piece.split_at(random.usize(..=piece.len()));
        let parts = [IoSlice::new(first), IoSlice::new(second)];
        let parts = if random.bool() { &[IoSlice::new(piece)][..] } else { &parts[..] };
        let through = any(&mut random);
        let write = poll_fn(|context| poll_write(pinned.as_mut(), context, through, parts));
        // A write that is not ready has written nothing.
        if let Some(count) = times(random.usize(1..4), write).await {
            rest = &rest[count?..];
        }
        if random.u8(..) < 30 {
            let flush = match any(&mut random) {
                Through::Tokio => {
                    poll_fn(|context| tokio::io::AsyncWrite::poll_flush(pinned.as_mut(), context))
                        .await
                }
                Through::Futures => {
                    poll_fn(|context| futures_io::AsyncWrite::poll_flush(pinned.as_mut(), context))
                        .await
                }
            };
            flush?;
        }
    }
    match any(&mut random) {
        Through::Tokio => {
            poll_fn(|context| tokio::io::AsyncWrite::poll_shutdown(pinned.as_mut(), context)).await
        }
        Through::Futures => {
            poll_fn(|context| futures_io::AsyncWrite::poll_close(pinned.as_mut(), context)).await
        }
    }
}

/// Reads to EOF by reads of all sizes through either trait, many of which are dropped.
async fn read_to_end(mut half: Polled<OwnedReadHalf>) -> io::Result<(usize, Hash)> {
    let mut random = seeded();
    let mut pinned = Pin::new(&mut half);
    let (mut hasher, mut total) = (Hasher::new(), 0);
    loop {
        let length = [7, 3000, 100_000][random.usize(..3)];
        let through = any(&mut random);
        let takes = random.bool();
        let read = poll_fn(|context| match takes {
            true => poll_take(pinned.as_mut(), context, through, length),
            false => poll_read(pinned.as_mut(), context, through, length),
        });
        let Some(bytes) = times(random.usize(1..4), read).await else { continue };
        let bytes = bytes?;
        if bytes.is_empty() {
            return Ok((total, hasher.finalize()));
        }
        hasher.update(&bytes);
        total += bytes.len();
    }
}

async fn both_ways_arrive_whole() {
    let (near, far) = pair().await;
    let (near_read, near_write) = near.into_split();
    let (far_read, far_write) = far.into_split();
    let (there, back) = (pattern(1, TOTAL), pattern(2, TOTAL));
    let hashes = [blake3::hash(&there), blake3::hash(&back)];
    let writes = [
        spawn(write_all(Polled::new(near_write), there)),
        spawn(write_all(Polled::with_write_limit(far_write, 3000), back)),
    ];
    let reads =
        [spawn(read_to_end(Polled::new(far_read))), spawn(read_to_end(Polled::new(near_read)))];
    for write in writes {
        write.await.unwrap().unwrap();
    }
    for (read, hash) in reads.into_iter().zip(hashes) {
        assert_eq!(read.await.unwrap().unwrap(), (TOTAL, hash));
    }
}

#[test]
fn a_random_schedule_of_dropped_reads_and_writes_through_both_families_loses_nothing() {
    run(both_ways_arrive_whole());
}

/// The loop enters the kernel between two polls of a task.
#[test]
fn a_random_schedule_in_which_each_turn_polls_one_task_loses_nothing() {
    let runtime = Runtime::builder().max_polls_per_turn(1).build().unwrap();
    block_on(&runtime, both_ways_arrive_whole());
}

#[test]
fn a_random_schedule_on_direct_descriptors_loses_nothing() {
    let Some(runtime) = build_or_skip(Runtime::builder().direct_descriptors(8)) else { return };
    block_on(&runtime, both_ways_arrive_whole());
}

#[test]
fn a_polled_stream_satisfies_the_bounds_of_either_family() {
    fn tokio_stream<T: tokio::io::AsyncBufRead + tokio::io::AsyncWrite + Unpin + 'static>() {}
    fn futures_stream<T: futures_io::AsyncBufRead + futures_io::AsyncWrite + Unpin + 'static>() {}
    tokio_stream::<Polled<TcpStream>>();
    futures_stream::<Polled<TcpStream>>();
    tokio_stream::<Polled<annulus::net::UnixStream>>();
    futures_stream::<Polled<annulus::net::UnixStream>>();
}
