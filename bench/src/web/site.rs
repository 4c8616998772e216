//! What all servers of a run share: a certificate with its key, and the large body as a file.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{env, fs, io, process};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::{BODY, LARGE, large_body};

/// The cipher suite of all, by its names in rustls and OpenSSL.
const SUITE: rustls::SupportedCipherSuite = ring::cipher_suite::TLS13_AES_256_GCM_SHA384;
pub(crate) const SUITE_NAME: &str = "TLS_AES_256_GCM_SHA384";

/// A folder for as long as this lives.
pub(crate) struct Site {
    folder: PathBuf,
}

impl Site {
    /// Makes the folder, with a new key on the curve P-256.
    pub(crate) fn new() -> io::Result<Self> {
        let folder = env::temp_dir().join(format!("annulus-bench-site-{}", process::id()));
        fs::create_dir_all(&folder)?;
        let site = Self { folder };
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(["localhost".to_owned()]).map_err(io::Error::other)?;
        fs::write(site.folder.join(CERTIFICATE), cert.pem())?;
        fs::write(site.folder.join(KEY), signing_key.serialize_pem())?;
        fs::write(site.folder.join("index"), BODY)?;
        fs::write(site.folder.join(LARGE.trim_start_matches('/')), large_body())?;
        Ok(site)
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The files of the certificate and of its key, in the folder.
pub(crate) const CERTIFICATE: &str = "certificate.pem";
pub(crate) const KEY: &str = "key.pem";

/// How servers on rustls do TLS: version 1.3, one cipher suite, tickets as rustls does by default.
pub(crate) fn server_config(folder: &Path) -> io::Result<Arc<ServerConfig>> {
    let provider = CryptoProvider { cipher_suites: vec![SUITE], ..ring::default_provider() };
    let certificate =
        CertificateDer::from_pem_file(folder.join(CERTIFICATE)).map_err(io::Error::other)?;
    let key = PrivateKeyDer::from_pem_file(folder.join(KEY)).map_err(io::Error::other)?;
    let builder = ServerConfig::builder_with_provider(Arc::new(provider));
    let builder =
        builder.with_protocol_versions(&[&rustls::version::TLS13]).map_err(io::Error::other)?;
    let mut config = builder
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .map_err(io::Error::other)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
