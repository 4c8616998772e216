//! The DNS forwarder with `dig`, a client that this project did not write, and a resolver that
//! answers late, wrongly or not at all.

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::process::{Command, Stdio};
use std::thread;

use libc::SIGTERM;

use crate::common::patience::limit;
use crate::common::program::{Program, example, listening_address};
use crate::common::skip::skip;

/// A forwarder that asks `resolver`, and where it listens.
fn forwarder(resolver: SocketAddr, options: &[&str]) -> (Program, SocketAddr) {
    let resolver = resolver.to_string();
    let mut program = Program::start(
        example("dns_forward").args(options).args(["127.0.0.1:0", resolver.as_str()]),
    );
    let line = program.stdout.next().expect("a line");
    let address = listening_address(line.split(',').next().expect("the address"));
    (program, address)
}

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(limit())).unwrap();
    socket
}

/// The answer to a query: 192.0.2.N, where the name begins with the digits of N.
fn answer(query: &[u8]) -> Vec<u8> {
    let length = usize::from(query[12]);
    let number: u8 = std::str::from_utf8(&query[13..13 + length]).unwrap().parse().unwrap();
    let end = query[12..].iter().position(|&byte| byte == 0).unwrap() + 12 + 5;
    let mut answer = query[..end].to_vec();
    answer[2..4].copy_from_slice(&[0x81, 0x80]);
    answer[6..12].copy_from_slice(&[0, 1, 0, 0, 0, 0]);
    answer.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, number]);
    answer
}

/// `dig` for the address of a name; `None` if it is not installed.
fn dig(server: SocketAddr, name: &str) -> Option<std::process::Child> {
    let (ip, port) = (server.ip().to_string(), server.port().to_string());
    let time = format!("+time={}", limit().as_secs().min(60));
    let arguments = ["-p", port.as_str(), name, "A", "+tries=1", time.as_str(), "+nocookie"];
    let started = Command::new("dig")
        .arg(format!("@{ip}"))
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    match started {
        Ok(child) => Some(child),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            skip("dig is not installed (Debian: bind9-dnsutils)");
            None
        }
        Err(error) => panic!("dig: {error}"),
    }
}

fn output(child: std::process::Child) -> String {
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
}

/// The resolver answers the last question first: each client must get its own answer all the same.
#[test]
fn each_client_gets_its_answer_however_the_resolver_orders_them() {
    const CLIENTS: u8 = 8;
    let resolver = socket();
    // It answers when all have asked.
    let options = ["--timeout", "60000"];
    let (program, server) = forwarder(resolver.local_addr().unwrap(), &options);
    let mut clients = Vec::new();
    for number in 0..CLIENTS {
        let Some(client) = dig(server, &format!("{number}.example")) else { return };
        clients.push(client);
    }
    let resolving = thread::spawn(move || {
        let mut queries = Vec::new();
        for _ in 0..CLIENTS {
            let mut query = vec![0; 1500];
            let (count, from) = resolver.recv_from(&mut query).expect("a query");
            query.truncate(count);
            queries.push((query, from));
        }
        let mut ids: Vec<_> = queries.iter().map(|(query, _)| [query[0], query[1]]).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), usize::from(CLIENTS), "each has an id of its own");
        for (query, from) in queries.into_iter().rev() {
            // None of these may reach a client: no answer, an answer to another, a wrong question.
            let mut wrong = answer(&query);
            wrong[14] ^= 1;
            resolver.send_to(&wrong, from).unwrap();
            resolver.send_to(&query, from).unwrap();
            resolver.send_to(&query[..5], from).unwrap();
            resolver.send_to(&answer(&query), from).unwrap();
            resolver.send_to(&answer(&query), from).unwrap();
        }
    });
    for (number, client) in (0..CLIENTS).zip(clients) {
        let printed = output(client);
        assert!(printed.contains(&format!("192.0.2.{number}\n")), "{printed}");
        assert!(printed.contains("status: NOERROR"), "{printed}");
    }
    resolving.join().unwrap();
    program.child.signal(SIGTERM);
    let ended = { program }.ended();
    assert!(ended.status.success(), "{ended:?}");
    assert!(ended.stdout[0].starts_with("stopped: 8 answered, 0 failed"), "{ended:?}");
}

#[test]
fn a_query_fails_when_the_resolver_is_silent_and_when_it_refuses() {
    let silent = socket();
    let (_program, server) = forwarder(silent.local_addr().unwrap(), &["--timeout", "50"]);
    let Some(client) = dig(server, "1.example") else { return };
    let printed = output(client);
    assert!(printed.contains("status: SERVFAIL"), "{printed}");

    let refusing = socket().local_addr().unwrap();
    let (_program, server) = forwarder(refusing, &["--timeout", "60000"]);
    let printed = output(dig(server, "1.example").expect("it was there before"));
    assert!(printed.contains("status: SERVFAIL"), "{printed}");
}

/// A table of one query, which is never answered, and datagrams that are no queries.
#[test]
fn a_full_table_and_malformed_datagrams_harm_nothing() {
    let silent = socket();
    let options = ["--timeout", "60000", "--queries", "1"];
    let (program, server) = forwarder(silent.local_addr().unwrap(), &options);
    let client = socket();
    client.connect(server).unwrap();
    let query = |id: u8| {
        let mut query = vec![0, id, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        query.extend_from_slice(b"\x011\x07example\x00\x00\x01\x00\x01");
        query
    };
    let whole = query(1);
    for length in 0..whole.len() {
        client.send(&whole[..length]).unwrap();
    }
    client.send(&[0xff; 600]).unwrap();
    client.send(&whole).unwrap();
    client.send(&query(2)).unwrap();
    let mut answer = [0; 1500];
    let count = client.recv(&mut answer).expect("the second query is refused");
    assert_eq!((&answer[..4], count), (&[0, 2, 0x81, 0x82][..], whole.len()));
    program.child.signal(SIGTERM);
    let ended = { program }.ended();
    assert!(ended.stdout[0].starts_with("stopped: 0 answered, 1 failed"), "{ended:?}");
}
