//! `Server::serve_until`: the request, the grace period, the soft cancel and the abort, and what is
//! reported of each.

use std::future::pending;
use std::io::{Read, Write};
use std::net::TcpStream as Peer;
use std::os::fd::AsFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::SocketAddr;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use annulus::Shutdown;
use annulus::join::{CancelToken, gather};
use annulus::net::{
    ListenOptions, Server, ServerOptions, ShutdownOptions, ShutdownReport, StreamReader,
    StreamWriter, TcpListener, UnixListener, open_connection, open_unix_connection, start_server,
    start_server_with, start_unix_server,
};
use annulus::sync::Event;
use annulus::task::JoinHandle;
use annulus::time::{sleep, timeout};

use crate::common::patience::{limit, patient};
use crate::common::poll::{once, until};
use crate::common::watchdog::run;

const BRIEF: Duration = Duration::from_millis(20);

/// Steps that no test waits for.
fn slow() -> ShutdownOptions {
    ShutdownOptions::new().grace(limit()).soft_grace(limit())
}

fn brief() -> ShutdownOptions {
    ShutdownOptions::new().grace(BRIEF).soft_grace(BRIEF)
}

fn counts(report: ShutdownReport) -> (usize, usize, usize) {
    (report.completed, report.soft_cancelled, report.aborted)
}

/// Answers lines until EOF, and knows nothing of a shutdown.
async fn echo(mut reader: StreamReader, mut writer: StreamWriter) -> std::io::Result<()> {
    loop {
        let line = reader.read_line().await?;
        if line.is_empty() {
            return Ok(());
        }
        writer.write(line).await?;
    }
}

async fn client(server: &Server) -> (StreamReader, StreamWriter) {
    open_connection(server.local_addrs()[0]).await.unwrap()
}

async fn ask((reader, writer): &mut (StreamReader, StreamWriter), line: &str) {
    writer.write(line).await.unwrap();
    assert_eq!(*reader.read_line().await.unwrap(), *line.as_bytes());
}

/// Serves in a task until the shutdown, or the end of the server.
fn serving(
    server: &Server,
    shutdown: &Shutdown,
    options: &ShutdownOptions,
) -> JoinHandle<ShutdownReport> {
    let (server, shutdown, options) = (server.clone(), shutdown.clone(), options.clone());
    annulus::spawn(async move { server.serve_until(&shutdown, &options).await })
}

#[test]
fn a_requested_end_serves_what_has_arrived_and_waits_for_the_rest() {
    run(async {
        let shutdown = Shutdown::new();
        let server = start_server(echo, "127.0.0.1:0").await.unwrap();
        let mut before = client(&server).await;
        ask(&mut before, "ended before\n").await;
        drop(before);
        let mut open = client(&server).await;
        ask(&mut open, "open\n").await;
        until(|| server.active_connections() == 1).await;
        let serving = serving(&server, &shutdown, &slow());
        annulus::yield_now().await;
        assert!(server.is_serving());
        let mut in_backlog = Peer::connect(server.local_addrs()[0]).unwrap();
        in_backlog.write_all(b"hello\n").unwrap();
        shutdown.request();
        until(|| !server.is_serving()).await;
        until(|| server.active_connections() == 2).await;
        ask(&mut open, "still served\n").await;
        assert!(!serving.is_finished());
        drop(open);
        in_backlog.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(counts(serving.await.unwrap()), (2, 0, 0));
        let mut answer = String::new();
        in_backlog.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "hello\n");
    });
}

#[test]
fn an_end_that_was_requested_before_is_an_end_at_once() {
    run(async {
        let shutdown = Shutdown::new();
        shutdown.request();
        let server = start_server(echo, "127.0.0.1:0").await.unwrap();
        assert_eq!(counts(server.serve_until(&shutdown, &slow()).await), (0, 0, 0));
    });
}

