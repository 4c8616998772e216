//! Pipes, files that are sent, and children.

use std::fs::File as StdFile;
use std::io::Write;

use annulus::buf::BufResult;
use annulus::pipe::pipe;
use annulus::process::Command;
use annulus::spawn;

use crate::common::directory::Directory;
use crate::common::poll::times;
use crate::{bytes, polls, quick_pair, with_each_seed};

#[test]
fn dropped_reads_of_a_pipe_lose_no_bytes() {
    with_each_seed(async |random| {
        let (mut sender, mut receiver) = pipe().unwrap();
        let sent = bytes(random, 1..150_000);
        let mut writing = random.fork();
        let writer = spawn({
            let sent = sent.clone();
            async move {
                let mut rest = &sent[..];
                while !rest.is_empty() {
                    let piece = rest[..writing.usize(1..20_000).min(rest.len())].to_vec();
                    let count = if writing.bool() {
                        sender.write(piece).await.0.unwrap()
                    } else {
                        let length = piece.len();
                        sender.write_all(piece).await.0.map(|()| length).unwrap()
                    };
                    rest = &rest[count..];
                }
            }
        });
        let mut expected = &sent[..];
        loop {
            let polls = polls(random);
            let received = if random.bool() {
                times(polls, receiver.recv()).await.map(|lease| lease.unwrap().to_vec())
            } else {
                let length = random.usize(1..5000);
                times(polls, receiver.read(vec![0; length]))
                    .await
                    .map(|BufResult(count, bytes)| bytes[..count.unwrap()].to_vec())
            };
            let Some(received) = received else { continue };
            assert!(expected.starts_with(&received), "{} bytes from the end", expected.len());
            expected = &expected[received.len()..];
            if received.is_empty() {
                assert!(expected.is_empty(), "it ends {} bytes early", expected.len());
                break;
            }
        }
        writer.await.unwrap();
    });
}

#[test]
fn a_file_that_is_sent_arrives_whole_between_writes() {
    let directory = Directory::new();
    let path = directory.join("file");
    with_each_seed(async |random| {
        let content = bytes(random, 1..300_000);
        StdFile::create(&path).unwrap().write_all(&content).unwrap();
        let file = StdFile::open(&path).unwrap();
        let (mut near, mut far) = quick_pair().await;
        let reader = spawn(async move {
            let mut all = Vec::new();
            loop {
                let lease = far.recv().await.unwrap();
                if lease.is_empty() {
                    return all;
                }
                all.extend_from_slice(&lease);
            }
        });
        near.write_all("before").await.0.unwrap();
        let sending = times(polls(random), near.send_file(&file, ..)).await;
        near.write_all("after").await.0.unwrap();
        drop(near);
        let all = reader.await.unwrap();
        let sent = all.strip_prefix(b"before").and_then(|all| all.strip_suffix(b"after"));
        let sent = sent.expect("what was written is around it");
        assert!(content.starts_with(sent), "{} bytes of the file", sent.len());
        if let Some(count) = sending {
            assert_eq!(count.unwrap(), content.len() as u64);
            assert_eq!(sent.len(), content.len());
        }
    });
}

#[test]
fn a_child_ends_once_and_all_of_its_output_is_read() {
    with_each_seed(async |random| {
        // Waited for to the end: a child that runs when its runtime ends is left to another one.
        let text = random.u64(..).to_string();
        let output = Command::new("echo").arg(&text).output().await.unwrap();
        assert!(output.status.success());
        assert_eq!(output.stdout, format!("{text}\n").as_bytes());
        let mut child = Command::new("true").spawn().unwrap();
        let _ = times(random.usize(1..5), child.wait()).await;
        assert!(child.wait().await.unwrap().success());
    });
}
