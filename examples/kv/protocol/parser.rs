//! Requests, as they are sent.
//!
//! A request may arrive in any number of pieces. The parser remembers where it was, so each byte is
//! looked at once, however the pieces are cut: a peer that sends byte by byte costs no more than
//! its bytes.

use std::ops::Range;

use super::inline::{self, Unbalanced};

/// How large a request may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Arguments of a request.
    pub(crate) arguments: usize,
    /// Bytes of a request, and so of an argument.
    pub(crate) request: usize,
    /// Bytes of an inline command.
    pub(crate) inline: usize,
}

/// The longest line that announces a number.
const MAX_COUNT_LINE: usize = 32;

/// Why the peer cannot be understood. The connection is closed after the error.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    ArrayLength,
    BulkLength,
    BulkEnd,
    NoBulk(u8),
    LongInline,
    LongRequest,
    LongArrayCount,
    LongBulkCount,
    Quotes,
}

impl Fault {
    /// The text of the error reply, as Redis has it.
    pub(crate) fn text(&self) -> String {
        let text = match self {
            Self::ArrayLength => "invalid multibulk length",
            Self::BulkLength => "invalid bulk length",
            Self::BulkEnd => "expected CRLF after a bulk string",
            Self::NoBulk(byte) => {
                return format!("ERR Protocol error: expected '$', got '{}'", byte.escape_ascii());
            }
            Self::LongInline => "too big inline request",
            Self::LongRequest => "too big request",
            Self::LongArrayCount => "too big mbulk count string",
            Self::LongBulkCount => "too big bulk count string",
            Self::Quotes => "unbalanced quotes in request",
        };
        format!("ERR Protocol error: {text}")
    }
}

/// The arguments of a request, of which the first is the command's name.
#[derive(Clone, Copy)]
pub(crate) struct Request<'a> {
    bytes: &'a [u8],
    places: &'a [Range<usize>],
}

impl<'a> Request<'a> {
    /// Arguments at these places of some bytes.
    pub(crate) fn new(bytes: &'a [u8], places: &'a [Range<usize>]) -> Self {
        Self { bytes, places }
    }

    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    /// An argument; there must be as many.
    pub(crate) fn get(&self, index: usize) -> &'a [u8] {
        &self.bytes[self.places[index].clone()]
    }

    /// The arguments from one on.
    pub(crate) fn from(&self, first: usize) -> impl ExactSizeIterator<Item = &'a [u8]> + Clone {
        let bytes = self.bytes;
        self.places[first.min(self.places.len())..].iter().map(move |place| &bytes[place.clone()])
    }
}

/// Reads requests.
pub(crate) struct Parser {
    limits: Limits,
    /// How many bytes of the current request have been looked at.
    position: usize,
    expects: Expects,
    /// Where the arguments are, from the request's start, or in `words`.
    places: Vec<Range<usize>>,
    /// The arguments of an inline command, without quotes.
    words: Vec<u8>,
    is_inline: bool,
}

#[derive(Clone, Copy)]
enum Expects {
    /// The first byte of a request.
    Start,
    /// The end of an inline command's line.
    LineEnd,
    /// The length of the next argument; `left` arguments are missing, this one included.
    Length { left: usize },
    /// An argument of `length` bytes; `left` arguments follow it.
    Bulk { length: usize, left: usize },
}

