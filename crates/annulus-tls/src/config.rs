//! Configurations as most programs need them, from PEM files.
//!
//! They are configurations of rustls, whose public fields say the rest: see [`server_config`] and
//! [`client_config`].

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

/// Returns the cryptography that configurations of this crate use.
///
/// It is what the program has installed by `install_default` of [`CryptoProvider`], otherwise that
/// of the feature `ring` (on by default), otherwise that of `aws-lc-rs`.
///
/// # Errors
///
/// `Unsupported` if there is none of them.
pub fn crypto_provider() -> io::Result<Arc<CryptoProvider>> {
    if let Some(installed) = CryptoProvider::get_default() {
        return Ok(Arc::clone(installed));
    }
    #[cfg(feature = "ring")]
    let provider = Some(rustls::crypto::ring::default_provider());
    #[cfg(all(feature = "aws-lc-rs", not(feature = "ring")))]
    let provider = Some(rustls::crypto::aws_lc_rs::default_provider());
    #[cfg(not(any(feature = "ring", feature = "aws-lc-rs")))]
    let provider: Option<CryptoProvider> = None;
    provider.map(Arc::new).ok_or_else(|| {
        let text = "no cryptography for TLS: enable the feature `ring` or `aws-lc-rs` of \
                    annulus-tls, or install a provider by `CryptoProvider::install_default`";
        io::Error::new(io::ErrorKind::Unsupported, text)
    })
}

/// Returns the configuration of a server, from files with its certificates and its key in PEM.
///
/// The server's own certificate comes first, and then those that lead to a root that clients know
/// (`fullchain.pem` of most tools). TLS 1.2 and 1.3 are on, with rustls's choice of cipher suites.
/// Clients need no certificate. Sessions can be resumed, by tickets and by a cache in memory, which
/// all clones of the configuration share. Early data is refused, since it can be replayed.
///
/// What else there is to choose is in the public fields: `alpn_protocols` (see [`alpn`]), `key_log`
/// ([`KeyLogFile`](rustls::KeyLogFile)), `session_storage`, `max_early_data_size`, and
/// `ignore_client_order`: by default the client's order of cipher suites counts, all of which are
/// strong.
///
/// It reads files: call it before the event loop, or with [`annulus::blocking::to_thread`].
///
/// # Errors
///
/// If a file cannot be read or has nothing that fits, or the key is not that of the certificate.
///
/// # Example
///
/// ```no_run
/// use annulus_tls::{TlsAcceptor, alpn, server_config};
///
/// let mut config = server_config("fullchain.pem", "privkey.pem")?;
/// config.alpn_protocols = alpn(["h2", "http/1.1"]);
/// let acceptor = TlsAcceptor::from(config);
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn server_config(
    certificates: impl AsRef<Path>,
    key: impl AsRef<Path>,
) -> io::Result<ServerConfig> {
    server_of(certificate_file(certificates.as_ref())?, key_file(key.as_ref())?, None)
}

/// Like [`server_config`], from PEM in memory.
///
/// # Errors
///
/// Those of [`server_config`].
pub fn server_config_from_pem(certificates: &[u8], key: &[u8]) -> io::Result<ServerConfig> {
    server_of(certificates_from_pem(certificates)?, key_from_pem(key)?, None)
}

/// Like [`server_config`], for clients with a certificate of one of `roots`: mutual TLS.
///
/// [`TlsStream::peer_certificates`](crate::TlsStream::peer_certificates) has the client's.
///
/// # Errors
///
/// Those of [`server_config`], and if there are no roots.
pub fn mutual_server_config(
    certificates: impl AsRef<Path>,
    key: impl AsRef<Path>,
    roots: RootCertStore,
) -> io::Result<ServerConfig> {
    server_of(certificate_file(certificates.as_ref())?, key_file(key.as_ref())?, Some(roots))
}

/// Returns the configuration of a client that trusts `roots`.
///
/// Roots come from [`roots_from_pem_file`], `webpki_roots` or `native_roots`. TLS 1.2 and 1.3 are
/// on. Sessions are resumed, and early data is off.
///
/// What else there is to choose is in the public fields: `alpn_protocols` (see [`alpn`]), `key_log`
/// ([`KeyLogFile`](rustls::KeyLogFile)), `resumption`.
///
/// # Errors
///
/// If there is no cryptography ([`crypto_provider`]).
pub fn client_config(roots: RootCertStore) -> io::Result<ClientConfig> {
    Ok(client_builder(roots)?.with_no_client_auth())
}

/// Like [`client_config`], for a client that has a certificate itself: mutual TLS.
///
/// # Errors
///
/// If a file cannot be read or has nothing that fits, or the key is not that of the certificate.
pub fn mutual_client_config(
    roots: RootCertStore,
    certificates: impl AsRef<Path>,
    key: impl AsRef<Path>,
) -> io::Result<ClientConfig> {
    let (chain, key) = (certificate_file(certificates.as_ref())?, key_file(key.as_ref())?);
    client_builder(roots)?.with_client_auth_cert(chain, key).map_err(unusable)
}

