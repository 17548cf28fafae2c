//! Where the broker is and who we are to it, as settings and files say at one moment.

use std::net::SocketAddr;

use lapin::tcp::RustlsConnector;
use lapin::uri::{AMQPScheme, AMQPUri, SASLMechanism};
use rand::seq::SliceRandom;
use secrecy::{ExposeSecret, SecretString};
use tokio::net::lookup_host;
use tokio::time::timeout;
use url::Url;

use super::connection::ConnectError;
use super::settings::{Auth, BrokerSettings};
use super::tls::Pems;
use crate::settings::secret::FollowedSecret;

/// Everything that a connection is made with. Two are equal where a new connection would be as the
/// one in hand.
#[derive(PartialEq)]
pub(super) struct Login {
    uri: AMQPUri,
    /// Host and port of each node, that of the URL first.
    hosts: Vec<(String, u16)>,
    /// Only for `amqps`.
    pems: Option<Pems>,
}

/// One address of one host.
pub(super) struct Target {
    /// As the settings have it.
    pub(super) host: String,
    pub(super) address: SocketAddr,
}

impl Login {
    /// Reads what stands in files now.
    pub(super) async fn read(settings: &BrokerSettings) -> Result<Self, ConnectError> {
        let url = settings.url.read().await?;
        let mut uri = parse(&url, settings)?;
        let own = (uri.authority.host.clone(), uri.authority.port);
        if let Some(username) = read(settings.username.as_ref()).await? {
            uri.authority.userinfo.username = username.expose_secret().to_owned();
        }
        if let Some(password) = read(settings.password.as_ref()).await? {
            uri.authority.userinfo.password = password.expose_secret().to_owned();
        }
        let further = settings.hosts.iter().map(|host| divided(host, own.1));
        let mut hosts = vec![own.clone()];
        hosts.extend(further.filter(|host| *host != own));
        let pems = match uri.scheme {
            AMQPScheme::AMQP => None,
            AMQPScheme::AMQPS => Some(Pems::read(&settings.tls)?),
        };
        Ok(Self { uri, hosts, pems })
    }

    /// Name of the user, for people.
    pub(super) fn user(&self) -> &str {
        &self.uri.authority.userinfo.username
    }

    /// The virtual host.
    pub(super) fn vhost(&self) -> &str {
        &self.uri.vhost
    }

    /// What lapin is to do with one connection to one host.
    pub(super) fn uri(&self, target: &Target, frame_max: u32) -> AMQPUri {
        let mut uri = self.uri.clone();
        uri.authority.host.clone_from(&target.host);
        uri.authority.port = target.address.port();
        uri.query.frame_max.get_or_insert(frame_max);
        uri
    }

    /// What makes TLS out of a TCP connection; `None` without TLS.
    pub(super) fn tls(&self) -> Result<Option<RustlsConnector>, ConnectError> {
        let connector = self.pems.as_ref().map(Pems::connector);
        Ok(connector.transpose()?)
    }

    /// Whether TLS is spoken, and no certificate of ours shown.
    pub(super) fn is_anonymous(&self) -> bool {
        self.pems.as_ref().is_some_and(Pems::are_anonymous)
    }

    /// Every address of every host, in an order that differs each time: no dead one is always the
    /// first, and the connections of several replicas spread over the cluster.
    ///
    /// # Errors
    /// The hosts whose names lead nowhere, beside those that do.
    pub(super) async fn targets(
        &self,
        settings: &BrokerSettings,
    ) -> (Vec<Target>, Vec<ConnectError>) {
        let (mut targets, mut errors) = (Vec::new(), Vec::new());
        for (host, port) in &self.hosts {
            let limit = settings.connect_timeout;
            match timeout(limit, lookup_host((host.as_str(), *port))).await {
                Ok(Ok(found)) => targets.extend(found.map(|address| Target {
                    host: host.clone(),
                    address,
                })),
                Ok(Err(source)) => errors.push(ConnectError::Unknown {
                    host: host.clone(),
                    source,
                }),
                Err(_) => errors.push(ConnectError::TimedOut {
                    address: format!("{host}:{port}"),
                    limit,
                }),
            }
        }
        targets.shuffle(&mut rand::rng());
        (targets, errors)
    }
}

async fn read(secret: Option<&FollowedSecret>) -> Result<Option<SecretString>, ConnectError> {
    match secret {
        Some(secret) => Ok(Some(secret.read().await?)),
        None => Ok(None),
    }
}

