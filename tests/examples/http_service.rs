//! The HTTP example as a service: it takes over sockets, and is replaced while clients connect.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

use libc::{SIGHUP, SIGKILL, SIGTERM, pid_t};

use crate::common::program::{Program, connect, example, listening_address, until};
use crate::common::skip::skip;
use crate::http::Http;

const GET_INFO: &[u8] = b"GET /info HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

/// A successor, which is no child of this process. Killed when the test fails.
struct Successor(Option<pid_t>);

impl Successor {
    /// Waits for the line that says that one has taken over.
    fn announced(program: &mut Program) -> Self {
        let line = program.stdout.find_map(|line| {
            let id = line.strip_prefix("handed over to process ")?;
            id.parse().ok()
        });
        Self(Some(line.expect("the server hands over")))
    }

    /// Ends or replaces it: it is not killed any more.
    fn signal(mut self, signal: i32) {
        send(self.0.take().unwrap(), signal);
    }
}

impl Drop for Successor {
    fn drop(&mut self) {
        if let Some(id) = self.0 {
            send(id, SIGKILL);
        }
    }
}

fn send(id: pid_t, signal: i32) {
    // SAFETY: the call touches no memory. The process is a server that ends at a signal only.
    unsafe { libc::kill(id, signal) };
}

/// Connects until both shards have answered, each at its own socket.
fn assert_both_shards_serve(exchange: impl Fn() -> String) {
    let mut shards = HashSet::new();
    // With one socket of two, the same shard would answer each time.
    for _ in 0..500 {
        let answer = exchange();
        let line = answer.lines().find(|line| line.starts_with("shard: "));
        shards.insert(line.unwrap_or_else(|| panic!("{answer:?}")).to_owned());
        if shards.len() == 2 {
            return;
        }
    }
    panic!("one shard has answered all: {shards:?}");
}

fn get_info(address: SocketAddr) -> String {
    let mut stream = connect(address);
    stream.write_all(GET_INFO).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_server_that_gets_sighup_is_replaced_and_no_client_is_refused() {
    if Command::new("python3").arg("--version").output().is_err() {
        return skip("python3 is not installed: apt-get install python3");
    }
    let mut http = Http::start(&["--grace", "50000"]);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples/http_client.py");
    let mut client = Command::new("python3");
    client.arg(script).arg(http.address.port().to_string()).stdin(Stdio::piped());
    let mut client = Program::start(&mut client);
    assert_eq!(client.stdout.next().as_deref(), Some("connecting"));
    // A request that the first server has begun to read.
    let mut busy = http.connect();
    busy.write_all(
        b"POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
    )
    .unwrap();
    busy.read_exact(&mut [0; 25]).unwrap();

    http.program.child.signal(SIGHUP);
    let second = Successor::announced(&mut http.program);
    assert_both_shards_serve(|| http.exchange(GET_INFO));
    busy.write_all(b"hello").unwrap();
    let mut answer = String::new();
    busy.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("Connection: close\r\n") && answer.ends_with("hello"), "{answer}");
    let mut status = None;
    until("the first server has ended", || {
        status = http.program.child.try_wait().unwrap();
        status.is_some()
    });
    assert!(status.unwrap().success(), "{status:?}");
    // From now on, it is the successor that answers.
    assert_both_shards_serve(|| http.exchange(GET_INFO));
    second.signal(SIGHUP);
    let third = Successor::announced(&mut http.program);
    assert_both_shards_serve(|| http.exchange(GET_INFO));

    client.end_input();
    let client = client.ended();
    assert!(client.status.success() && client.stderr.is_empty(), "{client:?}");
    let [line] = &*client.stdout else { panic!("{client:?}") };
    assert!(line.ends_with(" responses, 0 errors") && !line.starts_with("0 "), "{line}");
    third.signal(SIGTERM);
    let ended = http.program.ended();
    assert!(ended.stderr.is_empty(), "{ended:?}");
    assert!(ended.stdout.last().unwrap().starts_with("stopped: "), "{ended:?}");
}

#[test]
fn a_socket_of_systemd_is_served_by_all_shards() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // The shell is replaced by the program, so that the process has the id that it was told.
    let script = "LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" --shards 2 3<&0 </dev/null";
    let mut command = Command::new("sh");
    command.args(["-c", script]).arg(example("http").get_program());
    let mut program = Program::start(command.stdin(OwnedFd::from(listener)));
    // Closes this process's duplicate.
    drop(command);
    let line = program.stdout.next().expect("the line that says where it listens");
    assert_eq!(listening_address(&line), address);
    assert_both_shards_serve(|| get_info(address));
    program.child.signal(SIGTERM);
    assert!(program.ended().status.success());
}
