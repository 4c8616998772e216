//! Connections that one shard accepts for another: none is lost, whatever becomes of the other.

use std::convert::Infallible;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream as Peer};
use std::os::fd::AsFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as SocketAddrUnix, UnixStream as UnixPeer};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use annulus::net::{
    ListenOptions, ServerOptions, Spread, StreamReader, StreamWriter, TcpListener, UnixListener,
    UnixSeqpacket, UnixSeqpacketListener, start_server_on, start_server_with,
};
use annulus::time::sleep;
use annulus::{Shards, Shutdown};
use futures_util::future::{Either, select};

use crate::common::bounded::bounded;
use crate::common::conditions::until;
use crate::common::poll::{once, until_ring_has_looked};
use crate::listening::{Command, listening};

fn least_loaded() -> ListenOptions {
    ListenOptions::new().spread(Spread::LeastLoaded)
}

fn connect(address: SocketAddr, count: usize) -> Vec<Peer> {
    (0..count).map(|_| Peer::connect(address).unwrap()).collect()
}

/// Shard 0 accepts and places every second connection on shard 1, which takes none.
#[test]
fn connections_for_a_shard_that_drops_its_listener_go_to_the_others() {
    listening(
        2,
        |_| least_loaded(),
        |them| {
            them.run(0, Command::Accept(usize::MAX));
            let _peers = connect(them.address, 10);
            them.wait_for(5);
            them.run(1, Command::DropListener);
            them.wait_for(10);
            assert_eq!(them.all_kept(), [10, 0]);
            // A shard that listens again gets its share.
            them.run(1, Command::Rebind);
            them.run(1, Command::Accept(usize::MAX));
            let _more = connect(them.address, 10);
            them.wait_for(20);
            assert_eq!(them.all_kept(), [10, 10]);
        },
    );
}

/// The kernel has accepted them for the shard that drops its listener, which has not looked.
#[test]
fn connections_that_a_shard_has_not_looked_at_when_it_drops_its_listener_go_to_the_others() {
    let (all, accepted) = (Barrier::new(2), AtomicUsize::new(0));
    bounded(|| {
        let run = Shards::builder().count(2).run(async |shard| {
            let bound = TcpListener::bind_with("127.0.0.1:0", &least_loaded()).await.unwrap();
            let (bound, mut streams) = (bound, Vec::new());
            let address = bound.local_addr().unwrap();
            all.wait();
            if shard.index() == 0 {
                assert!(once(pin!(bound.accept())).await.is_pending());
                // The accept is with the kernel, and then takes them.
                until_ring_has_looked().await;
                let _peers = connect(address, 5);
                until_ring_has_looked().await;
                drop(bound);
                all.wait();
                // Its loop goes on: it has the end of the accept to see.
                until(|| accepted.load(Ordering::Relaxed) == 5).await;
                return;
            }
            all.wait();
            for _ in 0..5 {
                streams.push(bound.accept().await.unwrap());
                accepted.fetch_add(1, Ordering::Relaxed);
            }
        });
        run.unwrap();
    });
}

#[test]
fn connections_for_a_shard_that_closes_its_listener_are_its_own() {
    listening(
        2,
        |_| least_loaded(),
        |them| {
            them.run(0, Command::Accept(usize::MAX));
            let _peers = connect(them.address, 9);
            // The last one is for shard 0.
            them.wait_for(5);
            them.run(1, Command::Close);
            assert_eq!(them.all_kept(), [5, 4]);
            let _more = connect(them.address, 2);
            them.wait_for(11);
            assert_eq!(them.all_kept(), [7, 4]);
        },
    );
}

/// Its clients would wait for it although another shard could serve them.
#[test]
fn a_shard_that_takes_no_connections_gets_only_a_few() {
    listening(
        3,
        |index| least_loaded().max_pending([64, 2, 3][index]),
        |them| {
            them.run(0, Command::Accept(usize::MAX));
            let _peers = connect(them.address, 40);
            them.wait_for(35);
            them.run(1, Command::Accept(usize::MAX));
            them.run(2, Command::Accept(usize::MAX));
            them.wait_for(40);
            assert_eq!(them.all_kept(), [35, 2, 3]);
        },
    );
}

#[test]
fn the_backlog_belongs_to_the_last_shard_that_closes() {
    listening(
        3,
        |_| least_loaded(),
        |them| {
            // No shard accepts.
            let _peers = connect(them.address, 10);
            them.run(1, Command::Close);
            them.run(0, Command::DropListener);
            assert_eq!(them.all_kept(), [0, 0, 0]);
            them.run(2, Command::Close);
            assert_eq!(them.all_kept(), [0, 0, 10]);
            assert!(Peer::connect(them.address).is_err());
        },
    );
}