fn parse(url: &SecretString, settings: &BrokerSettings) -> Result<AMQPUri, ConnectError> {
    // The parsers' own messages may quote the URL, so they are dropped.
    let bad = || ConnectError::BadUrl(settings.url.key().to_owned());
    let url = url.expose_secret();
    let mut uri = url.parse::<AMQPUri>().map_err(|_quoting| bad())?;
    let parsed = Url::parse(url).map_err(|_quoting| bad())?;
    if let Some(host) = parsed.host_str().filter(|host| !host.is_empty()) {
        // lapin takes an IPv6 address for none at all.
        host.trim_matches(['[', ']'])
            .clone_into(&mut uri.authority.host);
    }
    if let Some(vhost) = &settings.vhost {
        uri.vhost.clone_from(vhost);
    } else if uri.vhost.is_empty() {
        // There is no virtual host without a name; RabbitMQ's Cluster Operator ends its URIs so.
        uri.vhost.push('/');
    }
    if settings.auth == Auth::External {
        uri.query.auth_mechanism = Some(SASLMechanism::External);
    }
    let seconds = u16::try_from(settings.heartbeat.as_secs()).unwrap_or(u16::MAX);
    uri.query.heartbeat.get_or_insert(seconds);
    Ok(uri)
}

/// Host and port; that of the URL where there is none.
fn divided(host: &str, default: u16) -> (String, u16) {
    let plain = |host: &str| host.trim_matches(['[', ']']).to_owned();
    match host.rsplit_once(':') {
        Some((name, port)) if !name.contains(':') || name.ends_with(']') => {
            (plain(name), port.parse().unwrap_or(default))
        }
        _ => (plain(host), default),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn login(change: impl FnOnce(&mut BrokerSettings)) -> Login {
        let mut settings = BrokerSettings::new("amqp://u:p@rabbit-0:5673/acme".into());
        change(&mut settings);
        Login::read(&settings).await.ok().unwrap()
    }

    #[tokio::test]
    async fn further_hosts_have_a_port_of_their_own_or_that_of_the_url() {
        let hosts = [
            "rabbit-1",
            "rabbit-2:5999",
            "[::1]:7",
            "[::1]",
            "rabbit-0:5673",
        ];
        let login = login(|it| it.hosts = hosts.map(str::to_owned).into()).await;
        let hosts: Vec<_> = login
            .hosts
            .iter()
            .map(|(h, p)| format!("{h} {p}"))
            .collect();
        assert_eq!(
            hosts,
            [
                "rabbit-0 5673",
                "rabbit-1 5673",
                "rabbit-2 5999",
                "::1 7",
                "::1 5673"
            ]
        );
    }

    #[tokio::test]
    async fn name_password_and_virtual_host_of_their_own_go_before_those_of_the_url() {
        let login = login(|it| {
            it.username = Some(FollowedSecret::given("broker.username", "w".into()));
            it.password = Some(FollowedSecret::given("broker.password", "q/@".into()));
            it.vhost = Some("other".to_owned());
        });
        let login = login.await;
        assert_eq!((login.user(), login.vhost()), ("w", "other"));
        assert_eq!(login.uri.authority.userinfo.password, "q/@");
    }

    #[tokio::test]
    async fn an_address_of_ipv6_and_an_empty_virtual_host_are_understood() {
        let login = login(|it| {
            it.url = FollowedSecret::given("broker.url", "amqp://u:p@[::1]:5673/".into());
        });
        let login = login.await;
        assert_eq!(login.hosts, [("::1".to_owned(), 5673)]);
        assert_eq!(login.vhost(), "/");
    }

    #[tokio::test]
    async fn the_order_of_hosts_differs_from_one_time_to_the_next() {
        let mut settings = BrokerSettings::new("amqp://127.0.0.1/".into());
        settings.hosts = vec!["127.0.0.2".to_owned(), "127.0.0.3".to_owned()];
        let login = Login::read(&settings).await.ok().unwrap();
        let mut firsts = std::collections::HashSet::new();
        for _ in 0..200 {
            let (targets, _) = login.targets(&settings).await;
            assert_eq!(targets.len(), 3);
            firsts.insert(targets[0].host.clone());
        }
        assert_eq!(firsts.len(), 3);
    }
}
