//! The limits of a server: connections of each peer and in all, idle connections, and peers that do
//! not take what is sent.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream as Peer};
use std::rc::Rc;
use std::time::{Duration, Instant};
use std::{
    cell::{Cell, RefCell},
    fs,
    pin::pin,
};

use annulus::blocking::to_thread;
use annulus::net::{
    ListenOptions, Polled, ServerOptions, StreamReader, StreamWriter, TcpListener, TcpStream,
    UnixListener, UnixStream, WhenFull, start_server_on, start_server_with, start_stream_server_on,
};
use annulus::time::{sleep, timeout};
use annulus::{Runtime, metrics, raw_os_error};
use socket2::{Domain, SockRef, Socket, Type};

use crate::common::incidents::Incidents;
use crate::common::patience::{limit, multiplier, patient};
use crate::common::poll::{once, times, until};
use crate::common::polled::write;
use crate::common::skip::build_or_skip;
use crate::common::watchdog::{block_on, run};

/// Short, and much longer than the loop takes for what these tests do.
const SOON: Duration = Duration::from_millis(200);

async fn echo(mut reader: StreamReader, mut writer: StreamWriter) -> std::io::Result<()> {
    loop {
        let line = reader.read_line().await?;
        if line.is_empty() {
            return Ok(());
        }
        writer.write(line).await?;
    }
}

/// A client with this address of its own.
fn client(from: [u8; 4], to: SocketAddr) -> Peer {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let from = SocketAddr::new(IpAddr::V4(Ipv4Addr::from(from)), 0);
    socket.bind(&from.into()).unwrap();
    socket.connect(&to.into()).unwrap();
    socket.set_read_timeout(Some(limit())).unwrap();
    socket.into()
}

/// What the client reads when the server has ended the connection.
fn end(mut client: Peer) -> std::io::Result<usize> {
    client.read(&mut [0])
}

/// Waits for a connection's end without blocking the loop.
async fn ended(client: Peer) -> std::io::Result<usize> {
    to_thread(move || end(client)).await.unwrap()
}

fn is_reset(ended: &std::io::Result<usize>) -> bool {
    ended.as_ref().is_err_and(|error| error.kind() == ErrorKind::ConnectionReset)
}

#[test]
fn a_connection_beyond_its_peers_limit_is_reset_and_other_peers_are_served() {
    let heard = Incidents::default();
    block_on(&heard.runtime(), async {
        let options = ServerOptions::new().max_connections_per_peer(2);
        let server = start_server_with(echo, "127.0.0.1:0", &options).await.unwrap();
        let address = server.local_addrs()[0];
        let mut two: Vec<_> = (0..2).map(|_| client([127, 0, 0, 2], address)).collect();
        until(|| server.active_connections() == 2).await;
        let third = ended(client([127, 0, 0, 2], address)).await;
        assert!(is_reset(&third), "{third:?}");
        assert_eq!(metrics().refused_peer_connections, 1);
        let _other = client([127, 0, 0, 3], address);
        until(|| server.active_connections() == 3).await;
        two.pop();
        until(|| server.active_connections() == 2).await;
        let _next = client([127, 0, 0, 2], address);
        until(|| server.active_connections() == 3).await;
        assert_eq!(metrics().refused_peer_connections, 1);
    });
    assert_eq!(heard.take_messages(), <[String; 0]>::default());
}

#[test]
fn peers_without_an_address_are_not_limited() {
    run(async {
        let name = format!("\0annulus-limits-{}", std::process::id());
        let listener = UnixListener::bind(&name).unwrap();
        let options = ServerOptions::new().max_connections_per_peer(1);
        let wait = async |mut reader: StreamReader<UnixStream>, _| reader.read(1).await.map(drop);
        let server = start_server_on(wait, [listener], &options).unwrap();
        let mut clients = Vec::new();
        for _ in 0..3 {
            clients.push(UnixStream::connect(&name).await.unwrap());
        }
        until(|| server.active_connections() == 3).await;
    });
}

