//! The program: its arguments, its end, and clients that are slow, silent or greedy.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};

use libc::SIGINT;

use super::request;
use crate::common::program::{Program, connect, example, listening_address, until};

/// The store as a program, on a free port.
pub(super) struct Kv {
    pub(super) program: Program,
    pub(super) address: SocketAddr,
}

impl Kv {
    pub(super) fn start() -> Self {
        Self::with(&[])
    }

    pub(super) fn with(arguments: &[&str]) -> Self {
        let mut program = Program::start(example("kv").args(["--port", "0"]).args(arguments));
        let line = program.stdout.next().expect("the line that says where it listens");
        Self { program, address: listening_address(&line) }
    }

    pub(super) fn connect(&self) -> TcpStream {
        connect(self.address)
    }

    /// The memory that the server has in use, in bytes.
    fn memory(&self) -> usize {
        let path = format!("/proc/{}/status", self.program.child.id());
        let status = std::fs::read_to_string(path).expect("the server runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
        kilobytes.and_then(|number| number.trim().parse::<usize>().ok()).expect("VmRSS") * 1024
    }
}

/// Sends some bytes, and asserts what comes back.
#[track_caller]
pub(super) fn assert_reply(stream: &mut TcpStream, bytes: &[u8], expected: &[u8]) {
    stream.write_all(bytes).unwrap();
    let mut reply = vec![0; expected.len()];
    stream.read_exact(&mut reply).expect("a reply");
    assert!(reply == expected, "{} instead of {}", shown(&reply), shown(expected));
}

fn shown(bytes: &[u8]) -> String {
    bytes[..bytes.len().min(200)].escape_ascii().to_string()
}

/// Asserts that the program ends at once with one line of explanation.
#[track_caller]
fn assert_refused(arguments: &[&str], status: i32, text: &str) {
    let ended = Program::start(example("kv").args(arguments)).ended();
    assert_eq!(ended.status.code(), Some(status), "{ended:?}");
    let [line] = ended.stderr.as_slice() else { panic!("not one line: {ended:?}") };
    assert!(line.starts_with("kv: ") && line.contains(text), "{line}");
}

#[test]
fn wrong_arguments_and_a_port_in_use_are_explained() {
    assert_refused(&["--port", "65536"], 2, "65536");
    assert_refused(&["--port"], 2, "--port");
    assert_refused(&["--bind", "nowhere"], 2, "nowhere");
    assert_refused(&["--max-request", "1"], 2, "--max-request is between");
    assert_refused(&["--nonsense"], 2, "--nonsense");
    assert_refused(&["nonsense"], 2, "nonsense");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    assert_refused(&["--port", &port], 1, &format!("127.0.0.1:{port}"));
    let help = Program::start(example("kv").arg("--help")).ended();
    assert!(help.status.success() && help.stdout.iter().any(|line| line.contains("--port")));
}

#[test]
fn ten_thousand_requests_at_once_are_answered_in_order() {
    let kv = Kv::start();
    let mut stream = kv.connect();
    let (mut requests, mut expected) = (Vec::new(), Vec::new());
    for n in 0..10_000 {
        let (key, value) = (format!("key:{}", n % 100), format!("{n}"));
        requests.extend(request(&[b"SET", key.as_bytes(), value.as_bytes()]));
        requests.extend(request(&[b"GET", key.as_bytes()]));
        expected.extend(format!("+OK\r\n${}\r\n{value}\r\n", value.len()).bytes());
    }
    let mut writes = stream.try_clone().unwrap();
    let writer = std::thread::spawn(move || writes.write_all(&requests).unwrap());
    assert_reply(&mut stream, b"", &expected);
    writer.join().unwrap();
}

#[test]
fn large_values_come_back_unchanged_and_too_large_ones_are_refused() {
    let kv = Kv::with(&["--max-request", "6000000"]);
    let mut stream = kv.connect();
    let mut value = vec![0; 5_000_000];
    fastrand::Rng::with_seed(1).fill(&mut value);
    assert_reply(&mut stream, &request(&[b"SET", b"large", &value]), b"+OK\r\n");
    let expected = [b"$5000000\r\n", &*value, b"\r\n"].concat();
    assert_reply(&mut stream, &request(&[b"GET", b"large"]), &expected);
    let error = b"-ERR Protocol error: invalid bulk length\r\n";
    assert_reply(&mut stream, b"*2\r\n$3\r\nGET\r\n$6000001\r\n", error);
    assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0, "the connection goes on");
    assert_reply(&mut kv.connect(), b"STRLEN large\r\n", b":5000000\r\n");
}

/// Clients that send requests for as long as the server takes them, and read nothing: it must stop
/// to take them, and serve the others.
#[test]
fn clients_that_never_read_hold_little_memory_and_stop_no_other() {
    const CLIENTS: usize = 20;
    let kv = Kv::start();
    let mut honest = kv.connect();
    let value = vec![b'x'; 100_000];
    assert_reply(&mut honest, &request(&[b"SET", b"k", &value]), b"+OK\r\n");
    let before = kv.memory();
    let requests = request(&[b"GET", b"k"]).repeat(1000);
    let mut silent: Vec<_> = (0..CLIENTS).map(|_| kv.connect()).collect();
    for stream in &mut silent {
        stream.set_nonblocking(true).unwrap();
        // 10,000 requests ask for a gigabyte; the socket takes them or not.
        for _ in 0..10 {
            let _ = stream.write(&requests);
        }
    }
    for _ in 0..100 {
        assert_reply(&mut honest, b"STRLEN k\r\n", b":100000\r\n");
    }
    let grown = kv.memory().saturating_sub(before);
    assert!(grown < CLIENTS * 1_000_000, "{grown} bytes for {CLIENTS} clients");
    drop(silent);
    assert_reply(&mut honest, b"PING\r\n", b"+PONG\r\n");
}

#[test]
fn keys_that_no_client_asks_for_are_removed_when_they_expire() {
    let kv = Kv::start();
    let mut stream = kv.connect();
    for n in 0..100 {
        assert_reply(&mut stream, format!("SET {n} v PX 10\r\n").as_bytes(), b"+OK\r\n");
    }
    assert_reply(&mut stream, b"SET stays v\r\n", b"+OK\r\n");
    until("only one key is left", || {
        stream.write_all(b"DBSIZE\r\n").unwrap();
        let mut reply = [0; 6];
        let count = stream.read(&mut reply).unwrap();
        &reply[..count] == b":1\r\n"
    });
}

#[test]
fn ctrl_c_ends_the_program_while_clients_are_connected() {
    let mut kv = Kv::start();
    let mut stream = kv.connect();
    assert_reply(&mut stream, b"PING\r\n", b"+PONG\r\n");
    kv.program.child.signal(SIGINT);
    let _ended = kv.program.ended();
    assert_eq!(stream.read(&mut [0; 1]).unwrap_or(0), 0);
}
