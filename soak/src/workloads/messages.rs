//! Calls between shards, channels between threads, and connections that move to another shard.

use std::time::Duration;

use annulus::blocking::to_thread;
use annulus::join::try_gather;
use annulus::net::TcpStream;
use annulus::shards::Shard;
use annulus::sync::remote;

use super::{Outcome, own_listener};
use crate::bytes::Bytes;
use crate::cancel::{insist, perhaps};
use crate::chance::Chance;
use crate::failure::{Failure, expect};
use crate::site::Site;
use crate::tally::Work;

pub(super) async fn round(site: &Site, chance: &Chance) -> Outcome {
    let shard = &site.shard;
    let mut operations = 0;
    let mut checked = 0;
    for _ in 0..chance.size(100) {
        operations += 1;
        let other = chance.below(shard.count());
        let stream = Bytes { seed: chance.seed() };
        let length = chance.size(2000);
        match chance.below(5) {
            0 => {
                let bytes = insist(chance, async || {
                    shard.run_on(other, move || stream.at(0, length)).await
                });
                stream.check(0, &bytes.await?, "the result of a call")?;
                checked += length;
            }
            1 => {
                let all = insist(chance, async || shard.run_on_all(Shard::index).await);
                let expected: Vec<usize> = (0..shard.count()).collect();
                expect("the index of each shard", &all.await?, &expected)?;
            }
            2 => {
                let spawned = shard.handle(other).spawn(move || async move {
                    annulus::yield_now().await;
                    stream.at(0, length)
                });
                let task = spawned.map_err(|_| Failure::error("a shard does not take a task"))?;
                if let Some(bytes) = perhaps(chance, task.into_future()).await {
                    stream.check(0, &bytes?, "the result of a task")?;
                    checked += length;
                }
            }
            3 => {
                let called = insist(chance, async || to_thread(move || stream.at(0, length)).await);
                let bytes = called.await.map_err(Failure::error)?;
                stream.check(0, &bytes, "the result of a thread")?;
                checked += length;
            }
            _ => channel(site, other, chance).await?,
        }
    }
    Ok(Work::new(operations, checked))
}

/// A channel to another shard: all that is sent arrives, in order.
async fn channel(site: &Site, other: usize, chance: &Chance) -> Result<(), Failure> {
    let (sender, mut receiver) = remote::channel(chance.size(8));
    let count = chance.size(100);
    let seed = chance.seed();
    let receiving = site.shard.handle(other).spawn(move || async move {
        let chance = Chance::new("the receiver of a channel", seed);
        let mut next = 0;
        while let Some(number) = insist(&chance, async || receiver.recv().await).await {
            if number != next {
                break;
            }
            next += 1;
        }
        next
    });
    let receiving = receiving.map_err(|_| Failure::error("a shard does not take a task"))?;
    for number in 0..count {
        chance.here();
        sender.send(number).await.map_err(Failure::error)?;
    }
    drop(sender);
    expect("numbers that arrived in order", &receiving.await?, &count)
}

/// A connection whose end moves from shard to shard, between its messages.
pub(super) async fn handed(site: &Site, chance: &Chance) -> Outcome {
    let listener = own_listener().await?;
    let address = listener.local_addr()?;
    let stream = Bytes { seed: chance.seed() };
    let (mut client, (mut moving, _)) = {
        let connect = async { TcpStream::connect(address).await.map_err(Failure::from) };
        let accept = async { listener.accept().await.map_err(Failure::from) };
        try_gather((connect, accept)).await?
    };
    let mut offset = 0;
    let moves = chance.size(12);
    for _ in 0..moves {
        let length = chance.size(20_000);
        let send = async {
            // Some of it has arrived before the move, and the rest comes during it.
            chance.here();
            let half = length / 2;
            client.write_all(stream.at(offset, half)).await.0?;
            annulus::time::sleep(chance.shorter_than(Duration::from_micros(500))).await;
            client.write_all(stream.at(offset + half as u64, length - half)).await.0?;
            Ok::<_, Failure>(())
        };
        let travel = async {
            // What a dropped receive leaves goes with the connection.
            drop(perhaps(chance, moving.peek(Vec::with_capacity(10))).await);
            let parts = moving.into_parts().await?;
            let other = chance.below(site.shard.count());
            let there = site.shard.handle(other).spawn(move || async move {
                let mut stream = TcpStream::from_parts(parts);
                let read = stream.read_exact(Vec::with_capacity(length)).await.into_result();
                let bytes = read?.1;
                Ok::<_, std::io::Error>((bytes, stream.into_parts().await?))
            });
            let there = there.map_err(|_| Failure::error("a shard does not take a task"))?;
            let (bytes, parts) = there.await??;
            stream.check(offset, &bytes, "a connection that moved")?;
            Ok(TcpStream::from_parts(parts))
        };
        let ((), back) = try_gather((send, travel)).await?;
        moving = back;
        offset += length as u64;
    }
    Ok(Work::new(3 * moves, offset as usize))
}
