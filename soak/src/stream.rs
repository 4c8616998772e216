//! The ways in which a stream is read and written.
//!
//! [`Source`] reads in one of them, and loses nothing if a read is dropped. [`Sink`] writes in one,
//! and of them only the buffered and the polled writer lose nothing if a write is dropped.

use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::sync::Arc;

use annulus::buf::{BufResult, Lease, RegisteredBuf, RegisteredBuffers};
use annulus::net::{Connection, OwnedReadHalf, OwnedWriteHalf, Polled, StreamReader, StreamWriter};

use crate::cancel::insist;
use crate::chance::Chance;
use crate::site::{Shared, Site, spawn};

/// The most bytes of one read into the caller's memory.
const MOST: usize = 32 * 1024;

/// How a half is read.
#[derive(Clone, Copy, Debug)]
enum Read {
    Lease,
    Owned,
    Registered,
    /// By calls that do not wait, and a lease when there is nothing.
    Attempt,
    /// Peeks first, and compares.
    Peek,
}

pub(crate) struct Source<S: Connection + Unpin> {
    chance: Chance,
    reader: Reader<S>,
}

enum Reader<S: Connection + Unpin> {
    Half(OwnedReadHalf<S>, Way),
    Buffered(StreamReader<S>),
    Polled(Polled<OwnedReadHalf<S>>),
}

/// A way to read that needs buffers.
struct Way(Read, RegisteredBuffers);

impl<S: Connection + Unpin> Source<S> {
    /// Reads a half in a random way.
    pub(crate) fn new(half: OwnedReadHalf<S>, chance: &Chance, site: &Site) -> Self {
        let connection = format!("{half:?}");
        let (way, reader) = match chance.below(7) {
            0 => ("Buffered".to_owned(), Reader::Buffered(StreamReader::new(half))),
            1 => ("Polled".to_owned(), Reader::Polled(Polled::new(half))),
            way => {
                let ways = [Read::Owned, Read::Registered, Read::Attempt, Read::Peek, Read::Lease];
                let way = ways[way - 2];
                (format!("{way:?}"), Reader::Half(half, Way(way, site.buffers.clone())))
            }
        };
        Self { chance: chance.fork_as(&format!("reader {way} of {connection}")), reader }
    }

    /// The next bytes, at most `most`; none at EOF. Dropped reads are repeated.
    pub(crate) async fn next(&mut self, most: usize) -> io::Result<Vec<u8>> {
        let Self { chance, reader } = self;
        let most = chance.size(most.min(MOST));
        match reader {
            Reader::Buffered(reader) => {
                insist(chance, async || reader.read(most).await.map(|lease| lease.to_vec())).await
            }
            Reader::Polled(polled) => insist(chance, async || {
                let taken = poll_fn(|context| {
                    let filled = polled.poll_fill(context)?;
                    filled.map(|bytes| io::Result::Ok(bytes[..bytes.len().min(most)].to_vec()))
                });
                taken.await
            })
            .await
            .inspect(|taken| polled.consume(taken.len())),
            Reader::Half(half, Way(way, set)) => read_half(half, *way, set, chance, most).await,
        }
    }
}

