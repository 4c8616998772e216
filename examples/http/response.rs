//! Responses: the status, the header fields, and the body.

use std::fs::File;
use std::io;
use std::time::SystemTime;

use annulus::net::StreamWriter;

/// The statuses that this server answers with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Ok,
    NotFound,
    Forbidden,
    MethodNotAllowed,
    BadRequest,
    RequestTimeout,
    BodyTooLarge,
    TargetTooLong,
    ExpectationFailed,
    HeadTooLarge,
    Internal,
    NotImplemented,
    VersionUnsupported,
}

impl Status {
    fn line(self) -> &'static str {
        match self {
            Self::Ok => "200 OK",
            Self::NotFound => "404 Not Found",
            Self::Forbidden => "403 Forbidden",
            Self::MethodNotAllowed => "405 Method Not Allowed",
            Self::BadRequest => "400 Bad Request",
            Self::RequestTimeout => "408 Request Timeout",
            Self::BodyTooLarge => "413 Content Too Large",
            Self::TargetTooLong => "414 URI Too Long",
            Self::ExpectationFailed => "417 Expectation Failed",
            Self::HeadTooLarge => "431 Request Header Fields Too Large",
            Self::Internal => "500 Internal Server Error",
            Self::NotImplemented => "501 Not Implemented",
            Self::VersionUnsupported => "505 HTTP Version Not Supported",
        }
    }
}

/// What a client is answered.
pub(crate) struct Response {
    status: Status,
    content_type: &'static str,
    /// The methods that the target has, if the one of the request is not among them.
    allow: Option<&'static str>,
    body: Body,
}

/// The body of a response.
pub(crate) enum Body {
    Bytes(Vec<u8>),
    /// Sent as it was received: in chunks.
    Chunks(Vec<u8>),
    File(File, u64),
}

/// How many bytes a chunk has at most.
const CHUNK: usize = 16 * 1024;

impl Response {
    pub(crate) fn ok(content_type: &'static str, body: Body) -> Self {
        Self { status: Status::Ok, content_type, allow: None, body }
    }

    /// A response that consists of its status.
    pub(crate) fn of(status: Status) -> Self {
        let body = Body::Bytes(format!("{}\n", status.line()).into_bytes());
        Self { status, content_type: "text/plain", allow: None, body }
    }

    pub(crate) fn not_allowed(allow: &'static str) -> Self {
        Self { allow: Some(allow), ..Self::of(Status::MethodNotAllowed) }
    }

    /// Writes the response; if the request was a HEAD, without the body.
    pub(crate) async fn write(
        self,
        writer: &mut StreamWriter,
        is_head: bool,
        closes: bool,
    ) -> io::Result<()> {
        let mut out = self.head(closes).into_bytes();
        if is_head {
            return writer.write(out).await;
        }
        match self.body {
            Body::Bytes(body) => {
                out.extend_from_slice(&body);
                writer.write(out).await
            }
            Body::Chunks(body) => {
                writer.write(out).await?;
                for chunk in body.chunks(CHUNK) {
                    let mut framed = format!("{:x}\r\n", chunk.len()).into_bytes();
                    framed.extend_from_slice(chunk);
                    framed.extend_from_slice(b"\r\n");
                    writer.write(framed).await?;
                }
                writer.write("0\r\n\r\n").await
            }
            Body::File(file, length) => {
                writer.write(out).await?;
                let sent = writer.send_file(&file, ..length).await?;
                // It has become shorter, and the client waits for the rest.
                if sent < length { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
            }
        }
    }

    fn head(&self, closes: bool) -> String {
        let date = httpdate::fmt_http_date(SystemTime::now());
        let mut head = format!(
            "HTTP/1.1 {}\r\nDate: {date}\r\nContent-Type: {}\r\n",
            self.status.line(),
            self.content_type
        );
        match &self.body {
            Body::Bytes(body) => head += &format!("Content-Length: {}\r\n", body.len()),
            Body::Chunks(_) => head += "Transfer-Encoding: chunked\r\n",
            Body::File(_, length) => head += &format!("Content-Length: {length}\r\n"),
        }
        if let Some(allow) = self.allow {
            head += &format!("Allow: {allow}\r\n");
        }
        head += if closes { "Connection: close\r\n\r\n" } else { "Connection: keep-alive\r\n\r\n" };
        head
    }
}
