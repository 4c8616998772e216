//! Handshakes that succeed, fail, resume, or do not end.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::time::{Duration, Instant};

use annulus::io::{AsyncRead, AsyncWrite};
use annulus::join::gather;
use annulus_tls::rustls::{self, AlertDescription, HandshakeKind, ProtocolVersion};
use annulus_tls::{
    LazyAcceptor, TlsAcceptor, TlsConnector, TlsStream, Transport, alpn, client_config, tls_error,
};

use crate::certificates::{both, client, localhost, roots, server};
use crate::pipe::{Pipe, pipe};
use crate::run;

type Ends = (io::Result<TlsStream<Pipe>>, io::Result<TlsStream<Pipe>>);

async fn meet(connector: &TlsConnector, acceptor: &TlsAcceptor) -> Ends {
    let (near, far) = pipe(10_000);
    gather((connector.connect(localhost(), near), acceptor.accept(far))).await
}

#[test]
fn both_ends_know_what_was_negotiated() {
    run(async {
        let (mut server, mut client) = (server(), client());
        server.alpn_protocols = alpn(["h2", "http/1.1"]);
        client.alpn_protocols = alpn(["http/1.1", "h2"]);
        let (acceptor, connector) = (TlsAcceptor::from(server), TlsConnector::from(client));
        let (near, far) = meet(&connector, &acceptor).await;
        let (near, far) = (near.expect("the client"), far.expect("the server"));
        for end in [&near, &far] {
            assert_eq!(end.alpn_protocol(), Some(&b"h2"[..]));
            assert_eq!(end.info().protocol_version, Some(ProtocolVersion::TLSv1_3));
            assert_eq!(end.info().handshake_kind, Some(HandshakeKind::Full));
        }
        assert_eq!(far.server_name(), Some("localhost"));
        assert_eq!(near.server_name(), None);
        assert_eq!(near.peer_certificates().map(<[_]>::len), Some(1));
        assert!(far.peer_certificates().is_none());
    });
}

#[test]
fn sessions_are_resumed_in_both_versions_of_tls() {
    run(async {
        for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
            let provider = annulus_tls::crypto_provider().expect("a provider");
            let client = rustls::ClientConfig::builder_with_provider(provider)
                .with_protocol_versions(&[version])
                .expect("a version")
                .with_root_certificates(roots())
                .with_no_client_auth();
            let (acceptor, connector) = (TlsAcceptor::from(server()), TlsConnector::from(client));
            for kind in [HandshakeKind::Full, HandshakeKind::Resumed] {
                let (near, far) = meet(&connector, &acceptor).await;
                let (mut near, mut far) = (near.expect("the client"), far.expect("the server"));
                // A ticket of TLS 1.3 is read with what follows the handshake.
                far.write_all("ticket").await.0.expect("a write");
                assert_eq!(&*near.recv().await.expect("a read"), b"ticket");
                assert_eq!(near.info().handshake_kind, Some(kind), "{version:?}");
                assert_eq!(far.info().handshake_kind, Some(kind), "{version:?}");
            }
        }
    });
}

#[test]
fn early_data_is_refused() {
    run(async {
        let mut client = client();
        client.enable_early_data = true;
        let (server, client) = (Arc::new(server()), Arc::new(client));
        assert_eq!(server.max_early_data_size, 0);
        let (acceptor, connector) =
            (TlsAcceptor::new(server), TlsConnector::new(Arc::clone(&client)));
        let (near, far) = meet(&connector, &acceptor).await;
        let (mut near, mut far) = (near.expect("the client"), far.expect("the server"));
        far.write_all("ticket").await.0.expect("a write");
        near.recv().await.expect("a read");
        // The client knows a ticket now, and that it allows no early data.
        let mut next = rustls::ClientConnection::new(client, localhost()).expect("a connection");
        assert!(next.early_data().is_none());
    });
}

