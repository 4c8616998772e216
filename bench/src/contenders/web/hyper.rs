//! The service that all give to hyper.

use std::convert::Infallible;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::{Request, Response};

use crate::web::{BODY, LARGE, large_body};

/// Answers a request.
pub(super) async fn answer(
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let body = match request.uri().path() {
        LARGE => large_body(),
        _ => Bytes::from_static(BODY.as_bytes()),
    };
    Ok(Response::new(Full::new(body)))
}
