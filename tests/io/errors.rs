//! Every error of an operation names what was done, and keeps the number of the system call's.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::time::Duration;

use annulus::buf::BufResult;
use annulus::io::{ReadError, StreamReader, StreamWriter};
use annulus::join::task_group;
use annulus::net::{TcpListener, TcpStream};
use annulus::raw_os_error;
use annulus::time::timeout;

use crate::common::net::{connected, refusing, reset};
use crate::common::watchdog::run;

/// Checks that an error keeps its number, is of the kind that the number has, and says `doing`.
#[track_caller]
fn assert_keeps(error: &io::Error, errno: i32, doing: &str) {
    assert_eq!(raw_os_error(error), Some(errno), "{error}");
    assert_eq!(error.kind(), io::Error::from_raw_os_error(errno).kind(), "{error}");
    assert!(error.to_string().contains(doing), "{error} names no {doing}");
}

#[test]
fn reads_and_writes_of_a_reset_connection_keep_the_error_number() {
    run(async {
        for operation in 0..9 {
            let (mut stream, peer) = connected();
            reset(peer);
            let reset = libc::ECONNRESET;
            match operation {
                0 => assert_keeps(&stream.recv().await.unwrap_err(), reset, "recv"),
                1 => assert_keeps(&stream.read(vec![0; 8]).await.0.unwrap_err(), reset, "recv"),
                2 => {
                    assert_keeps(
                        &stream.read_exact(vec![0; 8]).await.0.unwrap_err(),
                        reset,
                        "recv",
                    );
                }
                3 => assert_keeps(&stream.peek(vec![0; 8]).await.0.unwrap_err(), reset, "peek"),
                4 => assert_keeps(&stream.write("gone").await.0.unwrap_err(), reset, "send"),
                5 => assert_keeps(&stream.write_all("gone").await.0.unwrap_err(), reset, "send"),
                6 => {
                    let BufResult(result, _) = stream.write_vectored(vec!["gone"]).await;
                    assert_keeps(&result.unwrap_err(), reset, "send");
                }
                7 => {
                    let mut reader = StreamReader::new(stream);
                    assert_keeps(&reader.read_line().await.unwrap_err().into(), reset, "recv");
                    let ReadError::Io(again) = reader.read_until(b"\n").await.unwrap_err() else {
                        panic!("a failure of the stream");
                    };
                    assert_keeps(&again, reset, "recv");
                }
                _ => {
                    let mut writer = StreamWriter::new(stream);
                    writer.write("gone").await.unwrap();
                    for _ in 0..3 {
                        assert_keeps(&writer.flush().await.unwrap_err(), reset, "send");
                    }
                }
            }
        }
    });
}

#[test]
fn refusals_by_the_machine_or_the_peer_keep_the_error_number() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let taken = TcpListener::bind(address).await.unwrap_err();
        assert_keeps(&taken, libc::EADDRINUSE, "127.0.0.1");
        let (_held, address) = refusing();
        let refused = TcpStream::connect(address).await.unwrap_err();
        assert_keeps(&refused, libc::ECONNREFUSED, "connect");
        let group = task_group(async |group| {
            group.spawn(async { Err::<(), _>(refused) });
            Ok::<(), io::Error>(())
        });
        let error = io::Error::from(group.await.unwrap_err());
        assert_keeps(&error, libc::ECONNREFUSED, "connect");
        let (mut stream, _peer) = connected();
        let directory = File::open("/").unwrap();
        let error = stream.send_file(&directory, ..).await.unwrap_err();
        assert!(raw_os_error(&error).is_some(), "{error}");
        let error = stream.set_ttl(1000).unwrap_err();
        assert_keeps(&error, libc::EINVAL, "");
    });
}

#[test]
fn an_end_and_a_limit_have_a_kind_and_no_number() {
    run(async {
        let (mut stream, mut peer) = connected();
        peer.write_all(b"half").unwrap();
        peer.shutdown(Shutdown::Write).unwrap();
        let error = stream.read_exact(vec![0; 8].into_boxed_slice()).await.0.unwrap_err();
        assert_eq!((error.kind(), raw_os_error(&error)), (io::ErrorKind::UnexpectedEof, None));
        let elapsed = timeout(Duration::from_millis(1), std::future::pending::<()>()).await;
        let error = io::Error::from(elapsed.unwrap_err());
        assert_eq!((error.kind(), raw_os_error(&error)), (io::ErrorKind::TimedOut, None));
        stream.shutdown(Shutdown::Both).await.unwrap();
        assert_eq!(peer.read(&mut [0; 8]).unwrap(), 0);
    });
}
