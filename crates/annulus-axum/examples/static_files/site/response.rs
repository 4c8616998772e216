//! The answer to a request: a file, a range of it, or why there is none.

use std::io;
use std::ops::Range;

use annulus::buf::{BufResult, IoBuf};
use annulus::fs::File;
use annulus::task::ThreadBound;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{
    ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, LAST_MODIFIED, LOCATION,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{Stream, stream};
use percent_encoding::percent_decode_str;

use super::conditions::{Wanted, wanted};
use super::files::{Directory, Found, Opened};

/// How much of a file is read at a time.
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
    match directory.find(&path).await {
        Ok(Found::File(opened)) => respond(opened, &method, &headers),
        Ok(Found::Directory) => {
            (StatusCode::PERMANENT_REDIRECT, [(LOCATION, format!("{}/", uri.path()))])
                .into_response()
        }
        Err(error) => status_of(&error).into_response(),
    }
}

/// What the client is told of an error. Files that may not be read, or are outside, are not found,
/// either.
fn status_of(error: &io::Error) -> StatusCode {
    match error.kind() {
        io::ErrorKind::NotFound
        | io::ErrorKind::NotADirectory
        | io::ErrorKind::PermissionDenied
        | io::ErrorKind::InvalidFilename
        | io::ErrorKind::CrossesDevices => StatusCode::NOT_FOUND,
        // A link to itself; and a socket, which cannot be opened.
        _ if matches!(annulus::raw_os_error(error), Some(libc::ELOOP | libc::ENXIO)) => {
            StatusCode::NOT_FOUND
        }
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

fn respond(opened: Opened, method: &Method, headers: &HeaderMap) -> Response {
    let Opened { file, state, content_type } = opened;
    let length = state.length;
    let mut response = Response::new(Body::empty());
    let its = response.headers_mut();
    its.insert(ACCEPT_RANGES, "bytes".parse().expect("a header"));
    // Browsers must not guess: a text that was uploaded is no script.
    its.insert(X_CONTENT_TYPE_OPTIONS, "nosniff".parse().expect("a header"));
    its.insert(ETAG, state.tag.parse().expect("digits are a header"));
    if let Some(modified) = state.modified {
        let date = httpdate::fmt_http_date(modified);
        its.insert(LAST_MODIFIED, date.parse().expect("a date is a header"));
    }
    let range = match wanted(method, headers, &state) {
        Wanted::Whole => 0..length,
        Wanted::Part(range) => {
            let value = format!("bytes {}-{}/{length}", range.start, range.end - 1);
            its.insert(CONTENT_RANGE, value.parse().expect("numbers are a header"));
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            range
        }
        Wanted::Unmodified => {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            return response;
        }
        Wanted::Refused => return StatusCode::PRECONDITION_FAILED.into_response(),
        Wanted::Nothing => {
            let value = [(CONTENT_RANGE, format!("bytes */{length}"))];
            return (StatusCode::RANGE_NOT_SATISFIABLE, value).into_response();
        }
    };
    let its = response.headers_mut();
    its.insert(CONTENT_TYPE, content_type.parse().expect("a header"));
    its.insert(CONTENT_LENGTH, (range.end - range.start).into());
    // axum leaves out the body of an answer to HEAD, and reads none of it.
    *response.body_mut() = Body::from_stream(ThreadBound::new(Box::pin(chunks(file, range))));
    response
}

/// The bytes of a range, read as they are sent.
///
/// A file that has become shorter ends the response with an error, which closes the connection: the
/// client does not take what it has for the whole.
fn chunks(file: File, range: Range<u64>) -> impl Stream<Item = io::Result<Bytes>> {
    stream::try_unfold((file, range), async move |(file, range)| {
        if range.is_empty() {
            return Ok(None);
        }
        let end = range.end.min(range.start + CHUNK);
        let length = usize::try_from(end - range.start).expect("a chunk");
        let room = Vec::with_capacity(length).slice(..length);
        let BufResult(read, chunk) = file.read_exact_at(room, range.start).await;
        read?;
        Ok(Some((Bytes::from(chunk.into_inner()), (file, end..range.end))))
    })
}
