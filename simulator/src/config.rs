//! What the program is told: flags, or a file with the same and more.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use serde::Deserialize;
use simulator::{
    ApiSettings, AppSpec, Clock, Disturbances, Form, Includes, MediaBase, NewUser, Permission,
    Settings, Vocabulary,
};

const CREDENTIALS: &str = "\
Credentials for the API (same address, X's paths), for an app APP and its account of id ID:
  OAuth 1.0a  consumer key APP-key, secret as given; access token ID-APP-token,
              secret ID-APP-token-secret
  OAuth 2.0   client APP-client, secret APP-client-secret, seed refresh token ID-APP-refresh
  bearer      APP-bearer
After a revocation, POST /control/authorize {\"app\", \"account\"} gives new ones, which end in -2, -3
and so on. GET /control/credentials?app=APP&account=NAME tells all of them as they are now.";

/// An X that runs on this machine.
#[derive(Debug, Parser)]
#[command(version, after_help = CREDENTIALS)]
pub(crate) struct Flags {
    /// A TOML file with everything; no other flag is needed then.
    #[arg(long, conflicts_with_all = ["app", "consumer_key", "consumer_secret", "webhook", "callback", "account", "customer", "form"])]
    config: Option<PathBuf>,
    /// Where the page and the control API are.
    #[arg(long)]
    listen: Option<SocketAddr>,
    /// The app that is told.
    #[arg(long)]
    app: Option<String>,
    /// Its secret, which signs.
    #[arg(long, requires = "app")]
    consumer_secret: Option<String>,
    /// Its key; `<app>-key` when absent.
    #[arg(long, requires = "app")]
    consumer_key: Option<String>,
    /// Where it is told; without one it has to register its own, and to subscribe its accounts.
    #[arg(long, requires = "app")]
    webhook: Option<String>,
    /// Where users may be sent back to after they let it in; may be repeated.
    #[arg(long, requires = "app")]
    callback: Vec<String>,
    /// An account it is subscribed to, as `ID:NAME`; may be repeated.
    #[arg(long, value_parser = person)]
    account: Vec<Person>,
    /// Anybody else, as `ID:NAME`; may be repeated.
    #[arg(long, value_parser = person)]
    customer: Vec<Person>,
    /// A delivery form; may be repeated.
    #[arg(long, value_enum, default_value = "account_activity")]
    form: Vec<Form>,
}

/// What the program shall be.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    #[serde(default = "default_listen")]
    listen: SocketAddr,
    #[serde(default = "default_seed")]
    seed: u64,
    /// Factor on the waits before a repeat.
    #[serde(default = "default_time_scale")]
    time_scale: f64,
    /// The time between unasked CRCs; 0 for none.
    #[serde(default)]
    crc_interval_s: u64,
    #[serde(default = "default_media_base")]
    media_base: MediaBase,
    #[serde(default)]
    disturbances: Disturbances,
    /// How the API side behaves.
    #[serde(default)]
    api: ApiSettings,
    #[serde(default, rename = "app")]
    pub(crate) apps: Vec<AppSpec>,
    /// Everybody on this X.
    #[serde(default, rename = "user")]
    pub(crate) users: Vec<Person>,
}

/// An account of X in the file or in a flag.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Person {
    id: Option<u64>,
    username: String,
    name: String,
    description: String,
    location: String,
    url: String,
    verified: bool,
    protected: bool,
    followers: u64,
}

impl Flags {
    /// The file's content, or what the flags say.
    pub(crate) fn into_config(self) -> Result<Config> {
        let Some(path) = &self.config else {
            return self.without_file();
        };
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        let mut config: Config =
            toml::from_str(&text).with_context(|| format!("cannot use {}", path.display()))?;
        config.listen = self.listen.unwrap_or(config.listen);
        Ok(config)
    }

