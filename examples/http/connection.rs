//! A connection: its requests, one after another, and their responses in the same order.

use std::io;
use std::pin::pin;
use std::time::Duration;

use annulus::io::ReadError;
use annulus::net::{StreamReader, StreamWriter};
use annulus::time::{sleep, timeout};
use futures_util::future::{Either, select};

use super::Context;
use super::body::{self, Fault};
use super::limits;
use super::request::Request;
use super::response::{Response, Status};
use super::routes;

/// How much of what a client still sends is read before its connection is closed, and for how long.
const LINGER_BYTES: usize = 256 * 1024;
const LINGER_TIME: Duration = Duration::from_secs(1);

/// How long the first request of a connection is awaited after the end was requested.
const FIRST_REQUEST: Duration = Duration::from_secs(2);

/// Serves a connection to its end.
pub(crate) async fn serve(
    mut reader: StreamReader,
    mut writer: StreamWriter,
    context: &Context,
) -> io::Result<()> {
    let mut patience = FIRST_REQUEST;
    loop {
        let request = match next_request(&mut reader, &mut writer, context, patience).await {
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
        patience = Duration::ZERO;
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
/// or it was idle for too long, or for `patience` after the end of the server was requested.
async fn next_request(
    reader: &mut StreamReader,
    writer: &mut StreamWriter,
    context: &Context,
    patience: Duration,
) -> Result<Option<(Request, Vec<u8>)>, Fault> {
    let Some(head) = next_head(reader, context, patience).await? else { return Ok(None) };
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
    patience: Duration,
) -> Result<Option<annulus::buf::Lease>, Fault> {
    let limits = &context.limits;
    // A connection that is idle between two requests ends without an answer. The client of a new
    // one relies on an answer: its request may be on the way.
    let ending = async {
        context.shard.shutdown().requested().await;
        sleep(patience).await;
    };
    let begun = match select(pin!(ending), pin!(timeout(limits.idle, reader.fill()))).await {
        Either::Right((begun, _)) => begun.ok(),
        Either::Left(_) => None,
    };
    let Some(begun) = begun else { return Ok(None) };
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
