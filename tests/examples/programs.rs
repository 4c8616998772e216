//! The examples, run as a visitor runs them: with good and bad arguments, with ctrl-c, with peers
//! and readers that vanish, and where io_uring is forbidden.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use libc::{SIGINT, SIGTERM};
use socket2::{Domain, Socket, Type};

use crate::common::patience::{limit, patient};
use crate::common::program::{
    Echo, Ended, Guarded, Program, connect, example, exchange, listening_address,
};
use crate::common::seccomp::forbid;

/// Those that take an address, or nothing.
const EXAMPLES: [&str; 5] = ["echo", "echo_owned", "client", "chat", "doctor"];

/// Runs an example to its end.
fn run<A: AsRef<OsStr>>(name: &str, arguments: &[A]) -> Ended {
    Program::start(example(name).args(arguments)).ended()
}

/// Asserts that an example has ended with `status` and one line of explanation, and gives the line.
#[track_caller]
fn complaint(name: &str, ended: &Ended, status: i32) -> String {
    assert_eq!(ended.status.code(), Some(status), "{ended:?}");
    assert_eq!(ended.stdout, [""; 0], "{ended:?}");
    let [line] = ended.stderr.as_slice() else { panic!("not one line: {ended:?}") };
    assert!(line.starts_with(&format!("{name}: ")), "it does not say who speaks: {line}");
    line.clone()
}

/// An address of the loopback interface that refuses connections for as long as the socket lives.
fn refusing() -> (Socket, SocketAddr) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    (socket, address)
}

mod arguments {
    use super::*;

    #[test]
    fn help_is_an_answer_and_no_error() {
        for name in EXAMPLES {
            for help in ["-h", "--help"] {
                let ended = run(name, &[help]);
                assert!(ended.status.success(), "{ended:?}");
                assert_eq!(ended.stderr, [""; 0]);
                let usage = format!("Usage: {name}");
                assert!(ended.stdout.iter().any(|line| line.starts_with(&usage)), "{ended:?}");
            }
        }
    }

    #[test]
    fn a_wrong_argument_is_explained_in_one_line() {
        let wrong =
            ["", "nonsense", "127.0.0.1", ":7000", "127.0.0.1:", "127.0.0.1:65536", "--port"];
        for name in EXAMPLES {
            for argument in wrong {
                assert!(complaint(name, &run(name, &[argument]), 2).contains("--help"));
            }
            let two = ["127.0.0.1:7000", "127.0.0.1:7001"];
            assert!(complaint(name, &run(name, &two), 2).contains("--help"));
            let not_unicode = OsString::from_vec(vec![0xff, b':', b'1']);
            assert!(complaint(name, &run(name, &[not_unicode]), 2).contains("--help"));
        }
    }

    #[test]
    fn the_wrong_part_of_an_address_is_named() {
        for (argument, fault) in [
            ("localhost:99999", "\"99999\" in \"localhost:99999\" is not a port"),
            ("127.0.0.1", "\"127.0.0.1\" is not an address with a port, like 127.0.0.1:7000"),
            (":7000", "\":7000\" has no host"),
            ("::1", "needs brackets, like [::1]:7000"),
        ] {
            let line = complaint("echo", &run("echo", &[argument]), 2);
            assert!(line.contains(fault), "{line}");
        }
    }
}

mod without_io_uring {
    use super::*;

    /// A program for which the kernel answers `errno` to every call that makes a ring.
    fn without(name: &str, errno: i32, ring: &str) -> Command {
        let mut command = example(name);
        forbid(command.env("ANNULUS_RING", ring), libc::SYS_io_uring_setup, errno);
        command
    }

    fn complaint_of(name: &str, errno: i32) -> String {
        complaint(name, &Program::start(&mut without(name, errno, "kernel")).ended(), 1)
    }

    #[test]
    fn a_seccomp_profile_that_forbids_the_chosen_ring_is_named_with_the_remedy() {
        for name in EXAMPLES {
            let line = complaint_of(name, libc::EPERM);
            assert!(line.contains("seccomp") && line.contains("io_uring_setup"), "{line}");
        }
    }

