//! Opening a FIFO, which has another end.

use std::fs;
use std::io::Write;
use std::pin::pin;
use std::thread;

use annulus::fs::{File, OpenOptions};

use crate::common::directory::Directory;
use crate::common::poll::once;
use crate::run;

/// The kernel's first attempt, which does not wait, finds no reader: it is not reported.
#[test]
fn an_open_of_a_fifo_to_write_waits_for_a_reader() {
    let directory = Directory::new();
    let path = directory.fifo("fifo");
    run(async || {
        // So that its path is cached.
        fs::metadata(&path).unwrap();
        let mut open = pin!(async { OpenOptions::new().write(true).open(&path).await });
        for _ in 0..5 {
            assert!(once(open.as_mut()).await.is_pending());
            annulus::yield_now().await;
        }
        let reader = {
            let path = path.clone();
            thread::spawn(move || fs::read_to_string(path).unwrap())
        };
        let mut file = open.await.unwrap();
        file.write_all("text").await.0.unwrap();
        drop(file);
        assert_eq!(reader.join().unwrap(), "text");
    });
}

#[test]
fn a_fifo_is_read_although_its_writer_comes_later() {
    let directory = Directory::new();
    let path = directory.fifo("fifo");
    run(async || {
        fs::metadata(&path).unwrap();
        let writer = {
            let path = path.clone();
            thread::spawn(move || {
                let mut writer = fs::OpenOptions::new().write(true).open(path).unwrap();
                writer.write_all(b"text").unwrap();
            })
        };
        let mut file = File::open(&path).await.unwrap();
        // Before the writer has come it may seem to have ended.
        let mut text = Vec::new();
        while text.len() < 4 {
            text.extend(file.read(vec![0; 4]).await.1);
            annulus::yield_now().await;
        }
        writer.join().unwrap();
        assert_eq!(text, b"text");
    });
}
