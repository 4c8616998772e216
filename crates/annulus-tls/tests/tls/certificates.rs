//! Certificates made for a test, and configurations that trust them.

use std::sync::{Arc, LazyLock};

use annulus_tls::rustls::pki_types::pem::PemObject;
use annulus_tls::rustls::pki_types::{CertificateDer, ServerName};
use annulus_tls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use annulus_tls::{client_config, server_config_from_pem};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

/// What is made once for all tests, in PEM.
pub(crate) struct Pem {
    pub(crate) root: String,
    pub(crate) certificate: String,
    pub(crate) key: String,
}

/// A root, and a certificate of it for `localhost` and 127.0.0.1.
pub(crate) static PEM: LazyLock<Pem> = LazyLock::new(|| {
    let mut root = CertificateParams::new(Vec::new()).expect("parameters");
    // Clients take a certificate whose subject and issuer are equal for self-signed.
    root.distinguished_name.push(DnType::CommonName, "root of a test");
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = CertifiedIssuer::self_signed(root, KeyPair::generate().expect("a key"));
    let root = root.expect("a root");
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let key = KeyPair::generate().expect("a key");
    let own = CertificateParams::new(names).expect("parameters").signed_by(&key, &root);
    let certificate = own.expect("a certificate").pem();
    Pem { root: root.pem(), certificate, key: key.serialize_pem() }
});

pub(crate) fn roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let root = CertificateDer::from_pem_slice(PEM.root.as_bytes()).expect("a certificate");
    roots.add(root).expect("a root");
    roots
}

pub(crate) fn server() -> ServerConfig {
    let (certificate, key) = (PEM.certificate.as_bytes(), PEM.key.as_bytes());
    server_config_from_pem(certificate, key).expect("a configuration")
}

pub(crate) fn client() -> ClientConfig {
    client_config(roots()).expect("a configuration")
}

pub(crate) fn localhost() -> ServerName<'static> {
    ServerName::try_from("localhost").expect("a name")
}

/// Both, for tests to which they do not matter.
pub(crate) fn both() -> (Arc<ServerConfig>, Arc<ClientConfig>) {
    (Arc::new(server()), Arc::new(client()))
}
