//! Frames on buffered streams.
//!
//! The race: a read of a frame is dropped when a part of the frame has been received. The part
//! stays in the reader, wherever it was cut.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::pin::Pin;

use annulus::buf::{BufResult, IoBufMut, Lease};
use annulus::codec::{
    Decoder, Encoder, FrameTooLong, Framed, FramedRead, LengthDelimited, Lines, Received,
};
use annulus::io::{AsyncRead, StreamReader};
use annulus::yield_now;
use bytes::BytesMut;
use futures_util::{SinkExt, StreamExt};

use crate::common::pair::pair;
use crate::common::poll::times;
use crate::common::random::seeded;
use crate::common::watchdog::run;

/// Gives its pieces one after the other, each after a wait, and then EOF.
struct Pieces {
    pieces: VecDeque<Vec<u8>>,
    has_waited: bool,
}

impl Pieces {
    fn of<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let full = pieces.into_iter().filter(|piece| !piece.is_empty());
        Self { pieces: full.map(<[u8]>::to_vec).collect(), has_waited: false }
    }
}

impl AsyncRead for Pieces {
    async fn recv(&mut self) -> io::Result<Lease> {
        if !self.has_waited {
            yield_now().await;
            self.has_waited = true;
            yield_now().await;
        }
        self.has_waited = false;
        Ok(Lease::from(self.pieces.pop_front().unwrap_or_default()))
    }

    async fn read<B: IoBufMut>(&mut self, _buffer: B) -> BufResult<usize, B> {
        unreachable!("frames are received on lease")
    }
}

fn frames<D: Decoder>(source: Pieces, decoder: D) -> FramedRead<Pieces, D> {
    FramedRead::new(StreamReader::new(source), decoder)
}

/// What [`frames`] reads to its end, as bytes.
async fn all<D>(mut frames: FramedRead<Pieces, D>) -> Vec<Vec<u8>>
where
    D: Decoder<Item: AsRef<[u8]>, Error = io::Error>,
{
    let mut all = Vec::new();
    while let Some(frame) = frames.next().await {
        all.push(frame.unwrap().as_ref().to_vec());
    }
    assert!(frames.next().await.is_none());
    all
}

fn texts() -> Vec<Vec<u8>> {
    let long: Vec<u8> = (0..300_u32).map(|index| b'a' + (index % 26) as u8).collect();
    vec![b"".to_vec(), b"a".to_vec(), b"hello".to_vec(), long, b"".to_vec(), b"end".to_vec()]
}

fn encoded<'a>(mut encoder: impl Encoder<&'a [u8]>, texts: &'a [Vec<u8>]) -> BytesMut {
    let mut bytes = BytesMut::new();
    for text in texts {
        assert!(encoder.encode(text, &mut bytes).is_ok());
    }
    bytes
}

#[test]
fn frames_are_the_same_wherever_the_bytes_are_cut() {
    run(async {
        let texts = texts();
        let codecs = [2, 3, 4, 8].map(|width| LengthDelimited::new().width(width));
        for codec in codecs.into_iter().flat_map(|codec| [codec, codec.little_endian()]) {
            let bytes = encoded(codec, &texts);
            for cut in 0..=bytes.len() {
                let (one, other) = bytes.split_at(cut);
                assert_eq!(all(frames(Pieces::of([one, other]), codec)).await, texts);
            }
            assert_eq!(all(frames(Pieces::of(bytes.chunks(1)), codec)).await, texts);
        }
        let lines = b"\none\r\ntwo\n\r\n\rthree\r\r\nlast\r";
        let expected: [&[u8]; 6] = [b"", b"one", b"two", b"", b"\rthree\r", b"last"];
        for cut in 0..=lines.len() {
            let (one, other) = lines.split_at(cut);
            assert_eq!(all(frames(Pieces::of([one, other]), Lines::new())).await, expected);
        }
        let bytes = encoded(Lines::new(), &texts);
        assert_eq!(all(frames(Pieces::of(bytes.chunks(1)), Lines::new())).await, texts);
    });
}

