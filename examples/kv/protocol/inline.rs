//! Inline commands: a line of words, as a person types it.
//!
//! Words are separated by blanks. In double quotes a word may have escapes (`\n`, `\r`, `\t`, `\b`,
//! `\a`, `\xHH`, and `\` before anything else); in single quotes only `\'`. A closing quote ends
//! its word.

use std::ops::Range;

/// A quote is not closed, or something follows it directly.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unbalanced;

/// Appends the words of a line, and where they are.
pub(super) fn split(
    line: &[u8],
    words: &mut Vec<u8>,
    places: &mut Vec<Range<usize>>,
) -> Result<(), Unbalanced> {
    let mut rest = line.trim_ascii_start();
    while !rest.is_empty() {
        let start = words.len();
        rest = word(rest, words)?;
        places.push(start..words.len());
        rest = rest.trim_ascii_start();
    }
    Ok(())
}

/// Appends the first word, and returns what follows it.
fn word<'a>(mut rest: &'a [u8], words: &mut Vec<u8>) -> Result<&'a [u8], Unbalanced> {
    loop {
        match rest {
            [] => return Ok(rest),
            [quote @ (b'"' | b'\''), after @ ..] => {
                rest = quoted(*quote, after, words)?;
                let is_closed = rest.first().is_none_or(u8::is_ascii_whitespace);
                return if is_closed { Ok(rest) } else { Err(Unbalanced) };
            }
            [blank, ..] if blank.is_ascii_whitespace() => return Ok(rest),
            [byte, after @ ..] => {
                words.push(*byte);
                rest = after;
            }
        }
    }
}

/// Appends what is quoted, and returns what follows the closing quote.
fn quoted<'a>(quote: u8, mut rest: &'a [u8], words: &mut Vec<u8>) -> Result<&'a [u8], Unbalanced> {
    loop {
        let (byte, after) = match *rest {
            [] => return Err(Unbalanced),
            [end, ref after @ ..] if end == quote => return Ok(after),
            [b'\\', b'x', high, low, ref after @ ..]
                if quote == b'"' && high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                (digit(high) << 4 | digit(low), after)
            }
            [b'\\', escaped, ref after @ ..] if quote == b'"' => (unescaped(escaped), after),
            [b'\\', b'\'', ref after @ ..] if quote == b'\'' => (b'\'', after),
            [byte, ref after @ ..] => (byte, after),
        };
        words.push(byte);
        rest = after;
    }
}

fn unescaped(byte: u8) -> u8 {
    match byte {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 8,
        b'a' => 7,
        other => other,
    }
}

/// The value of a hexadecimal digit.
fn digit(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => byte - b'0',
        _ => (byte | 0x20) - b'a' + 10,
    }
}
