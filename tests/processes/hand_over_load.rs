//! A server that is replaced three times while a client program connects continuously: no
//! connection is refused or reset, and no answer is cut.
//!
//! Each generation has two shards, which listen on sockets of their own: two that share a port,
//! with IPv6 as well, and one of them at a path. Each hands over when it has answered some
//! requests, and ends; the last one ends with its input, which all of them share.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener as StdUnixListener;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use std::{env, fs, mem, thread};

use annulus::net::{
    Connection, Listener, Listening, ServerOptions, StreamReader, StreamWriter, TcpListener,
    UnixListener, start_server_on,
};
use annulus::service::{self, InheritedSocket, ListeningSockets, hand_over};
use annulus::shards::Shard;
use annulus::time::sleep;
use annulus::{Shards, Shutdown};
use socket2::{Domain, Socket, Type};

use crate::common::bounded::bounded;
use crate::common::child;
use crate::common::patience::limit;
use crate::common::program::Program;
use crate::common::skip::skip;
use crate::this_test;

const SHARDS: usize = 2;
/// The generation that is not replaced.
const LAST: u32 = 3;
/// After how many answers a generation hands over.
const ANSWERS: usize = 200;

type NamedSockets = Vec<(String, OwnedFd)>;

static ANSWERED: AtomicUsize = AtomicUsize::new(0);
static STARTED: AtomicUsize = AtomicUsize::new(0);
static INPUT_ENDED: AtomicBool = AtomicBool::new(false);

/// One more listener on a port, or the first one on any.
fn listen(address: SocketAddr) -> Socket {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
    socket.set_reuse_port(true).unwrap();
    socket.bind(&address.into()).unwrap();
    socket.listen(1024).unwrap();
    socket
}

/// The sockets of the first generation, as (name and shard). Prints their addresses.
fn bind_all(path: &str) -> NamedSockets {
    let mut sockets = vec![("unix 0".into(), StdUnixListener::bind(path).unwrap().into())];
    eprintln!("{path}");
    for (host, family) in [(Ipv4Addr::LOCALHOST.into(), "v4"), (Ipv6Addr::LOCALHOST.into(), "v6")] {
        if family == "v6" && crate::common::skip::lacks_ipv6() {
            continue;
        }
        let first = listen(SocketAddr::new(host, 0));
        let address = first.local_addr().unwrap().as_socket().unwrap();
        eprintln!("{} {}", address.ip(), address.port());
        sockets.push((format!("{family} 0"), first.into()));
        sockets.push((format!("{family} 1"), listen(address).into()));
    }
    eprintln!("listening");
    sockets
}

/// Answers with what was asked and a tail, in two parts with a pause, so that there always are
/// answers of which a part is missing.
async fn answer<S: Connection>(
    mut reader: StreamReader<S>,
    mut writer: StreamWriter<S>,
) -> io::Result<()> {
    let line = reader.read_line().await?;
    let number = std::str::from_utf8(&line).unwrap().trim_end();
    writer.write(format!("{number}:")).await?;
    writer.drain().await?;
    sleep(Duration::from_millis(2)).await;
    writer.write("0123456789abcdef".repeat(2048)).await?;
    ANSWERED.fetch_add(1, Ordering::Relaxed);
    Ok(())
}

/// Serves on the listeners of a kind until the shutdown, and returns how many connections were
/// aborted.
async fn serve<L: Listener + Listening>(
    listeners: Vec<(String, L)>,
    sockets: &ListeningSockets,
    shutdown: &Shutdown,
) -> usize {
    for (name, listener) in &listeners {
        sockets.add(name, listener).unwrap();
    }
    let listeners = listeners.into_iter().map(|(_, listener)| listener);
    let server = start_server_on(answer, listeners, &ServerOptions::new()).unwrap();
    STARTED.fetch_add(1, Ordering::SeqCst);
    shutdown.requested().await;
    server.shutdown(limit()).await.aborted
}

/// Prints a line in one piece: two generations print at the same time.
fn say(line: &str) {
    io::stderr().write_all(format!("{line}\n").as_bytes()).unwrap();
}

/// Waits for what the other shard does.
async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        sleep(Duration::from_millis(1)).await;
    }
}

