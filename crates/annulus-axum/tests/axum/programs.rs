//! The examples, run as a visitor runs them.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::Stdio;

use crate::clients::{curl, output, printed, python};
use crate::common::program::{Program, connect, example, listening_address};

/// A server of the examples, on a free port.
pub(crate) struct Served {
    pub(crate) program: Program,
    pub(crate) address: SocketAddr,
}

impl Served {
    pub(crate) fn start(name: &str, arguments: &[&str]) -> Self {
        let mut program = Program::start(example(name).args(arguments).arg("127.0.0.1:0"));
        let line = program.stdout.next().expect("the line that says where it listens");
        Self { program, address: listening_address(&line) }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Sends SIGTERM, and returns the last line.
    pub(crate) fn stop(&mut self) -> String {
        self.program.child.signal(libc::SIGTERM);
        self.last_line()
    }

    pub(crate) fn last_line(&mut self) -> String {
        let ended = self.program.ended();
        assert!(ended.status.success() && ended.stderr.is_empty(), "{ended:?}");
        ended.stdout.last().expect("its report").clone()
    }
}

#[test]
fn axum_app_answers_and_finishes_its_work_at_sigterm() {
    let mut app = Served::start("axum_app", &[]);
    let Some(mut hello) = curl(&[&app.url("/")]) else { return };
    assert!(printed(&mut hello).starts_with("hello, 127.0.0.1:"));

    let mut events = curl(&["-N", &app.url("/events")]).unwrap();
    let mut events = events.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(events.stdout.take().unwrap()).lines().map(Result::unwrap);
    // The first tick says that it listens.
    assert!(lines.any(|line| line == "event: tick"));

    let note = r#"{"text":"buy milk"}"#;
    let json = ["-H", "Content-Type: application/json", "-d", note];
    let mut add = curl(&[&json[..], &[&app.url("/notes")]].concat()).unwrap();
    assert_eq!(printed(&mut add), r#"{"id":1,"text":"buy milk"}"#);
    assert_eq!(
        printed(&mut curl(&[&app.url("/notes/1")]).unwrap()),
        r#"{"id":1,"text":"buy milk"}"#
    );
    assert_eq!(
        printed(&mut curl(&[&app.url("/notes")]).unwrap()),
        r#"[{"id":1,"text":"buy milk"}]"#
    );
    let missing = ["-w", "%{http_code}", &app.url("/notes/2")];
    assert_eq!(curl(&missing).unwrap().output().unwrap().stdout, b"404");
    assert!(lines.any(|line| line == "event: note"));
    assert_eq!(lines.next().unwrap(), r#"data: {"id":1,"text":"buy milk"}"#);

    if let Some(mut client) = python("websocket_client.py", "websockets") {
        output(client.arg("ping").arg(format!("ws://{}/ws", app.address)));
    }
    // What has arrived before the signal is answered, and takes a second.
    let mut slow = connect(app.address);
    slow.write_all(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let report = app.stop();
    assert!(report.ends_with(" 0 soft-cancelled, 0 aborted"), "{report}");
    let mut answer = String::new();
    slow.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("\r\n\r\nat last\n"), "{answer}");
    assert!(events.wait().unwrap().success(), "the events have ended in order");
}

#[test]
fn websocket_chat_passes_lines_on_and_says_good_bye() {
    let mut chat = Served::start("websocket_chat", &[]);
    if let Some(mut client) = python("chat_client.py", "websockets") {
        output(client.arg(format!("ws://{}/chat", chat.address)));
    }
    // The server may not have seen yet that the last client is gone.
    let report = chat.stop();
    assert!(report.ends_with(" completed, 0 soft-cancelled, 0 aborted"), "{report}");
}

#[test]
fn the_grpc_server_is_checked_and_watched_by_grpcio_and_by_itself() {
    let mut server = Served::start("grpc", &["serve"]);
    let address = server.address.to_string();
    let ended = Program::start(example("grpc").args(["check", &address])).ended();
    assert_eq!(ended.stdout, ["SERVING"], "{ended:?}");
    let ended = Program::start(example("grpc").args(["check", &address, "no such"])).ended();
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    if let Some(mut client) = python("grpc_client.py", "grpc_health") {
        output(client.arg(&address));
    }
    let mut watching = Program::start(example("grpc").args(["watch", &address]));
    assert_eq!(watching.stdout.next().unwrap(), "SERVING");
    watching.child.signal(libc::SIGTERM);
    watching.ended();
    server.stop();
}

#[test]
fn the_grpc_client_checks_and_watches_a_server_of_grpcio() {
    let Some(mut server) = python("grpc_server.py", "grpc_health") else { return };
    let mut server = Program::start(server.stdin(Stdio::piped()));
    let address = server.stdout.next().expect("where it listens");
    for (service, status) in [("", "SERVING"), ("changing", "SERVING")] {
        let ended = Program::start(example("grpc").args(["check", &address, service])).ended();
        assert_eq!(ended.stdout, [status], "{ended:?}");
    }
    let mut watching = Program::start(example("grpc").args(["watch", &address, "changing"]));
    assert_eq!(watching.stdout.next().unwrap(), "SERVING");
    server.type_in("down\n");
    assert_eq!(watching.stdout.next().unwrap(), "NOT_SERVING");
    server.type_in("up\n");
    assert_eq!(watching.stdout.next().unwrap(), "SERVING");
    server.end_input();
    assert!(server.ended().status.success());
    watching.ended();
}

#[test]
fn a_port_in_use_and_a_wrong_argument_are_explained_in_one_line() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    for arguments in [&["axum_app"][..], &["websocket_chat"], &["grpc", "serve"]] {
        for (argument, status) in
            [(taken.as_str(), 1), ("nonsense", if arguments.len() == 1 { 2 } else { 1 })]
        {
            let mut command = example(arguments[0]);
            let ended = Program::start(command.args(&arguments[1..]).arg(argument)).ended();
            assert_eq!(ended.status.code(), Some(status), "{ended:?}");
            let [line] = ended.stderr.as_slice() else { panic!("not one line: {ended:?}") };
            assert!(line.starts_with(&format!("{}: ", arguments[0])), "{line}");
            if status == 1 {
                assert!(line.contains(argument), "{line}");
            }
        }
    }
}
