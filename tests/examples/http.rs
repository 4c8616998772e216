//! The HTTP example, driven by clients that this project did not write, and by hostile bytes.
//!
//! The clients are `curl`, `wrk`, `slowhttptest` and `python3`: `apt-get install curl wrk
//! slowhttptest python3`. A test whose client is not installed is reported as skipped.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use libc::SIGTERM;

use crate::common::patience::limit;
use crate::common::program::{Ended, Program, connect, example, listening_address};
use crate::common::skip::skip;

/// A directory with files to serve, which is removed with this.
struct Site(PathBuf);

impl Site {
    fn new(name: &str) -> Self {
        let directory = std::env::temp_dir().join(format!("annulus-{name}-{}", std::process::id()));
        fs::create_dir_all(directory.join("site/sub")).unwrap();
        fs::write(directory.join("secret"), "not to be served").unwrap();
        fs::write(directory.join("site/page.html"), "<p>a page</p>").unwrap();
        fs::write(directory.join("site/sub/a b.txt"), "with a space").unwrap();
        fs::write(directory.join("site/large"), pattern(3_000_000)).unwrap();
        symlink("../secret", directory.join("site/link")).unwrap();
        Self(directory)
    }

    fn root(&self) -> PathBuf {
        self.0.join("site")
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index * 7 + index / 251) as u8).collect()
}

/// The example, serving on a free port with two shards.
pub(crate) struct Http {
    pub(crate) program: Program,
    pub(crate) address: SocketAddr,
}

impl Http {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut command = example("http");
        command.args(["127.0.0.1:0", "--shards", "2"]).args(arguments);
        let mut program = Program::start(&mut command);
        let line = program.stdout.next().expect("the line that says where it listens");
        Self { program, address: listening_address(&line) }
    }

    pub(crate) fn connect(&self) -> TcpStream {
        connect(self.address)
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Sends bytes, and returns all that comes until the server closes the connection.
    pub(crate) fn exchange(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect();
        stream.write_all(bytes).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("an answer and EOF");
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// The status of the one response to some bytes.
    #[track_caller]
    fn status(&self, bytes: impl AsRef<[u8]>) -> u16 {
        let answer = self.exchange(bytes.as_ref());
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
        assert!(answer.contains("Connection: close\r\n"), "{answer}");
        answer["HTTP/1.1 ".len()..][..3].parse().expect("a status")
    }

    #[track_caller]
    fn stop(&mut self) -> Ended {
        self.program.child.signal(SIGTERM);
        self.program.ended()
    }
}

/// The lines that a client prints, if it is installed; reports a skip if not.
fn client(program: &str, arguments: &[&str]) -> Option<Ended> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    if Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_err()
    {
        skip(&format!("{program} is not installed: apt-get install {program}"));
        return None;
    }
    Some(Program::start(&mut command).ended())
}

fn curl(arguments: &[&str]) -> Option<Vec<String>> {
    let ended = client("curl", &[&["-sS", "--max-time", "50"], arguments].concat())?;
    assert!(ended.status.success(), "{ended:?}");
    Some(ended.stdout.iter().map(|line| line.trim_end().to_owned()).collect())
}

#[test]
fn curl_gets_files_with_their_lengths_and_none_beside_the_directory() {
    let site = Site::new("curl");
    let http = Http::start(&["--root", site.root().to_str().unwrap()]);
    let Some(page) = curl(&["-i", &http.url("/files/page.html")]) else { return };
    assert_eq!(page[0], "HTTP/1.1 200 OK");
    for field in ["Content-Length: 13", "Content-Type: text/html; charset=utf-8"] {
        assert!(page.iter().any(|line| line == field), "{page:?}");
    }
    assert_eq!(page.last().unwrap(), "<p>a page</p>");
    assert_eq!(curl(&[&http.url("/files/sub/a%20b.txt?query")]).unwrap(), ["with a space"]);
    let head = curl(&["-I", &http.url("/files/large")]).unwrap();
    assert!(head.iter().any(|line| line == "Content-Length: 3000000"), "{head:?}");
    let copy = site.0.join("copy");
    curl(&["-o", copy.to_str().unwrap(), &http.url("/files/large")]).unwrap();
    assert!(fs::read(copy).unwrap() == pattern(3_000_000));
    let status = |path: &str| {
        let format = ["-o", "/dev/null", "-w", "%{http_code}", "--path-as-is"];
        curl(&[&format[..], &[&http.url(path)]].concat()).unwrap()
    };
    for path in [
        "/files/../secret",
        "/files/sub/../../secret",
        "/files/%2e%2e/secret",
        "/files/..%2fsecret",
        "/files/sub/..%2f..%2fsecret",
        "/files//etc/passwd",
        "/files/link",
        "/files/page.html%00",
        "/files/%zz",
    ] {
        assert!(
            matches!(status(path)[..], [ref code] if code == "403"),
            "{path}: {:?}",
            status(path)
        );
    }
    let long = format!("/files/{}", "n".repeat(300));
    for path in ["/files/missing", "/files/sub", "/files/", "/other", &long] {
        assert_eq!(status(path), ["404"], "{path}");
    }
}

