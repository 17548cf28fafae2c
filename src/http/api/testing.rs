//! An API on a store of its own.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use secrecy::SecretString;
use serde_json::json;
use tokio_util::task::TaskTracker;

use super::{Api, ApiParts};
use crate::broker::settings::BrokerSettings;
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
    let directory = Directory::new(store.clone(), sealer, declared, rules);
    Arc::new(Api::new(ApiParts {
        setup: Arc::new(setup),
        store,
        directory: Arc::new(directory),
        health: HealthView::of_nothing(),
        public_url: "https://channel.example".to_owned(),
        tests,
        token: token.map(SecretString::from),
        secure_cookies: true,
    }))
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