    fn without_file(self) -> Result<Config> {
        let (Some(name), Some(consumer_secret)) = (self.app, self.consumer_secret) else {
            bail!("needed: --config, or --app with --consumer-secret");
        };
        let accounts = self.account.iter().map(|person| person.username.clone());
        let app = AppSpec {
            name,
            consumer_key: self.consumer_key.unwrap_or_default(),
            consumer_secret,
            client_id: String::new(),
            client_secret: String::new(),
            public_client: false,
            permission: Permission::default(),
            callbacks: self.callback,
            environments: Vec::new(),
            developer: String::new(),
            owner: String::new(),
            // Without one the app has to register its own, and to subscribe.
            accounts: match self.webhook {
                Some(_) => accounts.collect(),
                None => Vec::new(),
            },
            webhook: self.webhook.unwrap_or_default(),
            forms: self.form,
            vocabulary: Vocabulary::default(),
            includes: Includes::default(),
            replies_to_replies: true,
        };
        Ok(Config {
            listen: self.listen.unwrap_or_else(default_listen),
            seed: default_seed(),
            time_scale: default_time_scale(),
            crc_interval_s: 0,
            media_base: default_media_base(),
            disturbances: Disturbances::default(),
            api: ApiSettings::default(),
            apps: vec![app],
            users: [self.account, self.customer].concat(),
        })
    }
}

impl Config {
    pub(crate) fn settings(&self) -> Settings {
        Settings {
            listen: self.listen,
            seed: self.seed,
            // The service tells old from new by the real time.
            clock: Clock::Wall,
            time_scale: self.time_scale,
            crc_interval: (self.crc_interval_s > 0)
                .then(|| Duration::from_secs(self.crc_interval_s)),
            media_base: self.media_base.clone(),
            disturbances: self.disturbances.clone(),
            api: self.api.clone(),
            ..Settings::default()
        }
    }
}

impl From<Person> for NewUser {
    fn from(person: Person) -> Self {
        Self {
            id: person.id,
            username: person.username,
            name: person.name,
            location: person.location,
            description: person.description,
            url: person.url,
            verified: person.verified,
            protected: person.protected,
            followers: person.followers,
        }
    }
}

/// `ID:NAME`, or just `NAME`.
fn person(raw: &str) -> Result<Person> {
    let (id, username) = match raw.split_once(':') {
        Some((id, username)) => (
            Some(id.parse().context("the id is not a number")?),
            username,
        ),
        None => (None, raw),
    };
    Ok(Person {
        id,
        username: username.trim_start_matches('@').to_owned(),
        ..Person::default()
    })
}

fn default_listen() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 9090))
}

fn default_seed() -> u64 {
    1
}

fn default_time_scale() -> f64 {
    1.0
}

/// People look at what the program sends, so its pictures shall be there.
fn default_media_base() -> MediaBase {
    MediaBase::Simulator
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_name_people_by_id_and_name() {
        let flags = Flags::try_parse_from([
            "simulator",
            "--app=acme",
            "--consumer-secret=S",
            "--webhook=http://127.0.0.1:8080/webhooks/twitter/acme",
            "--account=2975699229:acme",
            "--customer=2305278770:ann",
            "--form=account_activity_v1",
            "--form=activity",
        ]);
        let config = flags.unwrap().into_config().unwrap();
        assert_eq!(config.apps[0].accounts, ["acme"]);
        assert_eq!(
            config.apps[0].forms,
            [Form::AccountActivityV1, Form::Activity]
        );
        assert_eq!(config.users[1].id, Some(2_305_278_770));
        assert_eq!(config.users[1].username, "ann");
    }

    #[test]
    fn a_file_says_all() {
        let config: Config = toml::from_str(include_str!("../example.toml")).unwrap();
        assert_eq!(config.apps[0].app().name, "acme");
        assert_eq!(config.users.len(), 3);
        assert_eq!(config.disturbances.copies, 0);
        assert_eq!(config.api, ApiSettings::default());
        assert_eq!(config.settings().time_scale, 1.0);
    }
}
