//! A client of HTTP/2 by hand: it sends frames that no library would.

use std::io::{self, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::common::limit;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const CONTINUATION: u8 = 9;
const SETTINGS: u8 = 4;

/// Of SETTINGS and PING.
const ACK: u8 = 1;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

pub(crate) const NO_ERROR: u32 = 0;
pub(crate) const CANCEL: u32 = 8;
pub(crate) const ENHANCE_YOUR_CALM: u32 = 11;

/// A frame that was received.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) payload: Vec<u8>,
}

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap();
    let mut frame = length.to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// The fields of a GET: the method and the scheme of the static table, the path and a host.
pub(crate) fn get(path: &str) -> Vec<u8> {
    let mut block = vec![0x82, 0x86, 0x04, u8::try_from(path.len()).unwrap()];
    block.extend(path.as_bytes());
    block.extend([0x41, 1, b'a']);
    block
}

pub(crate) struct Client(BufReader<TcpStream>);

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        // Several frames are sent before an answer is waited for.
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(limit())).unwrap();
        stream.set_write_timeout(Some(limit())).unwrap();
        let mut client = Self(BufReader::new(stream));
        client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
        client.send(&frame(SETTINGS, 0, 0, &[])).unwrap();
        client
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.get_mut().write_all(bytes)
    }

    pub(crate) fn request(&mut self, stream: u32, path: &str) {
        self.send(&frame(HEADERS, END_HEADERS | END_STREAM, stream, &get(path))).unwrap();
    }

    /// Waits until the server has handled all that was sent.
    pub(crate) fn ping(&mut self) {
        self.send(&frame(PING, 0, 0, &[0; 8])).unwrap();
        while !matches!(self.next(), Some(Frame { kind: PING, flags: ACK, .. })) {}
    }

    /// The next frame, or `None` at the end. What is to be acknowledged is.
    pub(crate) fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.0.read_exact(&mut head).ok()?;
        let [_, high, low, kind, flags, ..] = head;
        let mut payload = vec![0; usize::from(u16::from_be_bytes([high, low]))];
        self.0.read_exact(&mut payload).ok()?;
        if matches!(kind, SETTINGS | PING) && flags & ACK == 0 {
            let answer = if kind == PING { &payload[..] } else { &[] };
            // It fails if the server has gone, which the next read finds out.
            let _ = self.send(&frame(kind, ACK, 0, answer));
        }
        Some(Frame { kind, flags, payload })
    }

    /// The code of the next GOAWAY.
    pub(crate) fn goaway(&mut self) -> u32 {
        loop {
            let frame = self.next().expect("a GOAWAY before the end");
            if frame.kind == GOAWAY {
                return u32::from_be_bytes(frame.payload[4..8].try_into().unwrap());
            }
        }
    }
}
