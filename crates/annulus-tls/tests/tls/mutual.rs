//! Clients with certificates, and configurations from files.

use std::fs;
use std::io;
use std::path::PathBuf;

use annulus::io::AsyncRead;
use annulus::join::gather;
use annulus_tls::rustls::{self, AlertDescription};
use annulus_tls::{
    TlsAcceptor, TlsConnector, client_config, mutual_client_config, mutual_server_config,
    roots_from_pem_file, server_config, server_config_from_pem, tls_error,
};

use crate::certificates::{PEM, localhost, roots};
use crate::pipe::pipe;
use crate::run;

/// A directory with the files of this test.
fn files(test: &str) -> PathBuf {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(test);
    fs::create_dir_all(&directory).expect("a directory");
    for (name, text) in [("root", &PEM.root), ("cert", &PEM.certificate), ("key", &PEM.key)] {
        fs::write(directory.join(name), text).expect("a file");
    }
    directory
}

#[test]
fn a_server_that_wants_certificates_of_clients_refuses_those_without() {
    run(async {
        let files = files("mutual");
        let (cert, key) = (files.join("cert"), files.join("key"));
        let roots = || roots_from_pem_file(files.join("root")).expect("a root");
        let server = mutual_server_config(&cert, &key, roots()).expect("a server");
        let acceptor = TlsAcceptor::from(server);

        let known = mutual_client_config(roots(), &cert, &key).expect("a client");
        let (near, far) = pipe(10_000);
        let connector = TlsConnector::from(known);
        let ends = gather((connector.connect(localhost(), near), acceptor.accept(far))).await;
        ends.0.expect("the client");
        assert_eq!(ends.1.expect("the server").peer_certificates().map(<[_]>::len), Some(1));

        let unknown = TlsConnector::from(client_config(roots()).expect("a client"));
        let (near, far) = pipe(10_000);
        let connect = async {
            // In TLS 1.3 the client has done its part before it can learn of the refusal.
            unknown.connect(localhost(), near).await.expect("its own part").recv().await
        };
        let (near, far) = gather((connect, acceptor.accept(far))).await;
        let told = rustls::Error::AlertReceived(AlertDescription::CertificateRequired);
        assert_eq!(tls_error(&near.expect_err("refused")), Some(&told));
        let why = rustls::Error::NoCertificatesPresented;
        assert_eq!(tls_error(&far.expect_err("refused")), Some(&why));
    });
}

#[test]
fn files_that_cannot_be_used_are_named_with_the_reason() {
    let files = files("unusable");
    let (cert, key, missing) = (files.join("cert"), files.join("key"), files.join("missing"));
    let error = server_config(&missing, &key).expect_err("no file");
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
    let text = format!("cannot read the certificates in {}: No such file", missing.display());
    assert!(error.to_string().starts_with(&text), "{error}");
    let error = server_config(&key, &key).expect_err("no certificate");
    let text = format!("cannot read the certificates in {}: it has none in PEM", key.display());
    assert_eq!(error.to_string(), text);
    let error = server_config(&cert, &cert).expect_err("no key");
    assert!(error.to_string().contains("private key in"), "{error}");
    let other = rcgen::KeyPair::generate().expect("a key").serialize_pem();
    let error = server_config_from_pem(PEM.certificate.as_bytes(), other.as_bytes());
    let error = error.expect_err("another's key");
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    assert!(!roots().is_empty());
}
