//! Datagrams: those of UDP may be lost but not changed; those of Unix sockets are not lost.

use std::time::Duration;

use annulus::join::try_gather;
use annulus::net::{UdpSocket, UnixDatagram};
use annulus::time::timeout;
use futures_util::StreamExt;

use super::Outcome;
use crate::bytes::Bytes;
use crate::cancel::insist;
use crate::chance::Chance;
use crate::failure::{Failure, expect};
use crate::site::Site;
use crate::tally::Work;

/// How long an answer is waited for before the question is sent again.
const ANSWER: Duration = Duration::from_secs(2);

/// How often a question is sent before that is an error.
const TRIES: usize = 10;

/// Questions to the UDP echo of a shard, each with its number.
pub(super) async fn udp(site: &Site, chance: &Chance) -> Outcome {
    let address = site.shared.udp[chance.below(site.shard.count())];
    let socket = UdpSocket::bind("127.0.0.1:0").await?;
    let is_connected = chance.one_in(2);
    if is_connected {
        socket.connect(address).await?;
    }
    let stream = Bytes { seed: chance.seed() };
    let count = chance.size(200);
    let mut checked = 0;
    for number in 0..count as u64 {
        let mut question = number.to_le_bytes().to_vec();
        question.extend(stream.at(number, chance.size(8000)));
        let mut answer = None;
        for _ in 0..TRIES {
            let sent = question.clone();
            if is_connected {
                socket.send(sent).await.0?;
            } else {
                socket.send_to(sent, address).await.0?;
            }
            answer = timeout(ANSWER, answered(&socket, number, chance)).await.ok();
            if answer.is_some() {
                break;
            }
        }
        let answer = answer.ok_or_else(|| Failure::error("no answer to many datagrams"))??;
        expect("the echo of a datagram", &answer, &question)?;
        checked += answer.len();
    }
    Ok(Work::new(2 * count, checked))
}

/// The next datagram of this number. Those of earlier ones are answers to repeated questions.
async fn answered(socket: &UdpSocket, number: u64, chance: &Chance) -> Result<Vec<u8>, Failure> {
    loop {
        let bytes = match chance.below(3) {
            0 => {
                let buffer = || Vec::with_capacity(16 * 1024);
                insist(chance, async || socket.recv(buffer()).await).await.into_result()?.1
            }
            1 => {
                let many = insist(chance, async || socket.recv_many().next().await).await;
                many.expect("it does not end")?.to_vec()
            }
            _ => insist(chance, async || socket.recv_msg().await).await?.to_vec(),
        };
        let Some((of, _)) = bytes.split_first_chunk() else {
            return Err(Failure::Corruption("a datagram without its number".to_owned()));
        };
        match u64::from_le_bytes(*of) {
            of if of == number => return Ok(bytes),
            of if of > number => {
                let text = format!("the answer to {of}, when {number} was asked");
                return Err(Failure::Corruption(text));
            }
            _ => {}
        }
    }
}

/// A pair of sockets: all datagrams of a side arrive at the other one, in order.
pub(super) async fn unix(_site: &Site, chance: &Chance) -> Outcome {
    let (one, other) = UnixDatagram::pair()?;
    let stream = Bytes { seed: chance.seed() };
    let sizes: Vec<usize> = (0..chance.size(300)).map(|_| chance.size(4000)).collect();
    let send = async {
        for (number, &size) in sizes.iter().enumerate() {
            one.send(stream.at(number as u64, size)).await.0?;
        }
        Ok::<_, Failure>(())
    };
    let receive = async {
        for (number, size) in sizes.iter().enumerate() {
            let bytes = if chance.one_in(2) {
                insist(chance, async || other.recv_msg().await).await?.to_vec()
            } else {
                let buffer = || Vec::with_capacity(4000);
                insist(chance, async || other.recv(buffer()).await).await.into_result()?.1
            };
            expect("the size of a datagram", &bytes.len(), size)?;
            stream.check(number as u64, &bytes, "datagram")?;
        }
        Ok(())
    };
    try_gather((send, receive)).await?;
    Ok(Work::new(2 * sizes.len(), sizes.iter().sum()))
}