#[test]
fn a_silent_client_is_soft_cancelled_and_may_still_be_answered() {
    run(async {
        let handler = async |mut reader: StreamReader, mut writer: StreamWriter| {
            let all = reader.read_to_end().await?;
            writer.write(format!("{} bytes", all.len())).await
        };
        let shutdown = Shutdown::new();
        let server = start_server(handler, "127.0.0.1:0").await.unwrap();
        let (mut reader, mut writer) = client(&server).await;
        writer.write("12345").await.unwrap();
        writer.flush().await.unwrap();
        until(|| server.active_connections() == 1).await;
        shutdown.request();
        let began = Instant::now();
        let options = ShutdownOptions::new().grace(BRIEF).soft_grace(limit());
        let report = server.serve_until(&shutdown, &options).await;
        assert!(began.elapsed() >= BRIEF);
        assert_eq!(counts(report), (0, 1, 0));
        assert_eq!(&*reader.read_to_end().await.unwrap(), b"5 bytes");
    });
}

/// It waits for something else than its client, so that it meets no EOF.
#[test]
fn a_handler_that_does_not_read_is_soft_cancelled_by_a_token() {
    run(async {
        let token = CancelToken::new();
        let its = token.clone();
        let handler = async move |_: StreamReader, mut writer: StreamWriter| {
            assert!(its.run_until_cancelled(pending::<()>()).await.is_none());
            writer.write("cancelled").await
        };
        let shutdown = Shutdown::new();
        let server = start_server(handler, "127.0.0.1:0").await.unwrap();
        let (mut reader, _writer) = client(&server).await;
        until(|| server.active_connections() == 1).await;
        shutdown.request();
        let options = ShutdownOptions::new().grace(BRIEF).soft_grace(limit()).soft_cancel(&token);
        assert_eq!(counts(server.serve_until(&shutdown, &options).await), (0, 1, 0));
        assert_eq!(&*reader.read_to_end().await.unwrap(), b"cancelled");
    });
}

/// What its client has sent before is read before the EOF.
#[test]
fn a_connection_that_waits_for_room_is_served_what_it_has_sent_after_the_soft_cancel() {
    run(async {
        let options = ServerOptions::new().max_connections(1);
        let shutdown = Shutdown::new();
        let server = start_server_with(echo, "127.0.0.1:0", &options).await.unwrap();
        let mut silent = client(&server).await;
        ask(&mut silent, "first\n").await;
        let (mut reader, mut writer) = client(&server).await;
        writer.write("second\n").await.unwrap();
        writer.flush().await.unwrap();
        shutdown.request();
        let options = ShutdownOptions::new().grace(BRIEF).soft_grace(limit());
        assert_eq!(counts(server.serve_until(&shutdown, &options).await), (0, 2, 0));
        assert_eq!(&*reader.read_to_end().await.unwrap(), b"second\n");
    });
}

#[test]
fn a_handler_that_ignores_all_and_a_client_that_never_reads_are_aborted() {
    run(async {
        let dropped = Rc::new(Event::new());
        let its = Rc::clone(&dropped);
        let handler = async move |mut reader: StreamReader, mut writer: StreamWriter| {
            struct OnDrop(Rc<Event>);
            impl Drop for OnDrop {
                fn drop(&mut self) {
                    self.0.set();
                }
            }
            if &*reader.read_line().await? == b"flood\n" {
                writer.write(vec![7; 64 << 20]).await?;
                return Ok(());
            }
            let _on_drop = OnDrop(Rc::clone(&its));
            pending::<std::io::Result<()>>().await
        };
        let shutdown = Shutdown::new();
        let server = start_server(handler, "127.0.0.1:0").await.unwrap();
        let mut peers = Vec::new();
        for line in ["flood\n", "ignores\n"] {
            let mut peer = Peer::connect(server.local_addrs()[0]).unwrap();
            peer.write_all(line.as_bytes()).unwrap();
            peers.push(peer);
        }
        until(|| server.active_connections() == 2).await;
        shutdown.request();
        assert_eq!(counts(server.serve_until(&shutdown, &brief()).await), (0, 0, 2));
        assert!(dropped.is_set());
        for mut peer in peers {
            let end = peer.read_to_end(&mut Vec::new()).unwrap_err();
            assert_eq!(end.kind(), std::io::ErrorKind::ConnectionReset);
        }
    });
}