#[test]
fn a_peer_that_does_not_speak_tls_gets_an_alert() {
    run(async {
        let (server, _) = both();
        for is_lazy in [false, true] {
            let (mut near, far) = pipe(10_000);
            let request = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";
            let written =
                poll_fn(|context| near.poll_write_vectored(context, &[IoSlice::new(request)]));
            assert_eq!(written.await.expect("a write"), request.len());
            let hear = async {
                let heard = poll_fn(|context| near.poll_fill(context).map_ok(<[u8]>::to_vec));
                let heard = heard.await.expect("a read");
                drop(near);
                heard
            };
            let accept = async {
                match is_lazy {
                    false => TlsAcceptor::new(Arc::clone(&server)).accept(far).await.map(drop),
                    true => LazyAcceptor::new().accept(far).await.map(drop),
                }
            };
            let (heard, accepted) = gather((hear, accept)).await;
            // Type alert, version, length 2, fatal.
            assert_eq!((heard.len(), heard[0], &heard[3..6]), (7, 21, &[0, 2, 2][..]), "{is_lazy}");
            let error = accepted.expect_err("no TLS");
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
            assert!(matches!(tls_error(&error), Some(rustls::Error::InvalidMessage(_))), "{error}");
        }
    });
}

#[test]
fn a_handshake_that_does_not_go_on_ends_with_its_limit() {
    run(async {
        let limit = Duration::from_millis(50);
        let (server, client) = both();
        let began = Instant::now();
        let (_near, far) = pipe(10_000);
        let accepted = TlsAcceptor::new(server).handshake_timeout(limit).accept(far).await;
        let (_near, far) = pipe(10_000);
        let lazily = LazyAcceptor::new().handshake_timeout(limit).accept(far).await;
        let (near, _far) = pipe(10_000);
        let connector = TlsConnector::new(client).handshake_timeout(limit);
        let connected = connector.connect(localhost(), near).await;
        assert!(began.elapsed() >= 3 * limit);
        for error in [accepted.err(), lazily.err(), connected.err()] {
            let error = error.expect("the peer is silent");
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
            assert_eq!(
                error.to_string(),
                "TLS handshake: the peer has not completed it within 50ms"
            );
        }
    });
}

#[test]
fn a_peer_that_closes_during_the_handshake_is_an_unexpected_end() {
    run(async {
        let (server, _) = both();
        let (near, far) = pipe(10_000);
        drop(near);
        let error = TlsAcceptor::new(server).accept(far).await.expect_err("the peer is gone");
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    });
}

#[test]
fn a_lazy_acceptor_shows_what_the_client_wants_before_it_answers() {
    run(async {
        let mut client = client();
        client.alpn_protocols = alpn(["h2"]);
        let (near, far) = pipe(10_000);
        let watch = far.watch();
        let connector = TlsConnector::from(client);
        let serve = async {
            let started = LazyAcceptor::new().accept(far).await.expect("a first message");
            assert_eq!(started.client_hello().server_name(), Some("localhost"));
            let offered = started.client_hello().alpn().expect("ALPN").collect::<Vec<_>>();
            assert_eq!(offered, [b"h2"]);
            assert_eq!(watch.written(), 0);
            let mut config = server();
            config.alpn_protocols = alpn(["h2"]);
            started.accept(Arc::new(config)).await
        };
        let (near, far) = gather((connector.connect(localhost(), near), serve)).await;
        assert_eq!(near.expect("the client").alpn_protocol(), Some(&b"h2"[..]));
        assert_eq!(far.expect("the server").alpn_protocol(), Some(&b"h2"[..]));
    });
}

#[test]
fn a_client_that_does_not_trust_the_server_says_so_by_an_alert() {
    run(async {
        let empty = client_config(rustls::RootCertStore::empty()).expect("a configuration");
        let (acceptor, connector) = (TlsAcceptor::from(server()), TlsConnector::from(empty));
        let (near, far) = meet(&connector, &acceptor).await;
        let near = near.expect_err("no roots");
        assert!(matches!(tls_error(&near), Some(rustls::Error::InvalidCertificate(_))), "{near}");
        let far = far.expect_err("not trusted");
        let told = rustls::Error::AlertReceived(AlertDescription::UnknownCA);
        assert_eq!(tls_error(&far), Some(&told));
    });
}
