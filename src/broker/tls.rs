//! TLS towards the broker, from PEM files that are read for each new connection.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use lapin::tcp::{RustlsConnector, RustlsConnectorConfig};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::settings::TlsSettings;

/// Why a connection with TLS cannot be tried.
#[derive(Debug, thiserror::Error)]
pub enum TlsFileError {
    /// The file cannot be read.
    #[error("{key} = {path:?} cannot be read")]
    Unreadable {
        /// Path of the key.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The file holds something else.
    #[error("{key} = {path:?} {what}")]
    Content {
        /// Path of the key.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// Certificate and key do not go together, or cannot be used.
    #[error("broker.tls.cert_file and broker.tls.key_file cannot be used")]
    Identity(#[source] io::Error),
    /// The system has no authorities.
    #[error("the system has no certificate authorities, and broker.tls.ca_file is not set")]
    System(#[source] io::Error),
}

/// What the files hold at one moment.
#[derive(PartialEq, Eq)]
pub(super) struct Pems {
    ca: Option<Pem>,
    cert: Option<Pem>,
    key: Option<Pem>,
}

#[derive(PartialEq, Eq)]
struct Pem {
    key: &'static str,
    path: PathBuf,
    content: Vec<u8>,
}

impl Pem {
    fn read(key: &'static str, path: Option<&Path>) -> Result<Option<Self>, TlsFileError> {
        let Some(path) = path.map(Path::to_owned) else {
            return Ok(None);
        };
        match fs::read(&path) {
            Ok(content) => Ok(Some(Self { key, path, content })),
            Err(source) => Err(TlsFileError::Unreadable { key, path, source }),
        }
    }

    fn fault(&self, what: impl Into<String>) -> TlsFileError {
        TlsFileError::Content {
            key: self.key,
            path: self.path.clone(),
            what: what.into(),
        }
    }

    fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, TlsFileError> {
        let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&self.content).collect();
        match read {
            Ok(certificates) if certificates.is_empty() => {
                Err(self.fault("holds no certificate in PEM form"))
            }
            Ok(certificates) => Ok(certificates),
            Err(error) => Err(self.fault(format!("is no PEM file: {error}"))),
        }
    }

    fn private_key(&self) -> Result<PrivateKeyDer<'static>, TlsFileError> {
        PrivateKeyDer::from_pem_slice(&self.content).map_err(|error| {
            let hint = "holds no private key in PEM form without a password";
            self.fault(format!("{hint}: {error}"))
        })
    }
}

impl Pems {
    /// Reads the files. They are small, and their folder is local.
    pub(super) fn read(settings: &TlsSettings) -> Result<Self, TlsFileError> {
        Ok(Self {
            ca: Pem::read("broker.tls.ca_file", settings.ca_file.as_deref())?,
            cert: Pem::read("broker.tls.cert_file", settings.cert_file.as_deref())?,
            key: Pem::read("broker.tls.key_file", settings.key_file.as_deref())?,
        })
    }

    /// Whether there is no certificate of ours.
    pub(super) fn are_anonymous(&self) -> bool {
        self.cert.is_none()
    }

    /// What makes TLS out of a TCP connection.
    pub(super) fn connector(&self) -> Result<RustlsConnector, TlsFileError> {
        let config = self.authorities()?;
        match (&self.cert, &self.key) {
            (Some(cert), Some(key)) => {
                let (chain, key) = (cert.certificates()?, key.private_key()?);
                config.connector_with_single_cert(chain, key)
            }
            _ => config.connector_with_no_client_auth(),
        }
        .map_err(TlsFileError::Identity)
    }

    fn authorities(&self) -> Result<RustlsConnectorConfig, TlsFileError> {
        let Some(pem) = &self.ca else {
            return RustlsConnectorConfig::new_with_native_certs().map_err(TlsFileError::System);
        };
        let certificates = pem.certificates()?;
        let mut store = RootCertStore::empty();
        for certificate in &certificates {
            let added = store.add(certificate.clone());
            added.map_err(|error| pem.fault(format!("holds a bad certificate: {error}")))?;
        }
        // Not lapin's own way, which would trust the system's authorities beside the file's.
        Ok(RustlsConnectorConfig::default().with_parsable_certificates(certificates))
    }
}

/// Looks whether the files can be used, for those who check settings.
///
/// # Errors
/// Which file, and what is wrong with it.
pub fn check(settings: &TlsSettings) -> Result<(), TlsFileError> {
    Pems::read(settings)?.connector().map(drop)
}
