//! How shards listen on one address, and how connections are spread over them.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream as Peer};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Barrier, Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use annulus::net::{ListenOptions, Spread, TcpListener};
use annulus::shards::{CpuList, OnFailure, RestartOptions};
use annulus::time::timeout;
use annulus::{Runtime, Shards};
use socket2::{Domain, Socket, Type};

use crate::common::bounded::bounded;
use crate::common::skip::skip;
use crate::listening::{Command, listening, listening_by};

fn spread(spread: Spread) -> ListenOptions {
    ListenOptions::new().spread(spread)
}

fn connect(address: SocketAddr, count: usize) -> Vec<Peer> {
    (0..count).map(|_| Peer::connect(address).unwrap()).collect()
}

/// How far the shards are apart.
fn difference(counts: &[usize]) -> usize {
    counts.iter().max().unwrap() - counts.iter().min().unwrap()
}

// Listening on one address

#[test]
fn shards_that_bind_port_zero_share_one_port_for_each_of_their_binds() {
    let bound = Mutex::new(Vec::new());
    let all = Barrier::new(3);
    bounded(|| {
        Shards::builder().count(3).run(async |_| {
            let first = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let second = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let other = TcpListener::bind("127.0.0.2:0").await.unwrap();
            let private = spread(Spread::Private);
            let private = TcpListener::bind_with("127.0.0.1:0", &private).await.unwrap();
            let ports = [&first, &second, &other, &private].map(|it| it.local_addr().unwrap());
            bound.lock().unwrap().push(ports);
            all.wait();
        })
    })
    .unwrap();
    let bound = bound.into_inner().unwrap();
    for shard in &bound {
        assert_eq!(shard[..3], bound[0][..3]);
        assert_ne!(shard[0], shard[1]);
    }
    assert_ne!(bound[0][3], bound[1][3]);
    assert_ne!(bound[1][3], bound[2][3]);
}

/// Otherwise a second instance that is started by mistake would get half of the connections, and
/// neither would report an error.
#[test]
fn a_port_that_a_socket_outside_of_the_shards_shares_is_in_use() {
    let other = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    other.set_reuse_port(true).unwrap();
    other.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
    other.listen(8).unwrap();
    let address = other.local_addr().unwrap().as_socket().unwrap();
    for way in [Spread::Hash, Spread::LeastLoaded] {
        let refused = Barrier::new(2);
        let run = || {
            Shards::builder().count(2).run(async |_| {
                let error = TcpListener::bind_with(address, &spread(way)).await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::AddrInUse);
                let text = error.to_string();
                assert!(text.contains("not one of these shards'"), "{text}");
                refused.wait();
                // Unless it is requested.
                let shares = spread(way).reuse_port(true);
                TcpListener::bind_with(address, &shares).await.unwrap().close().await;
            })
        };
        bounded(run).unwrap();
    }
}

#[test]
fn a_second_run_does_not_join_the_listeners_of_the_first() {
    listening(
        2,
        |_| ListenOptions::new(),
        |first| {
            let address = first.address;
            let run = Shards::builder().count(2).run(async |_| {
                let error = TcpListener::bind(address).await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::AddrInUse);
            });
            run.unwrap();
        },
    );
}

#[test]
fn a_shard_listens_once_on_an_address_and_all_spread_alike() {
    let (address, bound) = (OnceLock::new(), Barrier::new(2));
    let run = || {
        Shards::builder().count(2).run(async |shard| {
            if shard.index() == 0 {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                let its = *address.get_or_init(|| listener.local_addr().unwrap());
                let error = TcpListener::bind(its).await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::AddrInUse);
                assert!(error.to_string().contains("this shard has a listener there"), "{error}");
                bound.wait();
                bound.wait();
                return;
            }
            bound.wait();
            let its = *address.get().unwrap();
            let other = TcpListener::bind_with(its, &spread(Spread::LeastLoaded)).await;
            let error = other.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(error.to_string().contains("Spread::Hash"), "{error}");
            // By the port that the kernel has chosen for the first, too, it joins that.
            let joined = TcpListener::bind(its).await.unwrap();
            assert_eq!(joined.local_addr().unwrap(), its);
            // Port 0 does not lead there a second time.
            let next = TcpListener::bind("127.0.0.1:0").await.unwrap();
            assert_ne!(next.local_addr().unwrap(), its);
            bound.wait();
        })
    };
    bounded(run).unwrap();
}