    #[test]
    fn a_kernel_without_the_chosen_ring_is_named_with_the_remedy() {
        for name in EXAMPLES {
            let line = complaint_of(name, libc::ENOSYS);
            assert!(line.contains("ENOSYS") && line.contains("Linux 6.1"), "{line}");
        }
    }

    #[test]
    fn echo_serves_where_io_uring_is_forbidden_and_says_so_in_one_line() {
        for errno in [libc::EPERM, libc::ENOSYS] {
            let mut echo = Echo::of(without("echo", errno, "").arg("127.0.0.1:0"));
            exchange(&mut echo.connect());
            echo.program.child.signal(SIGINT);
            let ended = echo.program.ended();
            assert!(ended.status.success(), "{ended:?}");
            let [line] = ended.stderr.as_slice() else { panic!("not one line: {ended:?}") };
            let expected = "annulus: the portable ring is used, which costs more: ";
            assert!(line.starts_with(expected) && line.contains("io_uring"), "{line}");
        }
    }
}

mod echo {
    use super::*;

    /// What echo prints when it is asked to stop with connections open.
    fn stopping(open: usize) -> String {
        let hint = "connections have 5 s to finish, ctrl-c again cancels them now";
        format!("stopping: {hint} ({open} open)")
    }

    #[track_caller]
    fn assert_stopped(ended: &Ended, finished: usize, cancelled: usize) {
        assert!(ended.status.success(), "{ended:?}");
        assert_eq!(
            ended.stdout.last().map(String::as_str),
            Some(format!("stopped: {finished} finished, {cancelled} cancelled").as_str())
        );
        assert_eq!(ended.stderr, [""; 0]);
    }

    #[test]
    fn a_port_in_use_is_explained() {
        let holder = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = holder.local_addr().unwrap().to_string();
        let line = complaint("echo", &run("echo", &[&address]), 1);
        assert!(line.contains(&format!("listen on {address}: Address already in use")), "{line}");
        assert!(line.ends_with("give another port"), "{line}");
    }

    #[test]
    fn an_address_of_another_machine_is_explained() {
        // Reserved for documentation, so that no host has it.
        let line = complaint("echo", &run("echo", &["192.0.2.1:7000"]), 1);
        assert!(line.contains("give an address of this machine"), "{line}");
    }

    #[test]
    fn a_name_may_stand_for_the_address() {
        let echo = Echo::on("localhost:0");
        assert!(echo.address.ip().is_loopback());
        exchange(&mut echo.connect());
    }

