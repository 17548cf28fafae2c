//! How attachments are fetched.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

/// A private host that attachments of commands may be fetched from.
#[derive(Clone, Debug)]
pub struct AttachmentSource {
    /// `host` or `host:port`; without a port the usual one of the URL's scheme.
    pub host: String,
    /// The `Authorization` header it asks for; goes to no other host.
    pub authorization: Option<SecretString>,
}

/// Limits of one fetch, redirects included.
#[derive(Clone, Debug)]
pub struct FetchSettings {
    /// Where files are kept, sealed; `None`: beside the database file.
    pub folder: Option<PathBuf>,
    /// The look-up of the name and the connection, TLS included.
    pub connect_timeout: Duration,
    /// Longest silence, before the answer and within it.
    pub idle_timeout: Duration,
    /// For everything, so that a slow drip ends too.
    pub timeout: Duration,
    /// Most bytes of a file.
    pub max_bytes: u64,
    pub sources: Vec<AttachmentSource>,
}
