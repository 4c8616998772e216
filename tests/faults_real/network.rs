//! A link that loses, slows and goes down, between a server on one host and clients on another.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener as PeerListener, TcpStream as Peer};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use annulus::buf::BufResult;
use annulus::net::{ServerOptions, TcpListener, TcpStream, UdpSocket, start_stream_server_on};
use annulus::time::timeout;
use annulus::{metrics, raw_os_error};

use crate::common::child::{command, role};
use crate::common::conditions::until;
use crate::common::patience::limit;
use crate::common::random::seeded;
use crate::common::skip::skip;
use crate::common::watchdog::{Watchdog, run};
use crate::host::{Interface, move_to_another, on_its_own};
use crate::link::{Link, Quality};
use crate::service::{Clients, Load, Outcome, rounds, serve_at};
use crate::this_test;

const NEAR: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
const FAR: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);

/// Runs `body` in a child process on a host of its own. Where that is not allowed the test is
/// skipped.
fn on_a_host(test: &str, body: impl FnOnce()) {
    if role().is_some() {
        let _watchdog = Watchdog::new(limit() * rounds() as u32);
        return body();
    }
    let mut command = command(test, "network");
    on_its_own(&mut command);
    let output = match command.output() {
        Err(error) => return skip(&format!("no namespace of the network can be made: {error}")),
        Ok(output) => output,
    };
    let text = String::from_utf8_lossy(&output.stderr);
    if let Some(reason) = text.lines().find_map(|line| line.strip_prefix("no interface: ")) {
        return skip(&format!("no interface can be made: {reason}"));
    }
    assert!(output.status.success(), "{}\n{text}", output.status);
}

/// A link from the calling thread's host to that of another thread, which runs `far` there.
fn linked<T: Send + 'static>(
    quality: Quality,
    far: impl FnOnce() -> T + Send + 'static,
) -> Option<(Link, thread::JoinHandle<T>)> {
    let (sender, receiver) = mpsc::channel();
    let (start, starts) = mpsc::channel::<()>();
    let other = thread::spawn(move || {
        sender.send(move_to_another().and_then(|()| Interface::new(FAR))).unwrap();
        starts.recv().expect("there is a link");
        far()
    });
    let ends = || io::Result::Ok([Interface::new(NEAR)?, receiver.recv().expect("it says")?]);
    match ends() {
        Ok(ends) => {
            let link = Link::new(ends, quality, seeded());
            start.send(()).expect("it waits");
            Some((link, other))
        }
        Err(error) => {
            eprintln!("no interface: {error}");
            None
        }
    }
}

fn assert_all_echoed(outcome: &Outcome, load: Load) {
    let tally = outcome.tally;
    assert_eq!(tally.echoed, load.clients * load.exchanges, "{outcome:?}");
    assert_eq!((tally.corrupt, tally.ended, tally.refused), (0, 0, 0), "{outcome:?}");
    assert!(outcome.incidents.is_empty(), "{outcome:?}");
}

#[test]
fn a_link_that_loses_doubles_and_reorders_packets_loses_no_byte() {
    on_a_host(this_test!(), || {
        let load = Load { clients: 12, exchanges: 5, most: 30_000 };
        let clients = Clients::new(load);
        let quality = Quality { lost: 50, doubled: 20, late: 20, ..Quality::default() };
        let Some((link, server)) = linked(quality, || serve_at(FAR, clients)) else { return };
        let outcome = server.join().unwrap().unwrap();
        assert_all_echoed(&outcome, load);
        let (carried, lost) = link.counts();
        assert!(lost * 100 > carried && carried > 100, "{lost} lost, {carried} carried");
    });
}

#[test]
fn a_link_of_five_megabits_a_second_is_waited_for() {
    on_a_host(this_test!(), || {
        let load = Load { clients: 6, exchanges: 4, most: 30_000 };
        let (clients, began) = (Clients::new(load), Instant::now());
        let quality = Quality { rate: 625_000, ..Quality::default() };
        let Some((_link, server)) = linked(quality, || serve_at(FAR, clients)) else { return };
        assert_all_echoed(&server.join().unwrap().unwrap(), load);
        assert!(began.elapsed() > Duration::from_millis(200), "the link was not slow");
    });
}

/// Once nothing arrives, and once the hosts have no way to each other and know it.
#[test]
fn transfers_go_on_when_a_link_that_went_down_is_up_again() {
    on_a_host(this_test!(), || {
        let load = Load { clients: 6, exchanges: 60 * rounds(), most: 30_000 };
        let clients = Clients::new(load);
        let progress = clients.progress();
        let (slow, down) =
            (Quality { rate: 6_000_000, ..Quality::default() }, Duration::from_millis(400));
        let Some((link, server)) = linked(slow, || serve_at(FAR, clients)) else { return };
        for round in 0..rounds() {
            let share = load.clients * load.exchanges / rounds();
            wait_for(&progress, round * share + share / 12);
            link.set(Quality { is_cut: true, ..slow });
            thread::sleep(down * rounds() as u32);
            link.set(slow);
            wait_for(&progress, round * share + share / 4);
            link.set_up(false);
            thread::sleep(down * rounds() as u32);
            link.set_up(true);
        }
        let reached = progress.load(Ordering::Relaxed);
        assert!(reached < load.clients * load.exchanges, "the link went down too late");
        assert_all_echoed(&server.join().unwrap().unwrap(), load);
    });
}