    #[test]
    fn the_end_of_the_client_ends_the_connection_after_the_last_byte() {
        let echo = Echo::start();
        let mut client = echo.connect();
        client.write_all(b"all of it").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "all of it");
    }

    #[test]
    fn ctrl_c_and_sigterm_end_a_server_without_connections_at_once() {
        for signal in [SIGINT, SIGTERM] {
            let mut echo = Echo::start();
            echo.program.child.signal(signal);
            let ended = echo.program.ended();
            assert_stopped(&ended, 0, 0);
            assert_eq!(ended.stdout.len(), 1);
        }
    }

    #[test]
    fn ctrl_c_refuses_new_connections_and_lets_the_open_ones_finish() {
        let mut echo = Echo::start();
        let mut open = [echo.connect(), echo.connect()];
        open.iter_mut().for_each(exchange);
        echo.program.child.signal(SIGINT);
        assert_eq!(echo.program.stdout.next(), Some(stopping(2)));

        let refused = TcpStream::connect_timeout(&echo.address, limit()).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        open.iter_mut().for_each(exchange);
        drop(open);
        assert_stopped(&echo.program.ended(), 2, 0);
    }

    #[test]
    fn a_second_ctrl_c_cancels_what_is_open() {
        let mut echo = Echo::start();
        let mut open = echo.connect();
        exchange(&mut open);
        echo.program.child.signal(SIGINT);
        assert_eq!(echo.program.stdout.next(), Some(stopping(1)));
        let second = Instant::now();
        echo.program.child.signal(SIGINT);
        assert_stopped(&echo.program.ended(), 0, 1);
        assert!(
            second.elapsed() < patient(Duration::from_secs(5)),
            "it waited for its time to be up"
        );
        assert_eq!(open.read(&mut [0]).unwrap(), 0, "the connection was closed");
    }

    #[test]
    fn a_connection_that_does_not_finish_is_cancelled_when_the_time_is_up() {
        let mut echo = Echo::start();
        let mut open = echo.connect();
        exchange(&mut open);
        let asked = Instant::now();
        echo.program.child.signal(SIGINT);
        assert_eq!(echo.program.stdout.next(), Some(stopping(1)));
        assert_stopped(&echo.program.ended(), 0, 1);
        assert!(asked.elapsed() >= Duration::from_secs(5), "it did not wait");
    }

    #[test]
    fn an_error_is_told_with_the_peer_and_ends_only_its_connection() {
        let mut echo = Echo::start();
        let mut good = echo.connect();
        exchange(&mut good);
        let mut bad = echo.connect();
        exchange(&mut bad);
        let peer = bad.local_addr().unwrap();
        reset(bad);
        let line = echo.program.stderr.next().unwrap();
        assert!(line.starts_with(&format!("{peer}: ")), "{line}");
        assert!(line.contains("Connection reset by peer"), "{line}");
        exchange(&mut good);
    }

    #[test]
    fn echo_serves_on_when_its_messages_are_not_read() {
        let mut command = example("echo");
        command.arg("127.0.0.1:0").stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut server = Guarded::start(&mut command);
        let mut line = String::new();
        BufReader::new(server.stdout.take().unwrap()).read_line(&mut line).unwrap();
        drop(server.stderr.take());
        let address = listening_address(line.trim_end());

        let mut bad = connect(address);
        exchange(&mut bad);
        reset(bad);
        exchange(&mut connect(address));
        server.signal(SIGINT);
        assert!(server.wait().unwrap().success());
    }

    fn reset(stream: TcpStream) {
        let stream = Socket::from(stream);
        stream.set_linger(Some(Duration::ZERO)).unwrap();
    }
}

mod echo_owned {
    use super::*;

    #[test]
    fn bytes_and_ends_come_back_from_connections_that_own_their_buffers() {
        let mut program = Program::start(example("echo_owned").arg("127.0.0.1:0"));
        let line = program.stdout.next().expect("the line that says where it listens");
        let mut clients: Vec<_> = (0..10).map(|_| connect(listening_address(&line))).collect();
        for client in &mut clients {
            exchange(client);
        }
        let mut client = clients.pop().unwrap();
        client.write_all(&[7; 100_000]).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).unwrap();
        assert_eq!(answer, [7; 100_000]);
        exchange(&mut clients[0]);
        program.child.signal(SIGINT);
        let status = program.ended().status;
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(SIGINT));
    }
}

mod client {
    use super::*;

    fn start(address: SocketAddr) -> Program {
        Program::start(example("client").arg(address.to_string()).stdin(Stdio::piped()))
    }

    #[track_caller]
    fn assert_printed(ended: &Ended, lines: &[&str]) {
        assert!(ended.status.success(), "{ended:?}");
        assert_eq!(ended.stdout, lines);
        assert_eq!(ended.stderr, [""; 0]);
    }

    #[test]
    fn an_answer_is_printed_when_it_comes_and_not_only_at_the_end() {
        let echo = Echo::start();
        let mut client = start(echo.address);
        for line in ["first", "second"] {
            client.type_in(&format!("{line}\n"));
            assert_eq!(client.stdout.next().as_deref(), Some(line));
        }
        client.end_input();
        assert_printed(&client.ended(), &[]);
    }