/// It counts its listeners anew, and the others have kept the port.
#[test]
fn a_shard_that_was_restarted_listens_on_port_zero_with_the_others() {
    for way in [Spread::Hash, Spread::LeastLoaded] {
        let (address, starts, all) = (OnceLock::new(), AtomicUsize::new(0), Barrier::new(2));
        let restarts = RestartOptions::new().backoff(Duration::ZERO, Duration::ZERO);
        let run = || {
            let quiet = |_| Runtime::builder().on_incident(|_| ());
            let builder = Shards::builder().count(2).runtime(quiet);
            builder.on_failure(OnFailure::Restart(restarts)).run(async |shard| {
                let first = TcpListener::bind_with("127.0.0.1:0", &spread(way)).await.unwrap();
                let second = TcpListener::bind_with("127.0.0.1:0", &spread(way)).await.unwrap();
                let bound = [&first, &second].map(|one| one.local_addr().unwrap());
                assert_eq!(*address.get_or_init(|| bound), bound);
                if shard.index() == 1 && starts.fetch_add(1, Ordering::Relaxed) == 0 {
                    all.wait();
                    return Err("fails once");
                }
                // Until the other has failed, and until it listens again.
                for _ in shard.index()..2 {
                    all.wait();
                }
                Ok(())
            })
        };
        bounded(run).unwrap();
        assert_eq!(starts.into_inner(), 2);
    }
}

// The ways to spread

#[test]
fn the_hash_spreads_ten_thousand_connections_within_a_fifth_of_the_mean() {
    for shards in [2, 4] {
        let counts: Vec<_> = (0..shards).map(|_| AtomicUsize::new(0)).collect();
        let address = Mutex::new(None);
        let (all, total) = (Barrier::new(shards + 1), AtomicUsize::new(0));
        bounded(|| {
            thread::scope(|scope| {
                scope.spawn(|| {
                    all.wait();
                    let address = address.lock().unwrap().unwrap();
                    for _ in 0..10_000 {
                        drop(Peer::connect(address).unwrap());
                    }
                });
                let run = Shards::builder().count(shards).run(async |shard| {
                    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                    *address.lock().unwrap() = Some(listener.local_addr().unwrap());
                    all.wait();
                    while total.load(Ordering::Relaxed) < 10_000 {
                        let accepted = timeout(Duration::from_millis(5), listener.accept()).await;
                        if accepted.is_ok() {
                            counts[shard.index()].fetch_add(1, Ordering::Relaxed);
                            total.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
                run.unwrap();
            });
        });
        let most = counts.into_iter().map(AtomicUsize::into_inner).max().unwrap();
        assert!(most <= 12_000 / shards, "{most} on one of {shards} shards");
    }
}

#[test]
fn the_least_loaded_way_keeps_shards_at_most_one_connection_apart() {
    for shards in [2, 4] {
        // On a busy machine a shard may be late: its inbox takes all.
        let options = spread(Spread::LeastLoaded).max_pending(1000);
        listening(
            shards,
            |_| options.clone(),
            |them| {
                them.all(Command::Accept(usize::MAX));
                let mut peers = Vec::new();
                for total in [1, 2, 3, 10, 100, 1000] {
                    peers.extend(connect(them.address, total - peers.len()));
                    them.wait_for(total);
                    let kept = them.all_kept();
                    assert!(difference(&kept) <= 1, "{kept:?}");
                }
            },
        );
    }
}

#[test]
fn a_shard_whose_connections_have_ended_gets_the_next_ones() {
    listening(
        2,
        |_| spread(Spread::LeastLoaded),
        |them| {
            them.all(Command::Accept(usize::MAX));
            let _first = connect(them.address, 20);
            them.wait_for(20);
            them.run(1, Command::DropConnections);
            let _second = connect(them.address, 8);
            them.wait_for(18);
            assert_eq!(them.all_kept(), [10, 8]);
        },
    );
}

/// On the loopback interface the CPU of the client processes the handshake.
#[test]
fn the_cpu_that_a_connection_arrives_on_chooses_its_shard() {
    let allowed = CpuList::allowed().unwrap();
    let [first, second, ..] = *allowed.as_slice() else {
        skip("it needs two CPUs");
        return;
    };
    let builder = Shards::builder().cpus([first, second]);
    listening_by(
        builder,
        2,
        |_| spread(Spread::Cpu),
        |them| {
            them.all(Command::Accept(usize::MAX));
            let mut peers = Vec::new();
            for (cpu, expected) in [(second, [0, 40]), (first, [40, 40])] {
                pin(cpu);
                peers.extend(connect(them.address, 40));
                them.wait_for(peers.len());
                assert_eq!(them.all_kept(), expected);
            }
        },
    );
}

/// From now on the calling thread runs on one CPU.
fn pin(cpu: usize) {
    // SAFETY: all zeroes is an empty set; the call reads it.
    let result = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu, &mut set);
        libc::sched_setaffinity(0, size_of_val(&set), &set)
    };
    assert_eq!(result, 0);
}

#[test]
fn shards_that_are_not_pinned_cannot_spread_by_cpu() {
    let run = || {
        Shards::builder().count(2).pin(false).run(async |_| {
            let error = TcpListener::bind_with("127.0.0.1:0", &spread(Spread::Cpu)).await;
            let error = error.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(error.to_string().contains("not pinned"), "{error}");
        })
    };
    bounded(run).unwrap();
}
