//! Fetches an attachment by its URL, from public hosts and from those of `[[attachment_sources]]`.
//!
//! The URL comes from a helpdesk, which has it from anybody: nothing inside our network may be
//! reached by it. So every hop is admitted anew, and the resolver that connections are made by
//! refuses what is not public: the address that was checked is the one connected to.

mod resolver;

use std::error::Error;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use reqwest::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, HeaderValue, LOCATION};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode, Url};
use rustls::crypto::{CryptoProvider, ring};
use secrecy::ExposeSecret;
use tokio::time::{Instant, timeout_at};
use url::Host;

use super::address::is_public;
use super::settings::{AttachmentSource, FetchSettings};
use resolver::{NotPublic, PublicOnly, system_lookup};

/// Most redirects of one fetch.
const REDIRECTS: usize = 5;

/// The fetcher cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    #[error("the attachment source {0:?} is no host")]
    Host(String),
    /// The header itself is a secret.
    #[error("the authorization of the attachment source {0:?} cannot stand in a header")]
    Authorization(String),
    #[error("cannot make an HTTP client for attachments")]
    Client(#[source] reqwest::Error),
}

/// Why an attachment could not be fetched. Names the host of the URL and nothing else of it: paths
/// and queries may hold credentials.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// `ATTACHMENT_HOST_NOT_ALLOWED`: final.
    #[error("attachments are not fetched from {host}: {reason}")]
    NotAllowed { host: String, reason: String },
    /// `MEDIA_UNREACHABLE`; `retryable` when a later try may do better.
    #[error("{host} did not hand out the attachment: {reason}")]
    Unreachable {
        host: String,
        reason: String,
        retryable: bool,
    },
    /// `MEDIA_TOO_LARGE`: final.
    #[error("the attachment at {host} has more than {limit} bytes, the most X takes of any file")]
    TooLarge { host: String, limit: u64 },
}

impl FetchError {
    /// Whether the same may do better a little later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unreachable { retryable, .. } => *retryable,
            Self::NotAllowed { .. } | Self::TooLarge { .. } => false,
        }
    }

    fn not_allowed(host: &str, reason: impl Into<String>) -> Self {
        Self::NotAllowed {
            host: host.to_owned(),
            reason: reason.into(),
        }
    }

    fn final_answer(host: &str, reason: impl Into<String>) -> Self {
        Self::Unreachable {
            host: host.to_owned(),
            reason: reason.into(),
            retryable: false,
        }
    }

    fn passing(host: &str, reason: impl Into<String>) -> Self {
        Self::Unreachable {
            host: host.to_owned(),
            reason: reason.into(),
            retryable: true,
        }
    }

    /// From a call or a read that broke off.
    fn broken(host: &str, error: &reqwest::Error) -> Self {
        let causes = || std::iter::successors(error.source(), |error| (*error).source());
        if let Some(refused) = causes().find_map(|cause| cause.downcast_ref::<NotPublic>()) {
            return Self::not_allowed(host, refused.to_string());
        }
        if error.is_timeout() {
            return Self::passing(host, "it did not answer in time");
        }
        // The error itself would name the whole URL, the cause does not.
        let cause = causes().last().map(ToString::to_string);
        Self::passing(host, cause.unwrap_or_else(|| "it broke off".to_owned()))
    }
}

/// What counts as public; tests have a network of their own.
#[derive(Clone, Copy)]
struct Network {
    is_public: fn(IpAddr) -> bool,
    /// What public hosts are fetched by.
    scheme: &'static str,
}

const INTERNET: Network = Network {
    is_public,
    scheme: "https",
};

/// Fetches attachments; cheap to clone.
#[derive(Clone)]
pub struct Fetcher {
    /// Connects to public addresses only.
    public: Client,
    /// Connects to whatever a configured host resolves to.
    private: Client,
    sources: Arc<[Source]>,
    settings: FetchSettings,
    network: Network,
}

/// A configured source, parsed.
struct Source {
    host: Host,
    http_port: Option<u16>,
    https_port: Option<u16>,
    authorization: Option<HeaderValue>,
}

