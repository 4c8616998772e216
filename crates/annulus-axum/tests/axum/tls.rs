//! Routers over TLS.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process;
use std::sync::LazyLock;

use annulus::net::TcpListener;
use annulus_axum::ws::{Message, WebSocketUpgrade};
use annulus_axum::{TlsConnectInfo, TlsListener};
use annulus_tls::{TlsAcceptor, alpn, server_config_from_pem};
use axum::Router;
use axum::extract::ConnectInfo;
use axum::routing::{any, get};

use crate::clients::{curl, output, printed, python};
use crate::server::Server;

/// A certificate for localhost and its key, in PEM.
static IDENTITY: LazyLock<(String, String)> = LazyLock::new(|| {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
});

/// The certificate and the key as files.
pub(crate) fn identity_files() -> [String; 2] {
    static FILES: LazyLock<[String; 2]> = LazyLock::new(|| {
        let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
        let write = |name: &str, text: &str| {
            let path = directory.join(format!("axum-{}-{name}.pem", process::id()));
            fs::write(&path, text).unwrap();
            path.into_os_string().into_string().unwrap()
        };
        [write("certificate", &IDENTITY.0), write("key", &IDENTITY.1)]
    });
    FILES.clone()
}

/// The arguments with which curl trusts the certificate, and finds its name at an address.
pub(crate) fn trusting(address: SocketAddr) -> [String; 4] {
    let [certificate, _] = identity_files();
    let resolve = format!("localhost:{}:{}", address.port(), address.ip());
    ["--cacert".to_owned(), certificate, "--resolve".to_owned(), resolve]
}

fn listener(listener: TcpListener) -> TlsListener {
    let (certificate, key) = &*IDENTITY;
    let mut config = server_config_from_pem(certificate.as_bytes(), key.as_bytes()).unwrap();
    config.alpn_protocols = alpn(["h2", "http/1.1"]);
    TlsListener::new(listener, TlsAcceptor::from(config))
}

fn router() -> Router {
    let tls = async |ConnectInfo(client): ConnectInfo<TlsConnectInfo>| {
        let alpn = client.tls.alpn_protocol.clone().unwrap_or_default();
        let name = client.tls.server_name.clone().unwrap_or_default();
        let port = client.peer_addr.port();
        format!("{} {name} {port}", String::from_utf8(alpn).unwrap())
    };
    let echo = async |request: WebSocketUpgrade| {
        request.on_upgrade(async |mut socket| {
            while let Some(Ok(message)) = socket.recv().await {
                if matches!(message, Message::Text(_) | Message::Binary(_)) {
                    socket.send(message).await.unwrap();
                }
            }
        })
    };
    Router::new().route("/tls", get(tls)).route("/ws", any(echo))
}

fn start() -> Server {
    Server::with_listener(listener, || {
        router().into_make_service_with_connect_info::<TlsConnectInfo>()
    })
}

#[test]
fn a_handler_sees_what_tls_has_negotiated_over_both_versions_of_http() {
    let server = start();
    let url = format!("https://localhost:{}/tls", server.address.port());
    for (version, negotiated) in [("--http1.1", "http/1.1"), ("--http2", "h2")] {
        let Some(mut curl) = curl(&[version, "-w", "\n%{local_port} %{http_version}", &url]) else {
            return;
        };
        let printed = printed(curl.args(trusting(server.address)));
        let (answer, of_curl) = printed.split_once('\n').unwrap();
        let (port, number) = of_curl.split_once(' ').unwrap();
        assert_eq!(answer, format!("{negotiated} localhost {port}"));
        assert_eq!(number == "2", negotiated == "h2");
    }
    let report = server.end();
    assert_eq!(report.aborted, 0, "{report}");
}

#[test]
fn a_handler_sees_the_address_of_its_client_over_tls() {
    let server = Server::with_listener(listener, || {
        let who = async |ConnectInfo(peer): ConnectInfo<SocketAddr>| peer.port().to_string();
        let app = Router::new().route("/", get(who));
        app.into_make_service_with_connect_info::<SocketAddr>()
    });
    let url = format!("https://{}/", server.address);
    let Some(mut curl) = curl(&["--insecure", "-w", " %{local_port}", &url]) else { return };
    let printed = printed(&mut curl);
    let (seen, own) = printed.split_once(' ').unwrap();
    assert_eq!(seen, own);
}

#[test]
fn messages_pass_a_websocket_over_tls_and_its_end_is_in_order() {
    let Some(mut client) = python("websocket_client.py", "websockets") else { return };
    let server = start();
    let [certificate, _] = identity_files();
    let url = format!("wss://localhost:{}/ws", server.address.port());
    output(client.env("SSL_CERT_FILE", certificate).arg("all").arg(url));
    let report = server.end_when_idle();
    assert_eq!((report.completed, report.aborted), (0, 0), "{report}");
}
