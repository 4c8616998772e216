//! The chat room.

use std::net::SocketAddr;

use libc::SIGINT;

use super::{complaint, run};
use crate::common::line_client::LineClient;
use crate::common::program::{Program, example, listening_address};

struct Room {
    program: Program,
    address: SocketAddr,
}

impl Room {
    fn open() -> Self {
        let mut program = Program::start(example("chat").arg("127.0.0.1:0"));
        let line = program.stdout.next().expect("the line that says where it listens");
        Self { program, address: listening_address(&line) }
    }

    /// Lets a guest in, and takes note of the welcome.
    fn enter(&self, name: &str) -> (LineClient, String) {
        let mut guest = LineClient::connect(self.address);
        assert_eq!(guest.receive(), "Who are you?");
        let welcome = guest.ask(name);
        (guest, welcome)
    }
}

#[test]
fn what_one_says_all_others_hear_in_order() {
    let room = Room::open();
    let (mut ada, welcome) = room.enter("ada");
    assert_eq!(welcome, "* here is no other guest");
    let (mut bob, welcome) = room.enter("bob");
    assert_eq!(welcome, "* here is ada");
    assert_eq!(ada.receive(), "* bob has come");
    let (_, refused) = room.enter("bob");
    assert_eq!(refused, "* that name is taken, or none");
    for n in 0..100 {
        ada.send(&format!("line {n}"));
    }
    for n in 0..100 {
        assert_eq!(bob.receive(), format!("ada: line {n}"));
    }
    drop(bob);
    assert_eq!(ada.receive(), "* bob has left");
}

#[test]
fn many_guests_hear_the_end() {
    let mut room = Room::open();
    let mut guests = Vec::<LineClient>::new();
    for n in 0..50 {
        let (guest, _) = room.enter(&format!("guest {n}"));
        for other in &mut guests {
            assert_eq!(other.receive(), format!("* guest {n} has come"));
        }
        guests.push(guest);
    }
    room.program.child.signal(SIGINT);
    for guest in &mut guests {
        let mut line = guest.receive();
        while line.ends_with("has left") {
            line = guest.receive();
        }
        assert_eq!(line, "* the room is closed");
    }
    drop(guests);
    let ended = room.program.ended();
    assert!(ended.status.success(), "{ended:?}");
    assert_eq!(ended.stdout, ["50 left, 0 were cut"]);
}

#[test]
fn a_port_in_use_is_explained() {
    let room = Room::open();
    let address = room.address.to_string();
    let line = complaint("chat", &run("chat", &[&address]), 1);
    assert!(line.contains(&format!("listen on {address}: ")), "{line}");
}
