//! Handing over to a successor that does what it should not, and what becomes of both processes.
//! Each test runs in a process of its own, since a process hands over once.

use std::io::{self, Read};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process::{Command, Stdio};
use std::time::Duration;
use std::{env, fs};

use annulus::Runtime;
use annulus::blocking::to_thread;
use annulus::net::{
    ServerOptions, StreamReader, StreamWriter, TcpListener, UnixListener, open_connection,
    start_server, start_server_on,
};
use annulus::service::{self, HandOverError, ListeningSockets, hand_over};
use annulus::time::timeout;

use crate::common::child::{self, isolated};
use crate::common::patience::limit;
use crate::common::program::{Program, until};
use crate::common::skip::skip;
use crate::common::watchdog::run;
use crate::this_test;

/// Runs a test's body in a process of its own, with a listener to hand over.
fn alone(test: &str, body: impl AsyncFnOnce(&ListeningSockets, &TcpListener)) {
    isolated(test, || {
        run(async {
            let sockets = ListeningSockets::new();
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            sockets.add("web", &listener).unwrap();
            body(&sockets, &listener).await;
            // Whatever happened, this process goes on accepting.
            let (_client, accepted) = futures_util::join!(
                open_connection(listener.local_addr().unwrap()),
                listener.accept()
            );
            accepted.unwrap();
        });
    });
}

fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]).stdin(Stdio::null());
    command
}

/// Whether this process has a child, be it a zombie.
fn has_child() -> bool {
    // SAFETY: the call writes no status. It takes no status either, as it leaves a zombie.
    let result = unsafe {
        let mut info = std::mem::zeroed();
        libc::waitid(libc::P_ALL, 0, &mut info, libc::WEXITED | libc::WNOHANG | libc::WNOWAIT)
    };
    result == 0
}

#[test]
fn a_successor_that_ends_before_it_is_ready_is_reported_with_its_status() {
    alone(this_test!(), async |sockets, _| {
        for (script, status) in [("exit 7", "exit status: 7"), ("kill -9 $$", "signal: 9")] {
            let error = hand_over(sockets, shell(script), limit()).await.unwrap_err();
            let text = error.to_string();
            assert!(matches!(error, HandOverError::Ended { .. }), "{error:?}");
            assert!(text.contains("ended before it was ready") && text.contains(status), "{text}");
            assert!(!has_child());
        }
    });
}

#[test]
fn a_successor_that_is_not_ready_in_time_is_killed() {
    alone(this_test!(), async |sockets, _| {
        let within = Duration::from_millis(50);
        let error = hand_over(sockets, shell("exec sleep 600"), within).await.unwrap_err();
        assert_eq!(error.to_string(), "the successor was not ready after 50ms, and was killed");
        assert_eq!(io::Error::from(error).kind(), io::ErrorKind::TimedOut);
        assert!(!has_child());
    });
}

#[test]
fn a_successor_that_cannot_be_started_is_named() {
    alone(this_test!(), async |sockets, _| {
        let command = Command::new("/nonexistent/program");
        let error = hand_over(sockets, command, limit()).await.unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("cannot start the successor /nonexistent/program: "), "{text}");
        assert_eq!(io::Error::from(error).kind(), io::ErrorKind::NotFound);
    });
}

#[test]
fn a_successor_that_reports_something_else_is_killed() {
    alone(this_test!(), async |sockets, _| {
        // The first number in the variable is that of the socket on which to report.
        let report = |text: &str| {
            // The number may have several digits, which not every shell redirects to.
            let write = "import os; os.write(int(os.environ['ANNULUS_HAND_OVER'].split(':')[0])";
            let mut command = Command::new("python3");
            let script = format!("{write}, b'{text}'); import time; time.sleep(600)");
            command.args(["-c", &script]).stdin(Stdio::null());
            command
        };
        if Command::new("python3").arg("--version").output().is_err() {
            return skip("python3 is not installed");
        }
        for text in ["hello\\n", "ready\\n", "ready x\\n", &"x".repeat(100)] {
            let error = hand_over(sockets, report(text), limit()).await.unwrap_err();
            assert!(matches!(error, HandOverError::NoReport), "{text}: {error:?}");
            assert!(!has_child());
        }
    });
}

