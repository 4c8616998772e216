//! Clients that were not written here.

use std::net::SocketAddr;

use crate::common::{load, output, plain, while_serving};

/// How many bytes are uploaded: enough for many pieces.
const UPLOAD: usize = 1_900_000;

fn url(address: SocketAddr, path: &str) -> String {
    format!("http://{address}{path}")
}

/// A file of its own that is removed with this.
struct Upload(std::path::PathBuf);

impl Upload {
    fn new() -> Self {
        let name =
            format!("annulus-hyper-{}-{:?}", std::process::id(), std::thread::current().id());
        let path = std::env::temp_dir().join(name);
        let bytes: Vec<u8> = (0..UPLOAD).map(|n| (n * n / 7 % 251) as u8).collect();
        std::fs::write(&path, bytes).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn curl_gets_and_echoes_by_both_versions_of_http() {
    let ((), ended) = while_serving(plain, |address, _| {
        let (upload, echoed) = (Upload::new(), Upload::new());
        let body = format!("@{}", upload.path());
        for (version, number) in
            [("--http1.0", "1"), ("--http1.1", "1.1"), ("--http2-prior-knowledge", "2")]
        {
            let arguments = ["-sS", "--fail", "-w", "%{http_version}", version];
            let got = output("curl", &[&arguments[..], &[&url(address, "/")]].concat());
            let Some(got) = got else { return };
            assert_eq!(got, format!("hello\n{number}"), "{version}");
            for chunked in
                [&["-H", "Expect: 100-continue"][..], &["-H", "Transfer-Encoding: chunked"]]
            {
                if version != "--http1.1" && chunked[1].starts_with('T') {
                    continue;
                }
                let arguments =
                    ["-sS", "--fail", "--data-binary", &body, "-o", echoed.path(), version];
                let url = url(address, "/echo");
                output("curl", &[&arguments[..], chunked, &[&url]].concat()).unwrap();
                let (sent, got) =
                    (std::fs::read(&upload.0).unwrap(), std::fs::read(&echoed.0).unwrap());
                assert!(sent == got, "{version} {chunked:?}: {} bytes", got.len());
            }
        }
    });
    assert_eq!((ended.report.aborted, ended.incidents.len()), (0, 0), "{ended:?}");
}

/// The value of a line such as `Failed requests:        0`.
fn value<'a>(output: &'a str, name: &str) -> Option<&'a str> {
    output.lines().find_map(|line| line.trim().strip_prefix(name)).map(str::trim)
}

#[test]
fn ab_fails_no_request_with_and_without_kept_connections() {
    let (ran, ended) = while_serving(plain, |address, _| {
        for keep in [&["-k"][..], &[]] {
            let count = load(4_000, 20_000).to_string();
            let arguments = ["-q", "-n", &count, "-c", "100"];
            let output = output("ab", &[&arguments[..], keep, &[&url(address, "/")]].concat());
            let Some(output) = output else { return false };
            assert_eq!(value(&output, "Complete requests:"), Some(&*count), "{output}");
            assert_eq!(value(&output, "Failed requests:"), Some("0"), "{output}");
            assert_eq!(value(&output, "Non-2xx responses:"), None, "{output}");
        }
        true
    });
    assert!(!ran || ended.counters.requests >= u64::from(2 * load(4_000, 20_000)), "{ended:?}");
}

#[test]
fn h2load_fails_no_request_of_a_hundred_streams_at_a_time() {
    let (ran, ended) = while_serving(plain, |address, _| {
        let n = load(5_000, 50_000).to_string();
        let arguments = ["-n", &n, "-c", "10", "-m", "100", &url(address, "/")];
        let Some(output) = output("h2load", &arguments) else { return false };
        let counts = format!("{n} total, {n} started, {n} done, {n} succeeded, 0 failed");
        assert!(output.contains(&counts), "{output}");
        true
    });
    assert!(!ran || ended.counters.requests == u64::from(load(5_000, 50_000)), "{ended:?}");
}

#[test]
fn wrk_sees_no_error_on_a_thousand_connections() {
    while_serving(plain, |address, _| {
        let seconds = load(1, 10).to_string();
        let limits = ["-t", "1", "-c", "1000", "-d", &seconds, "--timeout", "60"];
        let url = url(address, "/");
        let arguments = [&limits[..], &[&url]].concat();
        let Some(output) = output("wrk", &arguments) else { return };
        assert!(!output.contains("Socket errors"), "{output}");
        assert!(!output.contains("Non-2xx"), "{output}");
    });
}
