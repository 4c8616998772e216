//! A client of a server of lines.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};

use super::program::connect;

/// A connection over which lines are sent and received. Neither takes for ever.
pub(crate) struct LineClient(BufReader<TcpStream>);

impl LineClient {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self(BufReader::new(connect(address)))
    }

    pub(crate) fn send(&mut self, line: &str) {
        self.0.get_mut().write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    /// The next line, without its end; empty at EOF.
    pub(crate) fn receive(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// Sends a line, and returns the answer.
    pub(crate) fn ask(&mut self, line: &str) -> String {
        self.send(line);
        self.receive()
    }
}
