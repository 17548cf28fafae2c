//! Look-ups that yield public addresses or none.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// A name has an address that is not public.
#[derive(Debug, thiserror::Error)]
#[error("it resolves to {0}, which is not a public address, and it is not in attachment_sources")]
pub(super) struct NotPublic(IpAddr);

type Found = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;
/// Asks for the addresses of a name.
pub(super) type Lookup = Arc<dyn Fn(String) -> Found + Send + Sync>;

/// As the system resolves names.
pub(super) fn system_lookup() -> Lookup {
    Arc::new(|name| {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name, 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    })
}

/// Refuses a name with any address that is not public: which of several is connected to is chance.
pub(super) struct PublicOnly {
    lookup: Lookup,
    is_public: fn(IpAddr) -> bool,
}

impl PublicOnly {
    pub(super) fn new(lookup: Lookup, is_public: fn(IpAddr) -> bool) -> Self {
        Self { lookup, is_public }
    }
}

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        let found = (self.lookup)(name.as_str().to_owned());
        let is_public = self.is_public;
        Box::pin(async move {
            let addresses = found.await?;
            if let Some(forbidden) = addresses.iter().find(|address| !is_public(**address)) {
                return Err(NotPublic(*forbidden).into());
            }
            // Port 0 becomes the URL's.
            let addresses = addresses.into_iter().map(|ip| SocketAddr::new(ip, 0));
            Ok(Box::new(addresses) as Addrs)
        })
    }
}