/// A server for each shard, with a bound of its own: a connection for which one has no room is
/// served by the other.
#[test]
fn a_server_that_is_full_is_passed_over() {
    let (address, started, shutdown) = (OnceLock::new(), Barrier::new(3), Shutdown::new());
    let served = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
    bounded(|| {
        thread::scope(|scope| {
            scope.spawn(|| {
                started.wait();
                let mut peers = connect(*address.get().unwrap(), 8);
                for peer in &mut peers {
                    peer.read_exact(&mut [0]).unwrap();
                }
                assert_eq!(served.each_ref().map(|one| one.load(Ordering::Relaxed)), [2, 6]);
                // All are full: the next one waits until one has ended, wherever that is.
                let mut waiting = Peer::connect(*address.get().unwrap()).unwrap();
                waiting.set_read_timeout(Some(Duration::from_millis(30))).unwrap();
                assert!(waiting.read(&mut [0]).is_err());
                waiting.set_read_timeout(None).unwrap();
                drop(peers.pop());
                waiting.read_exact(&mut [0]).unwrap();
                drop(peers);
                shutdown.request();
            });
            let run = Shards::builder().count(2).run(async |shard| {
                let (index, served) = (shard.index(), Arc::clone(&served));
                let handler = async move |mut reader: StreamReader, mut writer: StreamWriter| {
                    served[index].fetch_add(1, Ordering::Relaxed);
                    writer.write("x").await?;
                    reader.read(1).await.map(drop)
                };
                let options =
                    ServerOptions::new().listen(least_loaded()).max_connections([2, 6][index]);
                let server = start_server_with(handler, "127.0.0.1:0", &options).await.unwrap();
                let _ = address.set(server.local_addrs()[0]);
                started.wait();
                shutdown.requested().await;
            });
            run.unwrap();
        });
    });
}

/// One shard stays. The others listen, serve and close, time and again, while clients come without
/// a pause: a connection may be in the kernel's accept, in an inbox, or on its way to a shard that
/// closes just now.
#[test]
fn clients_are_served_while_shards_come_and_go() {
    const CLIENTS: usize = 3000;
    // Where each takes long, fewer will do.
    const ENOUGH: Duration = Duration::from_secs(10);
    let (address, started, shutdown) = (OnceLock::new(), Barrier::new(4), Shutdown::new());
    bounded(|| {
        thread::scope(|scope| {
            scope.spawn(|| {
                started.wait();
                let end = Instant::now() + ENOUGH;
                for client in (0..CLIENTS).take_while(|_| Instant::now() < end) {
                    let mut peer = Peer::connect(*address.get().unwrap()).unwrap();
                    let message = [client as u8; 3];
                    peer.write_all(&message).unwrap();
                    let mut reply = [0; 3];
                    peer.read_exact(&mut reply).unwrap_or_else(|error| panic!("{client}: {error}"));
                    assert_eq!(reply, message);
                }
                shutdown.request();
            });
            let run = Shards::builder().count(3).run(async |shard| {
                let echo = async |mut reader: StreamReader, mut writer: StreamWriter| {
                    let message = reader.read_exact(3).await?;
                    writer.write(message).await?;
                    Ok::<_, annulus::io::ReadError>(())
                };
                let options = least_loaded();
                let first = TcpListener::bind_with("127.0.0.1:0", &options).await.unwrap();
                let its = *address.get_or_init(|| first.local_addr().unwrap());
                started.wait();
                let mut next = Some(first);
                while !shutdown.is_requested() {
                    let listener = match next.take() {
                        Some(listener) => listener,
                        None => TcpListener::bind_with(its, &options).await.unwrap(),
                    };
                    let server = start_server_on(echo, [listener], &ServerOptions::new()).unwrap();
                    if shard.index() == 0 {
                        shutdown.requested().await;
                    }
                    sleep(Duration::from_micros(500)).await;
                    server.close();
                    server.wait_closed().await;
                }
            });
            run.unwrap();
        });
    });
}

/// A connection that is made after the last look at the backlog would be reset by the close of the
/// socket.
#[test]
fn the_last_shard_that_closes_refuses_connections_while_it_takes_the_backlog() {
    let all = Barrier::new(2);
    bounded(|| {
        let run = Shards::builder().count(2).run(async |shard| {
            let bound = TcpListener::bind_with("127.0.0.1:0", &least_loaded()).await.unwrap();
            let address = bound.local_addr().unwrap();
            all.wait();
            if shard.index() == 1 {
                bound.close().await;
                let _early = Peer::connect(address).expect("the other shard listens");
                all.wait();
                all.wait();
                return;
            }
            all.wait();
            let mut closing = pin!(bound.close());
            assert!(
                once(closing.as_mut()).await.is_pending(),
                "it looks for what is in the backlog"
            );
            let refused = Peer::connect(address).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
            assert_eq!(closing.await.len(), 1);
            all.wait();
        });
        run.unwrap();
    });
}

