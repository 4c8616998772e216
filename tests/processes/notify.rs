//! What a service manager is told: the tests are the service manager, and a child is the service.

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process::Command;
use std::time::Duration;

use annulus::Runtime;
use annulus::service;
use annulus::time::timeout;

use crate::common::child;
use crate::common::patience::limit;
use crate::common::program::Program;
use crate::common::watchdog::block_on;
use crate::this_test;

/// A service manager with an abstract address, and the text of that address.
fn manager(name: &str) -> (UnixDatagram, String) {
    let name = format!("annulus-test-{name}-{}", std::process::id());
    let socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    socket.set_read_timeout(Some(limit())).unwrap();
    (socket, format!("@{name}"))
}

fn message(manager: &UnixDatagram) -> String {
    let mut buffer = [0; 1024];
    let length = manager.recv(&mut buffer).expect("the service sends a message");
    String::from_utf8(buffer[..length].to_vec()).unwrap()
}

#[track_caller]
fn finish(command: &mut Command) {
    let ended = Program::start(command).ended();
    assert!(ended.status.success(), "{ended:?}");
}

#[test]
fn each_notification_is_one_message_in_the_form_of_systemd() {
    if child::role().is_some() {
        assert!(service::ready().unwrap());
        assert!(service::reloading().unwrap());
        assert!(service::status("3 clients\nSTOPPING=1").unwrap());
        assert!(service::notify("EXTEND_TIMEOUT_USEC=5000000").unwrap());
        assert!(service::stopping().unwrap());
        return;
    }
    let monotonic = || {
        let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the call writes one `timespec`.
        unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) };
        now.tv_sec * 1_000_000 + now.tv_nsec / 1000
    };
    let (manager, address) = manager("messages");
    let before = monotonic();
    finish(child::command(this_test!(), "").env("NOTIFY_SOCKET", address));
    assert_eq!(message(&manager), "READY=1");
    let reloading = message(&manager);
    let time = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").expect("a time");
    assert!((before..=monotonic()).contains(&time.parse().unwrap()), "{time}");
    assert_eq!(message(&manager), "STATUS=3 clients STOPPING=1");
    assert_eq!(message(&manager), "EXTEND_TIMEOUT_USEC=5000000");
    assert_eq!(message(&manager), "STOPPING=1");
}

#[test]
fn a_service_manager_may_have_a_path() {
    if child::role().is_some() {
        assert!(service::ready().unwrap());
        return;
    }
    let path = std::env::temp_dir().join(format!("annulus-notify-{}", std::process::id()));
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(limit())).unwrap();
    let mut command = child::command(this_test!(), "");
    let ended = Program::start(command.env("NOTIFY_SOCKET", &path)).ended();
    std::fs::remove_file(&path).unwrap();
    assert!(ended.status.success(), "{ended:?}");
    assert_eq!(message(&manager), "READY=1");
}

#[test]
fn a_process_without_a_service_manager_tells_none() {
    if child::role().is_some() {
        assert!(!service::ready().unwrap());
        assert!(!service::stopping().unwrap());
        let runtime = Runtime::new().unwrap();
        block_on(&runtime, service::answer_watchdog()).unwrap();
        return;
    }
    finish(child::command(this_test!(), "").env_remove("NOTIFY_SOCKET").env("WATCHDOG_USEC", "1"));
}

#[test]
fn a_service_manager_that_does_not_read_delays_no_service_and_is_an_error() {
    if child::role().is_some() {
        let error = loop {
            if let Err(error) = service::ready() {
                break error;
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        eprintln!("{error}");
        return;
    }
    let (_manager, address) = manager("busy");
    let mut command = child::command(this_test!(), "");
    let ended = Program::start(command.env("NOTIFY_SOCKET", address)).ended();
    assert!(ended.status.success(), "{ended:?}");
    let [line] = &*ended.stderr else { panic!("{ended:?}") };
    assert!(line.starts_with("notify the service manager: "), "{line}");
}

#[test]
fn a_watchdog_is_pinged_at_half_its_interval() {
    if child::role().is_some() {
        // The clock jumps, so that no machine is too slow for this.
        let runtime = Runtime::builder().start_paused(true).build().unwrap();
        block_on(&runtime, async {
            assert_eq!(service::watchdog_interval().unwrap(), Some(Duration::from_secs(2)));
            let pings = service::answer_watchdog();
            assert!(timeout(Duration::from_millis(3500), pings).await.is_err());
        });
        assert!(service::stopping().unwrap());
        return;
    }
    let (manager, address) = manager("watchdog");
    let mut command = child::command(this_test!(), "");
    command.env("NOTIFY_SOCKET", address).env("WATCHDOG_USEC", "2000000");
    finish(command.env_remove("WATCHDOG_PID"));
    // At 0, 1, 2 and 3 seconds.
    for _ in 0..4 {
        assert_eq!(message(&manager), "WATCHDOG=1");
    }
    assert_eq!(message(&manager), "STOPPING=1");
}

#[test]
fn a_ping_that_finds_the_service_manager_busy_is_left_out() {
    if child::role().is_some() {
        while service::ready().is_ok() {}
        let runtime = Runtime::builder().start_paused(true).build().unwrap();
        block_on(&runtime, async {
            let pings = service::answer_watchdog();
            assert!(timeout(Duration::from_secs(10), pings).await.is_err(), "it goes on");
        });
        return;
    }
    let (_manager, address) = manager("left-out");
    let mut command = child::command(this_test!(), "");
    command.env("NOTIFY_SOCKET", address).env("WATCHDOG_USEC", "2000000");
    finish(command.env_remove("WATCHDOG_PID"));
}
