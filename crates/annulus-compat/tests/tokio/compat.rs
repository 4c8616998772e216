//! `Compat` around futures, readers and writers.

use std::future::pending;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::thread;
use std::time::Duration;

use annulus_compat::Compat;
use futures_util::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::io::{AsyncRead, ReadBuf, duplex};
use tokio::runtime::Handle;
use tokio::time::{Sleep, sleep};

use crate::common::bounded::bounded;
use crate::common::watchdog::run;

/// On a thread that no guard has entered.
fn on_a_new_thread(test: impl FnOnce() + Send + 'static) {
    bounded(|| thread::spawn(test).join().unwrap());
}

#[test]
fn a_wrapped_future_uses_tokio_without_a_guard() {
    on_a_new_thread(|| {
        run(async {
            Compat::new(wait()).await;
            assert!(Handle::try_current().is_err(), "the context outlasts the poll");
        });
    });
}

async fn wait() {
    sleep(Duration::from_millis(1)).await;
}

#[test]
fn a_wrapped_future_is_dropped_inside_of_the_context() {
    struct Witness(Arc<AtomicBool>);
    impl Drop for Witness {
        fn drop(&mut self) {
            self.0.store(Handle::try_current().is_ok(), Ordering::SeqCst);
        }
    }
    on_a_new_thread(|| {
        let was_inside = Arc::new(AtomicBool::new(false));
        let witness = Witness(Arc::clone(&was_inside));
        run(async move {
            let task = annulus::spawn(Compat::new(async move {
                let _witness = witness;
                pending::<()>().await;
            }));
            annulus::yield_now().await;
            task.cancel();
            task.await.unwrap_err();
        });
        assert!(was_inside.load(Ordering::SeqCst));
    });
}

#[test]
fn a_wrapped_future_may_move_between_threads() {
    fn assert_send<T: Send>(value: T) -> T {
        value
    }
    let future = assert_send(Compat::new(wait()));
    on_a_new_thread(move || run(future));
}

/// What both directions carry: more than a pipe holds, and no two parts alike.
fn message() -> Vec<u8> {
    (0..30_000_u32).flat_map(u32::to_le_bytes).collect()
}

#[test]
fn bytes_pass_through_both_conversions_unchanged() {
    on_a_new_thread(|| {
        run(async {
            let (near, far) = duplex(1000);
            // Tokio's traits, as those of futures, as Tokio's again.
            let mut near = Compat::new(Compat::new(near));
            let mut far = Compat::new(far);
            let echo = annulus::spawn(async move {
                let mut bytes = Vec::new();
                futures_util::AsyncReadExt::read_to_end(&mut far, &mut bytes).await.unwrap();
                futures_util::AsyncWriteExt::write_all(&mut far, &bytes).await.unwrap();
                far.close().await.unwrap();
            });
            tokio::io::AsyncWriteExt::write_all(&mut near, &message()).await.unwrap();
            tokio::io::AsyncWriteExt::shutdown(&mut near).await.unwrap();
            let mut back = Vec::new();
            tokio::io::AsyncReadExt::read_to_end(&mut near, &mut back).await.unwrap();
            assert!(back == message(), "{} bytes of {}", back.len(), message().len());
            echo.await.unwrap();
        });
    });
}

#[test]
fn lines_pass_through_both_conversions_unchanged() {
    on_a_new_thread(|| {
        run(async {
            let text = "one\ntwo\n\nfour";
            let once = Compat::new(tokio::io::BufReader::with_capacity(3, text.as_bytes()));
            let twice = Compat::new(once);
            let mut lines = tokio::io::AsyncBufReadExt::lines(twice);
            let mut read = Vec::new();
            while let Some(line) = lines.next_line().await.unwrap() {
                read.push(line);
            }
            assert_eq!(read, ["one", "two", "", "four"]);
        });
    });
}

/// Has one word to read, after a wait of Tokio's that the first read starts.
#[derive(Default)]
struct Delayed {
    wait: Option<Pin<Box<Sleep>>>,
}

impl AsyncRead for Delayed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let wait = self.wait.get_or_insert_with(|| Box::pin(sleep(Duration::from_millis(1))));
        ready!(wait.as_mut().poll(cx));
        buffer.put_slice(b"late");
        Poll::Ready(Ok(()))
    }
}

#[test]
fn a_reader_with_a_timer_of_tokios_is_polled_inside_of_the_context() {
    on_a_new_thread(|| {
        run(async {
            let mut word = [0; 4];
            Compat::new(Delayed::default()).read_exact(&mut word).await.unwrap();
            assert_eq!(&word, b"late");
        });
    });
}