/// Other listeners that are closed refuse connections before; not these, of which another thread
/// has a descriptor.
#[test]
fn what_was_made_of_a_descriptor_of_one_shard_listens_on_when_all_have_closed() {
    let (elsewhere, all) = (OnceLock::new(), Barrier::new(2));
    bounded(|| {
        let run = Shards::builder().count(2).run(async |shard| {
            let bound = TcpListener::bind_with("127.0.0.1:0", &least_loaded()).await.unwrap();
            all.wait();
            if shard.index() == 0 {
                all.wait();
                bound.close().await;
                return;
            }
            let duplicate = bound.as_fd().try_clone_to_owned().unwrap();
            elsewhere.set(std::net::TcpListener::from(duplicate)).unwrap();
            bound.close().await;
            all.wait();
        });
        run.unwrap();
        let elsewhere = elsewhere.into_inner().unwrap();
        let peer = Peer::connect(elsewhere.local_addr().unwrap()).unwrap();
        assert_eq!(elsewhere.accept().unwrap().1, peer.local_addr().unwrap());
    });
}

#[test]
fn shards_share_a_unix_socket_and_are_at_most_one_connection_apart() {
    let name = format!("annulus-shards-{}", std::process::id());
    let address = SocketAddrUnix::from_abstract_name(&name).unwrap();
    let counts = [const { AtomicUsize::new(0) }; 3];
    let (started, shutdown) = (Barrier::new(4), Shutdown::new());
    bounded(|| {
        thread::scope(|scope| {
            scope.spawn(|| {
                started.wait();
                let connect = || UnixPeer::connect_addr(&address).unwrap();
                let peers: Vec<_> = (0..32).map(|_| connect()).collect();
                let all = || counts.each_ref().map(|count| count.load(Ordering::Relaxed));
                while all().iter().sum::<usize>() < peers.len() {
                    thread::sleep(Duration::from_millis(1));
                }
                let mut all = all();
                all.sort_unstable();
                assert_eq!(all, [10, 11, 11]);
                shutdown.request();
            });
            let run = Shards::builder().count(3).run(async |shard| {
                let by_hash = ListenOptions::new().spread(Spread::Hash);
                let error = UnixListener::bind_addr(&address, &by_hash).unwrap_err();
                assert!(error.to_string().contains("LeastLoaded only"), "{error}");
                let listener = UnixListener::bind(format!("\0{name}")).unwrap();
                started.wait();
                let index = shard.index();
                let accepting = async {
                    let mut streams = Vec::new();
                    loop {
                        streams.push(listener.accept().await.unwrap());
                        counts[index].fetch_add(1, Ordering::Relaxed);
                    }
                };
                let (accepting, ended) = (pin!(accepting), pin!(shutdown.requested()));
                let _: Either<(Infallible, _), _> = select(accepting, ended).await;
            });
            run.unwrap();
        });
    });
}

/// Both listeners of a shard have the same abstract name, which sockets of each type have of their
/// own.
#[test]
fn a_listener_for_messages_has_a_group_of_its_own_at_the_name_of_one_for_streams() {
    const SHARDS: usize = 3;
    let name = format!("\0annulus-shards-kinds-{}", std::process::id());
    let (started, shutdown) = (Barrier::new(SHARDS), Shutdown::new());
    let received = AtomicUsize::new(0);
    bounded(|| {
        let run = Shards::builder().count(SHARDS).run(async |_| {
            let streams = UnixListener::bind(&name).unwrap();
            let messages = UnixSeqpacketListener::bind(&name).unwrap();
            started.wait();
            let client = UnixSeqpacket::connect(&name).await.unwrap();
            client.send("message").await.0.unwrap();
            let accepting = async {
                loop {
                    let (connection, _) = messages.accept().await.unwrap();
                    assert_eq!(&*connection.recv_msg().await.unwrap().unwrap(), b"message");
                    if received.fetch_add(1, Ordering::Relaxed) + 1 == SHARDS {
                        shutdown.request();
                    }
                }
            };
            let (accepting, ended) = (pin!(accepting), pin!(shutdown.requested()));
            let _: Either<(Infallible, _), _> = select(accepting, ended).await;
            drop(streams);
        });
        run.unwrap();
    });
}