    #[test]
    fn what_comes_after_the_end_of_the_input_is_printed() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = start(server.local_addr().unwrap());
        let (mut peer, _) = server.accept().unwrap();
        peer.set_read_timeout(Some(limit())).unwrap();
        client.type_in("no line end");
        client.end_input();
        let mut input = String::new();
        peer.read_to_string(&mut input).unwrap();
        assert_eq!(input, "no line end");
        peer.write_all(b"late answer").unwrap();
        drop(peer);
        assert_printed(&client.ended(), &["late answer"]);
    }

    /// More than the sockets' buffers hold, so that who sends all before receiving is stuck.
    #[test]
    fn much_input_in_huge_lines_comes_back_whole() {
        let echo = Echo::start();
        let mut client = start(echo.address);
        let lines: Vec<String> = ('a'..='p').map(|c| String::from(c).repeat(1 << 20)).collect();
        let mut input = client.child.stdin.take().unwrap();
        let mut text = String::new();
        for line in &lines {
            writeln!(text, "{line}").unwrap();
        }
        let feeder = thread::spawn(move || input.write_all(text.as_bytes()));
        let ended = client.ended();
        feeder.join().unwrap().unwrap();
        assert!(ended.status.success(), "{:?}", ended.stderr);
        assert!(ended.stdout == lines, "the echo differs");
    }

    #[test]
    fn a_server_that_leaves_early_is_reported_while_the_input_is_open() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = start(server.local_addr().unwrap());
        drop(server.accept().unwrap());
        let line = complaint("client", &client.ended(), 1);
        assert!(line.contains("the server closed the connection"), "{line}");
    }

    #[test]
    fn a_refusal_is_reported_with_the_address() {
        let (_held, address) = refusing();
        let line = complaint("client", &run("client", &[address.to_string()]), 1);
        assert!(line.contains(&format!("connect to {address}: Connection refused")), "{line}");
    }

    /// When the queue of a listener is full, Linux drops the packets that would open a connection.
    #[test]
    fn an_address_that_does_not_answer_is_given_up() {
        let (listener, address) = refusing();
        listener.listen(0).unwrap();
        let _queued = connect(address);
        let started = Instant::now();
        let line = complaint("client", &run("client", &[address.to_string()]), 1);
        assert!(line.contains(&format!("connect to {address}: timed out")), "{line}");
        assert!(started.elapsed() >= Duration::from_secs(5), "it gave up early");
    }

    #[test]
    fn an_input_that_cannot_be_read_is_reported() {
        let echo = Echo::start();
        let directory = std::fs::File::open("/").unwrap();
        let mut command = example("client");
        command.arg(echo.address.to_string()).stdin(directory);
        let line = complaint("client", &Program::start(&mut command).ended(), 1);
        assert!(line.contains("standard input: Is a directory"), "{line}");
    }
}

mod doctor {
    use super::*;

    #[test]
    fn doctor_lists_what_the_library_probes_in_columns_and_says_which_ring_a_runtime_is_on() {
        let probe = annulus::probe().unwrap();
        for (ring, verdict) in [("auto", "on the kernel's ring"), ("portable", "as ANNULUS_RING")] {
            let ended = Program::start(example("doctor").env("ANNULUS_RING", ring)).ended();
            assert!(ended.status.success());
            assert_eq!(ended.stderr, [""; 0]);

            let [title, lines @ .., blank, last] = ended.stdout.as_slice() else {
                panic!("too short: {ended:?}");
            };
            let column = title.find("since").unwrap();
            assert_eq!(lines.len(), probe.facilities().len());
            for (line, facility) in lines.iter().zip(probe.facilities()) {
                let (name, rest) = line.split_at(column);
                assert_eq!(name.trim_end(), facility.name);
                assert!(rest.starts_with(facility.since), "out of column: {line}");
            }
            assert_eq!(blank, "");
            assert!(last.contains(verdict) && last.contains(probe.kernel()), "{last}");
        }
    }

    #[test]
    fn doctor_says_where_io_uring_is_forbidden_what_would_allow_it() {
        let mut command = example("doctor");
        forbid(command.env_remove("ANNULUS_RING"), libc::SYS_io_uring_setup, libc::EPERM);
        let ended = Program::start(&mut command).ended();
        assert!(ended.status.success(), "{ended:?}");
        assert_eq!(ended.stderr, [""; 0]);
        let [reason, blank, verdict] = ended.stdout.as_slice() else { panic!("{ended:?}") };
        assert!(reason.starts_with("no io_uring: ") && reason.contains("allow io_uring_setup"));
        assert_eq!(
            (blank.as_str(), verdict.as_str()),
            ("", "Annulus runs here, on the portable ring.")
        );
    }

