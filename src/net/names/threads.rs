//! The threads that ask the C library.

use std::io;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use crate::blocking::ThreadPool;

/// How many look-ups run at the same time in a process. They have threads of their own, as a
/// [`to_thread`](crate::blocking::to_thread) that blocks for long must not hold up every connect.
const LOOK_UPS: usize = 16;
/// How long an idle thread waits for the next look-up.
const IDLE: Duration = Duration::from_secs(10);

static THREADS: LazyLock<ThreadPool> = LazyLock::new(|| ThreadPool::new(LOOK_UPS, IDLE));

/// Runs a look-up on a thread, where nothing can interrupt it. One whose future is dropped before
/// it has begun never runs, so those that were given up do not delay those that are waited for.
pub(super) async fn look_up<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let wanted = Arc::new(());
    let is_wanted = Arc::downgrade(&wanted);
    let call = move || match is_wanted.upgrade() {
        Some(_) => work(),
        None => Err(io::ErrorKind::TimedOut.into()),
    };
    let found = THREADS.spawn(call).await;
    drop(wanted);
    found?
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    use super::*;
    use crate::time::timeout;

    /// All threads hang, as with a name server that does not answer.
    #[test]
    fn look_ups_that_are_given_up_in_the_queue_never_run() {
        static BEGUN: AtomicUsize = AtomicUsize::new(0);
        crate::runtime::run(async {
            let (release, hangs) = mpsc::channel::<()>();
            let hangs = Arc::new(std::sync::Mutex::new(hangs));
            let (begun, begins) = mpsc::channel();
            let hanging: Vec<_> = (0..LOOK_UPS)
                .map(|_| {
                    let (hangs, begun) = (Arc::clone(&hangs), begun.clone());
                    crate::runtime::spawn(look_up(move || {
                        begun.send(()).unwrap();
                        // The end of the sender, for all of them.
                        let _ = hangs.lock().unwrap().recv();
                        Ok(())
                    }))
                })
                .collect();
            crate::runtime::yield_now().await;
            for _ in 0..LOOK_UPS {
                begins.recv().unwrap();
            }
            for _ in 0..10 {
                let queued = look_up(|| Ok(BEGUN.fetch_add(1, Ordering::Relaxed)));
                timeout(Duration::from_millis(1), queued).await.unwrap_err();
            }
            drop(release);
            for hanging in hanging {
                hanging.await.unwrap().unwrap();
            }
            assert_eq!(look_up(|| Ok(BEGUN.fetch_add(1, Ordering::Relaxed))).await.unwrap(), 0);
        })
        .unwrap();
    }
}
