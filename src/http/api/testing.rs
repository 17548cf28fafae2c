//! An API on a store of its own.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use secrecy::SecretString;
use serde_json::json;
use tokio_util::task::TaskTracker;

use super::{Api, ApiParts};
use crate::attachments::vault::Vault;
use crate::broker::settings::BrokerSettings;
use crate::flow::link::{LinkSettings, Linker};
use crate::flow::person::Persons;
use crate::flow::registry::{Declared, Directory};
use crate::flow::reply::rules_of_tests;
use crate::flow::rules::LiveRules;
use crate::flow::setup::Setup;
use crate::flow::test_event::TestEvents;
use crate::flow::tokens::StoredTokens;
use crate::flow::watch::HealthView;
use crate::sealing::Sealer;
use crate::settings::value::base_url;
use crate::store::{Store, StoreSettings};
use crate::x::client::{Client, ClientSettings, http_client};

/// An API that this token opens; the folder of its store goes with the process.
pub(crate) fn api(token: Option<&str>) -> Arc<Api> {
    let folder = tempfile::tempdir().unwrap().keep();
    let store = Store::open(StoreSettings {
        path: folder.join("store.db"),
        max_bytes: 1 << 30,
        retention: Duration::from_hours(24),
    });
    let store = store.unwrap();
    let rules = LiveRules::new(rules_of_tests());
    // Nothing listens there.
    let broker = Arc::new(BrokerSettings::new("amqp://127.0.0.1:1".into()));
    let tests = TestEvents::new(store.clone(), rules.clone(), broker);
    let sealer = Sealer::new(Box::new([7; 32]).into());
    let setup = setup(&store, sealer.clone());
    let declared = Declared::default();
    let vault = Vault::at(&folder.join("files"), sealer.clone());
    let persons = Persons::new(store.clone(), rules.clone(), vault);
    let directory = Directory::new(store.clone(), sealer.clone(), declared, rules);
    let directory = Arc::new(directory);
    Arc::new(Api::new(ApiParts {
        linker: linker(&store, sealer, &directory),
        setup: Arc::new(setup),
        store,
        directory,
        health: HealthView::of_nothing(),
        public_url: Some(base_url(&json!("https://channel.example")).unwrap()),
        tests,
        persons,
        token: token.map(SecretString::from),
        secure_cookies: true,
    }))
}

fn linker(store: &Store, sealer: Sealer, directory: &Arc<Directory>) -> Arc<Linker> {
    // Nothing listens there.
    let base_url: url::Url = "http://127.0.0.1:1".parse().unwrap();
    let wait = Duration::from_secs(1);
    let http = http_client(&base_url, wait).unwrap();
    let settings = ClientSettings {
        base_url,
        call_timeout: wait,
        upload_timeout: wait,
    };
    let (vault, tasks) = (
        StoredTokens::new(store.clone(), sealer.clone()),
        TaskTracker::new(),
    );
    let clock = Arc::new(jiff::Timestamp::now);
    let client = Client::new(settings, http, Arc::new(vault), clock, tasks.clone()).unwrap();
    Arc::new(Linker::new(
        store.clone(),
        sealer,
        Arc::clone(directory),
        Arc::new(client),
        LinkSettings {
            public_url: None,
            private_url: None,
        },
        tasks,
    ))
}

/// Before which no X listens.
fn setup(store: &Store, sealer: Sealer) -> Setup {
    let nobody = base_url(&json!("http://127.0.0.1:1")).unwrap();
    let settings = ClientSettings {
        base_url: nobody.as_url().clone(),
        call_timeout: Duration::from_secs(1),
        upload_timeout: Duration::from_secs(1),
    };
    let client = Client::new(
        settings,
        http_client(nobody.as_url(), Duration::from_millis(500)).unwrap(),
        Arc::new(StoredTokens::new(store.clone(), sealer)),
        Arc::new(Timestamp::now),
        TaskTracker::new(),
    );
    Setup::new(store.clone(), Arc::new(client.unwrap()), None, &nobody).unwrap()
}
