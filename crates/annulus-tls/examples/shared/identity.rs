//! The identity of a server with TLS: a certificate and a key in files, or ones that are made when
//! the server starts. The options `--certificate FILE`, `--key FILE` and `--self-signed` choose.

use std::io;
use std::path::PathBuf;

use annulus_tls::rustls::ServerConfig;

/// The options that choose an identity, as they were given.
#[derive(Default)]
pub(crate) struct IdentityOptions {
    pub(crate) certificate: Option<PathBuf>,
    pub(crate) key: Option<PathBuf>,
    pub(crate) is_self_signed: bool,
}

impl IdentityOptions {
    /// Fails unless the options choose one identity.
    pub(crate) fn choose(self) -> Result<Identity, lexopt::Error> {
        match (self.certificate, self.key, self.is_self_signed) {
            (Some(certificate), Some(key), false) => Ok(Identity::Files { certificate, key }),
            (None, None, true) => Ok(Identity::SelfSigned),
            _ => Err("expected --certificate FILE and --key FILE, or --self-signed".into()),
        }
    }
}

pub(crate) enum Identity {
    Files { certificate: PathBuf, key: PathBuf },
    SelfSigned,
}

impl Identity {
    /// Reads the files, or makes a certificate for `localhost`.
    pub(crate) fn server_config(&self) -> io::Result<ServerConfig> {
        match self {
            Self::Files { certificate, key } => annulus_tls::server_config(certificate, key),
            Self::SelfSigned => {
                let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]);
                let made = made.map_err(io::Error::other)?;
                let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
                annulus_tls::server_config_from_pem(certificate.as_bytes(), key.as_bytes())
            }
        }
    }
}