#[test]
fn a_forced_end_aborts_at_once_in_each_step() {
    run(async {
        let soft = ShutdownOptions::new().grace(BRIEF).soft_grace(limit());
        let never = async |_: StreamReader, _: StreamWriter| pending::<()>().await;
        for options in [slow(), soft] {
            let shutdown = Shutdown::new();
            let server = start_server(never, "127.0.0.1:0").await.unwrap();
            let _client = client(&server).await;
            until(|| server.active_connections() == 1).await;
            let serving = serving(&server, &shutdown, &options);
            shutdown.request();
            sleep(BRIEF * 2).await;
            assert!(!serving.is_finished());
            shutdown.force();
            let report = timeout(patient(Duration::from_secs(10)), serving).await;
            assert_eq!(counts(report.expect("it waits all the same").unwrap()), (0, 0, 1));
        }
    });
}

#[test]
fn a_server_that_is_closed_ends_without_a_request() {
    run(async {
        let server = start_server(echo, "127.0.0.1:0").await.unwrap();
        let silent = client(&server).await;
        until(|| server.active_connections() == 1).await;
        let options = ShutdownOptions::new().grace(BRIEF).soft_grace(limit());
        let serving = serving(&server, &Shutdown::new(), &options);
        annulus::yield_now().await;
        server.close();
        assert_eq!(counts(serving.await.unwrap()), (0, 1, 0));
        drop(silent);
    });
}

#[test]
fn serving_until_a_shutdown_closes_the_server_when_it_is_dropped() {
    run(async {
        let shutdown = Shutdown::new();
        let server = start_server(echo, "127.0.0.1:0").await.unwrap();
        let mut served = client(&server).await;
        ask(&mut served, "before\n").await;
        assert!(timeout(BRIEF, server.serve_until(&shutdown, &brief())).await.is_err());
        assert!(!server.is_serving());
        sleep(BRIEF * 3).await;
        ask(&mut served, "no step follows\n").await;
    });
}

#[test]
fn servers_of_several_kinds_share_a_shutdown_and_their_reports_are_added() {
    run(async {
        let shutdown = Shutdown::new();
        let name = format!("\0annulus-shutdown-{}", std::process::id());
        let tcp = start_server(echo, "127.0.0.1:0").await.unwrap();
        let unix = start_unix_server(
            async |mut reader, mut writer| {
                let line = reader.read_line().await?;
                writer.write(line).await
            },
            &name,
        )
        .unwrap();
        let mut over_tcp = client(&tcp).await;
        ask(&mut over_tcp, "hello\n").await;
        let (mut reader, mut writer) = open_unix_connection(&name).await.unwrap();
        until(|| unix.active_connections() == 1).await;
        let options = ShutdownOptions::new().grace(limit());
        let both = annulus::spawn({
            let (shutdown, tcp, unix) = (shutdown.clone(), tcp.clone(), unix.clone());
            async move {
                let (tcp_end, unix_end) = gather((
                    tcp.serve_until(&shutdown, &options),
                    unix.serve_until(&shutdown, &options),
                ))
                .await;
                tcp_end + unix_end
            }
        });
        annulus::yield_now().await;
        shutdown.request();
        until(|| !tcp.is_serving() && !unix.is_serving()).await;
        writer.write("over Unix\n").await.unwrap();
        assert_eq!(&*reader.read_line().await.unwrap(), b"over Unix\n");
        drop(over_tcp);
        assert_eq!(counts(both.await.unwrap()), (2, 0, 0));
    });
}