#[test]
fn a_hand_over_that_is_dropped_kills_the_successor_and_can_be_tried_again() {
    alone(this_test!(), async |sockets, _| {
        for _ in 0..3 {
            let handing_over = hand_over(sockets, shell("exec sleep 600"), limit());
            assert!(timeout(Duration::from_millis(20), handing_over).await.is_err());
        }
        // The end of a killed process takes a moment.
        to_thread(|| until("the successors have ended", || !has_child())).await.unwrap();
        let again = hand_over(sockets, shell("exit 1"), limit()).await.unwrap_err();
        assert!(matches!(again, HandOverError::Ended { .. }), "{again:?}");
    });
}

#[test]
fn one_hand_over_is_in_progress_at_a_time() {
    alone(this_test!(), async |sockets, _| {
        let first = hand_over(sockets, shell("exec sleep 600"), Duration::from_millis(50));
        let second = hand_over(sockets, shell("exit 0"), limit());
        let (first, second) = futures_util::join!(first, second);
        assert!(matches!(first, Err(HandOverError::NotReady { .. })), "{first:?}");
        assert!(matches!(second, Err(HandOverError::InProgress)), "{second:?}");
    });
}

#[test]
fn sockets_that_are_closed_are_not_handed_over() {
    alone(this_test!(), async |_, _| {
        let sockets = ListeningSockets::new();
        let handler = async |_: StreamReader, _: StreamWriter| {};
        let server = start_server(handler, "127.0.0.1:0").await.unwrap();
        sockets.add("web", &server).unwrap();
        assert_eq!(sockets.len(), 1);
        server.shutdown(limit()).await;
        assert!(sockets.is_empty());
        let error = hand_over(&sockets, shell("exit 0"), limit()).await.unwrap_err();
        assert!(matches!(error, HandOverError::NoSockets), "{error:?}");
        let name = sockets.add("a:b", &server).unwrap_err();
        assert_eq!(name.kind(), io::ErrorKind::InvalidInput);
    });
}

/// The end of the successor must be seen although other threads start programs at the same time:
/// none of those may inherit the socket on which it reports, or a listening socket.
#[test]
fn programs_that_are_started_meanwhile_inherit_nothing() {
    isolated(this_test!(), || {
        let runtime = Runtime::new().unwrap();
        runtime.block_on(async {
            let sockets = ListeningSockets::new();
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            sockets.add("web", &listener).unwrap();
            let others = to_thread(|| {
                let list = || shell("ls -l /proc/self/fd | grep -c socket; exit 0");
                let counts = (0..40).map(|_| list().stdout(Stdio::piped()).output().unwrap());
                counts.map(|it| String::from_utf8(it.stdout).unwrap()).collect::<Vec<_>>()
            });
            for _ in 0..20 {
                let error = hand_over(&sockets, shell("exit 1"), limit()).await.unwrap_err();
                assert!(matches!(error, HandOverError::Ended { .. }), "{error:?}");
            }
            let before = shell("ls -l /proc/self/fd | grep -c socket; exit 0").output().unwrap();
            let before = String::from_utf8(before.stdout).unwrap();
            for count in others.await.unwrap() {
                assert_eq!(count, before);
            }
        });
    });
}

/// The first process of a service: it hands over and ends.
async fn first(test: &str) {
    let path = env::var("SOCKET_PATH").unwrap();
    let sockets = ListeningSockets::new();
    let web = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let local = UnixListener::bind(&path).unwrap();
    sockets.add("web", &web).unwrap();
    sockets.add("local", &local).unwrap();
    eprintln!("{}", web.local_addr().unwrap());
    assert!(service::ready().unwrap());
    let successor = || {
        let mut command = child::command(test, "second");
        command.stdin(Stdio::inherit());
        command
    };
    let id = hand_over(&sockets, successor(), limit()).await.unwrap();
    eprintln!("the second is {id}");
    // From here on the service is the successor's.
    assert!(!service::stopping().unwrap());
    service::answer_watchdog().await.unwrap();
    let again = hand_over(&sockets, successor(), limit()).await.unwrap_err();
    assert!(matches!(again, HandOverError::HandedOver), "{again:?}");
    assert!(web.close().await.is_empty());
    assert!(local.close().await.is_empty());
}

