//! The poll forms as futures.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;

use annulus::net::{Polled, ReadSide, WriteSide};

pub(crate) async fn write<S: WriteSide>(polled: &mut Polled<S>, bytes: &[u8]) -> io::Result<usize> {
    poll_fn(|context| polled.poll_write(context, bytes)).await
}

pub(crate) async fn write_all<S: WriteSide>(
    polled: &mut Polled<S>,
    mut bytes: &[u8],
) -> io::Result<()> {
    while !bytes.is_empty() {
        let count = write(polled, bytes).await?;
        assert!(0 < count && count <= bytes.len());
        bytes = &bytes[count..];
    }
    Ok(())
}

pub(crate) async fn flush<S: WriteSide>(polled: &mut Polled<S>) -> io::Result<()> {
    poll_fn(|context| polled.poll_flush(context)).await
}

pub(crate) async fn sent<S: WriteSide>(polled: &mut Polled<S>) -> io::Result<()> {
    poll_fn(|context| polled.poll_sent(context)).await
}

pub(crate) async fn shutdown<S: WriteSide>(polled: &mut Polled<S>) -> io::Result<()> {
    poll_fn(|context| polled.poll_shutdown(context)).await
}

/// Reads into memory of the caller, at most `length` bytes.
pub(crate) async fn read<S: ReadSide>(
    polled: &mut Polled<S>,
    length: usize,
) -> io::Result<Vec<u8>> {
    let mut buffer = vec![MaybeUninit::uninit(); length];
    let count = poll_fn(|context| polled.poll_read(context, &mut buffer)).await?;
    // SAFETY: `poll_read` has initialised as many bytes as it returned.
    Ok(buffer[..count].iter().map(|byte| unsafe { byte.assume_init() }).collect())
}

pub(crate) async fn fill<S: ReadSide>(polled: &mut Polled<S>) -> io::Result<Vec<u8>> {
    poll_fn(|context| polled.poll_fill(context).map_ok(<[u8]>::to_vec)).await
}

/// All that is read until EOF.
pub(crate) async fn read_to_end<S: ReadSide>(polled: &mut Polled<S>) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        let bytes = read(polled, 100_000).await.unwrap();
        if bytes.is_empty() {
            return all;
        }
        all.extend(bytes);
    }
}
