//! The proxy.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::thread;

use libc::SIGINT;

use super::{complaint, run};
use crate::common::net::refusing;
use crate::common::program::{Echo, Program, connect, example, exchange, listening_address};

fn start(target: SocketAddr) -> (Program, SocketAddr) {
    let mut program = Program::start(example("proxy").args(["127.0.0.1:0", &target.to_string()]));
    let line = program.stdout.next().expect("the line that says where it listens");
    assert!(line.ends_with(&format!("; to {target}")), "{line}");
    (program, listening_address(&line))
}

#[test]
fn bytes_and_eof_go_through_the_proxy_in_both_directions() {
    let echo = Echo::start();
    let (_proxy, address) = start(echo.address);
    let mut clients: Vec<_> = (0..10).map(|_| connect(address)).collect();
    for client in &mut clients {
        exchange(client);
    }
    let mut client = clients.pop().unwrap();
    let sent: Vec<u8> = (0..1 << 20_u32).map(|n| (n % 251) as u8).collect();
    let mut writes = client.try_clone().unwrap();
    let expected = sent.clone();
    let writer = thread::spawn(move || {
        writes.write_all(&sent).unwrap();
        writes.shutdown(Shutdown::Write).unwrap();
    });
    let mut received = Vec::new();
    client.read_to_end(&mut received).unwrap();
    assert!(received == expected);
    writer.join().unwrap();
}

#[test]
fn a_target_that_refuses_is_told_of_and_the_proxy_goes_on() {
    let (_socket, target) = refusing();
    let (mut proxy, address) = start(target);
    for _ in 0..2 {
        let mut client = connect(address);
        assert_eq!(client.read(&mut [0; 1]).unwrap(), 0);
        let line = proxy.stderr.next().unwrap();
        assert!(line.contains(&format!("connect to {target}: ")), "{line}");
    }
    proxy.child.signal(SIGINT);
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&proxy.ended().status), Some(SIGINT));
}

#[test]
fn a_port_in_use_and_too_many_arguments_are_explained() {
    let echo = Echo::start();
    let address = echo.address.to_string();
    let line = complaint("proxy", &run("proxy", &[&address]), 1);
    assert!(line.contains(&format!("listen on {address}: ")), "{line}");
    for wrong in [&["nonsense"][..], &["127.0.0.1:1", "127.0.0.1:"], &["a:1", "b:1", "c:1"]] {
        assert!(complaint("proxy", &run("proxy", wrong), 2).contains("--help"));
    }
}