#[test]
fn frames_are_whole_whatever_reads_are_dropped_wherever_bytes_are_cut() {
    run(async {
        let mut random = seeded();
        for _ in 0..30 {
            let texts: Vec<Vec<u8>> =
                (0..40).map(|_| vec![random.u8(b'a'..=b'z'); random.usize(0..200)]).collect();
            let bytes = encoded(LengthDelimited::new(), &texts);
            let mut pieces = Vec::new();
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let (piece, behind) = rest.split_at(random.usize(1..=rest.len().min(300)));
                pieces.push(piece);
                rest = behind;
            }
            let mut reading = frames(Pieces::of(pieces), LengthDelimited::new());
            let mut read = Vec::new();
            loop {
                let polls = random.usize(1..4);
                let next = if random.bool() {
                    times(polls, reading.next()).await
                } else {
                    // A stream keeps what it has begun.
                    times(polls, StreamExt::next(&mut reading)).await
                };
                match next {
                    None => {}
                    Some(Some(frame)) => read.push(frame.unwrap().to_vec()),
                    Some(None) => break,
                }
            }
            assert_eq!(read, texts);
        }
    });
}

#[test]
fn a_frame_within_one_receive_is_not_copied() {
    run(async {
        let mut reading =
            frames(Pieces::of([&b"\0\x03abc\0\x02de"[..]]), LengthDelimited::new().width(2));
        let (first, second) =
            (reading.next().await.unwrap().unwrap(), reading.next().await.unwrap().unwrap());
        assert_eq!((&*first, &*second), (&b"abc"[..], &b"de"[..]));
        assert_eq!(second.as_ptr() as usize - first.as_ptr() as usize, 5);
    });
}

#[test]
fn eof_in_a_frame_is_an_error_and_then_the_end() {
    run(async {
        for bytes in [&b"\0\0"[..], b"\0\0\0\x05", b"\0\0\0\x05hell", b"\0\0\0\x01x\0\0\0\x05hell"]
        {
            let mut reading = frames(Pieces::of([bytes]), LengthDelimited::new());
            let mut last = reading.next().await.unwrap();
            if last.is_ok() {
                last = reading.next().await.unwrap();
            }
            assert_eq!(last.unwrap_err().kind(), ErrorKind::UnexpectedEof);
            assert!(reading.next().await.is_none());
            assert!(StreamExt::next(&mut reading).await.is_none());
        }
    });
}

#[test]
fn a_frame_that_is_announced_as_too_long_is_refused_at_once() {
    run(async {
        for (codec, head, announced) in [
            (LengthDelimited::new(), &b"\xff\xff\xff\xff"[..], u64::from(u32::MAX)),
            (LengthDelimited::new().width(8), &[0xff; 8], u64::MAX),
            (LengthDelimited::new().max_frame_length(4), b"\0\0\0\x05", 5),
        ] {
            // The source would wait, were it asked for more.
            let mut reading = frames(Pieces::of([head, &[0; 100]]), codec);
            let error = reading.next().await.unwrap().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidData);
            let too_long = error.get_ref().unwrap().downcast_ref::<FrameTooLong>().unwrap();
            assert_eq!(too_long.length(), Some(announced));
            assert!(error.to_string().contains(&too_long.limit().to_string()));
            assert!(reading.next().await.is_none());
            assert_eq!(reading.into_parts().0.into_parts().0.pieces.len(), 1, "it has read more");
        }
        let exact = LengthDelimited::new().max_frame_length(4);
        assert_eq!(all(frames(Pieces::of([&b"\0\0\0\x04four"[..]]), exact)).await, [b"four"]);
    });
}

#[test]
fn a_line_or_frame_without_an_end_is_bounded() {
    struct Never;

    impl Decoder for Never {
        type Item = Lease;
        type Error = io::Error;

        fn decode(&mut self, received: &mut Received<'_>) -> io::Result<Option<Lease>> {
            assert!(received.len() < 2000);
            Ok(None)
        }

        fn max_buffered(&self) -> usize {
            1000
        }
    }

    async fn fails_after(
        mut reading: FramedRead<Pieces, impl Decoder<Error = io::Error>>,
    ) -> usize {
        let error = loop {
            match reading.next().await.unwrap() {
                Ok(_) => {}
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), ErrorKind::InvalidData, "{error}");
        100 - reading.into_parts().0.into_parts().0.pieces.len()
    }

    run(async {
        let endless = || Pieces::of([&[b'x'; 100][..]; 100]);
        assert_eq!(fails_after(frames(endless(), Never)).await, 11);
        assert_eq!(fails_after(frames(endless(), Lines::new().max_line_length(500))).await, 6);
        // All of a line has come, and it is too long.
        let lines = Pieces::of([&b"four\r\nfive!\n"[..]]);
        assert_eq!(fails_after(frames(lines, Lines::new().max_line_length(4))).await, 100);
    });
}

