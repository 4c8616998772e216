//! As much as goes through one connection.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use super::watch::{Watch, Window};
use super::{PATIENCE, hung_up};
use crate::contenders::source_block;
use crate::server::Server;

/// How much the load hands to, or takes from, the kernel at once.
const CHUNK: usize = 256 * 1024;

/// What was measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    pub(crate) bytes: u64,
    pub(crate) window: Window,
}

/// Sends to a sink until the time is up, and checks that the sink counted every byte.
///
/// # Errors
///
/// If the connection fails, stops, or the counts differ.
pub(crate) fn send(server: &Server, warm_up: Duration, time: Duration) -> io::Result<Outcome> {
    let mut stream = connect(server)?;
    let chunk = vec![0x5a; CHUNK];
    let before = pass_for(warm_up, || stream.write(&chunk))?;
    let watch = Watch::begin(server)?;
    let bytes = pass_for(time, || stream.write(&chunk))?;
    let window = watch.end()?;
    stream.shutdown(Shutdown::Write)?;
    let mut count = [0; 8];
    stream.read_exact(&mut count)?;
    let (sent, counted) = (before + bytes, u64::from_le_bytes(count));
    if sent == counted {
        return Ok(Outcome { bytes, window });
    }
    let counts = format!("{sent} bytes sent, {counted} received");
    Err(io::Error::new(io::ErrorKind::InvalidData, format!("the counts differ: {counts}")))
}

/// Receives from a source until the time is up, and checks every byte.
///
/// # Errors
///
/// If the connection fails, stops, or a byte differs.
pub(crate) fn receive(server: &Server, warm_up: Duration, time: Duration) -> io::Result<Outcome> {
    let mut stream = connect(server)?;
    let mut chunk = vec![0; CHUNK];
    let block = source_block();
    let mut place = 0;
    let mut take = || {
        let bytes = stream.read(&mut chunk)?;
        let mut rest = &chunk[..bytes];
        while !rest.is_empty() {
            let expected = &block[place..];
            let (now, later) = rest.split_at(expected.len().min(rest.len()));
            if now != &expected[..now.len()] {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a byte differs"));
            }
            place = (place + now.len()) % block.len();
            rest = later;
        }
        Ok(bytes)
    };
    pass_for(warm_up, &mut take)?;
    let watch = Watch::begin(server)?;
    let bytes = pass_for(time, take)?;
    Ok(Outcome { bytes, window: watch.end()? })
}

fn connect(server: &Server) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(server.address())?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Does something until the time is up, and adds up the bytes that it passed on.
fn pass_for(time: Duration, mut pass: impl FnMut() -> io::Result<usize>) -> io::Result<u64> {
    let began = Instant::now();
    let mut total = 0;
    while began.elapsed() < time {
        match pass()? {
            0 => return Err(hung_up()),
            bytes => total += bytes as u64,
        }
    }
    Ok(total)
}
