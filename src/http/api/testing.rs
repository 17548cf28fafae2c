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
use crate::settings::BaseUrl;
use crate::settings::value::base_url;
use crate::store::Store;
use crate::x::client::{Client, ClientSettings, http_client};

/// An API that this token opens; the folder of its store goes with the process.
pub(crate) fn api(token: Option<&str>) -> Arc<Api> {
    let folder = tempfile::tempdir().unwrap().keep();
    let store = Store::open_in(&folder);
    let rules = LiveRules::new(rules_of_tests());
    // Nothing listens there.
    let broker = Arc::new(BrokerSettings::new("amqp://127.0.0.1:1".into()));
    let tests = TestEvents::new(store.clone(), rules.clone(), broker);
    let sealer = Sealer::new(Box::new([7; 32]).into());
    let tasks = TaskTracker::new();
    let client = client(&store, sealer.clone(), tasks.clone());
    let setup = Setup::new(store.clone(), Arc::clone(&client), None, &nobody());
    let declared = Declared::default();
    let vault = Vault::at(&folder.join("files"), sealer.clone());
    let persons = Persons::new(store.clone(), rules.clone(), vault);
    let directory = Directory::new(store.clone(), sealer.clone(), declared, rules);
    let directory = Arc::new(directory);
    Arc::new(Api::new(ApiParts {
        linker: linker(&store, sealer, &directory, client, tasks),
        setup: Arc::new(setup.unwrap()),
        store,
        directory,
        health: HealthView::default(),
        public_url: Some(base_url(&json!("https://channel.example")).unwrap()),
        tests,
        persons,
        token: token.map(SecretString::from),
        secure_cookies: true,
    }))
}

/// Where nobody listens.
fn nobody() -> BaseUrl {
    base_url(&json!("http://127.0.0.1:1")).unwrap()
}

/// Of an X that is not there.
fn client(store: &Store, sealer: Sealer, tasks: TaskTracker) -> Arc<Client> {
    let base_url = nobody().as_url().clone();
    let wait = Duration::from_secs(1);
    let http = http_client(&base_url, wait / 2).unwrap();
    let settings = ClientSettings {
        base_url,
        call_timeout: wait,
        upload_timeout: wait,
    };
    let vault = Arc::new(StoredTokens::new(store.clone(), sealer));
    let clock = Arc::new(Timestamp::now);
    Arc::new(Client::new(settings, http, vault, clock, tasks).unwrap())
}

fn linker(
    store: &Store,
    sealer: Sealer,
    directory: &Arc<Directory>,
    client: Arc<Client>,
    tasks: TaskTracker,
) -> Arc<Linker> {
    let settings = LinkSettings {
        public_url: None,
        private_url: None,
    };
    let directory = Arc::clone(directory);
    let linker = Linker::new(store.clone(), sealer, directory, client, settings, tasks);
    Arc::new(linker)
}