impl Source {
    fn parse(source: &AttachmentSource) -> Result<Self, SetupError> {
        let parse = |scheme| Url::parse(&format!("{scheme}://{}/", source.host)).ok();
        let (http, https) = (parse("http"), parse("https"));
        let host = http.as_ref().and_then(host_of);
        let authorization = source.authorization.as_ref().map(|secret| {
            let mut value = HeaderValue::from_str(secret.expose_secret())
                .or(Err(SetupError::Authorization(source.host.clone())))?;
            value.set_sensitive(true);
            Ok(value)
        });
        Ok(Self {
            host: host.ok_or_else(|| SetupError::Host(source.host.clone()))?,
            http_port: http.and_then(|url| url.port_or_known_default()),
            https_port: https.and_then(|url| url.port_or_known_default()),
            authorization: authorization.transpose()?,
        })
    }

    fn serves(&self, url: &Url) -> bool {
        let port = match url.scheme() {
            "http" => self.http_port,
            "https" => self.https_port,
            _ => None,
        };
        port.is_some()
            && port == url.port_or_known_default()
            && host_of(url).as_ref() == Some(&self.host)
    }
}

/// A URL that may be asked.
struct Admitted<'f> {
    url: Url,
    host: String,
    /// `None`: a public host.
    source: Option<&'f Source>,
}

impl Fetcher {
    /// # Errors
    /// [`SetupError`], when a source is no host or the system's certificates cannot be read.
    pub fn new(settings: FetchSettings) -> Result<Self, SetupError> {
        let resolver = PublicOnly::new(system_lookup(), INTERNET.is_public);
        Self::build(settings, INTERNET, resolver)
    }

    fn build(
        settings: FetchSettings,
        network: Network,
        resolver: PublicOnly,
    ) -> Result<Self, SetupError> {
        if CryptoProvider::get_default().is_none() {
            // Fails when somebody else was first, which is as good.
            let _already_there = ring::default_provider().install_default();
        }
        let sources = settings.sources.iter().map(Source::parse);
        let client = |builder: reqwest::ClientBuilder| {
            builder
                .no_proxy()
                .redirect(Policy::none())
                .connect_timeout(settings.connect_timeout)
                .read_timeout(settings.idle_timeout)
                // A connection is good for the look-up it was made by, and no longer.
                .pool_max_idle_per_host(0)
                .user_agent(concat!("twitter-channel/", env!("CARGO_PKG_VERSION")))
                .build()
                .map_err(SetupError::Client)
        };
        Ok(Self {
            public: client(Client::builder().dns_resolver(resolver))?,
            private: client(Client::builder())?,
            sources: sources.collect::<Result<_, _>>()?,
            settings,
            network,
        })
    }

    /// Asks for a file, following redirects; its content is then read from the [`Body`].
    ///
    /// # Errors
    /// [`FetchError`]; also when the answer announces more than the largest file.
    pub async fn get(&self, url: &str) -> Result<Body, FetchError> {
        let deadline = Instant::now() + self.settings.timeout;
        let Ok(url) = Url::parse(url) else {
            return Err(FetchError::final_answer("the URL", "it is no valid URL"));
        };
        let mut place = self.admit(url)?;
        for _ in 0..=REDIRECTS {
            let response = self.ask(&place, deadline).await?;
            match next_hop(&place, &response)? {
                Some(url) => place = self.admit_redirect(url, &place)?,
                None => return self.body(response, place.host, deadline),
            }
        }
        let reason = format!("it redirects more than {REDIRECTS} times");
        Err(FetchError::final_answer(&place.host, reason))
    }

