//! Frames in random pieces, against a model that sees the whole content.

use super::{Decoder, Encoder, FramedRead, LengthDelimited, Lines};
use crate::fuzz_input::Input;
use crate::io::StreamReader;
use crate::io::fuzz::{End, Source, finish};

/// What a reader of frames returns, to its end.
#[derive(Debug, PartialEq, Eq)]
struct Frames {
    frames: Vec<Vec<u8>>,
    /// Whether the last thing was an error.
    has_failed: bool,
}

pub(crate) fn codec(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let end = if input.flag() { End::Eof } else { End::Error };
    let max = input.below(40);
    let (is_lines, width, is_little_endian) = (input.flag(), 1 + input.below(8), input.flag());
    let script = input.bytes().to_vec();
    let content = input.rest();
    if is_lines {
        let codec = Lines::new().max_line_length(max);
        assert_eq!(read(codec, content, &script, end), lines(content, max, end), "lines");
        round_trip(codec, content.split(|&byte| byte == b'\n'), &script, |frame| {
            frame.len() <= max && !frame.ends_with(b"\r")
        });
    } else {
        let codec = LengthDelimited::new().width(width).max_frame_length(max);
        let codec = if is_little_endian { codec.little_endian() } else { codec };
        let expected = length_delimited(content, width, is_little_endian, max, end);
        assert_eq!(read(codec, content, &script, end), expected, "frames with a length");
        round_trip(codec, content.chunks(7), &script, |frame| frame.len() <= max);
    }
}

/// Reads all frames. Every other call is dropped when it waits, and repeated.
fn read<D: Decoder<Item = crate::buf::Lease, Error = std::io::Error>>(
    decoder: D,
    content: &[u8],
    script: &[u8],
    end: End,
) -> Frames {
    let source = Source::new(content.to_vec(), script.to_vec(), end);
    let mut framed = FramedRead::new(StreamReader::new(source), decoder);
    let mut frames = Vec::new();
    let mut is_dropped = false;
    loop {
        is_dropped = !is_dropped;
        match finish(framed.next(), is_dropped) {
            None => {}
            Some(None) => return Frames { frames, has_failed: false },
            Some(Some(Err(_))) => {
                let after = finish(framed.next(), false).expect("it is not dropped");
                assert!(after.is_none(), "a frame after an error");
                return Frames { frames, has_failed: true };
            }
            Some(Some(Ok(frame))) => frames.push(frame.to_vec()),
        }
    }
}

fn lines(content: &[u8], max: usize, end: End) -> Frames {
    let mut frames = Vec::new();
    let mut rest = content;
    loop {
        let line = rest.iter().position(|&byte| byte == b'\n');
        let text = &rest[..line.unwrap_or(rest.len())];
        let without = text.strip_suffix(b"\r").unwrap_or(text);
        let is_over = line.is_none();
        if is_over && (text.is_empty() || end == End::Error) {
            return Frames { frames, has_failed: end == End::Error };
        }
        if without.len() > max || (is_over && text.len() > max + 1) {
            return Frames { frames, has_failed: true };
        }
        frames.push(without.to_vec());
        if is_over {
            return Frames { frames, has_failed: false };
        }
        rest = &rest[text.len() + 1..];
    }
}

fn length_delimited(
    content: &[u8],
    width: usize,
    is_little_endian: bool,
    max: usize,
    end: End,
) -> Frames {
    let mut frames = Vec::new();
    let mut rest = content;
    loop {
        let Some((head, body)) = rest.split_at_checked(width) else {
            return Frames { frames, has_failed: !rest.is_empty() || end == End::Error };
        };
        let mut digits = head.to_vec();
        if is_little_endian {
            digits.reverse();
        }
        let length = digits.iter().fold(0_u64, |length, &byte| length << 8 | u64::from(byte));
        let frame = usize::try_from(length).ok().filter(|&length| length <= max);
        let Some((frame, behind)) = frame.and_then(|length| body.split_at_checked(length)) else {
            return Frames { frames, has_failed: true };
        };
        frames.push(frame.to_vec());
        rest = behind;
    }
}

/// What is encoded is decoded again.
fn round_trip<'a, C>(
    mut codec: C,
    frames: impl Iterator<Item = &'a [u8]>,
    script: &[u8],
    is_valid: impl Fn(&[u8]) -> bool,
) where
    C: Decoder<Item = crate::buf::Lease, Error = std::io::Error>,
    C: Encoder<&'a [u8], Error = std::io::Error>,
{
    let mut bytes = bytes::BytesMut::new();
    let mut expected = Vec::new();
    for frame in frames.filter(|frame| is_valid(frame)) {
        if codec.encode(frame, &mut bytes).is_ok() {
            expected.push(frame.to_vec());
        }
    }
    let found = read(codec, &bytes, script, End::Eof);
    assert_eq!(found, Frames { frames: expected, has_failed: false }, "a round trip");
}
