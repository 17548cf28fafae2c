//! The HTTP client for calls to X.

use std::time::Duration;

use reqwest::{Client, redirect, retry};
use rustls::crypto::{CryptoProvider, ring};
use url::Url;

/// How long an unused connection is kept: far shorter than X keeps it, so that a request does not
/// meet a connection that X is just closing.
const IDLE: Duration = Duration::from_secs(10);
/// Unused connections kept; more are opened as needed.
const MAX_IDLE: usize = 16;

/// No HTTP client can be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot make an HTTP client for {base_url}")]
pub struct NoHttpClient {
    base_url: Url,
    #[source]
    source: reqwest::Error,
}

/// A client that sends each request once, to X and nowhere else: no repeats, no redirects, no
/// cookies, no proxies from the environment, HTTP/1.1 only (a stream of HTTP/2 may be refused
/// and repeated). TLS by ring, which becomes the process's provider unless it has one.
///
/// `connect_timeout` has to be shorter than any call's: only then is a time-out while connecting
/// known to be one before anything was sent.
///
/// # Errors
/// When the base URL is https and this machine has no root certificates.
pub fn http_client(base_url: &Url, connect_timeout: Duration) -> Result<Client, NoHttpClient> {
    if CryptoProvider::get_default().is_none() {
        // An error only says that another thread was faster.
        let _ = ring::default_provider().install_default();
    }
    let builder = Client::builder()
        .user_agent(concat!("twitter-channel/", env!("CARGO_PKG_VERSION")))
        .retry(retry::never())
        .redirect(redirect::Policy::none())
        .no_proxy()
        .http1_only()
        .connect_timeout(connect_timeout)
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(MAX_IDLE);
    let builder = match base_url.scheme() {
        "https" => builder.tls_backend_rustls().https_only(true),
        // X on this machine: no root certificates are needed, and there may be none.
        _ => builder.tls_certs_only([]),
    };
    builder.build().map_err(|source| NoHttpClient {
        base_url: base_url.clone(),
        source,
    })
}
