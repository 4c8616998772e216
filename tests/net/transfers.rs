//! What each form of reading and writing of a TCP connection does.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::thread;

use annulus::buf::{BufResult, IoBuf};
use annulus::{metrics, spawn};
use blake3::Hasher;
use bytes::{Bytes, BytesMut};

use crate::common::net::connected;
use crate::common::poll::until;
use crate::common::random::seeded;
use crate::common::watchdog::run;

#[test]
fn a_read_takes_what_is_there_and_zero_at_the_end() {
    run(async {
        let (mut stream, mut peer) = connected();
        peer.write_all(b"hello").unwrap();
        let BufResult(result, buffer) = stream.read(Vec::with_capacity(3)).await;
        assert_eq!((result.unwrap(), &buffer[..]), (3, &b"hel"[..]));
        // It fills from the start, whatever the length was.
        let BufResult(result, buffer) = stream.read(buffer).await;
        assert_eq!((result.unwrap(), &buffer[..]), (2, &b"lo"[..]));
        drop(peer);
        for _ in 0..2 {
            let BufResult(result, buffer) = stream.read(vec![1; 3]).await;
            assert_eq!((result.unwrap(), buffer.len()), (0, 0));
            assert_eq!(stream.peek(vec![1; 3]).await.0.unwrap(), 0);
        }
    });
}

#[test]
fn empty_buffers_read_and_write_nothing() {
    run(async {
        let (mut stream, mut peer) = connected();
        // Nothing is there, and nothing has ended; none of these waits.
        assert_eq!(stream.read(Vec::new()).await.0.unwrap(), 0);
        assert_eq!(stream.peek(BytesMut::new()).await.0.unwrap(), 0);
        stream.read_exact(Box::new([])).await.0.unwrap();
        assert_eq!(stream.write("").await.0.unwrap(), 0);
        stream.write_all(Bytes::new()).await.0.unwrap();
        assert_eq!(stream.write_vectored(vec!["", ""]).await.0.unwrap(), 0);
        assert_eq!(stream.write_vectored(Vec::<String>::new()).await.0.unwrap(), 0);
        // Nor does a read of nothing take something.
        peer.write_all(b"x").unwrap();
        assert_eq!(stream.read(Vec::new()).await.0.unwrap(), 0);
        assert_eq!(stream.read(vec![0]).await.1, b"x");
    });
}

#[test]
fn read_exact_waits_for_all_and_gives_what_came_before_an_early_end() {
    run(async {
        let (mut stream, mut peer) = connected();
        let sender = thread::spawn(move || {
            for byte in b"exactly, and more" {
                peer.write_all(&[*byte]).unwrap();
            }
        });
        let BufResult(result, buffer) = stream.read_exact(Box::new([0; 7])).await;
        result.unwrap();
        assert_eq!(&*buffer, b"exactly");
        let BufResult(result, buffer) = stream.read_exact(Vec::with_capacity(64)).await;
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
        assert!(error.to_string().starts_with("recv: "), "{error}");
        assert_eq!(buffer, b", and more");
        sender.join().unwrap();
    });
}

#[test]
fn peek_leaves_what_it_shows() {
    run(async {
        let (mut stream, mut peer) = connected();
        peer.write_all(b"look").unwrap();
        for _ in 0..2 {
            let BufResult(result, buffer) = stream.peek(Vec::with_capacity(3)).await;
            assert_eq!((result.unwrap(), &buffer[..]), (3, &b"loo"[..]));
        }
        let BufResult(result, buffer) = stream.read_exact(Box::new([0; 4])).await;
        result.unwrap();
        assert_eq!(&*buffer, b"look");
    });
}

#[test]
fn slices_are_read_into_and_written_from_where_they_lie() {
    const LENGTH: usize = 8 << 20;
    run(async {
        let (mut stream, mut peer) = connected();
        let mut content = vec![0; LENGTH];
        seeded().fill(&mut content);
        let sent = content.clone();
        let sender = thread::spawn(move || {
            peer.write_all(&sent).unwrap();
            let mut echoed = vec![0; LENGTH];
            peer.read_exact(&mut echoed).unwrap();
            assert!(echoed == sent);
        });
        // Behind a length, with room left over at the end.
        let mut buffer = Vec::with_capacity(LENGTH + 100);
        buffer.extend_from_slice(b"head");
        let BufResult(result, slice) = stream.read_exact(buffer.slice(4..4 + LENGTH)).await;
        result.unwrap();
        let buffer = slice.into_inner();
        assert!(buffer[..4] == *b"head" && buffer[4..] == content);
        let BufResult(result, slice) = stream.write_all(buffer.slice(4..)).await;
        result.unwrap();
        assert_eq!(slice.into_inner().len(), 4 + LENGTH);
        sender.join().unwrap();
    });
}

// Writing

