//! The answer to a request: a file, a range of it, or why there is none.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use annulus::blocking::to_thread;
use annulus::task::ThreadBound;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{
    ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, IF_MODIFIED_SINCE, IF_NONE_MATCH,
    IF_RANGE, LAST_MODIFIED, LOCATION, RANGE, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{Stream, stream};
use percent_encoding::percent_decode_str;

use crate::files::{Directory, Found, Opened};

/// How much of a file is read at a time: enough that the way to another thread does not count.
const CHUNK: u64 = 256 << 10;

pub(crate) async fn answer(
    State(directory): State<Directory>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let Ok(path) = percent_decode_str(uri.path()).decode_utf8() else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let path = path.into_owned();
    // The name of a file may be looked up on a disk, or in a network.
    let found = to_thread(move || directory.find(&path)).await;
    match found.unwrap_or_else(|error| Err(error.into())) {
        Ok(Found::File(opened)) => respond(opened, &method, &headers),
        Ok(Found::Directory) => {
            (StatusCode::PERMANENT_REDIRECT, [(LOCATION, format!("{}/", uri.path()))])
                .into_response()
        }
        Err(error) => status_of(&error).into_response(),
    }
}

/// What the client is told of an error. Files that may not be read are not found, either.
fn status_of(error: &io::Error) -> StatusCode {
    match error.kind() {
        io::ErrorKind::NotFound
        | io::ErrorKind::NotADirectory
        | io::ErrorKind::PermissionDenied
        | io::ErrorKind::InvalidFilename => StatusCode::NOT_FOUND,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

fn respond(opened: Opened, method: &Method, headers: &HeaderMap) -> Response {
    let Opened { file, length, modified, content_type } = opened;
    let modified = modified.and_then(in_seconds);
    let mut response = Response::new(Body::empty());
    let its = response.headers_mut();
    its.insert(ACCEPT_RANGES, "bytes".parse().expect("a header"));
    its.insert(CONTENT_TYPE, content_type.parse().expect("a header"));
    // Browsers must not guess: a text that was uploaded is no script.
    its.insert(X_CONTENT_TYPE_OPTIONS, "nosniff".parse().expect("a header"));
    if let Some(modified) = modified {
        let date = httpdate::fmt_http_date(modified);
        its.insert(LAST_MODIFIED, date.parse().expect("a date is a header"));
    }
    if is_unmodified(headers, modified) {
        its.remove(CONTENT_TYPE);
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return response;
    }
    let range = match range(method, headers, modified, length) {
        Requested::Whole => 0..length,
        Requested::Part(range) => {
            let value = format!("bytes {}-{}/{length}", range.start, range.end - 1);
            its.insert(CONTENT_RANGE, value.parse().expect("numbers are a header"));
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            range
        }
        Requested::Nothing => {
            let value = [(CONTENT_RANGE, format!("bytes */{length}"))];
            return (StatusCode::RANGE_NOT_SATISFIABLE, value).into_response();
        }
    };
    response.headers_mut().insert(CONTENT_LENGTH, (range.end - range.start).into());
    // axum leaves out the body of an answer to HEAD, and reads none of it.
    *response.body_mut() = Body::from_stream(ThreadBound::new(Box::pin(chunks(file, range))));
    response
}

/// A time as HTTP has it: in seconds.
fn in_seconds(time: SystemTime) -> Option<SystemTime> {
    let since = time.duration_since(UNIX_EPOCH).ok()?;
    Some(UNIX_EPOCH + Duration::from_secs(since.as_secs()))
}

fn date(headers: &HeaderMap, name: HeaderName) -> Option<SystemTime> {
    headers.get(name)?.to_str().ok().and_then(|text| httpdate::parse_http_date(text).ok())
}

/// Whether the client has this state of the file. `If-None-Match` takes precedence, and matches
/// none of the entity tags, of which there are none here (RFC 9110, 13.1.3).
fn is_unmodified(headers: &HeaderMap, modified: Option<SystemTime>) -> bool {
    let since = date(headers, IF_MODIFIED_SINCE).filter(|_| !headers.contains_key(IF_NONE_MATCH));
    modified.zip(since).is_some_and(|(modified, since)| modified <= since)
}

/// What of a file is asked for.
enum Requested {
    Whole,
    Part(Range<u64>),
    /// A range that the file does not have.
    Nothing,
}

/// The range that is asked for. What is not understood is ignored (RFC 9110, 14.2), and so are
/// several ranges, which a server need not answer.
fn range(
    method: &Method,
    headers: &HeaderMap,
    modified: Option<SystemTime>,
    length: u64,
) -> Requested {
    let text = headers.get(RANGE).and_then(|value| value.to_str().ok());
    let Some((first, last)) = text.and_then(|it| it.strip_prefix("bytes=")?.split_once('-')) else {
        return Requested::Whole;
    };
    // A part of another state of the file would be appended to what the client has.
    let same_as = date(headers, IF_RANGE);
    let is_same = !headers.contains_key(IF_RANGE) || (same_as.is_some() && same_as == modified);
    if method != Method::GET || !is_same {
        return Requested::Whole;
    }
    let number = |text: &str| {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| text.parse().unwrap_or(u64::MAX))
    };
    let range = match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => first..last.saturating_add(1).min(length),
        (Some(first), None) if last.is_empty() => first..length,
        (None, Some(last)) if first.is_empty() => length.saturating_sub(last)..length,
        _ => return Requested::Whole,
    };
    if range.is_empty() { Requested::Nothing } else { Requested::Part(range) }
}

/// The bytes of a range, read as they are sent.
///
/// A file that has become shorter ends the response with an error, which closes the connection: the
/// client does not take what it has for the whole.
fn chunks(file: File, range: Range<u64>) -> impl Stream<Item = io::Result<Bytes>> {
    let file = Arc::new(file);
    stream::try_unfold(range, move |range| {
        let file = Arc::clone(&file);
        async move {
            if range.is_empty() {
                return Ok(None);
            }
            let end = range.end.min(range.start + CHUNK);
            let read = to_thread(move || {
                let mut bytes = vec![0; usize::try_from(end - range.start).expect("a chunk")];
                file.read_exact_at(&mut bytes, range.start).map(|()| bytes)
            });
            Ok(Some((Bytes::from(read.await??), end..range.end)))
        }
    })
}