async fn read_half<S: Connection + Unpin>(
    half: &mut OwnedReadHalf<S>,
    way: Read,
    set: &RegisteredBuffers,
    chance: &Chance,
    most: usize,
) -> io::Result<Vec<u8>> {
    let lease = async |half: &mut OwnedReadHalf<S>| {
        insist(chance, async || half.recv().await.map(|lease| lease.to_vec())).await
    };
    match way {
        Read::Lease => lease(half).await,
        Read::Owned => {
            let BufResult(count, buffer) =
                insist(chance, async || half.read(Vec::with_capacity(most)).await).await;
            let count = count?;
            assert_eq!(count, buffer.len(), "a read fills what it says");
            Ok(buffer)
        }
        Read::Registered => {
            let BufResult(count, buffer) =
                insist(chance, async || half.read(set.get().await).await).await;
            count.map(|count| buffer[..count].to_vec())
        }
        Read::Attempt => {
            let mut memory = vec![0; most];
            match half.try_read(&mut memory) {
                Ok(count) => {
                    memory.truncate(count);
                    Ok(memory)
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => lease(half).await,
                Err(error) => Err(error),
            }
        }
        Read::Peek => {
            let BufResult(peeked, shown) =
                insist(chance, async || half.peek(Vec::with_capacity(most)).await).await;
            let BufResult(count, read) =
                insist(chance, async || half.read(Vec::with_capacity(most)).await).await;
            let (peeked, count) = (peeked?, count?);
            if shown[..peeked.min(count)] != read[..peeked.min(count)] || count < peeked {
                return Err(io::Error::other(
                    "a peek has shown other bytes than the read after it",
                ));
            }
            Ok(read)
        }
    }
}

/// How a half is written.
#[derive(Clone, Copy, Debug)]
enum Write {
    All,
    Partly,
    Lease,
    Registered,
    ZeroCopy,
    Vectored,
    /// By calls that do not wait, and a write that waits when there is no room.
    Attempt,
}

/// Is aborted if it is dropped with unsent bytes, as a round that is cut does.
pub(crate) struct Sink<S: Connection + Unpin> {
    chance: Chance,
    shared: Arc<Shared>,
    /// `None` only while it is dropped.
    writer: Option<Writer<S>>,
}

enum Writer<S: Connection + Unpin> {
    Half(OwnedWriteHalf<S>, WriteWay),
    Buffered(StreamWriter<S>),
    Polled(Polled<OwnedWriteHalf<S>>),
}

/// A way to write that needs buffers.
struct WriteWay(Write, RegisteredBuffers);

impl<S: Connection + Unpin> Sink<S> {
    /// Writes a half in a random way.
    pub(crate) fn new(half: OwnedWriteHalf<S>, chance: &Chance, site: &Site) -> Self {
        let connection = format!("{half:?}");
        let (way, writer) = match chance.below(9) {
            0 => ("Buffered".to_owned(), Writer::Buffered(StreamWriter::new(half))),
            1 => ("Polled".to_owned(), Writer::Polled(Polled::new(half))),
            way => {
                let ways = [
                    Write::All,
                    Write::Partly,
                    Write::Lease,
                    Write::ZeroCopy,
                    Write::Vectored,
                    Write::Attempt,
                    Write::Registered,
                ];
                let way = ways[way - 2];
                (format!("{way:?}"), Writer::Half(half, WriteWay(way, site.buffers.clone())))
            }
        };
        Self {
            chance: chance.fork_as(&format!("writer {way} of {connection}")),
            shared: Arc::clone(&site.shared),
            writer: Some(writer),
        }
    }

    /// Writes all bytes. Writes are dropped, and repeated, only where that loses nothing.
    pub(crate) async fn put(&mut self, bytes: Vec<u8>) -> io::Result<()> {
        let chance = &self.chance;
        match self.writer.as_mut().expect("it is not dropped") {
            Writer::Buffered(writer) => insist(chance, async || writer.write(&bytes).await).await,
            Writer::Polled(polled) => {
                let mut rest = &bytes[..];
                while !rest.is_empty() {
                    let written = insist(chance, async || {
                        poll_fn(|context| polled.poll_write(context, rest)).await
                    });
                    rest = &rest[written.await?..];
                }
                Ok(())
            }
            Writer::Half(half, WriteWay(way, set)) => {
                write_half(half, *way, set, bytes, chance).await
            }
        }
    }

    /// Sends what is queued, and shuts down the writing direction.
    pub(crate) async fn finish(&mut self) -> io::Result<()> {
        let chance = &self.chance;
        match self.writer.as_mut().expect("it is not dropped") {
            Writer::Buffered(writer) => {
                insist(chance, async || writer.flush().await).await?;
                writer.write_eof();
                insist(chance, async || writer.flush().await).await
            }
            Writer::Polled(polled) => {
                chance.here();
                poll_fn(|context| polled.poll_shutdown(context)).await
            }
            Writer::Half(half, _) => {
                chance.here();
                half.shutdown().await
            }
        }
    }
}

impl<S: Connection + Unpin> Drop for Sink<S> {
    /// A writer goes on sending what it has queued. Where the peer does not read until it has sent
    /// what it has queued itself, and no task reads that, neither end would ever close. So it is
    /// aborted, as a program should that gives a connection up, and a task waits for its end.
    fn drop(&mut self) {
        match self.writer.take() {
            Some(Writer::Buffered(mut writer)) if writer.unsent() > 0 => {
                let whose =
                    format!("{}, dropped with {} bytes", self.chance.whose(), writer.unsent());
                writer.abort();
                spawn(&self.shared, &whose, async move { drop(writer.wait_closed().await) });
            }
            Some(Writer::Polled(mut polled)) if polled.unsent() > 0 => {
                let whose =
                    format!("{}, dropped with {} bytes", self.chance.whose(), polled.unsent());
                polled.abort();
                spawn(&self.shared, &whose, async move {
                    drop(poll_fn(|context| polled.poll_sent(context)).await);
                });
            }
            _ => {}
        }
    }
}

async fn write_half<S: Connection + Unpin>(
    half: &mut OwnedWriteHalf<S>,
    way: Write,
    set: &RegisteredBuffers,
    mut bytes: Vec<u8>,
    chance: &Chance,
) -> io::Result<()> {
    chance.here();
    match way {
        Write::All => half.write_all(bytes).await.0,
        Write::Lease => half.write_all(Lease::from(bytes)).await.0,
        Write::ZeroCopy => half.write_all_zero_copy(bytes).await,
        Write::Partly => {
            while !bytes.is_empty() {
                let BufResult(count, buffer) = half.write(bytes).await;
                let count = count?;
                bytes = buffer;
                bytes.drain(..count);
            }
            Ok(())
        }
        Write::Registered => {
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let mut buffer: RegisteredBuf = set.get().await;
                let count = rest.len().min(set.buffer_size());
                buffer.extend_from_slice(&rest[..count]);
                half.write_all(buffer).await.0?;
                rest = &rest[count..];
            }
            Ok(())
        }
        Write::Vectored => {
            let piece = bytes.len().div_ceil(chance.between(1..9)).max(1);
            half.write_all_vectored(bytes.chunks(piece).map(<[u8]>::to_vec).collect()).await.0
        }
        Write::Attempt => {
            let count = match half.try_write(&bytes) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
                count => count?,
            };
            bytes.drain(..count);
            half.write_all(bytes).await.0
        }
    }
}