#[test]
fn sixteen_mebibytes_are_written_whole() {
    const LENGTH: usize = 16 << 20;
    run(async {
        let (mut stream, mut peer) = connected();
        let receiver = thread::spawn(move || {
            let mut hash = Hasher::new();
            std::io::copy(&mut peer, &mut hash).unwrap();
            hash.finalize()
        });
        let mut content = vec![0; LENGTH];
        seeded().fill(&mut content);
        let BufResult(result, content) = stream.write_all(content).await;
        result.unwrap();
        // A write may take less.
        let BufResult(result, content) = stream.write(Bytes::from(content)).await;
        let more = result.unwrap();
        assert!((1..=LENGTH).contains(&more));
        drop(stream);
        let mut hash = Hasher::new();
        hash.update(&content).update(&content[..more]);
        assert_eq!(receiver.join().unwrap(), hash.finalize());
    });
}

#[test]
fn a_vectored_write_sends_its_buffers_in_order() {
    run(async {
        let (mut stream, mut peer) = connected();
        for _ in 0..2 {
            let BufResult(result, buffers) =
                stream.write_vectored(vec!["one ", "", "two ", "three"]).await;
            assert_eq!(result.unwrap(), 13);
            assert_eq!(buffers.len(), 4, "they come back");
            let mut received = [0; 13];
            peer.read_exact(&mut received).unwrap();
            assert_eq!(&received, b"one two three");
        }
    });
}

/// As the standard library's does.
#[test]
fn a_vectored_write_of_more_buffers_than_the_kernel_takes_writes_the_first() {
    run(async {
        let (mut stream, mut peer) = connected();
        let mut buffers = vec![""; 2000];
        buffers.extend(["ab"; 5000]);
        let BufResult(result, buffers) = stream.write_vectored(buffers).await;
        assert_eq!((result.unwrap(), buffers.len()), (2048, 7000));
        peer.read_exact(&mut vec![0; 2048]).unwrap();
    });
}

#[test]
fn all_of_several_buffers_are_written_however_many_and_however_slowly_the_peer_reads() {
    run(async {
        let (mut stream, mut peer) = connected();
        stream.set_send_buffer_size(4096).unwrap();
        let mut random = crate::common::random::seeded();
        let mut buffers = Vec::new();
        for number in 0..5000_usize {
            let length = random.choice([0, 1, 300, 2000]).unwrap();
            buffers.push(vec![number as u8; length]);
        }
        let expected = buffers.concat();
        let reader = thread::spawn(move || {
            let (mut all, mut piece) = (Vec::new(), vec![0; 10_000]);
            loop {
                match peer.read(&mut piece).unwrap() {
                    0 => return all,
                    count => all.extend_from_slice(&piece[..count]),
                }
                thread::yield_now();
            }
        });
        let BufResult(result, returned) = stream.write_all_vectored(buffers).await;
        result.unwrap();
        assert!(returned.concat() == expected, "they come back as they were");
        assert_eq!(stream.write_all_vectored(vec!["", ""]).await.1, ["", ""]);
        drop(stream);
        assert!(reader.join().unwrap() == expected);
    });
}

#[test]
fn each_direction_can_be_shut_down_alone() {
    run(async {
        let (mut stream, mut peer) = connected();
        stream.write_all("request").await.0.unwrap();
        stream.shutdown(Shutdown::Write).await.unwrap();
        let mut request = String::new();
        peer.read_to_string(&mut request).unwrap();
        assert_eq!(request, "request");
        assert_eq!(stream.write("more").await.0.unwrap_err().kind(), ErrorKind::BrokenPipe);
        peer.write_all(b"reply").unwrap();
        peer.shutdown(Shutdown::Write).unwrap();
        assert_eq!(stream.read_exact(vec![0; 5]).await.1, b"reply");
        assert_eq!(stream.read(vec![0]).await.0.unwrap(), 0);

        let (mut stream, mut peer) = connected();
        peer.shutdown(Shutdown::Write).unwrap();
        assert_eq!(stream.read(vec![0]).await.0.unwrap(), 0);
        stream.write_all("still writing").await.0.unwrap();
        stream.shutdown(Shutdown::Both).await.unwrap();
        let mut received = String::new();
        peer.read_to_string(&mut received).unwrap();
        assert_eq!(received, "still writing");
    });
}

#[test]
fn a_shutdown_ends_a_read_that_waits_in_the_other_half() {
    run(async {
        let (stream, _peer) = connected();
        let descriptor = socket2::SockRef::from(&stream).try_clone().unwrap();
        let (mut read, _write) = stream.into_split();
        let reading = spawn(async move { read.read(vec![0]).await.0.unwrap() });
        until(|| metrics().in_kernel > 0).await;
        descriptor.shutdown(Shutdown::Read).unwrap();
        assert_eq!(reading.await.unwrap(), 0);
    });
}
