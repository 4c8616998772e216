//! Pipes, and what is moved between them and files without a copy.

use annulus::fs::TempFile;
use annulus::join::try_gather;
use annulus::pipe::{Receiver, Sender, pipe};

use super::Outcome;
use crate::bytes::Bytes;
use crate::cancel::insist;
use crate::chance::Chance;
use crate::failure::{Failure, expect};
use crate::site::Site;
use crate::tally::Work;

pub(super) async fn round(_site: &Site, chance: &Chance) -> Outcome {
    let (sender, receiver) = pipe()?;
    let stream = Bytes { seed: chance.seed() };
    let total = chance.size(1 << 20);
    let send = send(sender, stream, total, chance);
    let receive = receive(receiver, stream, chance);
    let (sends, (received, receives)) = try_gather((send, receive)).await?;
    expect("bytes of a pipe before EOF", &received, &total)?;
    Ok(Work::new(sends + receives, total))
}

async fn send(
    mut sender: Sender,
    stream: Bytes,
    total: usize,
    chance: &Chance,
) -> Result<usize, Failure> {
    let (mut sent, mut operations) = (0, 0);
    while sent < total {
        chance.here();
        let length = chance.size(128 * 1024).min(total - sent);
        let bytes = stream.at(sent as u64, length);
        sent += match chance.below(3) {
            0 => sender.write(bytes).await.0?,
            1 => match sender.try_write(&bytes) {
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    insist(chance, async || sender.writable().await).await?;
                    0
                }
                count => count?,
            },
            _ => {
                sender.write_all(bytes).await.0?;
                length
            }
        };
        operations += 1;
    }
    Ok(operations)
}

/// Receives until EOF.
async fn receive(
    mut receiver: Receiver,
    stream: Bytes,
    chance: &Chance,
) -> Result<(usize, usize), Failure> {
    let (mut received, mut operations) = (0, 0);
    loop {
        let bytes = match chance.below(3) {
            0 => {
                let buffer = || Vec::with_capacity(10_000);
                insist(chance, async || receiver.read(buffer()).await).await.into_result()?.1
            }
            1 => {
                insist(chance, async || receiver.readable().await).await?;
                insist(chance, async || receiver.recv().await).await?.to_vec()
            }
            _ => insist(chance, async || receiver.recv().await).await?.to_vec(),
        };
        operations += 1;
        if bytes.is_empty() {
            return Ok((received, operations));
        }
        stream.check(received as u64, &bytes, "pipe")?;
        received += bytes.len();
    }
}

/// A file into a pipe, that into another one, and a duplicate into a third.
pub(super) async fn splices(site: &Site, chance: &Chance) -> Outcome {
    let stream = Bytes { seed: chance.seed() };
    let total = chance.size(1 << 20);
    let file = TempFile::new_in(&site.shared.directory).await?;
    file.write_all_at(stream.at(0, total), 0).await.0?;

    let (mut first, mut middle) = pipe()?;
    let (mut duplicates, duplicated) = pipe()?;
    let (mut second, last) = pipe()?;
    let fill = async {
        let mut offset = 0;
        loop {
            chance.here();
            let count = first.splice_from(&file, offset, chance.size(1 << 20)).await?;
            offset += count as u64;
            if count == 0 {
                drop(first);
                return Ok::<_, Failure>(());
            }
        }
    };
    let forward = async {
        loop {
            let length = chance.size(64 * 1024);
            let doubled = insist(chance, async || middle.tee_to(&mut duplicates, length).await);
            let mut left = doubled.await?;
            if left == 0 {
                drop((second, duplicates));
                return Ok(());
            }
            while left > 0 {
                left -= insist(chance, async || middle.splice_to(&mut second, left).await).await?;
            }
        }
    };
    let ((), (), one, other) = try_gather((
        fill,
        forward,
        receive(last, stream, chance),
        receive(duplicated, stream, chance),
    ))
    .await?;
    expect("bytes that were moved", &one.0, &total)?;
    expect("bytes that were duplicated", &other.0, &total)?;
    file.close().await?;
    Ok(Work::new(one.1 + other.1, 2 * total))
}
