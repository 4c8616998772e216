//! HTTP over TLS, by clients that were not written here and by the client of this crate.

#[path = "../server/common/mod.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod common;

mod client;

use annulus::net::TcpListener;
use annulus_hyper::server::{Server, TlsListener, serve};
use annulus_tls::{TlsAcceptor, alpn, server_config_from_pem};

use common::{Client, load, output, run, service, while_serving};

fn start(listener: TcpListener) -> Server<TlsListener> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let mut config = server_config_from_pem(certificate.as_bytes(), key.as_bytes()).unwrap();
    config.alpn_protocols = alpn(["h2", "http/1.1"]);
    serve(TlsListener::new(listener, TlsAcceptor::from(config)), service()).start().unwrap()
}

#[test]
fn curl_negotiates_both_versions_of_http() {
    let ((), ended) = while_serving(start, |address, _| {
        for (version, number) in [("--http1.1", "1.1"), ("--http2", "2")] {
            let url = format!("https://{address}/");
            let arguments = ["-sS", "-k", "--fail", "-w", "%{http_version}", version, &url];
            let Some(got) = output("curl", &arguments) else { return };
            assert_eq!(got, format!("hello\n{number}"), "{version}");
        }
    });
    assert_eq!((ended.report.aborted, ended.incidents.len()), (0, 0), "{ended:?}");
}

#[test]
fn h2load_fails_no_request_over_tls() {
    while_serving(start, |address, _| {
        let (n, url) = (load(2_000, 50_000).to_string(), format!("https://{address}/"));
        let arguments = ["-n", &n, "-c", "10", "-m", "32", &url];
        let Some(output) = output("h2load", &arguments) else { return };
        assert!(output.contains(&format!("{n} succeeded, 0 failed")), "{output}");
    });
}

#[test]
fn clients_that_speak_no_tls_or_nothing_delay_no_others_and_are_counted() {
    let (ran, ended) = while_serving(start, |address, _| {
        let _silent: Vec<_> = (0..50).map(|_| Client::connect(address)).collect();
        let mut plain = Client::connect(address);
        plain.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
        plain.read_to_eof();
        let url = format!("https://{address}/");
        run("curl", &["-sS", "-k", "--fail", &url]).map(|done| assert!(done.status.success()))
    });
    // The one without TLS, and the silent ones when they had gone.
    assert_eq!(ended.counters.setup_failures, 51, "{ended:?}");
    assert_eq!(ended.incidents, [""; 0]);
    assert!(ran.is_none() || ended.counters.requests == 1, "{ended:?}");
}
