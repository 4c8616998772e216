//! Socket activation: a process that was started with sockets takes them once, and each wrong
//! environment is an error of its own. Each test plays both processes.

use std::fs::File;
use std::io::Read;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::linux::fs::MetadataExt as _;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::{env, io};

use annulus::net::{
    ServerOptions, StreamReader, StreamWriter, UnixSeqpacket, UnixSeqpacketListener,
    start_server_on,
};
use annulus::service::{self, SocketKind};

use crate::common::child;
use crate::common::patience::limit;
use crate::common::program::{Program, until};
use crate::common::skip::skip;
use crate::common::watchdog::run;
use crate::this_test;

/// A child that plays `role`, is given sockets as systemd gives them, and these variables.
fn activated(test: &str, role: &str, sockets: &[OwnedFd], names: Option<&str>) -> Command {
    let body = child::command(test, role);
    let mut command = Command::new("sh");
    // Only the process itself knows its id in time.
    command.args(["-c", "LISTEN_PID=$$ exec \"$@\"", "sh"]);
    command.arg(body.get_program()).args(body.get_args());
    command.envs(body.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.env("LISTEN_FDS", sockets.len().to_string());
    command.env_remove("LISTEN_FDNAMES").envs(names.map(|names| ("LISTEN_FDNAMES", names)));
    command.stdin(Stdio::null());
    // Beyond the numbers that they are to get.
    let sources: Vec<_> = sockets.iter().map(|fd| above(fd.as_raw_fd(), 100)).collect();
    // SAFETY: between fork and exec it calls nothing but `dup2`, which may be called there.
    unsafe {
        command.pre_exec(move || {
            for (source, number) in sources.iter().zip(3..) {
                if libc::dup2(source.as_raw_fd(), number) < 0 {
                    return Err(io::Error::last_os_error());
                }
            }
            Ok(())
        })
    };
    command
}

fn above(fd: RawFd, least: RawFd) -> OwnedFd {
    // SAFETY: the call takes no pointers.
    let duplicate = unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, least) };
    assert!(duplicate >= 0, "{}", io::Error::last_os_error());
    // SAFETY: it has just been opened, and nothing else owns it.
    unsafe { OwnedFd::from_raw_fd(duplicate) }
}

fn descriptor_flags(fd: RawFd) -> i32 {
    // SAFETY: the call takes no pointers.
    unsafe { libc::fcntl(fd, libc::F_GETFD) }
}

async fn greet(_reader: StreamReader, mut writer: StreamWriter) -> io::Result<()> {
    writer.write("tcp\n").await
}

async fn greet_on_unix(
    _reader: StreamReader<annulus::net::UnixStream>,
    mut writer: StreamWriter<annulus::net::UnixStream>,
) -> io::Result<()> {
    writer.write("unix\n").await
}

/// Takes the sockets, and serves on the listeners until its standard input ends.
async fn serve() -> io::Result<()> {
    let sockets = service::listeners()?;
    let (mut tcp, mut unix) = (Vec::new(), Vec::new());
    for socket in sockets {
        assert_eq!(descriptor_flags(socket.as_raw_fd()), libc::FD_CLOEXEC);
        eprintln!("{} is {}", socket.name(), socket.kind());
        match socket.kind() {
            SocketKind::TcpListener => tcp.push(socket.into_tcp_listener()?),
            SocketKind::UnixListener => unix.push(socket.into_unix_listener()?),
            SocketKind::UnixSeqpacketListener => {
                // Its client knows by the end that it was accepted.
                drop(socket.into_unix_seqpacket_listener()?.accept().await?);
            }
            _ => eprintln!("{}", socket.into_tcp_listener().unwrap_err()),
        }
    }
    let again = service::listeners().unwrap_err();
    assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
    eprintln!("{again}");
    let options = ServerOptions::new();
    let _tcp = start_server_on(greet, tcp, &options)?;
    let _unix = start_server_on(greet_on_unix, unix, &options)?;
    annulus::blocking::to_thread(|| io::stdin().read_to_end(&mut Vec::new())).await??;
    Ok(())
}

