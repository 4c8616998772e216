//! A connection: its requests, one after another, and their responses in the same order.

use std::io;

use annulus::io::ReadError;
use annulus::net::{StreamReader, StreamWriter};
use annulus::time::timeout;

use super::Context;
use super::body::{self, Fault};
use super::limits;
use super::request::Request;
use super::response::{Response, Status};
use super::routes;

/// How much of what a client still sends is read before its connection is closed, and for how long.
const LINGER_BYTES: usize = 256 * 1024;
const LINGER_TIME: std::time::Duration = std::time::Duration::from_secs(1);

/// Serves a connection to its end.
pub(crate) async fn serve(
    mut reader: StreamReader,
    mut writer: StreamWriter,
    context: &Context,
) -> io::Result<()> {
    loop {
        let request = match next_request(&mut reader, &mut writer, context).await {
            Ok(Some((request, body))) => {
                context.requests.set(context.requests.get() + 1);
                (request, body)
            }
            Ok(None) => return Ok(()),
            Err(Fault::Broken(error)) => return Err(error),
            Err(Fault::Refused(status)) => {
                Response::of(status).write(&mut writer, false, true).await?;
                return linger(reader, writer).await;
            }
        };
        let (request, body) = request;
        let response = routes::answer(&request, body, context).await;
        let is_stopping = context.shard.shutdown().is_requested();
        let closes = !request.keeps_alive || is_stopping;
        response.write(&mut writer, request.method == "HEAD", closes).await?;
        if closes {
            return linger(reader, writer).await;
        }
    }
}

/// The next request with its body. `None` if there is none: the client has closed the connection,
/// or it was idle for too long or at the end of the server.
async fn next_request(
    reader: &mut StreamReader,
    writer: &mut StreamWriter,
    context: &Context,
) -> Result<Option<(Request, Vec<u8>)>, Fault> {
    let Some(head) = next_head(reader, context).await? else { return Ok(None) };
    let request = Request::parse(&head)?;
    drop(head);
    let limits = &context.limits;
    if request.expects_continue && reader.buffer().is_empty() && fits(&request, limits.body) {
        writer.write("HTTP/1.1 100 Continue\r\n\r\n").await?;
    }
    let body = body::read(reader, request.framing, limits.body);
    match timeout(limits.body_time, body).await {
        Ok(body) => Ok(Some((request, body?))),
        Err(_) => Err(Status::RequestTimeout.into()),
    }
}

/// Whether a body that the client waits to send may be sent.
fn fits(request: &Request, max: usize) -> bool {
    match request.framing {
        super::request::Framing::Length(length) => length <= max as u64,
        super::request::Framing::Chunked => true,
    }
}

async fn next_head(
    reader: &mut StreamReader,
    context: &Context,
) -> Result<Option<annulus::buf::Lease>, Fault> {
    let (limits, shutdown) = (&context.limits, context.shard.shutdown());
    // An idle connection holds nothing, and ends without an answer.
    let begun = shutdown.run_until_requested(timeout(limits.idle, reader.fill())).await;
    let Some(Ok(begun)) = begun else { return Ok(None) };
    if begun?.is_empty() {
        return Ok(None);
    }
    let ends: [&[u8]; 2] = [b"\r\n\r\n", b"\n\n"];
    match timeout(limits.head, reader.read_until_any(&ends)).await {
        Ok(Ok(head)) => Ok(Some(head)),
        Err(_) => Err(Status::RequestTimeout.into()),
        Ok(Err(ReadError::LimitOverrun { .. })) => Err(overrun(reader.buffer()).into()),
        Ok(Err(error)) => Err(Fault::Broken(error.into())),
    }
}

/// What is too long about a head: its first line, or all of it.
fn overrun(start: &[u8]) -> Status {
    let has_line = start[..start.len().min(limits::TARGET)].contains(&b'\n');
    if has_line { Status::HeadTooLarge } else { Status::TargetTooLong }
}

/// Closes a connection whose client may still be sending. Closed at once, it would be reset for
/// bytes that were not read, and the client would lose the response.
async fn linger(mut reader: StreamReader, mut writer: StreamWriter) -> io::Result<()> {
    writer.write_eof();
    let rest = async {
        let mut left = LINGER_BYTES;
        while left > 0 {
            match reader.read(left).await {
                Ok(part) if !part.is_empty() => left -= part.len(),
                _ => break,
            }
        }
    };
    let _ = timeout(LINGER_TIME, rest).await;
    Ok(())
}
