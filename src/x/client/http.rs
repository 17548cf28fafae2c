//! The HTTP client for calls to X.

use std::time::Duration;

use reqwest::{Client, ClientBuilder, redirect, retry};
use rustls::crypto::{CryptoProvider, ring};
use url::Url;

/// How long an unused connection is kept: shorter than servers keep it (5 s is the least that is
/// common; X does not say), so that a request does not meet a connection that X is just closing.
const IDLE: Duration = Duration::from_secs(4);
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
    let builder = plain_builder(base_url)
        .http1_only()
        .connect_timeout(connect_timeout)
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(MAX_IDLE);
    builder.build().map_err(|source| NoHttpClient {
        base_url: base_url.clone(),
        source,
    })
}

/// A client for copies of deliveries to addresses of this one's scheme: with the same rules, and no
/// patience.
///
/// # Errors
/// When the URL is https and this machine has no root certificates.
pub fn mirror_client(url: &Url, connect_timeout: Duration) -> Result<Client, NoHttpClient> {
    let builder = plain_builder(url).connect_timeout(connect_timeout);
    builder.build().map_err(|source| NoHttpClient {
        base_url: url.clone(),
        source,
    })
}

/// What all our clients have in common: each request goes out once, to `base_url` and nowhere else. No
/// repeats, no redirects, no proxies; TLS by ring, which becomes the process's provider unless it
/// has one.
pub(in crate::x) fn plain_builder(base_url: &Url) -> ClientBuilder {
    if CryptoProvider::get_default().is_none() {
        // An error only says that another thread was faster.
        let _ = ring::default_provider().install_default();
    }
    let builder = Client::builder()
        .user_agent(concat!("twitter-channel/", env!("CARGO_PKG_VERSION")))
        .retry(retry::never())
        .redirect(redirect::Policy::none())
        .no_proxy();
    match base_url.scheme() {
        "https" => builder.tls_backend_rustls().https_only(true),
        // X on this machine: no root certificates are needed, and there may be none.
        _ => builder.tls_certs_only([]),
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpSocket, TcpStream};
    use tokio::time::timeout;

    use super::*;
    use crate::x::client::testing::FakeX;

    const SOON: Duration = Duration::from_secs(5);

    #[tokio::test]
    async fn a_connection_that_comes_to_no_tls_sent_nothing() {
        let x = FakeX::start([]).await;
        let mut url = x.url.clone();
        url.set_scheme("https").unwrap();
        let Ok(client) = http_client(&url, SOON) else {
            println!("skipped: this machine has no root certificates");
            return;
        };
        let error = client.get(url).send().await.unwrap_err();
        assert!(error.is_connect(), "{error:?}");
        assert!(x.recorded().is_empty());
    }

    /// Nobody accepts, and the kernel has no room for one more connection.
    #[tokio::test]
    async fn a_time_out_while_connecting_is_one_before_anything_was_sent() {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let mut waiting = Vec::new();
        let pause = Duration::from_millis(200);
        while let Ok(connected) = timeout(pause, TcpStream::connect(address)).await {
            waiting.push(connected.unwrap());
        }
        let url: Url = format!("http://{address}").parse().unwrap();
        let client = http_client(&url, pause).unwrap();
        let error = client.get(url).timeout(SOON).send().await.unwrap_err();
        assert!(error.is_connect() && error.is_timeout(), "{error:?}");
    }

    #[tokio::test]
    async fn what_is_meant_for_tls_does_not_go_without() {
        let x = FakeX::start([]).await;
        let https = "https://api.x.com".parse().unwrap();
        let Ok(client) = http_client(&https, SOON) else {
            println!("skipped: this machine has no root certificates");
            return;
        };
        let error = client.get(x.url.clone()).send().await.unwrap_err();
        assert!(error.is_builder() || error.is_connect(), "{error:?}");
        assert!(x.recorded().is_empty());
    }
}