impl Parser {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            position: 0,
            expects: Expects::Start,
            places: Vec::new(),
            words: Vec::new(),
            is_inline: false,
        }
    }

    /// Goes on with a request, of which `bytes` has all that has arrived, and perhaps the next
    /// ones. Returns the request's length if it is complete; its arguments are then those of
    /// [`request`](Self::request), of which a blank line has none.
    ///
    /// # Errors
    ///
    /// A fault, after which the parser is of no more use.
    #[inline]
    pub(crate) fn parse(&mut self, bytes: &[u8]) -> Result<Option<usize>, Fault> {
        loop {
            match self.expects {
                Expects::Start => {
                    self.places.clear();
                    self.is_inline = false;
                    let Some(&first) = bytes.first() else { return Ok(None) };
                    if first != b'*' {
                        self.expects = Expects::LineEnd;
                        continue;
                    }
                    let Some((count, length)) = number(&bytes[1..]).map_err(|is_long| {
                        if is_long { Fault::LongArrayCount } else { Fault::ArrayLength }
                    })?
                    else {
                        return Ok(None);
                    };
                    self.position = 1 + length;
                    if count <= 0 {
                        return Ok(Some(self.complete()));
                    }
                    let left = usize::try_from(count).ok().filter(|&n| n <= self.limits.arguments);
                    self.expects = Expects::Length { left: left.ok_or(Fault::ArrayLength)? };
                }
                Expects::LineEnd => return self.parse_inline(bytes),
                Expects::Length { left: 0 } => return Ok(Some(self.complete())),
                Expects::Length { left } => {
                    let rest = &bytes[self.position..];
                    let Some(&first) = rest.first() else { return Ok(None) };
                    if first != b'$' {
                        return Err(Fault::NoBulk(first));
                    }
                    let Some((count, length)) = number(&rest[1..]).map_err(|is_long| {
                        if is_long { Fault::LongBulkCount } else { Fault::BulkLength }
                    })?
                    else {
                        return Ok(None);
                    };
                    self.position += 1 + length;
                    let bulk = usize::try_from(count).ok().filter(|&n| n <= self.limits.request);
                    let bulk = bulk.ok_or(Fault::BulkLength)?;
                    if self.position + bulk > self.limits.request {
                        return Err(Fault::LongRequest);
                    }
                    self.expects = Expects::Bulk { length: bulk, left: left - 1 };
                }
                Expects::Bulk { length, left } => {
                    let end = self.position + length;
                    match bytes.get(end..end + 2) {
                        None => return Ok(None),
                        Some(b"\r\n") => {}
                        Some(_) => return Err(Fault::BulkEnd),
                    }
                    self.places.push(self.position..end);
                    self.position = end + 2;
                    self.expects = Expects::Length { left };
                }
            }
        }
    }

    fn parse_inline(&mut self, bytes: &[u8]) -> Result<Option<usize>, Fault> {
        let Some(end) = bytes[self.position..].iter().position(|&byte| byte == b'\n') else {
            self.position = bytes.len();
            let is_long = self.position > self.limits.inline;
            return if is_long { Err(Fault::LongInline) } else { Ok(None) };
        };
        let end = self.position + end;
        if end > self.limits.inline {
            return Err(Fault::LongInline);
        }
        let line = bytes[..end].strip_suffix(b"\r").unwrap_or(&bytes[..end]);
        self.words.clear();
        self.is_inline = true;
        inline::split(line, &mut self.words, &mut self.places)
            .map_err(|Unbalanced| Fault::Quotes)?;
        self.position = end + 1;
        Ok(Some(self.complete()))
    }

    /// The length of a request that is complete. The next one is expected.
    fn complete(&mut self) -> usize {
        self.expects = Expects::Start;
        std::mem::take(&mut self.position)
    }

    /// The request that is complete, where `bytes` begins as it did for [`parse`](Self::parse).
    #[inline]
    pub(crate) fn request<'a>(&'a self, bytes: &'a [u8]) -> Request<'a> {
        Request::new(if self.is_inline { &self.words } else { bytes }, &self.places)
    }

    /// Gives memory back that an unusual request has needed.
    pub(crate) fn shrink(&mut self) {
        const USUAL: usize = 64;
        if matches!(self.expects, Expects::Start) && self.places.capacity() > USUAL {
            self.places = Vec::new();
        }
    }
}

/// A number and the end of its line, with the length of both; `None` if the line's end is missing.
/// The error says whether the line is too long, or no number.
#[inline]
fn number(bytes: &[u8]) -> Result<Option<(i64, usize)>, bool> {
    let (is_negative, start) = (bytes.first() == Some(&b'-'), 0);
    let start = start + usize::from(is_negative);
    let mut value: i64 = 0;
    for (at, &byte) in bytes.iter().enumerate().skip(start) {
        if byte.is_ascii_digit() {
            let digit = i64::from(byte - b'0');
            value = value.checked_mul(10).and_then(|n| n.checked_add(digit)).ok_or(false)?;
        } else if byte != b'\r' || at == start {
            return Err(false);
        } else {
            return match bytes.get(at + 1) {
                None => Ok(None),
                Some(b'\n') => Ok(Some((if is_negative { -value } else { value }, at + 2))),
                Some(_) => Err(false),
            };
        }
        if at >= MAX_COUNT_LINE {
            return Err(true);
        }
    }
    Ok(None)
}
