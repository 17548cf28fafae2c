//! Asks the running service whether it is ready.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const TIMEOUT: Duration = Duration::from_secs(3);

/// Fails unless the private listener at `address`, `HOST:PORT`, answers `/readyz` with 200; without
/// one it is that of this machine.
pub(super) async fn ready(address: Option<String>, listen: SocketAddr) -> anyhow::Result<()> {
    let address = address.unwrap_or_else(|| reachable(listen).to_string());
    let status = tokio::time::timeout(TIMEOUT, ask(&address))
        .await
        .with_context(|| format!("{address} did not answer within {TIMEOUT:?}"))?
        .with_context(|| format!("{address} cannot be asked"))?;
    ensure!(
        status.starts_with("HTTP/1.1 200"),
        "not ready: {address} answered `{status}`"
    );
    Ok(())
}

/// The first line of the answer. By hand: no proxy of the environment may come in between.
async fn ask(address: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET /readyz HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.take(4096).read_to_string(&mut answer).await?;
    Ok(answer.lines().next().unwrap_or_default().to_owned())
}

/// A listener on every address is asked on loopback.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        ip if !ip.is_unspecified() => ip,
        ip if ip.is_ipv4() => Ipv4Addr::LOCALHOST.into(),
        _ => Ipv6Addr::LOCALHOST.into(),
    };
    SocketAddr::new(ip, listen.port())
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// Probes a server that gives this answer, at its address or by this name of its host.
    async fn probe_of(answer: &'static str, host: Option<&str>) -> anyhow::Result<()> {
        let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
        let listen = listener.local_addr().unwrap();
        let address = host.map(|host| format!("{host}:{}", listen.port()));
        // With an address, that of the settings is not asked: nobody listens on this one.
        let listen = address
            .as_ref()
            .map_or(listen, |_| ([127, 0, 0, 1], 1).into());
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            let read = stream.read(&mut request).await.unwrap();
            assert!(request[..read].starts_with(b"GET /readyz HTTP/1.1\r\n"));
            stream.write_all(answer.as_bytes()).await.unwrap();
        };
        tokio::select! {
            probed = ready(address, listen) => probed,
            () = async { serve.await; std::future::pending().await } => unreachable!(),
        }
    }

    #[tokio::test]
    async fn only_200_is_ready() {
        probe_of("HTTP/1.1 200 OK\r\n\r\nready\n", None)
            .await
            .unwrap();
        let stopping = "HTTP/1.1 503 Service Unavailable\r\n\r\n";
        let error = probe_of(stopping, None).await.unwrap_err().to_string();
        assert!(error.contains("503 Service Unavailable"), "{error}");
        probe_of("", None).await.unwrap_err();
    }

    #[tokio::test]
    async fn another_address_is_asked_by_name() {
        let answer = "HTTP/1.1 200 OK\r\n\r\nready\n";
        probe_of(answer, Some("localhost")).await.unwrap();
    }
}