    #[test]
    fn doctor_fails_where_no_runtime_can_be_made() {
        let ended = Program::start(example("doctor").env("ANNULUS_RING", "epoll")).ended();
        assert_eq!(ended.stdout, [""; 0]);
        let expected = "ANNULUS_RING is \"epoll\": set it to auto, kernel or portable, or unset it";
        assert!(complaint("doctor", &ended, 1).contains(expected), "{ended:?}");
    }

    #[test]
    fn doctor_does_not_panic_when_its_output_is_closed() {
        let (output, reader) = UnixStream::pair().unwrap();
        drop(reader);
        let mut command = example("doctor");
        let output = command.stdout(OwnedFd::from(output)).stderr(Stdio::piped()).output().unwrap();
        assert!(output.status.success());
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    }
}

mod proxy {
    use super::*;

    fn start(target: SocketAddr) -> (Program, SocketAddr) {
        let mut program =
            Program::start(example("proxy").args(["127.0.0.1:0", &target.to_string()]));
        let line = program.stdout.next().expect("the line that says where it listens");
        assert!(line.ends_with(&format!("; to {target}")), "{line}");
        (program, listening_address(&line))
    }

    #[test]
    fn bytes_and_eof_go_through_the_proxy_in_both_directions() {
        let echo = Echo::start();
        let (_proxy, address) = start(echo.address);
        let mut clients: Vec<_> = (0..10).map(|_| connect(address)).collect();
        for client in &mut clients {
            exchange(client);
        }
        let mut client = clients.pop().unwrap();
        let sent: Vec<u8> = (0..1 << 20_u32).map(|n| (n % 251) as u8).collect();
        let mut writes = client.try_clone().unwrap();
        let expected = sent.clone();
        let writer = thread::spawn(move || {
            writes.write_all(&sent).unwrap();
            writes.shutdown(Shutdown::Write).unwrap();
        });
        let mut received = Vec::new();
        client.read_to_end(&mut received).unwrap();
        assert!(received == expected);
        writer.join().unwrap();
    }

    #[test]
    fn a_target_that_refuses_is_told_of_and_the_proxy_goes_on() {
        let (_socket, target) = refusing();
        let (mut proxy, address) = start(target);
        for _ in 0..2 {
            let mut client = connect(address);
            assert_eq!(client.read(&mut [0; 1]).unwrap(), 0);
            let line = proxy.stderr.next().unwrap();
            assert!(line.contains(&format!("connect to {target}: ")), "{line}");
        }
        proxy.child.signal(SIGINT);
        assert_eq!(
            std::os::unix::process::ExitStatusExt::signal(&proxy.ended().status),
            Some(SIGINT)
        );
    }

    #[test]
    fn a_port_in_use_and_too_many_arguments_are_explained() {
        let echo = Echo::start();
        let address = echo.address.to_string();
        let line = complaint("proxy", &run("proxy", &[&address]), 1);
        assert!(line.contains(&format!("listen on {address}: ")), "{line}");
        for wrong in [&["nonsense"][..], &["127.0.0.1:1", "127.0.0.1:"], &["a:1", "b:1", "c:1"]] {
            assert!(complaint("proxy", &run("proxy", wrong), 2).contains("--help"));
        }
    }
}

mod chat {
    use super::*;

    struct Room {
        program: Program,
        address: SocketAddr,
    }

    impl Room {
        fn open() -> Self {
            let mut program = Program::start(example("chat").arg("127.0.0.1:0"));
            let line = program.stdout.next().expect("the line that says where it listens");
            Self { program, address: listening_address(&line) }
        }

        /// Lets a guest in, and takes note of the welcome.
        fn enter(&self, name: &str) -> (Guest, String) {
            let stream = connect(self.address);
            let mut guest = Guest(BufReader::new(stream));
            assert_eq!(guest.hears(), "Who are you?");
            guest.says(name);
            let welcome = guest.hears();
            (guest, welcome)
        }
    }

    struct Guest(BufReader<TcpStream>);