#[test]
fn curl_posts_with_a_length_in_chunks_and_after_100_continue() {
    let http = Http::start(&[]);
    let echo = http.url("/echo");
    let Some(echoed) = curl(&["--data", "hello", &echo]) else { return };
    assert_eq!(echoed, ["hello"]);
    let chunked =
        curl(&["-i", "-H", "Transfer-Encoding: chunked", "--data", "hello", &echo]).unwrap();
    assert!(chunked.iter().any(|line| line == "Transfer-Encoding: chunked"), "{chunked:?}");
    assert_eq!(chunked.last().unwrap(), "hello");
    let expected = curl(&["-i", "-H", "Expect: 100-continue", "--data", "hello", &echo]).unwrap();
    assert_eq!(expected[0], "HTTP/1.1 100 Continue");
    assert_eq!(expected.last().unwrap(), "hello");
    // Two requests on one connection.
    let twice = ["-w", "%{num_connects}\n", "-o", "/dev/null", "-o", "/dev/null"];
    let info = http.url("/info");
    assert_eq!(curl(&[&twice[..], &[&info, &info]].concat()).unwrap(), ["1", "0"]);
    let old = curl(&["-i", "--http1.0", &http.url("/info")]).unwrap();
    assert!(old.iter().any(|line| line == "Connection: close"), "{old:?}");
}

#[test]
fn python_pipelines_requests_and_gets_the_responses_in_order() {
    let http = Http::start(&[]);
    let script = "\
import http.client, socket, sys
host, port = sys.argv[1].split(':')
s = socket.create_connection((host, int(port)), timeout=50)
one = lambda n: b'POST /echo HTTP/1.1\\r\\nHost: a\\r\\nContent-Length: %d\\r\\n\\r\\n%s' % (len(n), n)
two = lambda n: b'POST /echo HTTP/1.1\\r\\nHost: a\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n1;x=y\\r\\n%s\\r\\n%x\\r\\n%s\\r\\n0\\r\\nT: r\\r\\n\\r\\n' % (n[:1], len(n) - 1, n[1:])
bodies = [b'number %d' % n for n in range(200)]
s.sendall(b''.join((one, two)[n % 2](body) for n, body in enumerate(bodies)))
class Same:
    def __init__(self, file): self.file = file
    def makefile(self, mode): return self.file
# One reader for all responses, which a response must not close.
file = s.makefile('rb')
file.close = lambda: None
for body in bodies:
    response = http.client.HTTPResponse(Same(file))
    response.begin()
    answer = response.read()
    assert (response.status, answer) == (200, body), (response.status, answer, body)
connection = http.client.HTTPConnection(host, int(port), timeout=50)
for _ in range(3):
    connection.request('POST', '/echo', body=iter([b'in ', b'chunks']), encode_chunked=True, headers={'Transfer-Encoding': 'chunked'})
    assert connection.getresponse().read() == b'in chunks'
print('all')
";
    let address = http.address.to_string();
    let Some(ended) = client("python3", &["-c", script, &address]) else { return };
    assert_eq!(ended.stdout, ["all"], "{ended:?}");
}

