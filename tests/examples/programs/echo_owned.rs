//! The echo server whose connections own their buffers.

use std::io::{Read, Write};
use std::net::Shutdown;

use libc::SIGINT;

use crate::common::program::{Program, connect, example, exchange, listening_address};

#[test]
fn bytes_and_ends_come_back_from_connections_that_own_their_buffers() {
    let mut program = Program::start(example("echo_owned").arg("127.0.0.1:0"));
    let line = program.stdout.next().expect("the line that says where it listens");
    let mut clients: Vec<_> = (0..10).map(|_| connect(listening_address(&line))).collect();
    for client in &mut clients {
        exchange(client);
    }
    let mut client = clients.pop().unwrap();
    client.write_all(&[7; 100_000]).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).unwrap();
    assert_eq!(answer, [7; 100_000]);
    exchange(&mut clients[0]);
    program.child.signal(SIGINT);
    let status = program.ended().status;
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(SIGINT));
}
