//! Replies, in the version that the connection has chosen.

use std::io::Write;

/// A version of the protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Resp {
    #[default]
    Two,
    Three,
}

/// Writes replies to the end of a buffer.
pub(crate) struct Reply<'a> {
    pub(crate) out: &'a mut Vec<u8>,
    pub(crate) resp: Resp,
}

impl<'a> Reply<'a> {
    #[inline]
    pub(crate) fn new(out: &'a mut Vec<u8>, resp: Resp) -> Self {
        Self { out, resp }
    }

    #[inline]
    pub(crate) fn ok(&mut self) {
        self.out.extend_from_slice(b"+OK\r\n");
    }

    /// A short text without line ends.
    pub(crate) fn simple(&mut self, text: &str) {
        self.out.push(b'+');
        self.out.extend_from_slice(text.as_bytes());
        self.end();
    }

    /// An error, which begins with its code. Line ends in it become blanks.
    pub(crate) fn error(&mut self, text: &str) {
        self.out.push(b'-');
        self.out.extend(text.bytes().map(|byte| if byte < b' ' { b' ' } else { byte }));
        self.end();
    }

    #[inline]
    pub(crate) fn integer(&mut self, value: i64) {
        self.head(b':', value);
    }

    /// A number of things.
    #[inline]
    pub(crate) fn count(&mut self, count: usize) {
        self.integer(i64::try_from(count).unwrap_or(i64::MAX));
    }

    #[inline]
    pub(crate) fn bulk(&mut self, bytes: &[u8]) {
        self.head(b'$', bytes.len() as i64);
        self.out.extend_from_slice(bytes);
        self.end();
    }

    /// Text for people.
    pub(crate) fn verbatim(&mut self, text: &str) {
        match self.resp {
            Resp::Two => self.bulk(text.as_bytes()),
            Resp::Three => {
                self.head(b'=', text.len() as i64 + 4);
                self.out.extend_from_slice(b"txt:");
                self.out.extend_from_slice(text.as_bytes());
                self.end();
            }
        }
    }

    #[inline]
    pub(crate) fn null(&mut self) {
        self.out.extend_from_slice(match self.resp {
            Resp::Two => b"$-1\r\n",
            Resp::Three => b"_\r\n",
        });
    }

    #[inline]
    pub(crate) fn optional(&mut self, bytes: Option<&[u8]>) {
        match bytes {
            Some(bytes) => self.bulk(bytes),
            None => self.null(),
        }
    }

    /// The head of an array; its `length` replies follow.
    #[inline]
    pub(crate) fn array(&mut self, length: usize) {
        self.head(b'*', length as i64);
    }

    /// The head of a map; its `pairs` pairs of replies follow. RESP2 has an array instead.
    pub(crate) fn map(&mut self, pairs: usize) {
        match self.resp {
            Resp::Two => self.array(pairs * 2),
            Resp::Three => self.head(b'%', pairs as i64),
        }
    }

    #[inline]
    fn head(&mut self, kind: u8, value: i64) {
        self.out.push(kind);
        match u8::try_from(value) {
            Ok(digit @ 0..=9) => self.out.push(b'0' + digit),
            Ok(digits @ 10..=99) => {
                self.out.extend_from_slice(&[b'0' + digits / 10, b'0' + digits % 10]);
            }
            _ => write!(self.out, "{value}").expect("writing to memory"),
        }
        self.end();
    }

    #[inline]
    fn end(&mut self) {
        self.out.extend_from_slice(b"\r\n");
    }
}