#[test]
fn a_request_that_two_servers_could_understand_differently_is_refused() {
    let http = Http::start(&[]);
    let post = |fields: &str, body: &str| {
        http.status(format!("POST /echo HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n{body}"))
    };
    let smuggled = "0\r\n\r\nGET /info HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_eq!(post("Content-Length: 5\r\nTransfer-Encoding: chunked", smuggled), 400);
    assert_eq!(post("Transfer-Encoding: chunked\r\nContent-Length: 5", smuggled), 400);
    assert_eq!(post("Content-Length: 5\r\nContent-Length: 5", "hello"), 400);
    assert_eq!(post("Content-Length: 5\r\nContent-Length: 6", "hello"), 400);
    for length in ["+5", "-5", "5,5", "0x5", "5 5", "", "five"] {
        assert_eq!(post(&format!("Content-Length: {length}"), "hello"), 400, "{length:?}");
    }
    assert_eq!(post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", smuggled), 400);
    assert_eq!(post("Transfer-Encoding: gzip, chunked", smuggled), 501);
    assert_eq!(post("Transfer-Encoding: xchunked", smuggled), 501);
    assert_eq!(post("Transfer-Encoding:\u{b}chunked", smuggled), 400);
    assert_eq!(post("Transfer-Encoding : chunked", smuggled), 400, "a space before the colon");
    assert_eq!(post("X: a\r\n b", "hello"), 400, "a folded line");
    assert_eq!(post("X: a\rY: b", "hello"), 400, "a bare carriage return");
    assert_eq!(post("Host: b", ""), 400, "a second host");
    assert_eq!(http.status("GET /info HTTP/1.1\r\n\r\n"), 400, "no host");
    let old = "POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    assert_eq!(http.status(old), 400, "chunks in HTTP/1.0");
    for chunks in [
        "x\r\n",
        "-1\r\nx\r\n",
        "+1\r\nx\r\n",
        "0x1\r\nx\r\n",
        "\r\n",
        "1\nx\r\n0\r\n\r\n",
        "1\r\nxy\r\n0\r\n\r\n",
        "10000000000000001\r\nx\r\n",
        " 1\r\nx\r\n0\r\n\r\n",
        "1\u{c}\r\nx\r\n0\r\n\r\n",
    ] {
        assert_eq!(post("Transfer-Encoding: chunked", chunks), 400, "{chunks:?}");
    }
    // The query of a target without a path is no path.
    let query =
        http.exchange(b"GET http://a?/echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert!(query.starts_with("HTTP/1.1 200 ") && query.contains("requests of this"), "{query}");
    let long = format!("1;{}\r\nx\r\n0\r\n\r\n", "e".repeat(1000));
    assert_eq!(post("Transfer-Encoding: chunked", &long), 400, "a long extension");
}

#[test]
fn what_is_too_long_or_unknown_is_refused_with_its_own_status() {
    let http = Http::start(&["--max-body", "1000"]);
    let get =
        |target: &str, fields: &str| format!("GET {target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    assert_eq!(http.status(get(&format!("/{}", "p".repeat(9000)), "")), 414);
    assert_eq!(http.status(format!("GET /{}", "p".repeat(20_000))), 414);
    assert_eq!(http.status(get("/info", &format!("X: {}\r\n", "v".repeat(20_000)))), 431);
    assert_eq!(http.status(get("/info", &"X: v\r\n".repeat(200))), 431);
    let large = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n";
    assert_eq!(http.status(large), 413);
    // More than the server has received when it answers: closed at once, it would reset.
    let body = "x".repeat(200_000);
    assert_eq!(http.status(large.replace("1001", "200000") + &body), 413);
    assert_eq!(http.status(large.replace("1001", "99999999999999999999")), 413);
    let waiting = large.replace("Host", "Expect: 100-continue\r\nHost");
    assert_eq!(http.status(waiting), 413, "and not 100 first");
    let chunked = "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n";
    assert_eq!(http.status(chunked), 413);
    let chunks = format!(
        "{}{}",
        chunked.replace("3e9\r\n", ""),
        "64\r\n".to_owned() + &"x".repeat(100) + "\r\n"
    );
    assert_eq!(
        http.status(chunks.clone() + &("64\r\n".to_owned() + &"x".repeat(100) + "\r\n").repeat(10)),
        413
    );
    assert_eq!(http.status(get("/info", "Expect: a miracle\r\n")), 417);
    assert_eq!(http.status("GET /info HTTP/2.0\r\nHost: a\r\n\r\n"), 505);
    assert_eq!(http.status("GET /info HTTP/0.9\r\n\r\n"), 505);
    for nonsense in [
        "GET /info\r\n\r\n",
        "\u{16}\u{3}\u{1}\r\n\r\n",
        "GET  /info HTTP/1.1\r\n\r\n",
        "GET info HTTP/1.1\r\nHost: a\r\n\r\n",
        "\r\n\r\n\r\n\r\n",
    ] {
        assert_eq!(http.status(nonsense), 400, "{nonsense:?}");
    }
    let closing = |method: &str, path: &str| {
        http.status(format!("{method} {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"))
    };
    assert_eq!(closing("BREW", "/info"), 501);
    assert_eq!(closing("DELETE", "/info"), 405);
    assert_eq!(closing("GET", "/echo"), 405);
    assert_eq!(closing("GET", "http://a/info"), 200);
    assert_eq!(closing("GET", "/nothing"), 404);
}

#[test]
fn slow_heads_and_bodies_get_408_and_idle_connections_are_closed_without_an_answer() {
    let times = ["--head-timeout", "200", "--body-timeout", "200", "--idle-timeout", "200"];
    let http = Http::start(&times);
    let begun = Instant::now();
    let mut slow = http.connect();
    slow.write_all(b"GET /info HTTP/1.1\r\n").unwrap();
    slow.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let mut answer = Vec::new();
    // A field at a time does not keep the request alive.
    while begun.elapsed() < limit() {
        let _ = slow.write_all(b"X: y\r\n");
        let mut part = [0; 1024];
        match slow.read(&mut part) {
            Ok(0) => break,
            Ok(count) => answer.extend_from_slice(&part[..count]),
            Err(_) => {}
        }
    }
    assert!(answer.starts_with(b"HTTP/1.1 408 "), "{:?}", String::from_utf8_lossy(&answer));
    assert!(begun.elapsed() >= Duration::from_millis(200));
    assert_eq!(http.status("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhel"), 408);
    assert_eq!(http.exchange(b""), "");
}

#[test]
fn a_request_in_flight_is_answered_at_the_end_and_idle_connections_are_closed_at_once() {
    let mut http = Http::start(&["--idle-timeout", "600000", "--grace", "50000"]);
    let mut idle = http.connect();
    idle.write_all(b"GET /info HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let mut part = [0; 4096];
    let count = idle.read(&mut part).unwrap();
    assert!(String::from_utf8_lossy(&part[..count]).contains("Connection: keep-alive"));
    let mut busy = http.connect();
    busy.write_all(
        b"POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
    )
    .unwrap();
    let mut part = [0; 25];
    busy.read_exact(&mut part).unwrap();
    http.program.child.signal(SIGTERM);
    // Otherwise this would wait for ten minutes.
    assert_eq!(idle.read(&mut [0]).unwrap(), 0);
    busy.write_all(b"hello").unwrap();
    let mut answer = String::new();
    busy.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("Connection: close\r\n") && answer.ends_with("hello"), "{answer}");
    let ended = http.program.ended();
    assert!(ended.status.success(), "{ended:?}");
    assert!(ended.stdout.last().unwrap().starts_with("stopped: "), "{ended:?}");
    assert!(TcpStream::connect(http.address).is_err());
}

#[test]
fn a_client_that_only_half_closes_gets_its_response() {
    let http = Http::start(&[]);
    let mut stream = http.connect();
    stream.write_all(b"GET /info HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
}

#[test]
fn wrk_gets_responses_only_and_the_server_ends_in_order() {
    let site = Site::new("wrk");
    let mut http = Http::start(&["--root", site.root().to_str().unwrap()]);
    let timeout = format!("--timeout={}s", limit().as_secs());
    for path in ["/info", "/files/page.html"] {
        let url = http.url(path);
        let Some(ended) = client("wrk", &["-t2", "-c50", "-d1s", &timeout, &url]) else { return };
        assert!(ended.status.success(), "{ended:?}");
        let text = ended.stdout.join("\n");
        assert!(text.contains(" requests in "), "{text}");
        assert!(!text.contains("Socket errors") && !text.contains("Non-2xx"), "{text}");
    }
    let ended = http.stop();
    assert!(ended.status.success() && ended.stderr.is_empty(), "{ended:?}");
}

#[test]
fn slowhttptest_does_not_keep_others_from_being_served() {
    let limits = ["--head-timeout", "1000", "--body-timeout", "1000"];
    let mut http = Http::start(&limits);
    let url = http.url("/echo");
    let request = b"GET /info HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    for mode in ["-H", "-B"] {
        let arguments =
            [mode, "-c", "200", "-r", "200", "-i", "1", "-l", "2", "-p", "2", "-u", &url];
        let ended = thread::scope(|scope| {
            let attacking = scope.spawn(|| client("slowhttptest", &arguments));
            // What the program says itself of the service depends on a limit of two seconds.
            while !attacking.is_finished() {
                let answer = http.exchange(request);
                assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
                thread::sleep(Duration::from_millis(20));
            }
            attacking.join().unwrap()
        });
        let Some(ended) = ended else { return };
        assert!(ended.stdout.iter().any(|line| line.contains("service available:")), "{ended:?}");
    }
    assert!(http.stop().status.success());
}

#[test]
fn a_port_in_use_and_a_wrong_argument_are_one_line() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (arguments, status, text) in [
        (&[&*address, "--shards", "2"][..], 1, "stop what listens there, or give another port"),
        (&["nonsense"], 2, "\"nonsense\" is not an address with a port"),
        (&["--shards", "0"], 2, "0 is too few"),
        (&["--shards", "x"], 2, "--help says more"),
        (&["--unknown"], 2, "--help says more"),
        (&["--root", "/nonexistent"], 1, "cannot serve files of /nonexistent: "),
    ] {
        let ended = Program::start(example("http").args(arguments)).ended();
        assert_eq!(ended.status.code(), Some(status), "{ended:?}");
        let [line] = &*ended.stderr else { panic!("{ended:?}") };
        assert!(line.starts_with("http: ") && line.contains(text), "{line}");
    }
    let help = Program::start(example("http").arg("--help")).ended();
    assert!(help.status.success() && help.stderr.is_empty(), "{help:?}");
}
