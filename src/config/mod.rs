//! The configuration: compiled-in defaults, then a file, then the environment, read into types
//! that later code cannot trip over. All faults are reported at once.
//!
//! `config/default.toml` is the reference of all keys.

mod adapters;
mod prices;
mod service;
mod source;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::time::Duration;

pub use crate::settings::{BaseUrl, Fault, SecretKey, SettingsFaults as ConfigFaults};
pub use adapters::{PrivateConfig, PublicConfig};
pub use service::{
    Commands, Compliance, ComplianceCheck, Gaps, Reconcile, Replicas, Secrets, Stop, XApi,
};
pub use source::DEFAULTS;

use crate::attachments::settings::FetchSettings;
use crate::broker::settings::BrokerSettings;
use crate::domain::account::{Account, App};
use crate::domain::filter::Filter;
use crate::domain::price::Prices;
use crate::flow::upkeep::Retention;
use crate::settings::Faults;
use crate::settings::declared;
use crate::settings::reader::Reader;
use crate::store::StoreSettings;
use crate::telemetry::LogSettings;
use crate::telemetry::traces::TraceSettings;

/// Everything that can be set. Its `Debug` shows no secret.
#[derive(Debug)]
pub struct Settings {
    pub apps: Vec<App>,
    pub accounts: Vec<Account>,
    /// In the order in which they are asked.
    pub filters: Vec<Filter>,
    /// How attachments of commands are fetched, and from where beside the public network.
    pub attachments: FetchSettings,
    pub public: PublicConfig,
    pub private: PrivateConfig,
    pub broker: BrokerSettings,
    pub store: StoreSettings,
    pub retention: Retention,
    /// `store.unwanted`: how long is remembered what no filter wanted.
    pub unwanted: Duration,
    pub secrets: Secrets,
    pub x_api: XApi,
    pub replicas: Replicas,
    pub reconcile: Reconcile,
    pub gaps: Gaps,
    pub commands: Commands,
    /// `media.max_bytes`: of the largest file of a direct message that is passed on.
    pub media_max_bytes: u64,
    pub compliance: Compliance,
    pub stop: Stop,
    pub log: LogSettings,
    pub telemetry: TraceSettings,
    pub prices: Prices,
}

impl Settings {
    /// Reads defaults, file and environment variables; of these only `TWITTER_CHANNEL__...`.
    pub fn load(
        file: Option<&Path>,
        env: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigFaults> {
        let faults = Faults::default();
        let tree = source::tree(file, env, &faults);
        let settings = tree.and_then(|tree| Reader::read("", tree, &faults, Self::read));
        match (settings, faults.into_vec()) {
            (Some(settings), faults) if faults.is_empty() => Ok(settings),
            (_, faults) => Err(ConfigFaults(faults)),
        }
    }

    fn read(r: &mut Reader<'_>) -> Option<Self> {
        let declared = declared::declared(r);
        let sources = r.tables("attachment_sources", adapters::attachment_source);
        let attachments = r.section("attachments", |r| adapters::attachments(r, sources));
        let public = r.section("public", adapters::public);
        let private = r.section("private", adapters::private);
        let broker = r.section("broker", adapters::broker);
        let (bodies, retention) = r.section("retention", service::retention).unzip();
        let (store, unwanted) = r.section("store", |r| adapters::store(r, bodies)).unzip();
        let secrets = r.section("secrets", service::secrets);
        let x_api = r.section("x_api", service::x_api);
        let replicas = r.section("replicas", service::replicas);
        let reconcile = r.section("reconcile", service::reconcile);
        let gaps = r.section("gaps", service::gaps);
        let commands = r.section("commands", service::commands);
        let media_max_bytes = r.section("media", adapters::media);
        let compliance = r.section("compliance", service::compliance);
        let stop = r.section("stop", service::stop);
        let log = r.section("log", service::log);
        let telemetry = r.section("telemetry", service::telemetry);
        let prices = r.section("prices", prices::prices);
        if let (Some(public), Some(private)) = (&public, &private) {
            check_listeners(r, public, private);
        }
        if let (Some(public), Some(x_api)) = (&public, &x_api) {
            check_public_url(r, public, x_api, &declared.apps);
        }
        if let (Some(store), Some(secrets)) = (&store, &secrets)
            && store.place.file().is_none()
            && secrets.key.is_none()
        {
            let expected = "expected with PostgreSQL: replicas share it, a file beside one is not";
            r.fault("secrets.key", None, expected);
        }
        Some(Self {
            apps: declared.apps,
            accounts: declared.accounts,
            filters: declared.filters,
            attachments: attachments?,
            public: public?,
            private: private?,
            broker: broker?,
            store: store?,
            retention: retention?,
            unwanted: unwanted?,
            secrets: secrets?,
            x_api: x_api?,
            replicas: replicas?,
            reconcile: reconcile?,
            gaps: gaps?,
            commands: commands?,
            media_max_bytes: media_max_bytes?,
            compliance: compliance?,
            stop: stop?,
            log: log?,
            telemetry: telemetry?,
            prices: prices?,
        })
    }
}

fn check_listeners(r: &Reader<'_>, public: &PublicConfig, private: &PrivateConfig) {
    // Port 0 is a free one for each.
    if public.listen == private.listen && private.listen.port() != 0 {
        let shown = format!("\"{}\"", private.listen);
        r.fault(
            "private.listen",
            Some(shown),
            "expected another address than public.listen",
        );
    }
}

/// X's rules for webhooks; they do not hold on this machine, nor before what stands in for X.
fn check_public_url(r: &Reader<'_>, public: &PublicConfig, x_api: &XApi, apps: &[App]) {
    const LONGEST_WEBHOOK: usize = 200;
    let Some(url) = public.url.as_ref().filter(|url| !url.is_loopback()) else {
        return;
    };
    if x_api.base_url.host() != "api.x.com" {
        return;
    }
    let fault = |expected: String| r.fault("public.url", Some(format!("\"{url}\"")), expected);
    if !url.has_https_and_no_port() {
        fault("expected https:// and no port: X calls no other webhook".to_owned());
    }
    let webhook = |app: &App| url.webhook(&app.name);
    if let Some(long) = apps
        .iter()
        .map(webhook)
        .find(|url| url.len() > LONGEST_WEBHOOK)
    {
        fault(format!(
            "expected webhook URLs of at most {LONGEST_WEBHOOK} characters, not {long}"
        ));
    }
}
