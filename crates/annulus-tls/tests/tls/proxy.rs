//! The example `tls_proxy`: what it passes on, and what it says when it cannot start.

use std::env;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;

use annulus_tls::rustls::{ClientConnection, StreamOwned};

use crate::certificates::{PEM, both, localhost};
use crate::patience;

fn proxy(arguments: &[&str]) -> Command {
    let test = env::current_exe().expect("the path of this test");
    // PROFILE/deps/TEST and PROFILE/examples/NAME
    let profile = test.parent().and_then(Path::parent).expect("the directory of the profile");
    let path = profile.join("examples/tls_proxy");
    assert!(path.exists(), "`cargo build -p annulus-tls --examples` makes {}", path.display());
    let mut command = Command::new(path);
    command.args(arguments).stdin(Stdio::null());
    command
}

/// A child that does not outlive its test.
struct Guarded(Child);

impl Drop for Guarded {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[test]
fn the_proxy_passes_plaintext_to_its_target_and_back() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("proxy");
    std::fs::create_dir_all(&directory).expect("a directory");
    let (certificate, key) = (directory.join("certificate"), directory.join("key"));
    std::fs::write(&certificate, &PEM.certificate).expect("a file");
    std::fs::write(&key, &PEM.key).expect("a file");

    let target = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let address = target.local_addr().expect("an address").to_string();
    let server = thread::spawn(move || {
        let mut stream = target.accept().expect("a connection").0;
        stream.set_read_timeout(Some(patience::limit())).expect("a limit");
        let mut received = Vec::new();
        stream.read_to_end(&mut received).expect("a request and EOF");
        stream.write_all(&received.to_ascii_uppercase()).expect("a write");
    });

    let (certificate, key) = (certificate.to_string_lossy(), key.to_string_lossy());
    let arguments = ["--certificate", &*certificate, "--key", &*key, "127.0.0.1:0", &*address];
    let mut child = proxy(&arguments).stdout(Stdio::piped()).spawn().map(Guarded).expect("a child");
    let mut line = String::new();
    let output = child.0.stdout.take().expect("piped");
    BufReader::new(output).read_line(&mut line).expect("a line");
    let listening = line.strip_prefix("listening on ").and_then(|rest| rest.split(';').next());
    let stream = std::net::TcpStream::connect(listening.expect("an address")).expect("the proxy");
    stream.set_read_timeout(Some(patience::limit())).expect("a limit");
    let tls = ClientConnection::new(Arc::clone(&both().1), localhost()).expect("a connection");
    let mut stream = StreamOwned::new(tls, stream);
    stream.write_all(b"passed on").expect("a write");
    stream.conn.send_close_notify();
    stream.flush().expect("a flush");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer and close_notify");
    assert_eq!(answer, "PASSED ON");
    server.join().expect("the target");
}

#[test]
fn the_proxy_says_in_one_line_why_it_cannot_start() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let taken = taken.local_addr().map(|address| (taken, address.to_string()));
    let (_listener, address) = taken.expect("an address");
    for (arguments, code, part) in [
        (&["--bogus"][..], 2, "invalid option '--bogus'; --help says more"),
        (&[], 2, "expected --certificate FILE and --key FILE, or --self-signed"),
        (
            &["--certificate", "/missing", "--key", "/missing"],
            1,
            "certificates in /missing: No such",
        ),
        (&["--self-signed", &*address], 1, "Address already in use"),
    ] {
        let output = proxy(arguments).output().expect("it ends");
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{text}");
        assert!(text.starts_with("tls_proxy: ") && text.lines().count() == 1, "{text}");
        assert!(text.contains(part), "no {part:?} in: {text}");
    }
}
