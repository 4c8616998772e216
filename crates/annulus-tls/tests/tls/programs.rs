//! Clients that were not written here: openssl, curl, Python's ssl.

use std::fs;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{self, Command, Output, Stdio};
use std::sync::LazyLock;

use annulus::blocking::to_thread;
use annulus_tls::rustls::ServerConfig;
use annulus_tls::{StreamReader, StreamWriter, TlsAcceptor, alpn, start_server};

use crate::certificates::{PEM, server};
use crate::run;
use crate::skip::skip;

/// The root certificate as a file.
static ROOT: LazyLock<PathBuf> = LazyLock::new(|| {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("annulus-tls-root.pem");
    // Written whole: another process may be reading the one before.
    let own = path.with_extension(process::id().to_string());
    fs::write(&own, &PEM.root).expect("a file");
    own
});

/// Runs a program with an input; `None` if it is not installed.
fn output(program: &str, arguments: &[&str], input: &str) -> Option<Output> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = match command.spawn() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        child => child.expect("a child"),
    };
    let mut stdin = child.stdin.take().expect("piped");
    // A program that has failed does not read it.
    drop(stdin.write_all(input.as_bytes()));
    drop(stdin);
    Some(child.wait_with_output().expect("the program ends"))
}

/// Runs a program, whose arguments know the server's address, against a server.
async fn against<H>(
    config: ServerConfig,
    handler: H,
    program: &'static str,
    arguments: impl FnOnce(SocketAddr) -> Vec<String>,
    input: &'static str,
) -> Option<(bool, String)>
where
    H: AsyncFn(StreamReader, StreamWriter) -> io::Result<()> + 'static,
{
    let server = start_server(handler, "127.0.0.1:0", TlsAcceptor::from(config)).await;
    let server = server.expect("a server");
    let arguments = arguments(server.local_addrs()[0]);
    let output = to_thread(move || {
        let arguments = arguments.iter().map(String::as_str).collect::<Vec<_>>();
        output(program, &arguments, input)
    });
    let Some(output) = output.await.expect("the thread") else {
        skip(&format!("{program} is not installed"));
        return None;
    };
    let text = [output.stdout, output.stderr].concat();
    Some((output.status.success(), String::from_utf8_lossy(&text).into_owned()))
}

/// Answers one line.
async fn answer_once(mut reader: StreamReader, mut writer: StreamWriter) -> io::Result<()> {
    let line = reader.read_line().await?;
    writer.write(line.to_ascii_uppercase()).await
}

/// Answers one HTTP request with `PAGE` bytes.
async fn page(mut reader: StreamReader, mut writer: StreamWriter) -> io::Result<()> {
    reader.read_until("\r\n\r\n").await.map_err(io::Error::other)?;
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {PAGE}\r\nconnection: close\r\n\r\n");
    writer.write(head).await?;
    writer.write(vec![b'x'; PAGE]).await
}

const PAGE: usize = 1_900_000;

async fn echo(mut reader: StreamReader, mut writer: StreamWriter) -> io::Result<()> {
    loop {
        let bytes = reader.read(64 * 1024).await?;
        if bytes.is_empty() {
            return Ok(());
        }
        writer.write(&bytes).await?;
    }
}

fn s_client(address: SocketAddr, more: &[&str]) -> Vec<String> {
    let root = ROOT.display().to_string();
    let fixed = ["s_client", "-connect", &address.to_string(), "-CAfile", &root];
    let also = ["-servername", "localhost", "-verify_return_error", "-ign_eof"];
    fixed.iter().chain(&also).chain(more).map(|&argument| argument.to_owned()).collect()
}

