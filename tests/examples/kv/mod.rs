//! The store of `examples/kv`: its sessions without any I/O, and the program with real clients.

mod clients;
mod commands;
mod program;
mod protocol;
// Not where Cargo.toml leaves the crate out.
#[cfg(not(any(annulus_loom, annulus_tsan, annulus_unpooled)))]
mod redis_crate;
mod scans;
mod store;

use store::node::{Local, Node, Server};
use store::protocol::Limits;
use store::session::{Progress, Session};

const LIMITS: Limits = Limits { arguments: 1000, request: 100_000, inline: 1000 };

/// A client of a store, in one process and without a socket.
struct Talk {
    node: Node,
    session: Session,
}

impl Talk {
    fn new() -> Self {
        let node = Node::new(Server::new(LIMITS, 1), 0);
        Self { session: Session::new(&node), node }
    }

    /// What the server replies to some bytes, and whether it goes on with the conversation.
    fn send(&mut self, bytes: &[u8]) -> (Vec<u8>, bool) {
        let (mut input, mut replies) = (bytes, Vec::new());
        loop {
            let mut out = Vec::new();
            let progress = self.session.advance(&mut input, &mut Local::new(&self.node, &mut out));
            replies.extend(out);
            match progress {
                Progress::Full => {}
                Progress::NeedsInput => return (replies, true),
                Progress::Over => return (replies, false),
            }
        }
    }

    /// The reply to a request that is typed, with its line ends shown.
    #[track_caller]
    fn say(&mut self, line: &str) -> String {
        let (reply, _) = self.send(format!("{line}\r\n").as_bytes());
        reply.escape_ascii().to_string()
    }
}

/// A request as programs send it.
fn request(arguments: &[&[u8]]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", arguments.len()).into_bytes();
    for argument in arguments {
        bytes.extend(format!("${}\r\n", argument.len()).bytes());
        bytes.extend_from_slice(argument);
        bytes.extend(b"\r\n");
    }
    bytes
}