/// The successor: it takes the sockets, serves on them, and reports.
async fn second(test: &str) {
    assert_eq!(env::var_os("LISTEN_FDNAMES"), None);
    assert_eq!(env::var_os("WATCHDOG_PID"), None);
    let early = service::ready().unwrap_err();
    assert_eq!(early.kind(), io::ErrorKind::NotConnected);
    let [web, local] = service::listeners().unwrap().try_into().unwrap();
    assert_eq!((web.name(), local.name()), ("web", "local"));
    let web = web.into_tcp_listener().unwrap();
    let local = local.into_unix_listener().unwrap();
    let options = ServerOptions::new();
    let _web = start_server_on(answer_tcp, [web], &options).unwrap();
    let _local = start_server_on(answer_unix, [local], &options).unwrap();
    let mut inner = child::command(test, "inner");
    assert!(to_thread(move || inner.status()).await.unwrap().unwrap().success());
    assert!(service::ready().unwrap());
    to_thread(|| io::stdin().read_to_end(&mut Vec::new())).await.unwrap().unwrap();
}

async fn answer_tcp(_: StreamReader, mut writer: StreamWriter) -> io::Result<()> {
    writer.write("the second, by TCP").await
}

async fn answer_unix(
    _: StreamReader<annulus::net::UnixStream>,
    mut writer: StreamWriter<annulus::net::UnixStream>,
) -> io::Result<()> {
    writer.write("the second, by a path").await
}

fn answer_of(mut stream: impl Read) -> String {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_successor_takes_over_every_socket_and_becomes_the_main_process_of_the_service() {
    let test = this_test!();
    match child::role().as_deref() {
        Some("first") => return run(first(test)),
        Some("second") => return run(second(test)),
        // What a successor starts does not take the sockets for its own.
        Some(_) => return assert!(service::listeners().unwrap().is_empty()),
        None => {}
    }
    let name = format!("annulus-test-hand-over-{}", std::process::id());
    let manager = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    manager.set_read_timeout(Some(limit())).unwrap();
    let message = || {
        let mut buffer = [0; 256];
        let length = manager.recv(&mut buffer).expect("the service sends a message");
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    };
    let path = env::temp_dir().join(&name);
    let mut command = child::command(test, "first");
    command.env("NOTIFY_SOCKET", format!("@{name}")).env("SOCKET_PATH", &path);
    command.env("WATCHDOG_PID", "1").env("WATCHDOG_USEC", "1000000").env("LISTEN_FDNAMES", "old");
    let mut program = Program::start(command.stdin(Stdio::piped()));
    // Kept: to wait for a child ends its input.
    let input = program.child.stdin.take();
    let address: std::net::SocketAddr = program.stderr.next().unwrap().parse().unwrap();
    assert_eq!(message(), "READY=1");
    assert_eq!(message(), format!("MAINPID={}", program.child.id()));
    let line = program.stderr.next().unwrap();
    let id = line.strip_prefix("the second is ").unwrap_or_else(|| panic!("{line}"));
    assert_eq!(message(), format!("MAINPID={id}\nREADY=1"));
    assert!(program.child.wait().unwrap().success(), "{:?}", program.ended());
    let by_tcp = std::net::TcpStream::connect(address).unwrap();
    assert_eq!(answer_of(by_tcp), "the second, by TCP");
    let by_path = std::os::unix::net::UnixStream::connect(&path).unwrap();
    assert_eq!(answer_of(by_path), "the second, by a path");
    drop(input);
    assert_eq!(program.ended().stderr, [""; 0]);
    fs::remove_file(&path).unwrap();
    manager.set_nonblocking(true).unwrap();
    assert!(manager.recv(&mut [0]).is_err(), "no other message");
}
