//! Clients of the echo services, over TCP and Unix sockets, straight or through a proxy.

use std::time::Duration;

use annulus::join::try_gather;
use annulus::net::{Connection, OwnedReadHalf, OwnedWriteHalf, TcpStream, UnixStream};
use annulus::time::{sleep, timeout};

use super::Outcome;
use crate::bytes::Bytes;
use crate::cancel::insist;
use crate::chance::Chance;
use crate::failure::{Failure, expect};
use crate::services::{ECHO, PROXY};
use crate::site::Site;
use crate::stream::{Sink, Source};
use crate::tally::Work;

/// The most bytes that a bulk round sends.
const BULK: usize = 2 << 20;

/// How many of its largest writes a bulk round may send.
const WRITES: usize = 100;

/// What a round does with a connection, whatever its kind.
macro_rules! connected {
    ($site:expr, $chance:expr, $with:path) => {{
        let shard = $chance.below($site.shard.count());
        if $chance.one_in(3) {
            let path = $site.shared.unix(shard);
            let mut stream = insist($chance, async || UnixStream::connect(&path).await).await?;
            stream.write_all(vec![ECHO]).await.0?;
            $with(stream.into_split(), $site, $chance).await
        } else {
            let address = $site.shared.tcp[shard];
            let mut stream = insist($chance, async || TcpStream::connect(address).await).await?;
            if $chance.one_in(2) {
                stream.set_nodelay(true)?;
            }
            stream.write_all(vec![if $chance.one_in(4) { PROXY } else { ECHO }]).await.0?;
            $with(stream.into_split(), $site, $chance).await
        }
    }};
}

/// Sends and receives at the same time, as much as either side takes.
pub(super) async fn bulk(site: &Site, chance: &Chance) -> Outcome {
    connected!(site, chance, exchange_bulk)
}

/// One message at a time, and its echo.
pub(super) async fn messages(site: &Site, chance: &Chance) -> Outcome {
    connected!(site, chance, exchange_messages)
}

/// Goes away in the middle, by a drop or a reset.
pub(super) async fn aborted(site: &Site, chance: &Chance) -> Outcome {
    connected!(site, chance, abort)
}

type Halves<S> = (OwnedReadHalf<S>, OwnedWriteHalf<S>);

async fn exchange_bulk<S: Connection + Unpin>(
    (read, write): Halves<S>,
    site: &Site,
    chance: &Chance,
) -> Outcome {
    let mut source = Source::new(read, chance, site);
    let mut sink = Sink::new(write, chance, site);
    let stream = Bytes { seed: chance.seed() };
    let largest = chance.size(256 * 1024);
    let total = chance.size(BULK).min(largest * WRITES);

    let send = async {
        let (mut sent, mut operations) = (0, 0);
        while sent < total {
            let length = chance.size(largest).min(total - sent);
            sink.put(stream.at(sent as u64, length)).await?;
            sent += length;
            operations += 1;
        }
        sink.finish().await?;
        Ok::<_, Failure>(operations)
    };
    let receive = async {
        let (mut received, mut operations) = (0, 0);
        loop {
            let bytes = source.next(usize::MAX).await?;
            operations += 1;
            if bytes.is_empty() {
                expect("bytes of an echo before EOF", &received, &total)?;
                return Ok::<_, Failure>(operations);
            }
            stream.check(received as u64, &bytes, "echo")?;
            received += bytes.len();
        }
    };
    let (sends, receives) = try_gather((send, receive)).await?;
    Ok(Work::new(sends + receives, total))
}

async fn exchange_messages<S: Connection + Unpin>(
    (read, write): Halves<S>,
    site: &Site,
    chance: &Chance,
) -> Outcome {
    let mut source = Source::new(read, chance, site);
    let mut sink = Sink::new(write, chance, site);
    let stream = Bytes { seed: chance.seed() };
    let largest = *chance.pick(&[1, 64, 64, 1024, 16 * 1024]);
    let count = chance.size(300);
    let (mut offset, mut operations) = (0, 0);
    for _ in 0..count {
        let length = chance.size(largest);
        sink.put(stream.at(offset, length)).await?;
        let end = offset + length as u64;
        while offset < end {
            let bytes = source.next((end - offset) as usize).await?;
            operations += 1;
            if bytes.is_empty() || bytes.len() as u64 > end - offset {
                let text = format!("{} bytes instead of 1 to {}", bytes.len(), end - offset);
                return Err(Failure::Corruption(text));
            }
            stream.check(offset, &bytes, "echo of a message")?;
            offset += bytes.len() as u64;
        }
        if chance.one_in(100) {
            sleep(chance.shorter_than(Duration::from_millis(10))).await;
        }
    }
    sink.finish().await?;
    expect("bytes at EOF", &source.next(1).await?, &Vec::new())?;
    Ok(Work::new(operations + count, offset as usize))
}

async fn abort<S: Connection + Unpin>(
    (read, write): Halves<S>,
    site: &Site,
    chance: &Chance,
) -> Outcome {
    if chance.one_in(2) {
        read.set_linger(Some(Duration::ZERO))?;
    }
    let exchange = exchange_bulk((read, write), site, chance);
    match timeout(chance.shorter_than(Duration::from_millis(20)), exchange).await {
        Ok(whole) => whole,
        Err(_) => Ok(Work::new(1, 0)),
    }
}
