//! The head of a request, and what is refused in one.
//!
//! Where two servers could understand a request differently, a client could smuggle a second
//! request past the first of them. So whatever is not exactly one length is refused, and the
//! connection closed, as RFC 9112 demands.

use super::limits;
use super::response::Status;

/// The head of a request.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// The path of the target, without the query.
    pub(crate) path: String,
    /// Whether the client keeps the connection open.
    pub(crate) keeps_alive: bool,
    /// Whether the client waits for 100 Continue before it sends the body.
    pub(crate) expects_continue: bool,
    pub(crate) framing: Framing,
}

/// How the length of a body is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// In bytes; zero if no length was given.
    Length(u64),
    Chunked,
}

impl Request {
    /// Parses a head, to its empty line.
    ///
    /// # Errors
    ///
    /// The status with which to refuse it.
    pub(crate) fn parse(head: &[u8]) -> Result<Self, Status> {
        let mut fields = [httparse::EMPTY_HEADER; limits::FIELDS];
        let mut parsed = httparse::Request::new(&mut fields);
        match parsed.parse(head) {
            // More after what the parser takes for the end would be a request that no one sees.
            Ok(httparse::Status::Complete(length)) if length == head.len() => {}
            Ok(_) => return Err(Status::BadRequest),
            Err(httparse::Error::TooManyHeaders) => return Err(Status::HeadTooLarge),
            Err(httparse::Error::Version) => return Err(version_fault(head)),
            Err(_) => return Err(Status::BadRequest),
        }
        let is_1_1 = parsed.version == Some(1);
        let target = parsed.path.unwrap_or_default();
        if target.len() > limits::TARGET {
            return Err(Status::TargetTooLong);
        }
        let mut lengths = Vec::new();
        let (mut codings, mut hosts) = (Vec::new(), 0);
        let (mut closes, mut keeps, mut expects_continue) = (false, false, false);
        for field in &*parsed.headers {
            let value = field.value.trim_ascii();
            match field.name.to_ascii_lowercase().as_str() {
                "content-length" => lengths.push(value),
                "transfer-encoding" => codings.push(value),
                "host" => hosts += 1,
                "connection" => {
                    let has = |option: &[u8]| {
                        let mut options = value.split(|&byte| byte == b',');
                        options.any(|one| one.trim_ascii().eq_ignore_ascii_case(option))
                    };
                    closes |= has(b"close");
                    keeps |= has(b"keep-alive");
                }
                "expect" if value.eq_ignore_ascii_case(b"100-continue") => expects_continue = true,
                "expect" => return Err(Status::ExpectationFailed),
                _ => {}
            }
        }
        if hosts > 1 || (is_1_1 && hosts == 0) {
            return Err(Status::BadRequest);
        }
        Ok(Self {
            method: parsed.method.unwrap_or_default().to_owned(),
            path: path_of(target)?,
            keeps_alive: !closes && (is_1_1 || keeps),
            expects_continue: expects_continue && is_1_1,
            framing: framing(&lengths, &codings, is_1_1)?,
        })
    }
}

fn framing(lengths: &[&[u8]], codings: &[&[u8]], is_1_1: bool) -> Result<Framing, Status> {
    match (lengths, codings) {
        ([], []) => Ok(Framing::Length(0)),
        ([length], []) if !length.is_empty() && length.iter().all(u8::is_ascii_digit) => {
            let length = std::str::from_utf8(length).expect("digits are text");
            // A number beyond all limits.
            length.parse().map(Framing::Length).map_err(|_| Status::BodyTooLarge)
        }
        ([], [coding]) if coding.eq_ignore_ascii_case(b"chunked") && is_1_1 => Ok(Framing::Chunked),
        ([], [_]) if is_1_1 => Err(Status::NotImplemented),
        _ => Err(Status::BadRequest),
    }
}

/// The path of a target in origin form or absolute form.
fn path_of(target: &str) -> Result<String, Status> {
    let without_scheme = target.strip_prefix("http://").or(target.strip_prefix("https://"));
    let path = match without_scheme {
        Some(rest) => match rest.find(['/', '?', '#']).map(|at| &rest[at..]) {
            Some(path) if path.starts_with('/') => path,
            _ => "/",
        },
        None if target.starts_with('/') || target == "*" => target,
        None => return Err(Status::BadRequest),
    };
    Ok(path.split(['?', '#']).next().unwrap_or_default().to_owned())
}

/// A version that this server does not have, or none at all.
fn version_fault(head: &[u8]) -> Status {
    let line = head.split(|&byte| byte == b'\n').find(|line| !line.trim_ascii().is_empty());
    let version = line.unwrap_or_default().trim_ascii().rsplit(|&byte| byte == b' ').next();
    let is_version = |text: &[u8]| {
        matches!(text, [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit())
    };
    if version.is_some_and(is_version) { Status::VersionUnsupported } else { Status::BadRequest }
}
