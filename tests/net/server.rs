//! Servers: handlers that end, fail, panic or stay; clients that are closed, aborted or kept
//! waiting; and no client is lost. The cases are those of asyncio's servers.

use std::cell::{Cell, RefCell};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream as Peer};
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use annulus::join::gather;
use annulus::net::{
    Server, ServerOptions, ShutdownOptions, StreamReader, StreamWriter, TcpListener, TcpStream,
    open_connection, start_server, start_server_on, start_server_with, start_stream_server_on,
};
use annulus::sync::Event;
use annulus::time::{sleep, timeout};
use annulus::{Incident, Shutdown};

use crate::common::incidents::Incidents;
use crate::common::patience::{limit, patient};
use crate::common::poll::{once, until, yield_times};
use crate::common::watchdog::{block_on, run};

async fn echo(mut reader: StreamReader, mut writer: StreamWriter) -> std::io::Result<()> {
    loop {
        let line = reader.read_line().await?;
        if line.is_empty() {
            return Ok(());
        }
        writer.write(line).await?;
    }
}

async fn serving_echo() -> Server {
    start_server(echo, "127.0.0.1:0").await.unwrap()
}

fn address(server: &Server) -> SocketAddr {
    server.local_addrs()[0]
}

async fn client(server: &Server) -> (StreamReader, StreamWriter) {
    open_connection(address(server)).await.unwrap()
}

async fn ask((reader, writer): &mut (StreamReader, StreamWriter), line: &str) {
    writer.write(line).await.unwrap();
    assert_eq!(*reader.read_line().await.unwrap(), *line.as_bytes());
}

#[test]
fn many_clients_are_served_at_the_same_time() {
    run(async {
        let server = serving_echo().await;
        assert!(server.is_serving());
        let mut clients = Vec::new();
        for _ in 0..50 {
            clients.push(client(&server).await);
        }
        for (n, client) in clients.iter_mut().enumerate() {
            ask(client, &format!("client {n}\n")).await;
        }
        assert_eq!(server.active_connections(), 50);
        drop(clients);
        until(|| server.active_connections() == 0).await;
    });
}

#[test]
fn all_addresses_are_listened_on() {
    run(async {
        let both: Vec<SocketAddr> =
            ["127.0.0.1:0", "127.0.0.2:0"].map(|text| text.parse().unwrap()).into();
        let server = start_server(echo, both).await.unwrap();
        assert_eq!(server.local_addrs().len(), 2);
        for &address in server.local_addrs() {
            ask(&mut open_connection(address).await.unwrap(), "hello\n").await;
        }
        let missing: Vec<SocketAddr> =
            ["203.0.113.1:0", "127.0.0.1:0"].map(|text| text.parse().unwrap()).into();
        let server = start_server(echo, missing.clone()).await.unwrap();
        assert_eq!(
            server.local_addrs().len(),
            1,
            "one that this machine does not have is left out"
        );
        let error = start_server(echo, missing[0]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
    });
}

#[test]
fn a_server_on_given_listeners_serves_connections_that_came_before_it() {
    run(async {
        let mut listeners = Vec::new();
        for _ in 0..2 {
            listeners.push(TcpListener::bind("127.0.0.1:0").await.unwrap());
        }
        let addresses: Vec<_> = listeners.iter().map(|one| one.local_addr().unwrap()).collect();
        let early = open_connection(addresses[0]).await.unwrap();
        let server = start_server_on(echo, listeners, &ServerOptions::new()).unwrap();
        assert_eq!(server.local_addrs(), addresses);
        let late = open_connection(addresses[1]).await.unwrap();
        for mut client in [early, late] {
            ask(&mut client, "hello\n").await;
        }
        server.close();
        server.wait_closed().await;
        assert!(Peer::connect(addresses[1]).is_err());
    });
}

#[test]
fn a_server_whose_handler_takes_the_stream_counts_it_and_soft_cancels_it() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let echo = async |mut stream: TcpStream| loop {
            let received = stream.recv().await?;
            if received.is_empty() {
                return std::io::Result::Ok(());
            }
            stream.write_all(received.to_vec()).await.0?;
        };
        let options = ServerOptions::new().max_connections_per_peer(1);
        let server = start_stream_server_on(echo, [listener], &options).unwrap();
        let mut client = client(&server).await;
        ask(&mut client, "hello\n").await;
        assert_eq!(server.active_connections(), 1);
        let mut refused = TcpStream::connect(address(&server)).await.unwrap();
        assert_eq!(refused.recv().await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        let shutdown = Shutdown::new();
        shutdown.request();
        let options = ShutdownOptions::new().grace(Duration::ZERO).soft_grace(limit());
        let report = server.serve_until(&shutdown, &options).await;
        assert_eq!((report.completed, report.soft_cancelled, report.aborted), (0, 1, 0));
    });
}

