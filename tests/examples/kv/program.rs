//! The program: its arguments, its end, and clients that are slow, silent or greedy.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};

use libc::SIGTERM;

use super::request;
use crate::common::program::{Program, connect, example, listening_address, until};

/// The store as a program, on a free port.
pub(super) struct Kv {
    pub(super) program: Program,
    pub(super) address: SocketAddr,
}

impl Kv {
    /// Starts it with this number of shards.
    pub(super) fn on(shards: usize) -> Self {
        Self::with(&["--shards", &shards.to_string()])
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
    assert_refused(&["--shards", "0"], 2, "0");
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
    for shards in [1, 2] {
        let kv = Kv::on(shards);
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
}

#[test]
fn large_values_come_back_unchanged_and_too_large_ones_are_refused() {
    let kv = Kv::with(&["--max-request", "6000000", "--shards", "2"]);
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
#[cfg_attr(annulus_unpooled, ignore = "a sanitizer's allocator keeps what was freed")]
fn clients_that_never_read_hold_little_memory_and_stop_no_other() {
    const CLIENTS: usize = 20;
    let kv = Kv::on(2);
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
    let kv = Kv::on(2);
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

/// Whatever shard a connection is on, it sees all keys.
#[test]
fn requests_for_keys_of_several_shards_are_answered_as_one() {
    for shards in [1, 2, 3] {
        let kv = Kv::on(shards);
        let mut streams: Vec<_> = (0..8).map(|_| kv.connect()).collect();
        let words = |from: usize| (from..from + 20).map(|n| format!("key:{n}"));
        for (round, stream) in streams.iter_mut().enumerate() {
            let from = round * 20;
            let pairs: String = words(from).map(|key| format!(" {key} {key}")).collect();
            assert_reply(stream, format!("MSET{pairs}\r\n").as_bytes(), b"+OK\r\n");
        }
        for stream in &mut streams {
            assert_reply(stream, b"DBSIZE\r\n", b":160\r\n");
            let keys: Vec<_> = words(150).collect();
            let request = format!("MGET {}\r\n", keys.join(" "));
            let mut expected = "*20\r\n".to_owned();
            for (place, key) in keys.iter().enumerate() {
                if place < 10 {
                    expected += &format!("${}\r\n{key}\r\n", key.len());
                } else {
                    expected += "$-1\r\n";
                }
            }
            assert_reply(stream, request.as_bytes(), expected.as_bytes());
            let request = format!("EXISTS {}\r\n", keys.join(" "));
            assert_reply(stream, request.as_bytes(), b":10\r\n");
        }
        // One pipeline in which the same keys are set, counted, removed and counted again.
        let keys = words(0).collect::<Vec<_>>().join(" ");
        let pipeline = format!(
            "INCR n\r\nDEL {keys}\r\nINCR n\r\nEXISTS {keys}\r\nMSET key:0 a key:1 b\r\nPING\r\n\
             EXISTS {keys}\r\nGET key:1\r\nMSET a\r\nDEL key:1 key:0 key:0\r\nGET n\r\n"
        );
        let expected =
            b":1\r\n:20\r\n:2\r\n:0\r\n+OK\r\n+PONG\r\n:2\r\n$1\r\nb\r\n-ERR wrong number of \
            arguments for 'mset' command\r\n:2\r\n$1\r\n2\r\n";
        for stream in &mut streams {
            assert_reply(stream, b"FLUSHALL\r\nFLUSHALL x\r\n", b"+OK\r\n-ERR syntax error\r\n");
            assert_reply(stream, b"DBSIZE\r\n", b":0\r\n");
            let pairs: String = words(0).map(|key| format!(" {key} {key}")).collect();
            assert_reply(stream, format!("MSET{pairs}\r\n").as_bytes(), b"+OK\r\n");
            assert_reply(stream, pipeline.as_bytes(), expected);
        }
    }
}

/// A pipeline whose replies are far more than one step's, so that each shard executes its part in
/// several.
#[test]
fn large_replies_of_several_shards_come_in_order() {
    let kv = Kv::on(3);
    let mut stream = kv.connect();
    let value = |n: usize| vec![b'a' + (n % 26) as u8; 30_000];
    let (mut requests, mut expected) = (Vec::new(), Vec::new());
    for n in 0..40 {
        let key = format!("key:{n}");
        let set = request(&[b"SET", key.as_bytes(), &value(n)]);
        assert_reply(&mut stream, &set, b"+OK\r\n");
        requests.extend(request(&[b"GET", key.as_bytes()]).repeat(3));
        let reply = [b"$30000\r\n", &*value(n), b"\r\n"].concat();
        expected.extend(reply.repeat(3));
    }
    assert_reply(&mut stream, &requests, &expected);
}

/// Requests that have arrived are answered, and then the program ends, though clients are
/// connected.
#[test]
fn sigterm_ends_the_program_when_no_request_is_left() {
    for shards in [1, 2] {
        let mut kv = Kv::on(shards);
        let mut streams: Vec<_> = (0..6).map(|_| kv.connect()).collect();
        for stream in &mut streams {
            assert_reply(stream, b"PING\r\n", b"+PONG\r\n");
        }
        kv.program.child.signal(SIGTERM);
        let ended = kv.program.ended();
        assert!(ended.status.success() && ended.stderr.is_empty(), "{ended:?}");
        for stream in &mut streams {
            assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0);
        }
    }
}