fn answer_of(mut stream: impl Read) -> String {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// A Unix listener with a name that leaves no file.
fn unix_listener(name: &str) -> (UnixListener, SocketAddr) {
    let name = format!("annulus-test-{name}-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(name).unwrap();
    (UnixListener::bind_addr(&address).unwrap(), address)
}

/// A listener for messages with such a name, and a client of it.
fn message_listener(name: &str) -> (OwnedFd, OwnedFd) {
    run(async {
        let name = format!("\0annulus-test-messages-{name}-{}", std::process::id());
        let listener = UnixSeqpacketListener::bind(&name).unwrap();
        let client = UnixSeqpacket::connect(&name).await.unwrap();
        (listener.into_fd().await.unwrap().0, client.into_fd().await.unwrap().0)
    })
}

#[test]
fn sockets_of_an_activation_are_taken_once_and_are_told_apart() {
    if child::role().is_some() {
        return run(serve()).unwrap();
    }
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = tcp.local_addr().unwrap();
    let (unix, name) = unix_listener("activation");
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (connection, _peer) = UnixStream::pair().unwrap();
    let (messages, client) = message_listener("activation");
    let sockets = [tcp.into(), unix.into(), udp.into(), connection.into(), messages];
    let names = Some("web:local:udp:connected:messages");
    let mut command = activated(this_test!(), "serve", &sockets, names);
    let mut program = Program::start(command.stdin(Stdio::piped()));
    drop((command, sockets));
    assert_eq!(answer_of(TcpStream::connect(address).unwrap()), "tcp\n");
    assert_eq!(answer_of(UnixStream::connect_addr(&name).unwrap()), "unix\n");
    assert_eq!(answer_of(File::from(client)), "");
    program.end_input();
    let ended = program.ended();
    assert!(ended.status.success(), "{ended:?}");
    let neither = "neither a TCP nor a Unix listener";
    let wrong = |name, fd| {
        format!("inherited socket {name:?} (descriptor {fd}) is {neither}, not a TCP listener")
    };
    let expected = [
        "web is a TCP listener".to_owned(),
        "local is a Unix listener".to_owned(),
        format!("udp is {neither}"),
        wrong("udp", 5),
        format!("connected is {neither}"),
        wrong("connected", 6),
        "messages is a Unix listener for messages".to_owned(),
        "the inherited sockets have been taken before: call `service::listeners` once, and pass on \
         what it returns"
            .to_owned(),
    ];
    assert_eq!(ended.stderr, expected);
}

/// The error of `listeners` in a child, and then, as nothing was taken, the same one again.
fn report_error() {
    let error = service::listeners().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    assert_eq!(service::listeners().unwrap_err().to_string(), error.to_string());
    eprintln!("{error}");
}

#[test]
fn a_descriptor_of_an_activation_that_is_not_open_is_an_error_and_nothing_is_taken() {
    if child::role().is_some() {
        report_error();
        assert_eq!(descriptor_flags(3), 0, "the first one is as it was");
        return;
    }
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut command = activated(this_test!(), "", &[tcp.into()], None);
    let ended = Program::start(command.env("LISTEN_FDS", "1000")).ended();
    assert!(ended.status.success(), "{ended:?}");
    let [line] = &*ended.stderr else { panic!("{ended:?}") };
    assert!(line.starts_with("descriptor ") && line.ends_with("of LISTEN_FDS=1000 is not open"));
}

/// Taken over, it would be closed under its owner.
#[test]
fn a_descriptor_that_the_process_has_opened_itself_is_not_taken_for_an_inherited_one() {
    if child::role().is_some() {
        let mut own = vec![File::open("/dev/null").unwrap()];
        while own.last().unwrap().as_raw_fd() < 3 {
            own.push(File::open("/dev/null").unwrap());
        }
        let fd = own.last().unwrap().as_raw_fd();
        // SAFETY: this test has one thread that uses the environment.
        unsafe { env::set_var("LISTEN_FDS", (fd - 2).to_string()) };
        return report_error();
    }
    let mut command = activated(this_test!(), "", &[], None);
    let ended = Program::start(&mut command).ended();
    assert!(ended.status.success(), "{ended:?}");
    let [line] = &*ended.stderr else { panic!("{ended:?}") };
    let fault = "(\"unknown\"): it was opened by this process itself";
    assert!(line.starts_with("cannot take over descriptor ") && line.ends_with(fault), "{line}");
}

#[test]
fn a_program_that_an_activated_one_starts_does_not_take_the_sockets_for_its_own() {
    match child::role().as_deref() {
        None => {
            let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
            let mut command = activated(this_test!(), "outer", &[tcp.into()], None);
            let ended = Program::start(&mut command).ended();
            assert!(ended.status.success(), "{ended:?}");
            assert_eq!(ended.stderr, ["outer has 1", "inner has 0"]);
        }
        Some("outer") => {
            // Inherited by the inner one, too, since they are taken only afterwards.
            let mut command = child::command(this_test!(), "inner");
            eprintln!("outer has 1");
            assert!(command.status().unwrap().success());
            assert_eq!(service::listeners().unwrap().len(), 1);
        }
        Some(_) => eprintln!("inner has {}", service::listeners().unwrap().len()),
    }
}

/// A successor's children see its variable, too, where the numbers may be those of other sockets.
#[test]
fn a_hand_over_of_other_sockets_is_not_meant_for_this_process() {
    match child::role().as_deref() {
        Some("other") => return eprintln!("{:?}", service::listeners().unwrap().len()),
        Some(_) => return report_error(),
        None => {}
    }
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let sockets = [tcp.into()];
    let mut command = activated(this_test!(), "other", &sockets, None);
    let ended = Program::start(command.env("ANNULUS_HAND_OVER", "3:1:ready:4:2:web")).ended();
    assert_eq!(ended.stderr, ["1"], "that of the activation: {ended:?}");
    // The first is the right one, and the second is not.
    let inode = File::from(sockets[0].try_clone().unwrap()).metadata().unwrap().st_ino();
    let mut command = activated(this_test!(), "wrong", &sockets, None);
    command.env("ANNULUS_HAND_OVER", format!("3:{inode}:ready:0:{inode}:web"));
    let ended = Program::start(&mut command).ended();
    let fault = "cannot take over descriptor 0 (\"web\"): it is another one than was handed over";
    assert_eq!(ended.stderr, [fault], "{ended:?}");
}

/// The real program, which waits for the first connection and then starts the server with it in the
/// backlog.
#[test]
fn systemd_socket_activate_starts_a_server_with_its_sockets() {
    if child::role().is_some() {
        return run(serve()).unwrap();
    }
    if Command::new("systemd-socket-activate").arg("--version").output().is_err() {
        return skip("systemd-socket-activate is not installed: apt-get install systemd");
    }
    let path = env::temp_dir().join(format!("annulus-activation-{}", std::process::id()));
    let body = child::command(this_test!(), "serve");
    let mut command = Command::new("systemd-socket-activate");
    command.args(["-l", path.to_str().unwrap(), "--fdname=local"]);
    // It passes on no variable that it is not told of.
    let patience = env::var_os("ANNULUS_PATIENCE").is_some().then_some("ANNULUS_PATIENCE");
    for name in ["ANNULUS_TEST_ROLE"].into_iter().chain(patience) {
        command.args(["-E", name]);
    }
    command.arg(body.get_program()).args(body.get_args());
    command.envs(body.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut program = Program::start(command.stdin(Stdio::piped()));
    let mut stream = None;
    until("systemd-socket-activate listens", || {
        stream = UnixStream::connect(&path).ok();
        stream.is_some()
    });
    std::fs::remove_file(&path).unwrap();
    let stream = stream.unwrap();
    stream.set_read_timeout(Some(limit())).unwrap();
    assert_eq!(answer_of(stream), "unix\n");
    program.end_input();
    let ended = program.ended();
    assert!(ended.stderr.iter().any(|line| line == "local is a Unix listener"), "{ended:?}");
    assert!(ended.status.success(), "{ended:?}");
}