/// Returns the roots in a PEM file.
///
/// # Errors
///
/// If the file cannot be read, has no certificates, or one that cannot be a root.
pub fn roots_from_pem_file(path: impl AsRef<Path>) -> io::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for root in certificate_file(path.as_ref())? {
        roots.add(root).map_err(unusable)?;
    }
    Ok(roots)
}

/// Returns the roots that Mozilla trusts, compiled into the program.
#[cfg(feature = "webpki-roots")]
pub fn webpki_roots() -> RootCertStore {
    RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() }
}

/// Returns the roots that this machine trusts.
///
/// It reads many files: call it before the event loop, or with [`annulus::blocking::to_thread`].
/// Files that cannot be read, and certificates that cannot be roots, are left out.
///
/// # Errors
///
/// If there are none at all.
#[cfg(feature = "native-roots")]
pub fn native_roots() -> io::Result<RootCertStore> {
    let mut found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let why = found.errors.pop().map_or_else(String::new, |error| format!(": {error}"));
        let text = format!(
            "this machine has no trusted certificates{why}; install the package ca-certificates"
        );
        return Err(io::Error::new(io::ErrorKind::NotFound, text));
    }
    Ok(roots)
}

/// Returns names of protocols for the field `alpn_protocols` of a configuration.
///
/// The server takes the first of its own that the client offers, and refuses a client that offers
/// others only.
///
/// # Example
///
/// ```
/// assert_eq!(annulus_tls::alpn(["h2"]), [b"h2"]);
/// ```
pub fn alpn<'a>(protocols: impl IntoIterator<Item = &'a str>) -> Vec<Vec<u8>> {
    protocols.into_iter().map(|protocol| protocol.as_bytes().to_vec()).collect()
}

fn server_of(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    client_roots: Option<RootCertStore>,
) -> io::Result<ServerConfig> {
    let provider = crypto_provider()?;
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_safe_default_protocol_versions().map_err(unusable)?;
    let builder = match client_roots {
        None => builder.with_no_client_auth(),
        Some(roots) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
            builder.with_client_cert_verifier(verifier.build().map_err(io::Error::other)?)
        }
    };
    with_tickets(builder.with_single_cert(chain, key).map_err(unusable)?)
}

#[cfg(any(feature = "ring", feature = "aws-lc-rs"))]
fn with_tickets(mut config: ServerConfig) -> io::Result<ServerConfig> {
    #[cfg(feature = "ring")]
    let ticketer = rustls::crypto::ring::Ticketer::new();
    #[cfg(not(feature = "ring"))]
    let ticketer = rustls::crypto::aws_lc_rs::Ticketer::new();
    config.ticketer = ticketer.map_err(unusable)?;
    Ok(config)
}

/// A provider that the program has installed has no tickets that are known here: the cache remains.
#[cfg(not(any(feature = "ring", feature = "aws-lc-rs")))]
fn with_tickets(config: ServerConfig) -> io::Result<ServerConfig> {
    Ok(config)
}

fn client_builder(
    roots: RootCertStore,
) -> io::Result<rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert>> {
    let builder = ClientConfig::builder_with_provider(crypto_provider()?);
    let builder = builder.with_safe_default_protocol_versions().map_err(unusable)?;
    Ok(builder.with_root_certificates(roots))
}

fn unusable(error: rustls::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, error)
}

fn certificate_file(path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let of = format!("certificates in {}", path.display());
    let found = CertificateDer::pem_file_iter(path).map_err(|error| unreadable(&of, error))?;
    all(found, &of)
}

fn certificates_from_pem(bytes: &[u8]) -> io::Result<Vec<CertificateDer<'static>>> {
    all(CertificateDer::pem_slice_iter(bytes), "certificates")
}

fn all(
    found: impl Iterator<Item = Result<CertificateDer<'static>, pem::Error>>,
    of: &str,
) -> io::Result<Vec<CertificateDer<'static>>> {
    let all = found.collect::<Result<Vec<_>, _>>().map_err(|error| unreadable(of, error))?;
    if all.is_empty() { Err(unreadable(of, pem::Error::NoItemsFound)) } else { Ok(all) }
}

fn key_file(path: &Path) -> io::Result<PrivateKeyDer<'static>> {
    let of = format!("private key in {}", path.display());
    PrivateKeyDer::from_pem_file(path).map_err(|error| unreadable(&of, error))
}

fn key_from_pem(bytes: &[u8]) -> io::Result<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_slice(bytes).map_err(|error| unreadable("private key", error))
}

/// The error of PEM that cannot be read.
fn unreadable(of: &str, error: pem::Error) -> io::Error {
    match error {
        pem::Error::Io(error) => {
            io::Error::new(error.kind(), format!("cannot read the {of}: {error}"))
        }
        pem::Error::NoItemsFound => {
            let text = format!("cannot read the {of}: it has none in PEM");
            io::Error::new(io::ErrorKind::InvalidData, text)
        }
        error => io::Error::new(
            io::ErrorKind::InvalidData,
            format!("cannot read the {of}: not well-formed PEM: {error}"),
        ),
    }
}
