//! The client with a pool, over TLS.

use annulus::net::{TcpListener, UnixListener};
use annulus_hyper::client::{Client, Connector, client_with};
use annulus_hyper::server::{TlsListener, serve};
use annulus_tls::rustls::pki_types::{CertificateDer, pem::PemObject};
use annulus_tls::rustls::{ClientConfig, RootCertStore};
use annulus_tls::{TlsAcceptor, alpn, client_config, server_config_from_pem, tls_error};
use http_body_util::{BodyExt, Full};
use hyper::Version;
use hyper::body::Bytes;

use crate::common::service;

/// A server's side for `localhost`, and the configuration of a client that trusts it.
fn pair(protocols: &[&str]) -> (TlsAcceptor, ClientConfig) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let mut server = server_config_from_pem(certificate.as_bytes(), key.as_bytes()).unwrap();
    server.alpn_protocols = alpn(protocols.iter().copied());
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()).unwrap();
    (TlsAcceptor::from(server), client_config(roots).unwrap())
}

async fn get(client: &Client<Full<Bytes>>, url: &str) -> (Version, Bytes) {
    let response = client.get(url.parse().unwrap()).await.unwrap();
    let version = response.version();
    (version, response.into_body().collect().await.unwrap().to_bytes())
}

#[test]
fn a_client_speaks_the_version_that_was_negotiated_and_uses_its_connection_again() {
    annulus::run(async {
        for (offered, version) in [
            (&["h2", "http/1.1"][..], Version::HTTP_2),
            (&["http/1.1"], Version::HTTP_11),
            (&[], Version::HTTP_11),
        ] {
            let (acceptor, config) = pair(offered);
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let server = serve(TlsListener::new(listener, acceptor), service()).start().unwrap();
            let client = client_with(Connector::new().tls(config));
            let url = format!("https://localhost:{}/", server.local_addr().port());
            for _ in 0..3 {
                assert_eq!(get(&client, &url).await, (version, "hello\n".into()), "{offered:?}");
            }
            assert_eq!((server.active_connections(), server.counters().requests), (1, 3));
        }
    })
    .unwrap();
}

#[test]
fn a_client_speaks_tls_over_a_unix_socket() {
    annulus::run(async {
        let (acceptor, config) = pair(&["h2"]);
        let name = format!("\0annulus-hyper-tls-{}", std::process::id());
        let listener = TlsListener::new(UnixListener::bind(&name).unwrap(), acceptor);
        let _server = serve(listener, service()).start().unwrap();
        let client = client_with(Connector::unix(name).tls(config));
        let got = get(&client, "https://localhost/").await;
        assert_eq!(got, (Version::HTTP_2, "hello\n".into()));
    })
    .unwrap();
}

#[test]
fn a_server_that_is_not_trusted_or_has_another_name_gets_no_request_and_the_error_says_why() {
    annulus::run(async {
        let (acceptor, trusting) = pair(&["h2"]);
        let other = client_config(RootCertStore::empty()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = serve(TlsListener::new(listener, acceptor), service()).start().unwrap();
        for (config, host, why) in
            [(other, "localhost", "UnknownIssuer"), (trusting, "127.0.0.1", "not valid for name")]
        {
            let client = client_with::<Full<Bytes>>(Connector::new().tls(config));
            let url = format!("https://{host}:{}/", server.local_addr().port());
            let error = client.get(url.parse().unwrap()).await.unwrap_err();
            let error = std::error::Error::source(&error).unwrap();
            let text = error.to_string();
            println!("{text}");
            assert!(text.starts_with(&format!("connect to {url}: TLS handshake: ")), "{text}");
            assert!(text.contains(why) && !text.contains('\n'), "{text}");
            assert!(tls_error(error.downcast_ref().unwrap()).is_some(), "{error:?}");
        }
        assert_eq!(server.counters().requests, 0);
    })
    .unwrap();
}