#[test]
fn openssl_speaks_both_versions_of_tls_with_alpn() {
    run(async {
        for (option, version) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
            let mut config = server();
            config.alpn_protocols = alpn(["h2", "http/1.1"]);
            let arguments = |address| s_client(address, &[option, "-alpn", "http/1.1,h2"]);
            let ran = against(config, answer_once, "openssl", arguments, "hello\n").await;
            let Some((is_success, text)) = ran else { return };
            assert!(is_success, "{text}");
            for part in [version, "ALPN protocol: h2", "Verify return code: 0 (ok)", "\nHELLO\n"] {
                assert!(text.contains(part), "no {part:?} in: {text}");
            }
        }
    });
}

#[test]
fn openssl_resumes_sessions_in_both_versions_of_tls() {
    run(async {
        let config = server();
        for option in ["-tls1_2", "-tls1_3"] {
            let file = ROOT.with_extension(format!("session{option}-{}", process::id()));
            let path = file.display().to_string();
            // The configurations share the tickets' key.
            for (way, kind) in [("-sess_out", "New, TLSv1"), ("-sess_in", "Reused, TLSv1")] {
                let arguments = |address| s_client(address, &[option, way, &path]);
                let ran = against(config.clone(), answer_once, "openssl", arguments, "hello\n");
                let Some((is_success, text)) = ran.await else { return };
                assert!(is_success, "{text}");
                assert!(text.contains(kind), "no {kind:?} in: {text}");
            }
            fs::remove_file(file).expect("the session was written");
        }
    });
}

#[test]
fn curl_fetches_a_page_and_a_request_without_tls_fails_at_once() {
    run(async {
        let url = |scheme: &str, address: SocketAddr| {
            let root = ROOT.display().to_string();
            let url = format!("{scheme}://localhost:{}/", address.port());
            let size = "%{size_download}".to_owned();
            let options = ["-sS", "--ipv4", "--max-time", "60", "-o", "/dev/null", "-w"];
            let options = options.into_iter().map(str::to_owned);
            options.chain([size, "--cacert".to_owned(), root, url]).collect::<Vec<_>>()
        };
        let fetched = against(server(), page, "curl", |address| url("https", address), "").await;
        let Some((is_success, text)) = fetched else { return };
        assert!(is_success, "{text}");
        assert_eq!(text, PAGE.to_string());
        let failed = against(server(), page, "curl", |address| url("http", address), "").await;
        let (is_success, text) = failed.expect("curl is installed");
        // It takes the alert for HTTP/0.9, or reports that nothing has come.
        assert!(!is_success, "{text}");
    });
}

/// Sends 5 MB while it receives them, and closes both directions in order: `unwrap` fails without
/// the server's `close_notify`. On one thread: a session of `ssl` is not safe for two.
const ECHO: &str = r#"
import hashlib, os, select, socket, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[2])
plain = socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=60)
tls = context.wrap_socket(plain, server_hostname="localhost")
tls.setblocking(False)
payload = os.urandom(5_000_000)
unsent, received = memoryview(payload), bytearray()
while len(received) < len(payload):
    try:
        if unsent:
            # At most a record: OpenSSL wants a call that would block to be repeated with its bytes.
            unsent = unsent[tls.send(unsent[:16384]):]
    except ssl.SSLWantWriteError:
        pass
    try:
        received += tls.recv(65536) or sys.exit("the server has closed the connection")
    except ssl.SSLWantReadError:
        if not any(select.select([tls], [tls] if unsent else [], [], 60)):
            sys.exit("the server has sent nothing for a minute")
tls.settimeout(60)
tls.unwrap()
assert hashlib.sha256(received).digest() == hashlib.sha256(payload).digest()
print(tls.version(), "equal")
"#;

#[test]
fn python_s_ssl_echoes_megabytes_and_closes_in_order() {
    run(async {
        let arguments = |address: SocketAddr| {
            let root = ROOT.display().to_string();
            ["-c".to_owned(), ECHO.to_owned(), address.port().to_string(), root].to_vec()
        };
        let Some((is_success, text)) = against(server(), echo, "python3", arguments, "").await
        else {
            return;
        };
        assert!(is_success, "{text}");
        assert!(text.contains("equal"), "{text}");
    });
}