#[test]
fn what_cannot_be_encoded_is_not_sent() {
    run(async {
        let (near, mut far) = pair().await;
        let (reader, writer) = near.into_buffered();
        let codec = LengthDelimited::new().width(1).max_frame_length(300);
        let mut framed = Framed::new(reader, writer, codec);
        let too_long = framed.send([0; 301]).await.unwrap_err();
        assert_eq!(too_long.to_string(), "a frame of 301 bytes exceeds the limit of 300 bytes");
        assert_eq!(framed.send([0; 256]).await.unwrap_err().kind(), ErrorKind::InvalidInput);
        framed.send([7; 2]).await.unwrap();
        framed.flush().await.unwrap();
        assert_eq!(&*far.recv().await.unwrap(), [2, 7, 7]);
    });
}

#[test]
fn a_stream_of_frames_is_forwarded_into_a_sink_of_frames() {
    run(async {
        let (near, far) = pair().await;
        let framed = |stream: annulus::net::TcpStream| {
            let (reader, writer) = stream.into_buffered();
            Framed::new(reader, writer, Lines::new())
        };
        let (mut near, far) = (framed(near), framed(far));
        let (lines, answers) = far.into_split();
        let echo = annulus::spawn(async move { lines.forward(answers).await });
        for text in ["one", "two", "three"] {
            SinkExt::send(&mut near, text).await.unwrap();
            assert_eq!(&*near.next().await.unwrap().unwrap(), text.as_bytes());
        }
        near.write_half().writer_mut().write_eof();
        assert!(Pin::new(&mut near).next().await.is_none());
        echo.await.unwrap().unwrap();
    });
}

#[test]
fn a_decoder_can_be_replaced_between_frames() {
    run(async {
        let mut lines = frames(Pieces::of([&b"binary\n\0\x03abcrest"[..]]), Lines::new());
        assert_eq!(&*lines.next().await.unwrap().unwrap(), b"binary");
        let mut binary = lines.map_decoder(|_| LengthDelimited::new().width(2));
        assert_eq!(&*binary.next().await.unwrap().unwrap(), b"abc");
        assert_eq!(&*binary.into_parts().0.read_to_end().await.unwrap(), b"rest");
    });
}

#[cfg(feature = "tokio-util")]
mod tokio_util_codecs {
    use annulus::codec::TokioCodec;
    use tokio_util::codec::{LengthDelimitedCodec, LinesCodec, LinesCodecError};

    use super::*;

    #[test]
    fn codecs_of_tokio_util_read_the_same_frames_wherever_the_bytes_are_cut() {
        run(async {
            let texts = texts();
            let bytes = encoded(LengthDelimited::new(), &texts);
            for cut in 0..=bytes.len() {
                let (one, other) = bytes.split_at(cut);
                let codec = TokioCodec::new(LengthDelimitedCodec::new());
                assert_eq!(all(frames(Pieces::of([one, other]), codec)).await, texts);
            }
        });
    }

    #[test]
    fn a_codec_of_tokio_util_is_bounded_and_its_errors_are_its_own() {
        run(async {
            let endless = || Pieces::of([&[b'x'; 100][..]; 100]);
            let codec = TokioCodec::new(LinesCodec::new()).max_buffered_bytes(500);
            let mut reading = frames(endless(), codec);
            let error = reading.next().await.unwrap().unwrap_err();
            assert!(
                matches!(error, LinesCodecError::Io(error) if error.kind() == ErrorKind::InvalidData)
            );
            let codec = TokioCodec::new(LinesCodec::new_with_max_length(50));
            let error = frames(endless(), codec).next().await.unwrap().unwrap_err();
            assert!(matches!(error, LinesCodecError::MaxLineLengthExceeded));
        });
    }
}
