//! Bodies of requests: of a known length, or in chunks.

use std::io;

use annulus::io::ReadError;
use annulus::net::StreamReader;

use super::limits;
use super::request::Framing;
use super::response::Status;

/// Why there is no body.
pub(crate) enum Fault {
    /// The client is to be told.
    Refused(Status),
    /// The client is gone.
    Broken(io::Error),
}

impl From<Status> for Fault {
    fn from(status: Status) -> Self {
        Self::Refused(status)
    }
}

impl From<ReadError> for Fault {
    fn from(error: ReadError) -> Self {
        match error {
            // A line that is longer than any of ours.
            ReadError::LimitOverrun { .. } => Self::Refused(Status::BadRequest),
            other => Self::Broken(other.into()),
        }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Broken(error)
    }
}

/// Reads a body of at most `max` bytes.
pub(crate) async fn read(
    reader: &mut StreamReader,
    framing: Framing,
    max: usize,
) -> Result<Vec<u8>, Fault> {
    match framing {
        Framing::Length(length) => {
            let length = usize::try_from(length).ok().filter(|&length| length <= max);
            let length = length.ok_or(Status::BodyTooLarge)?;
            let mut body = Vec::new();
            append(reader, &mut body, length).await?;
            Ok(body)
        }
        Framing::Chunked => read_chunks(reader, max).await,
    }
}

/// Reads a body of this length. Memory is allocated as bytes arrive, not as they are announced.
async fn append(reader: &mut StreamReader, body: &mut Vec<u8>, length: usize) -> Result<(), Fault> {
    let mut left = length;
    while left > 0 {
        let part = reader.read(left).await?;
        if part.is_empty() {
            return Err(Fault::Broken(io::ErrorKind::UnexpectedEof.into()));
        }
        body.extend_from_slice(&part);
        left -= part.len();
    }
    Ok(())
}

async fn read_chunks(reader: &mut StreamReader, max: usize) -> Result<Vec<u8>, Fault> {
    let mut body = Vec::new();
    loop {
        let size = chunk_size(&line(reader, limits::CHUNK_LINE).await?)?;
        if size == 0 {
            break;
        }
        let left = (max - body.len()) as u64;
        let size = Some(size).filter(|&size| size <= left).ok_or(Status::BodyTooLarge)?;
        append(reader, &mut body, size as usize).await?;
        if &*reader.read_exact(2).await? != b"\r\n" {
            return Err(Status::BadRequest.into());
        }
    }
    // Trailer fields are of no use here.
    let mut left = limits::TRAILERS;
    loop {
        let trailer = line(reader, left).await?;
        if trailer.is_empty() {
            return Ok(body);
        }
        left = left.saturating_sub(trailer.len());
    }
}

/// Reads a line, and returns it without its end.
async fn line(reader: &mut StreamReader, max: usize) -> Result<Vec<u8>, Fault> {
    let line = reader.read_until("\r\n").await?;
    let line = &line[..line.len() - 2];
    // A line that another server might take for two.
    if line.len() > max || line.contains(&b'\n') || line.contains(&b'\r') {
        return Err(Status::BadRequest.into());
    }
    Ok(line.to_vec())
}

/// The size of a chunk. Extensions are ignored.
fn chunk_size(line: &[u8]) -> Result<u64, Status> {
    let mut digits = line.split(|&byte| byte == b';').next().unwrap_or_default();
    while let [before @ .., b' ' | b'\t'] = digits {
        digits = before;
    }
    // `from_str_radix` would take a sign, too.
    if digits.is_empty() || digits.len() > 16 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return Err(Status::BadRequest);
    }
    let digits = std::str::from_utf8(digits).expect("digits are text");
    u64::from_str_radix(digits, 16).map_err(|_| Status::BadRequest)
}
