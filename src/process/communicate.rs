//! Writing a child's input and reading its output at the same time.

use std::io;

use futures_util::future::try_join3;

use crate::buf::IoBuf;
use crate::pipe::{Receiver, Sender};

/// Writes the input and closes it, and reads each output until EOF.
pub(super) async fn exchange(
    stdin: Option<Sender>,
    input: impl IoBuf,
    stdout: Option<&mut Receiver>,
    stderr: Option<&mut Receiver>,
) -> io::Result<(Vec<u8>, Vec<u8>)> {
    if stdin.is_none() && input.bytes_init() > 0 {
        let text = "the child has an input to be written, and no pipe for it: set \
                    `Command::stdin(Stdio::piped())`, and leave `Child::stdin` in its place";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    let exchanged = try_join3(feed(stdin, input), collect(stdout), collect(stderr));
    exchanged.await.map(|((), stdout, stderr)| (stdout, stderr))
}

/// Writes the input, as much as the child reads, and closes it.
async fn feed(stdin: Option<Sender>, input: impl IoBuf) -> io::Result<()> {
    let Some(mut stdin) = stdin else { return Ok(()) };
    match stdin.write_all(input).await.0 {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Reads until EOF.
async fn collect(pipe: Option<&mut Receiver>) -> io::Result<Vec<u8>> {
    let mut collected = Vec::new();
    let Some(pipe) = pipe else { return Ok(collected) };
    loop {
        let bytes = pipe.recv().await?;
        if bytes.is_empty() {
            return Ok(collected);
        }
        collected.extend_from_slice(&bytes);
    }
}