    fn admit(&self, url: Url) -> Result<Admitted<'_>, FetchError> {
        let host = url.host_str().unwrap_or("a URL without host").to_owned();
        let refused = |reason: &str| Err(FetchError::not_allowed(&host, reason));
        if !url.username().is_empty() || url.password().is_some() {
            return refused("the URL holds a user name or password");
        }
        let source = self.sources.iter().find(|source| source.serves(&url));
        if source.is_none() && url.scheme() != self.network.scheme {
            return refused("public hosts are asked by https only");
        }
        // A number is connected to as it is, without a look-up. The parser knows every spelling.
        let number = match url.host() {
            Some(Host::Ipv4(address)) => Some(IpAddr::from(address)),
            Some(Host::Ipv6(address)) => Some(IpAddr::from(address)),
            Some(Host::Domain(_)) | None => None,
        };
        let is_forbidden = |address: IpAddr| !(self.network.is_public)(address);
        if source.is_none() && number.is_some_and(is_forbidden) {
            return refused("it is not a public address, and not in attachment_sources");
        }
        Ok(Admitted { url, host, source })
    }

    /// A configured host is open to the helpdesk, not to whom the helpdesk's URLs lead to: only
    /// another configured host may redirect to it.
    fn admit_redirect(&self, url: Url, from: &Admitted<'_>) -> Result<Admitted<'_>, FetchError> {
        let place = self.admit(url)?;
        if place.source.is_some() && from.source.is_none() {
            let reason = format!("{} is public and may not redirect to it", from.host);
            return Err(FetchError::not_allowed(&place.host, reason));
        }
        Ok(place)
    }

    async fn ask(&self, place: &Admitted<'_>, deadline: Instant) -> Result<Response, FetchError> {
        let client = match place.source {
            Some(_) => &self.private,
            None => &self.public,
        };
        let mut request = client
            .get(place.url.clone())
            .header(ACCEPT_ENCODING, "identity");
        if let Some(secret) = place.source.and_then(|source| source.authorization.clone()) {
            request = request.header(AUTHORIZATION, secret);
        }
        match timeout_at(deadline, request.send()).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(FetchError::broken(&place.host, &error)),
            Err(_late) => Err(FetchError::passing(&place.host, "it took too long")),
        }
    }

    fn body(
        &self,
        response: Response,
        host: String,
        deadline: Instant,
    ) -> Result<Body, FetchError> {
        let encoding = response.headers().get(CONTENT_ENCODING);
        if encoding.is_some_and(|encoding| encoding != "identity") {
            let reason = "it sent the file compressed, which it was not asked for";
            return Err(FetchError::final_answer(&host, reason));
        }
        let limit = self.settings.max_bytes;
        if response
            .content_length()
            .is_some_and(|length| length > limit)
        {
            return Err(FetchError::TooLarge { host, limit });
        }
        Ok(Body {
            response,
            host,
            deadline,
            limit,
            read: 0,
        })
    }
}

/// Where the answer redirects to; `None` when it is the file.
fn next_hop(place: &Admitted<'_>, response: &Response) -> Result<Option<Url>, FetchError> {
    let host = &place.host;
    let status = response.status();
    match status {
        StatusCode::OK => return Ok(None),
        StatusCode::MOVED_PERMANENTLY
        | StatusCode::FOUND
        | StatusCode::SEE_OTHER
        | StatusCode::TEMPORARY_REDIRECT
        | StatusCode::PERMANENT_REDIRECT => {}
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => {
            return Err(FetchError::passing(host, format!("it answered {status}")));
        }
        _ if status.is_server_error() => {
            return Err(FetchError::passing(host, format!("it answered {status}")));
        }
        _ => {
            return Err(FetchError::final_answer(
                host,
                format!("it answered {status}"),
            ));
        }
    }
    let location = response.headers().get(LOCATION);
    let target = location
        .and_then(|location| location.to_str().ok())
        .and_then(|location| place.url.join(location).ok());
    let nowhere = || FetchError::final_answer(host, format!("it answered {status} to nowhere"));
    target.map(Some).ok_or_else(nowhere)
}

/// A file on its way.
pub struct Body {
    response: Response,
    host: String,
    deadline: Instant,
    limit: u64,
    read: u64,
}

impl Body {
    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// [`FetchError`], when it breaks off, takes too long or grows too large.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, FetchError> {
        let chunk = match timeout_at(self.deadline, self.response.chunk()).await {
            Ok(Ok(chunk)) => chunk,
            Ok(Err(error)) => return Err(FetchError::broken(&self.host, &error)),
            Err(_late) => return Err(FetchError::passing(&self.host, "it took too long")),
        };
        self.read += chunk.as_ref().map_or(0, |chunk| chunk.len() as u64);
        if self.read > self.limit {
            return Err(FetchError::TooLarge {
                host: self.host.clone(),
                limit: self.limit,
            });
        }
        Ok(chunk)
    }
}

/// As the parser wrote it: lower case, numbers as addresses.
fn host_of(url: &Url) -> Option<Host> {
    url.host().map(|host| host.to_owned())
}

#[cfg(test)]
mod tests;
