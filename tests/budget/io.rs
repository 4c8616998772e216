//! Of `annulus::io`. What is read from and written to here takes no budget itself.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::thread;

use annulus::buf::{BufResult, IoBuf, IoBufMut, Lease};
use annulus::io::{
    AsyncFd, AsyncRead, AsyncWrite, Interest, StreamReader, StreamWriter, bytes_stream, copy,
};
use annulus::pipe::pipe;
use futures_util::{SinkExt, StreamExt};

use super::{TIMES, Trials};
use crate::common::watchdog::run;

/// Gives the same piece for ever.
struct Always(&'static str);

impl AsyncRead for Always {
    async fn recv(&mut self) -> io::Result<Lease> {
        Ok(Lease::from(Vec::from(self.0)))
    }

    async fn read<B: IoBufMut>(&mut self, mut buffer: B) -> BufResult<usize, B> {
        BufResult(Ok(buffer.fill_from(self.0.as_bytes())), buffer)
    }
}

/// Fails, and is not asked twice.
struct Fails(bool);

impl AsyncRead for Fails {
    async fn recv(&mut self) -> io::Result<Lease> {
        assert!(!std::mem::replace(&mut self.0, true), "a reader keeps the failure");
        Err(io::ErrorKind::ConnectionReset.into())
    }

    async fn read<B: IoBufMut>(&mut self, buffer: B) -> BufResult<usize, B> {
        BufResult(Err(io::ErrorKind::ConnectionReset.into()), buffer)
    }
}

/// Takes everything, unless it is told to fail.
struct Takes {
    fails: bool,
}

impl AsyncWrite for Takes {
    async fn write_all<B: IoBuf>(&mut self, buffer: B) -> BufResult<(), B> {
        BufResult(if self.fails { Err(io::ErrorKind::BrokenPipe.into()) } else { Ok(()) }, buffer)
    }

    async fn shutdown(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn abort(&mut self) {}
}

/// A reader that has received some 64 KiB of empty lines.
async fn filled() -> StreamReader<Always> {
    const LINES: &str = "\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n";
    let all = 64 * TIMES;
    let mut reader = StreamReader::with_limit(Always(LINES), all);
    reader.read_until("no such separator").await.unwrap_err();
    assert!(reader.buffer().len() >= all);
    reader
}

async fn try_all<R: AsyncRead>(trials: &mut Trials, mut reader: StreamReader<R>) {
    trials.ready("read", async || drop(reader.read(1).await)).await;
    trials.ready("read of nothing", async || drop(reader.read(0).await)).await;
    trials.ready("read_exact", async || drop(reader.read_exact(1).await)).await;
    trials.ready("read_exact of nothing", async || drop(reader.read_exact(0).await)).await;
    trials.ready("read_until", async || drop(reader.read_until("\n").await)).await;
    let several: &[&[u8]] = &[b"\n", b"x"];
    trials.ready("read_until_any", async || drop(reader.read_until_any(several).await)).await;
    trials.ready("read_line", async || drop(reader.read_line().await)).await;
    trials.ready("fill", async || drop(reader.fill().await.map(<[u8]>::len))).await;
    trials.ready("AsyncRead::recv", async || drop(AsyncRead::recv(&mut reader).await)).await;
    trials
        .ready("AsyncRead::read", async || {
            AsyncRead::read(&mut reader, Vec::with_capacity(1)).await
        })
        .await;
    trials
        .ready("AsyncRead::read of nothing", async || {
            AsyncRead::read(&mut reader, Vec::new()).await
        })
        .await;
    trials.ready("a line of many streams", async || drop(reader.lines().next().await)).await;
    let mut lines = reader.lines();
    trials.ready("lines", async || drop(lines.next().await)).await;
}

#[test]
fn reads_that_are_served_from_a_buffer_let_other_tasks_run() {
    run(async { try_all(&mut Trials::default(), filled().await).await });
}

#[test]
fn reads_at_the_end_and_after_a_failure_let_other_tasks_run() {
    run(async {
        let mut trials = Trials::default();
        let mut ended = StreamReader::new(Always(""));
        trials.ready("read_to_end", async || drop(ended.read_to_end().await)).await;
        try_all(&mut trials, ended).await;
        let mut failed = StreamReader::new(Fails(false));
        trials.ready("read_to_end that fails", async || drop(failed.read_to_end().await)).await;
        try_all(&mut trials, failed).await;
    });
}

#[test]
fn reads_beyond_the_limit_let_other_tasks_run() {
    run(async {
        let mut trials = Trials::default();
        let mut reader = StreamReader::with_limit(Always("too long\n"), 4);
        trials.ready("read_line", async || reader.read_line().await.unwrap_err()).await;
        trials.ready("read_until", async || reader.read_until("\n").await.unwrap_err()).await;
    });
}

async fn try_all_writes(trials: &mut Trials, mut writer: StreamWriter<Takes>) {
    trials.ready("write", async || drop(writer.write("x").await)).await;
    trials.ready("write of nothing", async || drop(writer.write("").await)).await;
    trials.ready("write_lines", async || drop(writer.write_lines(["x", "y"]).await)).await;
    trials.ready("drain", async || drop(writer.drain().await)).await;
    trials.ready("feed", async || drop(SinkExt::feed(&mut writer, "x").await)).await;
    let _ = writer.flush().await;
    trials.ready("flush", async || drop(writer.flush().await)).await;
    trials.ready("Sink::flush", async || drop(SinkExt::<&str>::flush(&mut writer).await)).await;
    let mut ended = StreamReader::new(Always(""));
    trials.ready("copy_to", async || drop(ended.copy_to(&mut writer).await)).await;
    writer.close();
    let _ = writer.wait_closed().await;
    trials.ready("wait_closed", async || drop(writer.wait_closed().await)).await;
    trials.ready("write of a closed one", async || drop(writer.write("x").await)).await;
    trials.ready("Sink::close", async || drop(SinkExt::<&str>::close(&mut writer).await)).await;
}

#[test]
fn writes_that_need_not_wait_let_other_tasks_run() {
    run(async {
        let mut trials = Trials::default();
        // So large a limit that nothing waits.
        let writer = |fails| StreamWriter::with_limit(Takes { fails }, 1 << 20);
        try_all_writes(&mut trials, writer(false)).await;
        try_all_writes(&mut trials, writer(true)).await;
        let unused = async || drop(writer(false).into_inner().await);
        trials.ready("into_inner of an unused one", unused).await;
    });
}

#[test]
fn copies_and_streams_of_bytes_let_other_tasks_run() {
    run(async {
        let mut trials = Trials::default();
        let (mut ended, mut to) = (Always(""), Takes { fails: false });
        trials.ready("copy", async || copy(&mut ended, &mut to).await.unwrap()).await;
        let mut pieces = bytes_stream(Always("x"));
        trials.ready("bytes_stream", async || pieces.next().await.unwrap()).await;
        let mut pieces = bytes_stream(Always(""));
        trials.ready("bytes_stream, ended", async || assert!(pieces.next().await.is_none())).await;
        let mut pieces = bytes_stream(Fails(false));
        assert!(pieces.next().await.unwrap().is_err());
        trials.ready("bytes_stream, failed", async || assert!(pieces.next().await.is_none())).await;
    });
}

/// A copy between what is always ready never comes to its end.
#[test]
fn a_copy_without_an_end_lets_other_tasks_run() {
    run(async {
        let copying = async { copy(&mut Always("x"), &mut Takes { fails: false }).await };
        let copying = annulus::spawn(copying);
        for _ in 0..10 {
            annulus::yield_now().await;
        }
        copying.cancel();
        let mut reader = StreamReader::new(Always("x"));
        let mut writer = StreamWriter::new(Takes { fails: false });
        let copying = annulus::spawn(async move { reader.copy_to(&mut writer).await });
        for _ in 0..10 {
            annulus::yield_now().await;
        }
        copying.cancel();
    });
}

#[test]
fn calls_on_a_descriptor_that_is_always_ready_take_budget() {
    run(async {
        let mut trials = Trials::default();
        let fd = AsyncFd::new(UnixStream::pair().unwrap().0).unwrap();
        let call = async || fd.async_io(Interest::READABLE, |_| Ok(())).await.unwrap();
        trials.ready("AsyncFd::async_io", call).await;
        let new =
            async || drop(AsyncFd::new(UnixStream::pair().unwrap().0).unwrap().into_inner().await);
        trials.ready("AsyncFd::into_inner", new).await;
    });
}

/// The other end is another thread's, which always has more to say and reads everything.
#[test]
fn a_flooded_pipe_lets_other_tasks_run() {
    run(async {
        let (flood, mut input) = pipe().unwrap();
        let (mut output, drain) = pipe().unwrap();
        let mut flood = File::from(flood.into_blocking_fd().await.unwrap());
        let mut drain = File::from(drain.into_blocking_fd().await.unwrap().fd);
        let flooding = thread::spawn(move || while flood.write_all(&[7; 65_536]).is_ok() {});
        let draining =
            thread::spawn(
                move || while drain.read(&mut [0; 65_536]).is_ok_and(|count| count > 0) {},
            );
        let mut trials = Trials::default();
        trials.ready("Receiver::read", async || input.read(vec![0]).await.0.unwrap()).await;
        trials.ready("Receiver::recv", async || input.recv().await.unwrap().len()).await;
        let try_read = async || {
            if input.try_read(&mut [0]).is_err() {
                input.readable().await.unwrap();
            }
        };
        trials.ready("Receiver::try_read", try_read).await;
        trials.ready("Sender::write", async || output.write("x").await.0.unwrap()).await;
        let splice = async || input.splice_to(&mut output, 1).await.unwrap();
        trials.ready("Receiver::splice_to", splice).await;
        let none = async || input.splice_to(&mut output, 0).await.unwrap();
        trials.ready("a splice of nothing", none).await;
        let tee = async || input.tee_to(&mut output, 1).await.unwrap();
        trials.ready("Receiver::tee_to", tee).await;
        let file = annulus::fs::File::open("/proc/self/exe").await.unwrap();
        let from = async || output.splice_from(&file, 0, 1).await.unwrap();
        trials.ready("Sender::splice_from", from).await;
        drop((input, output));
        flooding.join().unwrap();
        draining.join().unwrap();
    });
}

#[cfg(feature = "codec")]
#[test]
fn frames_that_have_been_received_and_that_need_not_wait_let_other_tasks_run() {
    use annulus::codec::{FramedRead, FramedWrite, Lines};

    run(async {
        let mut trials = Trials::default();
        let mut lines = FramedRead::new(StreamReader::new(Always("a\nb\n")), Lines::new());
        trials.ready("FramedRead::next", async || lines.next().await.unwrap().unwrap()).await;
        trials.ready("its stream", async || StreamExt::next(&mut lines).await.unwrap()).await;
        let mut ended = FramedRead::new(StreamReader::new(Always("")), Lines::new());
        trials.ready("FramedRead at EOF", async || assert!(ended.next().await.is_none())).await;
        trials
            .ready("stream at EOF", async || assert!(StreamExt::next(&mut ended).await.is_none()))
            .await;
        let mut writer = FramedWrite::new(StreamWriter::new(Takes { fails: false }), Lines::new());
        trials.ready("FramedWrite::send", async || writer.send("x").await.unwrap()).await;
        trials.ready("FramedWrite::flush", async || writer.flush().await.unwrap()).await;
    });
}