/// Replaces this process when it has answered enough, or waits for the end of the input.
async fn succeed(test: &str, number: u32, sockets: &ListeningSockets) {
    until(|| STARTED.load(Ordering::SeqCst) == 2 * SHARDS).await;
    service::ready().unwrap();
    say(&format!("ready {number}"));
    until(|| ANSWERED.load(Ordering::Relaxed) >= ANSWERS || INPUT_ENDED.load(Ordering::Relaxed))
        .await;
    say(&format!("answering {number}"));
    if number < LAST && !INPUT_ENDED.load(Ordering::Relaxed) {
        let mut successor = child::command(test, "generation");
        successor.env("GENERATION", (number + 1).to_string()).stdin(Stdio::inherit());
        hand_over(sockets, successor, limit()).await.unwrap();
    } else {
        until(|| INPUT_ENDED.load(Ordering::Relaxed)).await;
    }
}

fn generation(test: &str) {
    let number: u32 = env::var("GENERATION").unwrap().parse().unwrap();
    thread::spawn(|| {
        io::stdin().read_to_end(&mut Vec::new()).unwrap();
        INPUT_ENDED.store(true, Ordering::Relaxed);
    });
    let given: NamedSockets = match number {
        0 => bind_all(&env::var("SOCKET_PATH").unwrap()),
        _ => {
            let named = |socket: InheritedSocket| (socket.name().to_owned(), socket.into());
            service::listeners().unwrap().into_iter().map(named).collect()
        }
    };
    let (given, sockets) = (Mutex::new(given), ListeningSockets::new());
    let shutdown = Shutdown::new();
    let main = async |shard: Shard| {
        let index = shard.index().to_string();
        let mine: NamedSockets = {
            let mut given = given.lock().unwrap();
            let is_mine = |(name, _): &(String, _)| name.ends_with(&index);
            let (mine, others) = mem::take(&mut *given).into_iter().partition(is_mine);
            *given = others;
            mine
        };
        let (tcp, unix): (Vec<_>, Vec<_>) =
            mine.into_iter().partition(|(name, _)| name.starts_with('v'));
        let tcp = tcp.into_iter().map(|(name, fd)| (name, TcpListener::from(fd))).collect();
        let unix = unix.into_iter().map(|(name, fd)| (name, UnixListener::from(fd))).collect();
        let control = async {
            if shard.index() == 0 {
                succeed(test, number, &sockets).await;
                shutdown.request();
            }
        };
        let (by_tcp, by_unix) =
            (serve(tcp, &sockets, &shutdown), serve::<UnixListener>(unix, &sockets, &shutdown));
        let (by_tcp, by_unix, ()) = futures_util::join!(by_tcp, by_unix, control);
        by_tcp + by_unix
    };
    let aborted = Shards::builder().count(SHARDS).pin(false).run(main).unwrap();
    say(&format!("ended {number}, {} aborted", aborted.iter().sum::<usize>()));
}

#[test]
fn a_server_is_replaced_three_times_under_load_and_no_client_notices() {
    let test = this_test!();
    if child::role().is_some() {
        return bounded(|| generation(test));
    }
    if Command::new("python3").arg("--version").output().is_err() {
        return skip("python3 is not installed");
    }
    let path = env::temp_dir().join(format!("annulus-hand-over-{}", std::process::id()));
    let mut command = child::command(test, "generation");
    command.env("GENERATION", "0").env("SOCKET_PATH", &path).stdin(Stdio::piped());
    let mut server = Program::start(&mut command);
    let addresses: Vec<_> = server.stderr.by_ref().take_while(|line| line != "listening").collect();
    assert!(addresses.len() >= 2, "{addresses:?}");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/processes/hand_over_client.py");
    let mut client = Command::new("python3");
    let mut client = Program::start(client.arg(script).args(&addresses).stdin(Stdio::piped()));
    let last = format!("answering {LAST}");
    let mut lines: Vec<_> = server.stderr.by_ref().take_while(|line| *line != last).collect();
    client.end_input();
    let client = client.ended();
    server.end_input();
    let ended = server.ended();
    fs::remove_file(&path).expect("the file of the socket is still there");
    assert!(ended.status.success(), "{ended:?}");
    lines.extend(ended.stderr);
    for number in 0..=LAST {
        assert!(lines.contains(&format!("ready {number}")), "{lines:?}\n{client:?}");
        assert!(lines.contains(&format!("ended {number}, 0 aborted")), "{lines:?}\n{client:?}");
    }
    assert!(client.status.success() && client.stderr.is_empty(), "{client:?}");
    let [line] = &*client.stdout else { panic!("{client:?}") };
    let whole: usize = line.strip_suffix(" whole").expect("a count").parse().unwrap();
    assert!(whole >= ANSWERS * LAST as usize, "{whole}");
}