#[test]
fn a_full_server_resets_further_connections_if_it_is_told_to() {
    let heard = Incidents::default();
    block_on(&heard.runtime(), async {
        let options = ServerOptions::new().max_connections(2).when_full(WhenFull::Reset);
        let server = start_server_with(echo, "127.0.0.1:0", &options).await.unwrap();
        let address = server.local_addrs()[0];
        let two: Vec<_> = (0..2).map(|_| Peer::connect(address).unwrap()).collect();
        until(|| server.active_connections() == 2).await;
        for _ in 0..3 {
            let refused = ended(client([127, 0, 0, 1], address)).await;
            assert!(is_reset(&refused), "{refused:?}");
        }
        assert_eq!(metrics().refused_connections, 3);
        drop(two);
        until(|| server.active_connections() == 0).await;
        let mut served = client([127, 0, 0, 1], address);
        served.write_all(b"hello\n").unwrap();
        let line = to_thread(move || {
            let mut line = [0; 6];
            served.read_exact(&mut line).map(|()| line)
        });
        assert_eq!(line.await.unwrap().unwrap(), *b"hello\n");
    });
    assert_eq!(heard.count(), 0);
}

/// A handler that keeps the error of its connection.
type Errors = Rc<RefCell<Vec<std::io::Error>>>;

fn is_timed_out(errors: &Errors) -> bool {
    errors.borrow().iter().all(|error| {
        error.kind() == ErrorKind::TimedOut && raw_os_error(error) == Some(libc::ETIMEDOUT)
    })
}

/// The runtimes on whose connections the limits must hold: with descriptors of the process, and
/// with direct ones.
fn runtimes(heard: &Incidents) -> Vec<Runtime> {
    let its = heard.clone();
    let direct =
        Runtime::builder().direct_descriptors(16).on_incident(move |incident| its.report(incident));
    [Some(heard.runtime()), build_or_skip(direct)].into_iter().flatten().collect()
}

#[test]
fn an_idle_connection_ends_and_one_with_some_traffic_does_not() {
    let heard = Incidents::default();
    for runtime in runtimes(&heard) {
        block_on(&runtime, async {
            let errors = Errors::default();
            let met = Rc::clone(&errors);
            let handler = async move |reader: StreamReader, writer: StreamWriter| {
                let outcome = echo(reader, writer).await;
                if let Err(error) = &outcome {
                    let copy = std::io::Error::from_raw_os_error(raw_os_error(error).unwrap_or(0));
                    met.borrow_mut().push(copy);
                }
                outcome
            };
            let options = ServerOptions::new().idle_timeout(SOON);
            let server = start_server_with(handler, "127.0.0.1:0", &options).await.unwrap();
            let address = server.local_addrs()[0];
            let mut busy = TcpStream::connect(address).await.unwrap();
            let mut idle = client([127, 0, 0, 1], address);
            idle.write_all(b"hello\n").unwrap();
            until(|| server.active_connections() == 2).await;
            let pings = annulus::spawn(async move {
                loop {
                    busy.write_all("ping\n").await.0?;
                    busy.read_exact(vec![0; 5].into_boxed_slice()).await.0?;
                    sleep(SOON / 20).await;
                }
                #[allow(unreachable_code)]
                std::io::Result::Ok(())
            });
            let began = Instant::now();
            let read = to_thread(move || {
                let mut all = Vec::new();
                idle.read_to_end(&mut all).map(|_| all)
            });
            assert_eq!(read.await.unwrap().expect("it ends in order"), b"hello\n");
            assert!(began.elapsed() >= SOON);
            // The other one has lived twice as long then.
            sleep(began.elapsed()).await;
            assert!(!pings.is_finished());
            until(|| server.active_connections() == 1).await;
            assert!(errors.borrow().len() == 1 && is_timed_out(&errors), "{errors:?}");
            assert_eq!((metrics().idle_timeouts, metrics().peer_disconnects), (1, 1));
        });
    }
    assert_eq!(heard.take_messages(), <[String; 0]>::default());
}

