//! Signals whose handlers interrupt system calls: no operation hears of them.

use std::io;
use std::ptr;
use std::time::Duration;

use annulus::Runtime;
use annulus::net::{TcpListener, TcpStream};

use crate::common::child::{command, role};
use crate::common::watchdog::block_on;
use crate::this_test;

extern "C" fn nothing(_signal: libc::c_int) {}

/// Has a signal come every so often, to a handler after which system calls are not begun again.
fn signal_every(interval: Duration) {
    let time = libc::timeval { tv_sec: 0, tv_usec: interval.subsec_micros().into() };
    let timer = libc::itimerval { it_interval: time, it_value: time };
    // SAFETY: all zeroes is a valid action, the handler does nothing, and the calls read what they
    // are given.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = nothing as extern "C" fn(libc::c_int) as usize;
        assert_eq!(libc::sigaction(libc::SIGALRM, &action, ptr::null_mut()), 0);
        assert_eq!(libc::setitimer(libc::ITIMER_REAL, &timer, ptr::null_mut()), 0);
    }
}

async fn exchange(listener: &TcpListener) -> io::Result<()> {
    let address = listener.local_addr()?;
    let mut stream = TcpStream::connect_timeout(address, Duration::from_secs(60)).await?;
    let (mut peer, _) = listener.accept().await?;
    let sending = annulus::spawn(async move {
        let file = std::fs::File::open(std::env::current_exe()?)?;
        stream.send_file(&file, ..1_000_000).await?;
        stream.write_all(vec![7; 1 << 20]).await.0?;
        stream.write_all_vectored(vec![vec![7; 1 << 19]; 2]).await.0?;
        stream.write_all_zero_copy(vec![7; 1 << 20]).await
    });
    let mut count = 0;
    loop {
        let lease = peer.recv().await?;
        count += lease.len();
        if lease.is_empty() {
            break;
        }
    }
    assert_eq!(count, (3 << 20) + 1_000_000);
    sending.await.expect("no panic")
}

#[test]
fn no_transfer_is_ended_by_a_signal() {
    if role().is_none() {
        let output = command(this_test!(), "signals").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        return;
    }
    signal_every(Duration::from_micros(300));
    for places in [0, 8] {
        let builder = Runtime::builder();
        let builder = if places > 0 { builder.direct_descriptors(places) } else { builder };
        // Before 6.8 there are none, which is another test's concern.
        let Ok(runtime) = builder.build() else { continue };
        block_on(&runtime, async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            for _ in 0..20 {
                exchange(&listener).await.unwrap();
            }
        });
    }
}
