//! The answers of servers that have no HTTP library but a parser.

use std::io;
use std::time::{Duration, Instant, SystemTime};

use super::BODY;

/// How many bytes a request may have.
const LIMIT: usize = 16 * 1024;

/// How long a date may be used.
const DATED: Duration = Duration::from_millis(500);

/// The requests of a connection as far as they have come.
#[derive(Default)]
pub(crate) struct Requests {
    /// The beginning of a request whose end has not come.
    begun: Vec<u8>,
    /// Whether the connection is to be closed behind the last answer.
    pub(crate) closes: bool,
}

impl Requests {
    /// Takes in bytes, and writes the answers to all requests that are complete.
    ///
    /// # Errors
    ///
    /// If it is no request, or one that is too long or has a body.
    pub(crate) fn answer(
        &mut self,
        bytes: &[u8],
        date: &mut Date,
        out: &mut Vec<u8>,
    ) -> io::Result<()> {
        if self.begun.is_empty() {
            let rest = self.answer_all(bytes, date, out)?;
            self.begun.extend_from_slice(rest);
        } else {
            let mut begun = std::mem::take(&mut self.begun);
            begun.extend_from_slice(bytes);
            let rest = self.answer_all(&begun, date, out)?.len();
            begun.drain(..begun.len() - rest);
            self.begun = begun;
        }
        if self.begun.len() > LIMIT { Err(malformed("a request is too long")) } else { Ok(()) }
    }

    /// Returns what is left of the bytes.
    fn answer_all<'a>(
        &mut self,
        mut bytes: &'a [u8],
        date: &mut Date,
        out: &mut Vec<u8>,
    ) -> io::Result<&'a [u8]> {
        while !bytes.is_empty() && !self.closes {
            let mut headers = [httparse::EMPTY_HEADER; 32];
            let mut request = httparse::Request::new(&mut headers);
            let parsed = request.parse(bytes).map_err(|error| malformed(&error.to_string()))?;
            let httparse::Status::Complete(length) = parsed else { break };
            for header in &*request.headers {
                if header.name.eq_ignore_ascii_case("connection") {
                    self.closes |= header.value.eq_ignore_ascii_case(b"close");
                } else if header.name.eq_ignore_ascii_case("content-length")
                    || header.name.eq_ignore_ascii_case("transfer-encoding")
                {
                    return Err(malformed("a request has a body"));
                }
            }
            bytes = &bytes[length..];
            out.extend_from_slice(b"HTTP/1.1 200 OK\r\ncontent-length: 13\r\n");
            if self.closes {
                out.extend_from_slice(b"connection: close\r\n");
            }
            out.extend_from_slice(date.line());
            out.extend_from_slice(BODY.as_bytes());
        }
        Ok(bytes)
    }
}

fn malformed(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.to_owned())
}

/// The last line of a head, with the date.
pub(crate) struct Date {
    line: Vec<u8>,
    made: Instant,
}

impl Date {
    pub(crate) fn new() -> Self {
        Self { line: Self::now(), made: Instant::now() }
    }

    fn now() -> Vec<u8> {
        format!("date: {}\r\n\r\n", httpdate::fmt_http_date(SystemTime::now())).into_bytes()
    }

    /// Is called once for the requests that came together.
    pub(crate) fn refresh(&mut self) {
        if self.made.elapsed() > DATED {
            *self = Self::new();
        }
    }

    fn line(&self) -> &[u8] {
        &self.line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The answers to requests that come in these pieces.
    fn answers(pieces: &[&[u8]]) -> io::Result<(String, bool)> {
        let (mut requests, mut date, mut out) = (Requests::default(), Date::new(), Vec::new());
        for piece in pieces {
            requests.answer(piece, &mut date, &mut out)?;
        }
        Ok((String::from_utf8(out).unwrap(), requests.closes))
    }

    #[test]
    fn requests_are_answered_in_whatever_pieces_they_come() {
        let requests = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n".repeat(3);
        for piece in [1, 7, 28, requests.len()] {
            let (out, closes) = answers(&requests.chunks(piece).collect::<Vec<_>>()).unwrap();
            assert_eq!(out.matches("HTTP/1.1 200 OK\r\n").count(), 3);
            assert_eq!(out.matches("\r\n\r\nHello, World!").count(), 3);
            assert!(!closes);
        }
    }

    #[test]
    fn the_answer_to_a_request_to_close_is_the_last() {
        let close = b"GET / HTTP/1.1\r\nConnection: close\r\n\r\nGET / HTTP/1.1\r\n\r\n";
        let (out, closes) = answers(&[close]).unwrap();
        assert_eq!(out.matches("connection: close\r\n").count(), 1);
        assert_eq!(out.matches("Hello").count(), 1);
        assert!(closes);
    }

    #[test]
    fn a_body_is_refused() {
        let error = answers(&[b"POST / HTTP/1.1\r\ncontent-length: 1\r\n\r\nx"]).unwrap_err();
        assert_eq!(error.to_string(), "a request has a body");
    }
}