/// A request that has arrived when the shutdown is requested is answered; then the connection ends,
/// without waiting for the grace period.
#[test]
fn a_handler_ends_between_two_requests() {
    run(async {
        let shutdown = Shutdown::new();
        let (its, first) = (shutdown.clone(), Rc::new(Event::new()));
        let goes_on = Rc::clone(&first);
        let handler = async move |mut reader: StreamReader, mut writer: StreamWriter| {
            while let Some(line) = its.run_until_requested(reader.read_line()).await {
                let line = line?;
                if line.is_empty() {
                    break;
                }
                writer.write(line).await?;
                goes_on.wait().await;
            }
            std::io::Result::Ok(())
        };
        let server = start_server(handler, "127.0.0.1:0").await.unwrap();
        let mut asking = client(&server).await;
        ask(&mut asking, "first\n").await;
        let mut idle = client(&server).await;
        ask(&mut idle, "idle\n").await;
        // Both are sent, and arrive, while the handler is busy with the first.
        asking.1.write("second\nthird\n").await.unwrap();
        asking.1.flush().await.unwrap();
        let serving = serving(&server, &shutdown, &slow());
        shutdown.request();
        sleep(BRIEF).await;
        first.set();
        assert_eq!(&*asking.0.read_to_end().await.unwrap(), b"second\nthird\n");
        assert!(idle.0.read_to_end().await.unwrap().is_empty());
        assert_eq!(counts(serving.await.unwrap()), (2, 0, 0));
    });
}

#[test]
fn a_wait_of_a_request_that_was_made_is_ready_and_yields_to_other_tasks() {
    run(async {
        let shutdown = Shutdown::new();
        let mut requested = Box::pin(shutdown.requested());
        assert!(once(requested.as_mut()).await.is_pending());
        shutdown.request();
        requested.await;
        let other = annulus::spawn(async {});
        let mut waits = 0;
        while !other.is_finished() {
            shutdown.requested().await;
            assert!(shutdown.run_until_requested(pending::<()>()).await.is_none());
            waits += 1;
            assert!(waits < 1000, "the other task is never polled");
        }
    });
}

/// Connections arrive until the kernel has closed the listening socket. It resets those that no
/// accept takes, so none may be let in after the last accept.
#[test]
fn a_connection_that_is_made_while_a_server_closes_is_served() {
    for _ in 0..20 {
        let (shutdown, served) = (Shutdown::new(), Arc::new(AtomicUsize::new(0)));
        let (sender, receiver) = mpsc::channel();
        let its = shutdown.clone();
        let server = thread::spawn(move || {
            run(async move {
                let options = ServerOptions::new().listen(ListenOptions::new().backlog(4096));
                let server = start_server_with(echo, "127.0.0.1:0", &options).await.unwrap();
                sender.send(server.local_addrs()[0]).unwrap();
                server.serve_until(&its, &slow()).await
            })
        });
        let address = receiver.recv().unwrap();
        let clients: Vec<_> = (0..8)
            .map(|_| {
                let served = Arc::clone(&served);
                thread::spawn(move || {
                    while let Ok(mut peer) = Peer::connect(address) {
                        peer.write_all(b"hello\n").unwrap();
                        let mut answer = [0; 6];
                        peer.read_exact(&mut answer).expect("a connection that was made");
                        served.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        while served.load(Ordering::Relaxed) < 50 {
            thread::yield_now();
        }
        shutdown.request();
        clients.into_iter().for_each(|client| client.join().unwrap());
        assert_eq!(server.join().unwrap().aborted, 0);
    }
}

/// The socket is refusing connections while it is being closed, which must not happen to one that
/// others have, too: a successor, a supervisor, or what was made of its descriptor.
#[test]
fn a_listener_that_others_have_is_closed_without_an_effect_on_theirs() {
    run(async {
        let own = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let duplicate = std::net::TcpListener::from(own.as_fd().try_clone_to_owned().unwrap());
        let given = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let adopted = TcpListener::from_std(given.try_clone().unwrap());
        let name = SocketAddr::from_abstract_name(format!("annulus-shared-{}", std::process::id()));
        let unix = std::os::unix::net::UnixListener::bind_addr(&name.unwrap()).unwrap();
        let adopted_unix = UnixListener::from_std(unix.try_clone().unwrap());
        own.close().await;
        adopted.close().await;
        adopted_unix.close().await;
        for theirs in [duplicate, given] {
            theirs.set_nonblocking(false).unwrap();
            let peer = Peer::connect(theirs.local_addr().unwrap()).unwrap();
            assert_eq!(theirs.accept().unwrap().1, peer.local_addr().unwrap());
        }
        let _peer =
            std::os::unix::net::UnixStream::connect_addr(&unix.local_addr().unwrap()).unwrap();
    });
}
