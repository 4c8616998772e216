//! The echo example, served to clients that this project did not write, and to ones that vanish.
//!
//! They are `nc` (OpenBSD's) and `socat`: `apt-get install netcat-openbsd socat`. A test whose
//! client is not installed is reported as skipped, with the reason.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use blake3::{Hash, Hasher};
use libc::{SIGINT, SIGKILL};
use socket2::Socket;

use crate::common::patience::limit;
use crate::common::program::{Echo, Guarded, Program, exchange, until};
use crate::common::skip::skip;

/// What a test cannot do without: `None` if it is here, or what is missing.
type Need = fn() -> Option<&'static str>;

/// Whether something is missing; reports a skip if so.
fn lacks<const N: usize>(needs: [Need; N]) -> bool {
    let missing = needs.iter().find_map(|need| need());
    missing.inspect(|missing| skip(missing)).is_some()
}

/// Other netcats have other options.
fn nc() -> Option<&'static str> {
    let help = Command::new("nc").arg("-h").output();
    let is_openbsd = help.is_ok_and(|help| {
        let text = [help.stdout, help.stderr].concat();
        String::from_utf8_lossy(&text).contains("OpenBSD")
    });
    (!is_openbsd).then_some("nc is not installed, or not OpenBSD's: apt-get install netcat-openbsd")
}

fn socat() -> Option<&'static str> {
    let works = Command::new("socat").arg("-V").output().is_ok();
    (!works).then_some("socat is not installed: apt-get install socat")
}

fn ipv6() -> Option<&'static str> {
    let works = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
    (!works).then_some("this machine has no IPv6 loopback address")
}

/// `nc` that ends its side of the connection when its input ends, and waits for the server's end.
fn nc_to(address: SocketAddr) -> Command {
    let mut command = Command::new("nc");
    command.args(["-N", &address.ip().to_string(), &address.port().to_string()]);
    command.stdin(Stdio::piped());
    command
}

/// `socat` that does the same, and waits for the server's end for as long as anything may take.
fn socat_to(address: SocketAddr) -> Command {
    let mut command = Command::new("socat");
    let patience = format!("-t{}", limit().as_secs());
    command.args([&patience, "-", &format!("TCP:{address}")]).stdin(Stdio::piped());
    command
}

#[track_caller]
fn assert_half_close(client: &mut Command) {
    let mut client = Program::start(client);
    client.type_in("hello\nwithout a line end");
    client.end_input();
    let ended = client.ended();
    assert!(ended.status.success(), "{ended:?}");
    assert_eq!(ended.stdout, ["hello", "without a line end"]);
}

/// Asserts that nothing is left of the connections that were, and that the server still serves and
/// stops in good order.
#[track_caller]
fn assert_unscathed(mut echo: Echo, descriptors_before: usize) {
    // Connections are taken in order: when this one has been answered, all have been taken.
    exchange(&mut echo.connect());
    until("as many descriptors as before", || echo.descriptors() == descriptors_before);
    echo.program.child.signal(SIGINT);
    let ended = echo.program.ended();
    assert!(ended.status.success(), "{ended:?}");
    let stopped = ended.stdout.last().expect("how many were cancelled");
    assert!(stopped.ends_with(", 0 cancelled"), "{stopped}");
}

#[test]
fn nc_half_closes_and_gets_all_back() {
    if lacks([nc]) {
        return;
    }
    let echo = Echo::start();
    assert_half_close(&mut nc_to(echo.address));
}

#[test]
fn nc_over_ipv6_half_closes_and_gets_all_back() {
    if lacks([nc, ipv6]) {
        return;
    }
    let echo = Echo::on("[::1]:0");
    assert_half_close(&mut nc_to(echo.address));
}

#[test]
fn socat_half_closes_and_gets_all_back() {
    if lacks([socat]) {
        return;
    }
    let echo = Echo::start();
    assert_half_close(&mut socat_to(echo.address));
}