#[test]
fn an_address_in_use_is_named() {
    run(async {
        let server = serving_echo().await;
        let error = start_server(echo, address(&server)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        assert!(error.to_string().contains(&address(&server).to_string()), "{error}");
    });
}

#[test]
fn a_closed_server_serves_its_connections_and_no_others() {
    run(async {
        let server = serving_echo().await;
        let mut served = client(&server).await;
        ask(&mut served, "before\n").await;
        server.close();
        server.close();
        assert!(!server.is_serving());
        server.serve_forever().await;
        ask(&mut served, "after\n").await;
        let mut closed = Box::pin(server.wait_closed());
        assert!(once(closed.as_mut()).await.is_pending());
        until(|| Peer::connect(address(&server)).is_err()).await;
        drop(served);
        closed.await;
        assert_eq!(server.active_connections(), 0);
    });
}

/// The kernel has completed the connection, and perhaps given it to the listener, but the server is
/// closed before it is polled.
#[test]
fn connections_that_arrived_before_the_close_are_served() {
    run(async {
        for _ in 0..50 {
            let server = serving_echo().await;
            sleep(Duration::from_micros(100)).await;
            let mut peer = Peer::connect(address(&server)).unwrap();
            annulus::yield_now().await;
            annulus::yield_now().await;
            peer.write_all(b"hello\n").unwrap();
            server.close();
            peer.shutdown(std::net::Shutdown::Write).unwrap();
            server.wait_closed().await;
            let mut reply = String::new();
            peer.read_to_string(&mut reply).unwrap();
            assert_eq!(reply, "hello\n");
        }
    });
}

/// Most of them are in the kernel's backlog when the server is closed.
#[test]
fn a_close_serves_all_connections_that_had_arrived_whatever_the_limit() {
    const CLIENTS: usize = 300;
    let unlimited = ServerOptions::new();
    let limited = |connections| ServerOptions::new().max_connections(connections);
    for options in [unlimited, limited(1), limited(40)] {
        run(async {
            let server = start_server_with(echo, "127.0.0.1:0", &options).await.unwrap();
            let connect = |_| {
                let mut peer = Peer::connect(address(&server)).unwrap();
                peer.write_all(b"hello\n").unwrap();
                peer.shutdown(std::net::Shutdown::Write).unwrap();
                peer
            };
            let peers: Vec<_> = (0..CLIENTS).map(connect).collect();
            server.close();
            server.wait_closed().await;
            for mut peer in peers {
                let mut reply = String::new();
                peer.read_to_string(&mut reply).unwrap();
                assert_eq!(reply, "hello\n");
            }
            assert!(Peer::connect(address(&server)).is_err(), "it listens no more");
        });
    }
}

#[test]
fn a_shutdown_counts_the_connections_that_it_aborts_in_the_backlog() {
    const CLIENTS: usize = 100;
    run(async {
        let options = ServerOptions::new().max_connections(1);
        let server = start_server_with(echo, "127.0.0.1:0", &options).await.unwrap();
        let peers: Vec<_> =
            (0..CLIENTS).map(|_| Peer::connect(address(&server)).unwrap()).collect();
        let outcome = server.shutdown(Duration::from_millis(5)).await;
        assert_eq!((outcome.completed, outcome.aborted), (0, CLIENTS));
        drop(peers);
    });
}

/// Else who came first would wait for longest.
#[test]
fn a_close_serves_the_backlog_in_the_order_of_arrival() {
    const CLIENTS: u8 = 40;
    run(async {
        let options = ServerOptions::new().max_connections(1);
        let served = Rc::new(RefCell::new(Vec::new()));
        let its = Rc::clone(&served);
        let note = async move |mut reader: StreamReader, _: StreamWriter| {
            let number = reader.read_exact(1).await.unwrap()[0];
            its.borrow_mut().push(number);
        };
        let server = start_server_with(note, "127.0.0.1:0", &options).await.unwrap();
        let mut peers = Vec::new();
        for number in 0..CLIENTS {
            let mut peer = Peer::connect(address(&server)).unwrap();
            peer.write_all(&[number]).unwrap();
            peers.push(peer);
        }
        server.close();
        server.wait_closed().await;
        assert_eq!(*served.borrow(), (0..CLIENTS).collect::<Vec<_>>());
    });
}

/// The loop is busy elsewhere while they come.
#[test]
fn a_limit_bounds_connections_from_the_backlog_too() {
    const CLIENTS: usize = 200;
    const MOST: usize = 10;
    run(async {
        let options = ServerOptions::new().max_connections(MOST);
        let server = start_server_with(echo, "127.0.0.1:0", &options).await.unwrap();
        let local = address(&server);
        let taken = || {
            // A descriptor for either end of each.
            let is_ours = |fd: &std::fs::DirEntry| {
                let number = fd.file_name().into_string().unwrap().parse().unwrap();
                // SAFETY: it is only asked for its name, and whatever it is, that does no harm.
                let fd = unsafe { std::os::fd::BorrowedFd::borrow_raw(number) };
                let name = socket2::SockRef::from(&fd).local_addr();
                let name = name.ok().and_then(|name| name.as_socket());
                name == Some(local)
            };
            let all = std::fs::read_dir("/proc/self/fd").unwrap().map(Result::unwrap);
            // The listening socket has the same address.
            all.filter(is_ours).count() - 1
        };
        let mut peers: Vec<_> = (0..CLIENTS).map(|_| Peer::connect(local).unwrap()).collect();
        until(|| server.active_connections() == MOST).await;
        for _ in 0..20 {
            sleep(Duration::from_millis(1)).await;
            assert_eq!(server.active_connections(), MOST);
            assert_eq!(taken(), MOST, "the others wait in the backlog");
        }
        for peer in &mut peers {
            peer.write_all(b"hello\n").unwrap();
            peer.shutdown(std::net::Shutdown::Write).unwrap();
        }
        for mut peer in peers {
            let reading = annulus::blocking::to_thread(move || {
                let mut reply = String::new();
                peer.read_to_string(&mut reply).map(|_| reply)
            });
            assert_eq!(reading.await.unwrap().unwrap(), "hello\n");
        }
    });
}

#[test]
fn waiting_for_the_end_waits_for_what_was_written() {
    run(async {
        const LENGTH: usize = 8 << 20;
        let handler = async |_: StreamReader, mut writer: StreamWriter| {
            writer.write_nowait(vec![7; LENGTH]).unwrap();
        };
        let server = start_server(handler, "127.0.0.1:0").await.unwrap();
        let (mut reader, _writer) = client(&server).await;
        until(|| server.active_connections() == 1).await;
        server.close();
        let mut closed = Box::pin(server.wait_closed());
        assert!(once(closed.as_mut()).await.is_pending());
        assert_eq!(reader.read_to_end().await.unwrap().len(), LENGTH);
        closed.await;
    });
}

#[test]
fn a_server_whose_last_handle_is_dropped_is_closed() {
    run(async {
        let server = serving_echo().await;
        let address = address(&server);
        let mut served = client(&server).await;
        let other = server.clone();
        drop(server);
        ask(&mut served, "still\n").await;
        drop(other);
        until(|| Peer::connect(address).is_err()).await;
        ask(&mut served, "to its end\n").await;
    });
}

#[test]
fn serving_for_ever_ends_with_the_server_and_ends_it_when_dropped() {
    run(async {
        let server = serving_echo().await;
        let mut forever = Box::pin(server.serve_forever());
        assert!(once(forever.as_mut()).await.is_pending());
        server.close();
        forever.await;
        let server = serving_echo().await;
        assert!(timeout(Duration::from_millis(5), server.serve_forever()).await.is_err());
        assert!(!server.is_serving());
    });
}

#[test]
fn closed_clients_are_read_to_their_end_and_may_be_answered() {
    run(async {
        let handler = async |mut reader: StreamReader, mut writer: StreamWriter| {
            let all = reader.read_to_end().await?;
            writer.write(format!("{} bytes", all.len())).await
        };
        let server = start_server(handler, "127.0.0.1:0").await.unwrap();
        let mut silent = client(&server).await;
        silent.1.write("12345").await.unwrap();
        silent.1.flush().await.unwrap();
        until(|| server.active_connections() == 1).await;
        sleep(Duration::from_millis(20)).await;
        server.close_clients();
        assert_eq!(&*silent.0.read_to_end().await.unwrap(), b"5 bytes");
        assert!(server.is_serving());
    });
}

#[test]
fn aborted_clients_are_reset() {
    run(async {
        let server = serving_echo().await;
        let mut clients = [client(&server).await, client(&server).await];
        for client in &mut clients {
            ask(client, "hello\n").await;
        }
        server.abort_clients();
        until(|| server.active_connections() == 0).await;
        for (reader, _) in &mut clients {
            let end = reader.read(1).await;
            assert!(end.is_err() || end.unwrap().is_empty());
        }
        ask(&mut client(&server).await, "others are served\n").await;
    });
}

#[test]
fn clients_beyond_the_limit_wait_and_none_is_dropped() {
    run(async {
        let most = Rc::new(Cell::new(0));
        let (at_once, seen) = (Rc::new(Cell::new(0)), Rc::clone(&most));
        let handler = async move |reader: StreamReader, writer: StreamWriter| {
            at_once.set(at_once.get() + 1);
            seen.set(seen.get().max(at_once.get()));
            let outcome = echo(reader, writer).await;
            at_once.set(at_once.get() - 1);
            outcome
        };
        let options = ServerOptions::new().max_connections(3);
        let both: Vec<SocketAddr> =
            ["127.0.0.1:0", "127.0.0.2:0"].map(|text| text.parse().unwrap()).into();
        let server = start_server_with(handler, both, &options).await.unwrap();
        let clients: Vec<_> = (0..60)
            .map(|n| {
                let address = server.local_addrs()[n % 2];
                annulus::spawn(async move {
                    let mut client = open_connection(address).await.unwrap();
                    ask(&mut client, "hello\n").await;
                    sleep(Duration::from_millis(1)).await;
                    ask(&mut client, "and goodbye\n").await;
                })
            })
            .collect();
        for client in clients {
            client.await.unwrap();
        }
        assert_eq!(most.get(), 3);
    });
}

/// A connection that had been taken from the backlog kept the socket of its address open for as
/// long as those of another address left it no room.
#[test]
fn a_closed_server_stops_listening_also_where_a_connection_waits_for_room() {
    run(async {
        let options = ServerOptions::new().max_connections(1);
        let both: Vec<SocketAddr> =
            ["127.0.0.1:0", "127.0.0.2:0"].map(|text| text.parse().unwrap()).into();
        let server = start_server_with(echo, both, &options).await.unwrap();
        let addresses = server.local_addrs().to_vec();
        let clients = addresses.iter().map(|&address| open_connection(address));
        let clients = gather(clients).await;
        until(|| server.active_connections() == 1).await;
        // The other connection is taken, too.
        yield_times(100).await;
        server.close();
        let are_free =
            || addresses.iter().all(|address| std::net::TcpListener::bind(address).is_ok());
        timeout(patient(Duration::from_secs(10)), until(are_free)).await.expect("it listens still");
        let asked = clients.into_iter().map(|client| async {
            let (mut reader, mut writer) = client.unwrap();
            writer.write("hello\n").await.unwrap();
            writer.write_eof();
            assert_eq!(*reader.read_to_end().await.unwrap(), *b"hello\n");
        });
        gather(asked).await;
        server.wait_closed().await;
    });
}

#[test]
fn errors_and_panics_are_reported_with_the_peer_and_the_server_lives() {
    let heard = Incidents::default();
    block_on(&heard.runtime(), async {
        let handler = async |mut reader: StreamReader, _writer: StreamWriter| {
            let line = reader.read_line().await?;
            assert!(&*line != b"panic\n", "as told");
            if &*line == b"fail\n" {
                return Err(std::io::Error::other("as asked"));
            }
            Ok(())
        };
        let server = start_server(handler, "127.0.0.1:0").await.unwrap();
        for word in ["panic\n", "fail\n", "fine\n"] {
            let (mut reader, mut writer) = client(&server).await;
            writer.write(word).await.unwrap();
            assert!(reader.read(1).await.unwrap().is_empty());
        }
        until(|| server.active_connections() == 0).await;
        assert!(server.is_serving());
    });
    let incidents = heard.take();
    let told: Vec<_> = incidents
        .iter()
        .map(|incident| match incident {
            Incident::HandlerFailed { peer, panicked, message } => {
                assert!(peer.is_some_and(|peer| peer.ip().is_loopback() && peer.port() > 0));
                (*panicked, message.as_str())
            }
            other => panic!("{other}"),
        })
        .collect();
    assert_eq!(told, [(true, "as told"), (false, "as asked")]);
    assert!(incidents[0].to_string().starts_with("the handler of the connection from 127.0.0.1:"));
}

#[test]
fn a_shutdown_reports_how_many_completed_and_how_many_were_aborted() {
    run(async {
        let server = serving_echo().await;
        let [mut quick, mut slow, mut slower] =
            [client(&server).await, client(&server).await, client(&server).await];
        for client in [&mut quick, &mut slow, &mut slower] {
            ask(client, "hello\n").await;
        }
        let mut shutdown = pin!(server.shutdown(Duration::from_millis(200)));
        assert!(once(shutdown.as_mut()).await.is_pending());
        drop(quick);
        // The time may be over by then: the shutdown learns of it when it is polled.
        until(|| server.active_connections() == 2).await;
        let outcome = shutdown.await;
        assert_eq!((outcome.completed, outcome.aborted), (1, 2));
        for (reader, _) in [&mut slow, &mut slower] {
            let end = reader.read(1).await;
            assert!(end.is_err() || end.unwrap().is_empty());
        }
        let again = server.shutdown(Duration::ZERO).await;
        assert_eq!((again.completed, again.aborted), (0, 0));
    });
}

/// They were taken from the backlog, but the limit, or a shutdown that gives no time at all, kept
/// their handlers from beginning.
#[test]
fn a_shutdown_also_aborts_connections_that_still_wait_to_be_served() {
    run(async {
        for grace in [Duration::ZERO, Duration::from_millis(20)] {
            let options = ServerOptions::new().max_connections(1);
            let server = start_server_with(echo, "127.0.0.1:0", &options).await.unwrap();
            let mut served = client(&server).await;
            ask(&mut served, "hello\n").await;
            let waiting = [client(&server).await, client(&server).await];
            sleep(Duration::from_millis(20)).await;
            let outcome = server.shutdown(grace).await;
            assert_eq!((outcome.completed, outcome.aborted), (0, 3));
            for (mut reader, _writer) in waiting {
                let end = reader.read(1).await;
                assert!(end.is_err() || end.unwrap().is_empty());
            }
        }
    });
}

#[test]
fn a_cut_handler_is_cancelled_wherever_it_waits() {
    run(async {
        let dropped = Rc::new(Event::new());
        let has_begun = Rc::new(Cell::new(false));
        let (its, begins) = (Rc::clone(&dropped), Rc::clone(&has_begun));
        let handler = async move |_: StreamReader, _: StreamWriter| {
            struct OnDrop(Rc<Event>);
            impl Drop for OnDrop {
                fn drop(&mut self) {
                    self.0.set();
                }
            }
            let _on_drop = OnDrop(Rc::clone(&its));
            begins.set(true);
            std::future::pending::<()>().await;
        };
        let server = start_server(handler, "127.0.0.1:0").await.unwrap();
        let _client = client(&server).await;
        until(|| has_begun.get()).await;
        let outcome = server.shutdown(Duration::ZERO).await;
        assert_eq!((outcome.completed, outcome.aborted), (0, 1));
        assert!(dropped.is_set());
    });
}

#[test]
fn a_runtime_may_end_with_its_server() {
    let (server, peer) = run(async {
        let server = serving_echo().await;
        let mut served = client(&server).await;
        ask(&mut served, "hello\n").await;
        let peer = Peer::connect(address(&server)).unwrap();
        (server, peer)
    });
    let mut peer = peer;
    assert!(peer.read(&mut [0; 1]).is_err() || peer.write_all(b"unread").is_ok());
    drop(server);
}

/// What a handler takes is known from the server: where the kind of socket is fixed, and where the
/// listener decides it.
#[test]
fn an_async_closure_is_a_handler_without_annotations() {
    run(async {
        let server = start_server(
            async |mut reader, mut writer| writer.write(reader.read_line().await?).await,
            "127.0.0.1:0",
        );
        let server = server.await.unwrap();
        ask(&mut client(&server).await, "hello\n").await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = start_server_on(
            async |mut reader, mut writer| writer.write(reader.read_line().await?).await,
            [listener],
            &ServerOptions::new(),
        );
        ask(&mut client(&server.unwrap()).await, "hello\n").await;
    });
}
