//! Shards that share a listening socket: a connection that a shard has accepted when it drops its
//! listener, or still accepts afterwards, is served by another.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream as Peer};
use std::sync::{Barrier, OnceLock};
use std::thread;

use annulus::faults::Faults;
use annulus::net::{ListenOptions, Spread, TcpListener, TcpStream};
use annulus::shards::Shard;
use annulus::{Builder, Shards, Shutdown, spawn};

use crate::common::bounded::bounded;
use crate::common::descriptors::{alone, assert_back_to, open};
use crate::common::poll::{times, yield_times};
use crate::{PrintedIfPanicking, Random, SEEDS_WANTED};

const CLIENTS: u8 = 20;

/// What the shards and their clients have in common.
struct Common {
    seed: u64,
    address: OnceLock<SocketAddr>,
    started: Barrier,
    shutdown: Shutdown,
}

/// One client after the other: a shard waits for the next most of the time.
fn ask(common: &Common) {
    // Also if one is not served, so that the shards end.
    struct Ended<'a>(&'a Shutdown);
    impl Drop for Ended<'_> {
        fn drop(&mut self) {
            self.0.request();
        }
    }
    let _ended = Ended(&common.shutdown);
    common.started.wait();
    for client in 0..CLIENTS {
        let mut peer = Peer::connect(*common.address.get().unwrap()).unwrap();
        peer.write_all(&[client]).unwrap();
        let mut answer = [0];
        peer.read_exact(&mut answer).unwrap_or_else(|error| panic!("client {client}: {error}"));
        assert_eq!(answer, [client]);
    }
}

async fn answer(mut stream: TcpStream) {
    let byte = stream.read_exact(vec![0; 1]).await.into_result().unwrap().1;
    stream.write_all(byte).await.0.unwrap();
}

/// The first shard listens to the end. The other listens for a few turns, time and again.
async fn serve(shard: Shard, common: &Common) {
    let mut random = Random::with_seed(common.seed + shard.index() as u64);
    let options = ListenOptions::new().spread(Spread::LeastLoaded);
    let first = TcpListener::bind_with("127.0.0.1:0", &options).await.unwrap();
    let address = *common.address.get_or_init(|| first.local_addr().unwrap());
    common.started.wait();
    let mut next = Some(first);
    while !common.shutdown.is_requested() {
        let listener = match next.take() {
            Some(listener) => listener,
            None => match TcpListener::bind_with(address, &options).await {
                // The first shard has ended, and its socket is being closed.
                Err(_) if common.shutdown.is_requested() => return,
                bound => bound.unwrap(),
            },
        };
        let accepting = async {
            loop {
                drop(spawn(answer(listener.accept().await.unwrap().0)));
            }
        };
        if shard.index() == 0 {
            common.shutdown.run_until_requested(accepting).await.unwrap_or(());
        } else {
            times(random.usize(1..20), accepting).await.unwrap_or(());
        }
        drop(listener);
        yield_times(random.usize(1..4)).await;
    }
}

#[test]
fn clients_of_a_shard_that_drops_its_listener_are_served_by_another() {
    let _alone = alone();
    for seed in SEEDS_WANTED.clone() {
        let _seed = PrintedIfPanicking(seed);
        let before = open();
        bounded(|| {
            let common = Common {
                seed,
                address: OnceLock::new(),
                started: Barrier::new(3),
                shutdown: Shutdown::new(),
            };
            thread::scope(|scope| {
                scope.spawn(|| ask(&common));
                let shards = Shards::builder().count(2).pin(false);
                let shards = shards.runtime(move |index| {
                    let faults = Faults::from_seed(2 * seed + index as u64);
                    Builder::new().faults(faults).max_polls_per_turn(1 + index)
                });
                shards.run(async |shard| serve(shard, &common).await).unwrap();
            });
        });
        assert_back_to(before);
    }
}