fn wait_for(progress: &AtomicUsize, messages: usize) {
    while progress.load(Ordering::Relaxed) < messages {
        thread::sleep(Duration::from_millis(1));
    }
}

/// A program of the standard library's that answers each byte with the next one.
fn count_up(addresses: &mpsc::Sender<SocketAddr>) {
    let listener = PeerListener::bind((FAR, 0)).unwrap();
    addresses.send(listener.local_addr().unwrap()).unwrap();
    while let Ok((mut peer, _)) = listener.accept() {
        thread::spawn(move || {
            let mut byte = [0];
            while peer.read_exact(&mut byte).is_ok() {
                byte[0] += 1;
                let _ = peer.write_all(&byte);
            }
        });
    }
}

#[test]
fn what_waits_for_a_link_that_is_down_ends_by_its_timeout_and_loses_nothing() {
    on_a_host(this_test!(), || {
        let (sender, addresses) = mpsc::channel();
        let Some((link, _)) = linked(Quality::default(), move || count_up(&sender)) else { return };
        let address = addresses.recv().unwrap();
        run(async {
            let mut patient = TcpStream::connect(address).await.unwrap();
            let mut given_up = TcpStream::connect(address).await.unwrap();
            let mut blocked = TcpStream::connect(address).await.unwrap();
            given_up.set_user_timeout(Some(Duration::from_millis(300))).unwrap();
            link.set(Quality { is_cut: true, ..Quality::default() });
            patient.write_all(vec![7]).await.0.unwrap();
            given_up.write_all(vec![7]).await.0.unwrap();

            let short = Duration::from_millis(20);
            for _ in 0..3 {
                timeout(short, patient.recv()).await.unwrap_err();
            }
            // More than any buffer takes.
            let write = blocked.write_all(vec![7; 32 << 20]);
            timeout(short, write).await.unwrap_err();
            let error = TcpStream::connect_timeout(address, short).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
            let error = given_up.recv().await.unwrap_err();
            assert_eq!(raw_os_error(&error), Some(libc::ETIMEDOUT), "{error}");

            link.set_up(false);
            let error = TcpStream::connect(address).await.unwrap_err();
            assert_eq!(raw_os_error(&error), Some(libc::ENETUNREACH), "{error}");
            let socket = UdpSocket::bind("0.0.0.0:0").await.unwrap();
            let BufResult(sent, _) = socket.send_to(vec![7], address).await;
            assert_eq!(raw_os_error(&sent.unwrap_err()), Some(libc::ENETUNREACH));
            link.set_up(true);

            link.set(Quality::default());
            assert_eq!(&*patient.recv().await.unwrap(), [8]);
            patient.write_all(vec![9]).await.0.unwrap();
            assert_eq!(&*patient.recv().await.unwrap(), [10]);
            let mut newcomer = TcpStream::connect(address).await.unwrap();
            newcomer.write_all(vec![1]).await.0.unwrap();
            assert_eq!(&*newcomer.recv().await.unwrap(), [2]);
        });
        // The program of the other host does not end.
        std::process::exit(0);
    });
}

#[test]
fn a_server_is_rid_of_peers_behind_a_link_that_is_down_by_its_timeouts() {
    on_a_host(this_test!(), || {
        let (sender, addresses) = mpsc::channel::<SocketAddr>();
        let far = move || {
            run(async {
                let handler = async |mut stream: TcpStream| -> io::Result<()> {
                    let request = stream.recv().await?;
                    if request[0] == 1 {
                        stream.write_all(vec![1; 32 << 20]).await.0?;
                    }
                    stream.recv().await.map(drop)
                };
                let limit = Duration::from_millis(100);
                let options = ServerOptions::new().idle_timeout(limit).send_timeout(limit);
                let listener = TcpListener::bind((FAR, 0)).await.unwrap();
                let server = start_stream_server_on(handler, [listener], &options).unwrap();
                sender.send(server.local_addrs()[0]).unwrap();
                until(|| metrics().idle_timeouts + metrics().send_timeouts >= 2).await;
                until(|| server.active_connections() == 0).await;
                assert!(server.is_serving());
                (metrics().idle_timeouts, metrics().send_timeouts)
            })
        };
        let Some((link, server)) = linked(Quality::default(), far) else { return };
        let address = addresses.recv().unwrap();
        // Where this thread or the link has to wait for a processor, the time of a peer may be up
        // before it asks or is answered; then it is rid of it all the same.
        let mut peers = [1, 2].map(|request| {
            let mut peer = Peer::connect(address).unwrap();
            let _ = peer.write_all(&[request]);
            peer
        });
        let _ = peers[0].read_exact(&mut [0; 1000]);
        link.set(Quality { is_cut: true, ..Quality::default() });
        let (idle, send) = server.join().unwrap();
        assert!(idle >= 1 && idle + send == 2, "{idle} idle, {send} sending");
        drop(peers);
    });
}