/// Nothing is sent to it: what it sends must count.
#[test]
fn a_peer_that_only_sends_is_not_idle() {
    run(async {
        let handler = async |mut reader: StreamReader, _: StreamWriter| {
            while !reader.read(100).await?.is_empty() {}
            std::io::Result::Ok(())
        };
        let options = ServerOptions::new().idle_timeout(SOON);
        let server = start_server_with(handler, "127.0.0.1:0", &options).await.unwrap();
        let mut client = TcpStream::connect(server.local_addrs()[0]).await.unwrap();
        let began = Instant::now();
        while began.elapsed() < SOON * 3 {
            client.write_all("x").await.0.unwrap();
            sleep(SOON / 20).await;
        }
        assert_eq!((server.active_connections(), metrics().idle_timeouts), (1, 0));
    });
}

/// Its requests are many, and it reads none of the answers.
async fn never_reads(address: SocketAddr) -> TcpStream {
    let mut client = TcpStream::connect(address).await.unwrap();
    client.set_recv_buffer_size(4096).unwrap();
    client.write_all("more\n").await.0.unwrap();
    client
}

#[test]
fn a_peer_that_takes_nothing_is_reset_and_the_write_fails() {
    let heard = Incidents::default();
    for runtime in runtimes(&heard) {
        block_on(&runtime, async {
            let errors = Errors::default();
            let met = Rc::clone(&errors);
            let handler = async move |_: StreamReader, mut writer: StreamWriter| loop {
                if let Err(error) = writer.write(vec![0; 100_000]).await {
                    met.borrow_mut().push(error);
                    return;
                }
            };
            let options = ServerOptions::new().send_timeout(SOON);
            let server = start_server_with(handler, "127.0.0.1:0", &options).await.unwrap();
            let mut client = never_reads(server.local_addrs()[0]).await;
            until(|| server.active_connections() == 1).await;
            until(|| server.active_connections() == 0).await;
            assert!(errors.borrow().len() == 1 && is_timed_out(&errors), "{errors:?}");
            assert_eq!(metrics().send_timeouts, 1);
            let read = async {
                while client.read(Vec::with_capacity(1 << 20)).await.into_result()?.0 > 0 {}
                std::io::Result::Ok(())
            };
            assert_eq!(read.await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        });
    }
    assert_eq!(heard.count(), 0);
}

#[test]
fn what_a_handler_has_left_for_a_peer_that_takes_nothing_ends_in_time() {
    run(async {
        let handler = async |_: StreamReader, mut writer: StreamWriter| {
            writer.write_nowait(vec![0; 20_000_000]).unwrap();
        };
        let options = ServerOptions::new().send_timeout(SOON);
        let server = start_server_with(handler, "127.0.0.1:0", &options).await.unwrap();
        let _client = never_reads(server.local_addrs()[0]).await;
        until(|| server.active_connections() == 1).await;
        until(|| server.active_connections() == 0).await;
        assert_eq!(metrics().send_timeouts, 1);
    });
}

/// The handler has the connection itself, and the limits see what polls have left.
#[test]
fn what_a_dropped_polled_stream_has_left_for_a_peer_that_takes_nothing_ends_in_time() {
    run(async {
        let handler = async |stream: TcpStream| {
            let mut polled = Polled::new(stream);
            // More polls than a turn has. Where they take long, the limit has ended it by then.
            let has_ended = loop {
                match times(1000, write(&mut polled, &[0; 4000])).await {
                    Some(Ok(_)) => {}
                    other => break other.is_some(),
                }
            };
            assert!(has_ended || polled.unsent() > 0);
        };
        let options = ServerOptions::new().send_timeout(SOON);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = start_stream_server_on(handler, [listener], &options).unwrap();
        let _client = never_reads(server.local_addrs()[0]).await;
        until(|| server.active_connections() == 1).await;
        until(|| server.active_connections() == 0).await;
        assert_eq!(metrics().send_timeouts, 1);
    });
}

/// In /proc/net/tcp a connection that waits for the peer to take the rest is in FIN_WAIT1.
fn kernel_still_sends(from: u16) -> bool {
    let port = format!(":{from:04X} ");
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    table.lines().any(|line| {
        let local = line.split_whitespace().nth(1).unwrap_or_default();
        format!("{local} ").ends_with(&port) && line.split_whitespace().nth(3) == Some("04")
    })
}

/// The connection is released, and the kernel alone holds what the peer does not take.
#[test]
fn the_kernel_does_not_keep_for_ever_what_the_peer_does_not_take() {
    run(async {
        let handler = async |mut reader: StreamReader, mut writer: StreamWriter| {
            reader.read_line().await?;
            writer.set_send_buffer_size(200_000)?;
            writer.write(vec![0; 150_000]).await?;
            writer.flush().await
        };
        let options = ServerOptions::new().send_timeout(SOON);
        let server = start_server_with(handler, "127.0.0.1:0", &options).await.unwrap();
        let address = server.local_addrs()[0];
        let began = Instant::now();
        let _client = never_reads(address).await;
        until(|| server.active_connections() == 1).await;
        until(|| server.active_connections() == 0).await;
        let still = kernel_still_sends(address.port());
        assert!(still || began.elapsed() >= SOON, "the kernel has given up early");
        let gone = async {
            while kernel_still_sends(address.port()) {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(patient(Duration::from_secs(20)), gone).await.expect("the kernel keeps it");
    });
}

#[test]
fn a_peer_that_drips_is_reset_if_there_is_a_rate() {
    run(async {
        let handler = async |_: StreamReader, mut writer: StreamWriter| {
            writer.set_send_buffer_size(16_384)?;
            loop {
                writer.write(vec![0; 10_000]).await?;
            }
            #[allow(unreachable_code)]
            std::io::Result::Ok(())
        };
        let options = ServerOptions::new().send_timeout(SOON * 10).min_send_rate(1_000_000_000);
        let server = start_server_with(handler, "127.0.0.1:0", &options).await.unwrap();
        let mut client = TcpStream::connect(server.local_addrs()[0]).await.unwrap();
        client.set_recv_buffer_size(16_384).unwrap();
        // Each time it takes enough to open its window again.
        let mut taken = 0;
        while client.read_exact(vec![0; 16_384].into_boxed_slice()).await.0.is_ok() {
            taken += 1;
            assert!(taken < 1_000 * multiplier(), "it may drip for ever");
            sleep(SOON / 10).await;
        }
        assert_eq!(metrics().send_timeouts, 1);
    });
}

#[test]
fn idle_and_slow_peers_of_unix_sockets_end_too() {
    run(async {
        let name = format!("\0annulus-slow-{}", std::process::id());
        let listener = UnixListener::bind(&name).unwrap();
        let options = ServerOptions::new().idle_timeout(SOON).send_timeout(SOON / 2);
        let handler = async |mut reader: StreamReader<UnixStream>,
                             mut writer: StreamWriter<UnixStream>| {
            reader.read(1).await?;
            loop {
                writer.write(vec![0; 100_000]).await?;
            }
            #[allow(unreachable_code)]
            std::io::Result::Ok(())
        };
        let server = start_server_on(handler, [listener], &options).unwrap();
        let mut slow = UnixStream::connect(&name).await.unwrap();
        slow.write_all("x").await.0.unwrap();
        let _idle = UnixStream::connect(&name).await.unwrap();
        until(|| server.active_connections() == 2).await;
        until(|| server.active_connections() == 0).await;
        assert_eq!((metrics().idle_timeouts, metrics().send_timeouts), (1, 1));
    });
}

#[test]
fn connections_inherit_the_bound_of_what_the_kernel_keeps() {
    run(async {
        let seen = Rc::new(RefCell::new(None));
        let its = Rc::clone(&seen);
        let handler = async move |reader: StreamReader, _: StreamWriter| {
            *its.borrow_mut() = SockRef::from(reader.get_ref()).tcp_user_timeout().unwrap();
        };
        let options = ServerOptions::new().send_timeout(Duration::from_secs(3));
        let server = start_server_with(handler, "127.0.0.1:0", &options).await.unwrap();
        let _client = Peer::connect(server.local_addrs()[0]).unwrap();
        until(|| seen.borrow().is_some()).await;
        assert_eq!(seen.take(), Some(Duration::from_secs(7)));
    });
}

#[test]
fn a_server_with_limits_that_never_pass_serves() {
    run(async {
        let options = ServerOptions::new().send_timeout(Duration::MAX).idle_timeout(Duration::MAX);
        let server = start_server_with(echo, "127.0.0.1:0", &options).await.unwrap();
        let client = Peer::connect(server.local_addrs()[0]).unwrap();
        let answer = to_thread(move || {
            (&client).write_all(b"x\n").unwrap();
            end(client)
        });
        assert_eq!(answer.await.unwrap().unwrap(), 1);
    });
}

#[test]
fn connections_inherit_the_sizes_of_the_kernels_buffers() {
    run(async {
        let seen = Rc::new(RefCell::new(None));
        let its = Rc::clone(&seen);
        let handler = async move |reader: StreamReader, _: StreamWriter| {
            let socket = SockRef::from(reader.get_ref());
            let sizes = (socket.send_buffer_size().unwrap(), socket.recv_buffer_size().unwrap());
            *its.borrow_mut() = Some(sizes);
        };
        let listen = ListenOptions::new().send_buffer_size(10_000).recv_buffer_size(20_000);
        let options = ServerOptions::new().listen(listen);
        let server = start_server_with(handler, "127.0.0.1:0", &options).await.unwrap();
        let _client = Peer::connect(server.local_addrs()[0]).unwrap();
        until(|| seen.borrow().is_some()).await;
        // The kernel doubles them.
        assert_eq!(seen.take(), Some((20_000, 40_000)));
    });
}

#[test]
fn a_writer_waits_at_the_limit_of_its_server() {
    run(async {
        let queued = Rc::new(Cell::new(0));
        let its = Rc::clone(&queued);
        // Without a turn of the loop nothing is sent.
        let handler = async move |_: StreamReader, mut writer: StreamWriter| {
            while once(pin!(writer.write([0; 100]))).await.is_ready() {
                its.set(its.get() + 100);
            }
        };
        let options = ServerOptions::new().writer_limit(1000);
        let server = start_server_with(handler, "127.0.0.1:0", &options).await.unwrap();
        let _client = Peer::connect(server.local_addrs()[0]).unwrap();
        until(|| queued.get() > 0 && server.active_connections() == 0).await;
        assert_eq!(queued.get(), 1000);
    });
}

/// The task that looks at the connections must not keep a loop without any awake, nor live longer
/// than the server.
#[test]
fn a_server_without_connections_sets_no_timer() {
    run(async {
        let options = ServerOptions::new().idle_timeout(SOON);
        let server = start_server_with(echo, "127.0.0.1:0", &options).await.unwrap();
        annulus::yield_now().await;
        assert_eq!(metrics().timers, 0);
        let client = Peer::connect(server.local_addrs()[0]).unwrap();
        until(|| metrics().timers == 1).await;
        drop(client);
        until(|| server.active_connections() == 0).await;
        let without = async {
            while metrics().timers > 1 {
                sleep(SOON).await;
            }
        };
        timeout(limit(), without).await.unwrap();
        server.close();
        server.wait_closed().await;
    });
}
