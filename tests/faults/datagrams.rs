//! Datagrams: each arrives whole, once and in order, whichever receives are dropped.

use std::cell::Cell;
use std::pin::pin;
use std::rc::Rc;

use annulus::net::UdpSocket;
use annulus::{spawn, yield_now};
use futures_util::StreamExt;

use crate::common::poll::times;
use crate::{Random, polls, with_each_seed};

/// Receives in a random way, and perhaps drops the receive.
async fn receive(socket: &UdpSocket, random: &mut Random) -> Option<Vec<u8>> {
    let polls = polls(random);
    let cut = |(count, buffer): (usize, Vec<u8>)| buffer[..count].to_vec();
    match random.u8(0..6) {
        0 => times(polls, socket.recv(vec![0; 2000])).await.map(|done| cut(done.unwrap())),
        1 => {
            let done = times(polls, socket.recv_from(vec![0; 2000])).await?;
            let ((count, _), buffer) = done.unwrap();
            Some(cut((count, buffer)))
        }
        2 => times(polls, socket.recv_msg()).await.map(|message| message.unwrap().to_vec()),
        3 => {
            let (meta, buffer) = times(polls, socket.recv_msg_into(vec![0; 2000])).await?.unwrap();
            Some(cut((meta.len, buffer)))
        }
        4 => {
            let mut stream = pin!(socket.recv_many());
            times(polls, stream.next()).await.map(|next| next.unwrap().unwrap().to_vec())
        }
        _ => {
            // Looks at it, which takes nothing.
            let _ = times(random.usize(1..8), socket.peek(vec![0; 10])).await;
            None
        }
    }
}

#[test]
fn dropped_receives_lose_no_datagram() {
    const DATAGRAMS: u32 = 40;
    with_each_seed(async |random| {
        let near = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let far = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        near.connect(far.local_addr().unwrap()).await.unwrap();
        far.connect(near.local_addr().unwrap()).await.unwrap();
        let received = Rc::new(Cell::new(0));
        let sender = spawn({
            let (received, mut random) = (Rc::clone(&received), random.fork());
            async move {
                for number in 0..DATAGRAMS {
                    // The kernel drops what finds no room.
                    while number > received.get() + 10 {
                        yield_now().await;
                    }
                    let mut datagram = number.to_ne_bytes().to_vec();
                    datagram.resize(random.usize(4..1500), number as u8);
                    far.send(datagram).await.0.unwrap();
                }
            }
        });
        while received.get() < DATAGRAMS {
            let Some(datagram) = receive(&near, random).await else { continue };
            let expected = received.get();
            assert_eq!(datagram[..4], expected.to_ne_bytes());
            assert!(datagram[4..].iter().all(|&byte| byte == expected as u8));
            received.set(expected + 1);
        }
        sender.await.unwrap();
    });
}
