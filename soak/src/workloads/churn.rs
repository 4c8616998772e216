//! Connections that are made, accepted and closed in quick succession: each that was made is
//! accepted once, however many accepts are dropped.

use std::collections::HashSet;
use std::pin::pin;
use std::time::Duration;

use annulus::buf::BufResult;
use annulus::join::gather;
use annulus::net::TcpStream;
use futures_util::future::{Either, select};

use super::{Outcome, own_listener};
use crate::cancel::{insist, perhaps};
use crate::chance::Chance;
use crate::failure::{Failure, expect};
use crate::site::Site;
use crate::tally::Work;

pub(super) async fn round(site: &Site, chance: &Chance) -> Outcome {
    let listener = own_listener().await?;
    let address = listener.local_addr()?;
    let count = chance.size(100) as u64;

    // Returns whether the connection was made for sure.
    let clients = (0..count).map(|number| {
        let chance = chance.fork();
        async move {
            let Some(stream) = perhaps(&chance, TcpStream::connect(address)).await else {
                return Ok(None);
            };
            let mut stream = stream?;
            chance.here();
            stream.write_all(number.to_le_bytes().to_vec()).await.0?;
            match chance.below(3) {
                0 => stream.shutdown(std::net::Shutdown::Write).await?,
                // A reset discards what the peer has not read, and so the number is not seen.
                1 => {
                    stream.set_linger(Some(Duration::ZERO))?;
                    return Ok(None);
                }
                _ => {}
            }
            std::io::Result::Ok(Some(number))
        }
    });
    let clients: Vec<_> = clients.collect();
    // A task of their own, as one that has been accepted may not have sent its number yet.
    let clients = site.spawn(chance.whose(), gather(clients));

    // A connection that was made and is never accepted makes the round exceed its time.
    let mut seen = HashSet::new();
    let mut clients = pin!(clients.into_future());
    let made: HashSet<u64> = loop {
        let accepted = pin!(insist(chance, async || listener.accept().await));
        match select(accepted, clients.as_mut()).await {
            Either::Left((accepted, _)) => note(accepted?.0, &mut seen, chance).await?,
            Either::Right((made, _)) => {
                let made: Result<Vec<_>, _> = made?.into_iter().collect();
                break made?.into_iter().flatten().collect();
            }
        }
    };
    while !made.is_subset(&seen) {
        let (stream, _) = insist(chance, async || listener.accept().await).await?;
        note(stream, &mut seen, chance).await?;
    }
    let seen = seen.len();

    // Those that no task has accepted come out when the listener is closed.
    let rest = listener.close().await.len();
    expect("more connections than were made", &(seen + rest > count as usize), &false)?;
    Ok(Work::new(seen + rest, seen * 8))
}

/// Reads the number of a client, if it has sent one.
async fn note(
    mut stream: TcpStream,
    seen: &mut HashSet<u64>,
    chance: &Chance,
) -> Result<(), Failure> {
    chance.here();
    let BufResult(result, number) = stream.read_exact(Vec::with_capacity(8)).await;
    // A client that was dropped while it connected sends nothing, and one that resets may not.
    if result.is_err() {
        return Ok(());
    }
    let number = u64::from_le_bytes(number.try_into().expect("eight bytes were read"));
    if !seen.insert(number) {
        return Err(Failure::Corruption(format!("connection {number} was accepted twice")));
    }
    Ok(())
}