    impl Guest {
        fn says(&mut self, text: &str) {
            self.0.get_mut().write_all(format!("{text}\n").as_bytes()).unwrap();
        }

        fn hears(&mut self) -> String {
            let mut line = String::new();
            self.0.read_line(&mut line).unwrap();
            line.trim_end().to_owned()
        }
    }

    #[test]
    fn what_one_says_all_others_hear_in_order() {
        let room = Room::open();
        let (mut ada, welcome) = room.enter("ada");
        assert_eq!(welcome, "* here is no other guest");
        let (mut bob, welcome) = room.enter("bob");
        assert_eq!(welcome, "* here is ada");
        assert_eq!(ada.hears(), "* bob has come");
        let (_, refused) = room.enter("bob");
        assert_eq!(refused, "* that name is taken, or none");
        for n in 0..100 {
            ada.says(&format!("line {n}"));
        }
        for n in 0..100 {
            assert_eq!(bob.hears(), format!("ada: line {n}"));
        }
        drop(bob);
        assert_eq!(ada.hears(), "* bob has left");
    }

    #[test]
    fn many_guests_hear_the_end() {
        let mut room = Room::open();
        let mut guests = Vec::new();
        for n in 0..50 {
            let (guest, _) = room.enter(&format!("guest {n}"));
            for other in &mut guests {
                assert_eq!(Guest::hears(other), format!("* guest {n} has come"));
            }
            guests.push(guest);
        }
        room.program.child.signal(SIGINT);
        for guest in &mut guests {
            let mut line = guest.hears();
            while line.ends_with("has left") {
                line = guest.hears();
            }
            assert_eq!(line, "* the room is closed");
        }
        drop(guests);
        let ended = room.program.ended();
        assert!(ended.status.success(), "{ended:?}");
        assert_eq!(ended.stdout, ["50 left, 0 were cut"]);
    }

    #[test]
    fn a_port_in_use_is_explained() {
        let room = Room::open();
        let address = room.address.to_string();
        let line = complaint("chat", &run("chat", &[&address]), 1);
        assert!(line.contains(&format!("listen on {address}: ")), "{line}");
    }
}

/// The programs without arguments, which show what they do and end.
pub(crate) mod demonstrations {
    use super::*;

    /// What a program prints that succeeds.
    pub(crate) fn lines(name: &str) -> Vec<String> {
        let ended = run::<&str>(name, &[]);
        assert!(ended.status.success() && ended.stderr.is_empty(), "{ended:?}");
        ended.stdout
    }

    #[test]
    fn hello_says_it_in_order() {
        let lines = lines("hello");
        assert_eq!(&lines[..2], ["hello", "... world!"]);
        assert!(lines[2].starts_with("one after the other: "), "{lines:?}");
    }

    #[test]
    fn factorials_take_turns() {
        let lines = lines("factorials");
        assert_eq!(&lines[..3], ["A: 1 times 2", "B: 1 times 2", "C: 1 times 2"]);
        assert!(lines.contains(&"all: (2, 6, 24)".to_owned()));
        let first = lines.iter().position(|line| line == "number 1 returned 2").unwrap();
        let second = lines.iter().position(|line| line == "number 0 returned 24").unwrap();
        assert!(first < second);
        assert_eq!(lines[lines.len() - 2..], ["endless: cleaned up", "endless: deadline elapsed"]);
    }

    #[test]
    fn queue_workers_do_all_the_work() {
        let lines = lines("queue_workers");
        assert_eq!(lines[0], "3 workers have done 20 pieces of work, of 50 ms together");
    }

    #[test]
    fn cleanup_happens_in_all_ways() {
        let expected = [
            "by a destructor: cleaned up",
            "by a destructor: task was cancelled",
            "with awaits: cleaned up",
            "with awaits: done",
            "main: the end",
            "shielded: done",
        ];
        assert_eq!(lines("cleanup"), expected);
    }

    #[test]
    fn streams_go_there_and_back() {
        let lines = lines("streams");
        assert_eq!(&lines[..2], ["send: Hello", "received: Hello"]);
        assert_eq!(lines.last().unwrap(), "1 completed, 0 aborted");
    }
}