/// The clients are killed while both sides have bytes in flight.
#[test]
fn nc_killed_in_mid_transfer_leaves_nothing_behind() {
    if lacks([nc]) {
        return;
    }
    const CLIENTS: usize = 8;
    let echo = Echo::start();
    let before = echo.descriptors();
    let mut clients: Vec<Guarded> =
        (0..CLIENTS).map(|_| Guarded::start(nc_to(echo.address).stdout(Stdio::piped()))).collect();
    for client in &mut clients {
        let mut input = client.stdin.take().unwrap();
        // Ends when the client is dead.
        thread::spawn(move || while input.write_all(&[b'x'; 4096]).is_ok() {});
        let mut output = client.stdout.take().unwrap();
        within("the first bytes", move || output.read_exact(&mut [0; 4096]).unwrap());
        client.signal(SIGKILL);
    }
    assert_unscathed(echo, before);
}

#[test]
fn socat_gets_100_megabytes_back_unchanged() {
    if lacks([socat]) {
        return;
    }
    let echo = Echo::start();
    let mut client = Guarded::start(socat_to(echo.address).stdout(Stdio::piped()));
    let mut input = client.stdin.take().unwrap();
    let mut output = client.stdout.take().unwrap();
    let feeder = thread::spawn(move || feed(&mut input, 100_000_000));
    let back = within("100 megabytes", move || digest(&mut output));
    let sent = feeder.join().unwrap();
    assert_eq!(back, sent);
    assert!(client.wait().unwrap().success());
}

/// Writes `total` bytes that do not repeat, and gives their hash.
fn feed(input: &mut impl Write, total: usize) -> Hash {
    let mut random = fastrand::Rng::with_seed(1);
    let mut hasher = Hasher::new();
    let mut chunk = vec![0; 64 * 1024];
    let mut left = total;
    while left > 0 {
        let piece = chunk.len().min(left);
        random.fill(&mut chunk[..piece]);
        hasher.update(&chunk[..piece]);
        input.write_all(&chunk[..piece]).expect("the client reads its input");
        left -= piece;
    }
    hasher.finalize()
}

/// The hash of all that comes.
fn digest(output: &mut impl Read) -> Hash {
    let mut hasher = Hasher::new();
    hasher.update_reader(output).expect("reading from a pipe");
    hasher.finalize()
}

#[test]
fn many_socats_at_once_each_get_their_own_back() {
    if lacks([socat]) {
        return;
    }
    let echo = Echo::start();
    let mut clients: Vec<Program> =
        (0..20).map(|_| Program::start(&mut socat_to(echo.address))).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client.type_in(&format!("client {number}"));
    }
    for (number, client) in clients.iter_mut().enumerate() {
        client.end_input();
        let ended = client.ended();
        assert!(ended.status.success(), "{ended:?}");
        assert_eq!(ended.stdout, [format!("client {number}")]);
    }
}

/// Some of the connections are reset before the server has looked at them, some when the server
/// waits for bytes, some when it waits for room to send, as this side reads nothing.
#[test]
fn a_storm_of_resets_leaves_nothing_behind() {
    let echo = Echo::start();
    let before = echo.descriptors();
    let mut crowd = Vec::new();
    for round in 0..300 {
        let mut stream = echo.connect();
        match round % 3 {
            0 => {}
            1 => exchange(&mut stream),
            _ => fill(&mut stream),
        }
        crowd.push(Socket::from(stream));
        if round % 50 == 49 {
            for socket in crowd.drain(..) {
                socket.set_linger(Some(Duration::ZERO)).unwrap();
            }
        }
    }
    assert_unscathed(echo, before);
}

/// Writes until the server takes no more.
fn fill(stream: &mut TcpStream) {
    stream.set_nonblocking(true).unwrap();
    let stuck = loop {
        if let Err(error) = stream.write(&[b'x'; 64 * 1024]) {
            break error;
        }
    };
    assert_eq!(stuck.kind(), ErrorKind::WouldBlock);
}

/// The result of something that should not take long.
#[track_caller]
fn within<T: Send + 'static>(what: &str, work: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(work()));
    receiver.recv_timeout(limit()).unwrap_or_else(|error| panic!("{what}: {error}"))
}
