//! An API on a store of its own.

use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;

use super::{Api, ApiParts};
use crate::attachments::vault::Vault;
use crate::broker::settings::BrokerSettings;
use crate::flow::person::Persons;
use crate::flow::registry::{Declared, Directory};
use crate::flow::reply::rules_of_tests;
use crate::flow::rules::LiveRules;
use crate::flow::test_event::TestEvents;
use crate::flow::watch::HealthView;
use crate::sealing::Sealer;
use crate::store::{Store, StoreSettings};

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
    let declared = Declared::default();
    let vault = Vault::at(&folder.join("files"), sealer.clone());
    let persons = Persons::new(store.clone(), rules.clone(), vault);
    let directory = Directory::new(store.clone(), sealer, declared, rules);
    Arc::new(Api::new(ApiParts {
        store,
        directory: Arc::new(directory),
        health: HealthView::of_nothing(),
        public_url: "https://channel.example".to_owned(),
        tests,
        persons,
        token: token.map(SecretString::from),
        secure_cookies: true,
    }))
}
