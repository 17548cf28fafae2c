//! What the client's tests share: an X that answers as it is told, and the people who ask.

mod openapi;
mod server;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use tokio_util::task::TaskTracker;
use url::Url;

pub(super) use openapi::{OpenApi, parts};
pub(super) use server::{Act, FakeX, Recorded};

use super::{Auth, Client, ClientSettings, NoHttpClient, TokenVault, VaultError, http_client};
use crate::domain::account::{AccessToken, Account, App, Delivery, Sending, Tier, TokenPair};
use crate::domain::ids::AccountId;

/// What time it is, unless a test says otherwise.
pub(super) const NOW: &str = "2026-09-01T12:00:00Z";

/// The client, the X that it calls, and one account that has every kind of credential.
pub(super) struct Bench {
    pub(super) x: FakeX,
    pub(super) client: Arc<Client>,
    pub(super) vault: Arc<MemoryVault>,
    pub(super) now: Arc<Mutex<Timestamp>>,
    pub(super) app: App,
    pub(super) account: Account,
    pub(super) tasks: TaskTracker,
}

impl Bench {
    pub(super) async fn new(script: impl IntoIterator<Item = Act>) -> Self {
        Self::with_timeout(script, Duration::from_secs(10)).await
    }

    pub(super) async fn with_timeout(
        script: impl IntoIterator<Item = Act>,
        call_timeout: Duration,
    ) -> Self {
        let x = FakeX::start(script).await;
        let now: Arc<Mutex<Timestamp>> = Arc::new(Mutex::new(NOW.parse().unwrap()));
        let vault = Arc::new(MemoryVault::default());
        let tasks = TaskTracker::new();
        let client = client(
            &x.url,
            call_timeout,
            vault.clone(),
            now.clone(),
            tasks.clone(),
        );
        Self {
            x,
            client: Arc::new(client),
            vault,
            now,
            app: app(),
            account: account(),
            tasks,
        }
    }

    /// As the account.
    pub(super) fn auth(&self) -> Auth<'_> {
        Auth::Account {
            app: &self.app,
            account: &self.account,
        }
    }

    /// A client of another X, with the same vault and clock.
    pub(super) fn client_at(&self, url: &Url) -> Result<Client, NoHttpClient> {
        // Only to know beforehand whether it can be made.
        http_client(url, Duration::from_secs(5))?;
        let (vault, now) = (self.vault.clone(), self.now.clone());
        let second = Duration::from_secs(1);
        Ok(client(url, second, vault, now, self.tasks.clone()))
    }

    /// The app with a bearer of its own, which need not be asked for.
    pub(super) fn app_with_bearer(&self) -> App {
        App {
            bearer_token: Some("the-bearer".into()),
            ..self.app.clone()
        }
    }

    /// The account has OAuth 2.0 only, with a pair that is good for two hours.
    pub(super) fn use_oauth2(&mut self) {
        self.account.access_token = None;
        self.store_pair();
    }

    pub(super) fn store_pair(&self) {
        let pair = pair("access-1", "refresh-1", "2026-09-01T14:00:00Z");
        self.vault.put(self.account.id, pair);
    }

    pub(super) fn set_now(&self, now: &str) {
        *self.now.lock().unwrap() = now.parse().unwrap();
    }
}

pub(super) fn client(
    url: &Url,
    call_timeout: Duration,
    vault: Arc<MemoryVault>,
    now: Arc<Mutex<Timestamp>>,
    tasks: TaskTracker,
) -> Client {
    let settings = ClientSettings {
        base_url: url.clone(),
        call_timeout,
        upload_timeout: call_timeout,
    };
    let http = http_client(url, Duration::from_secs(5)).unwrap();
    let clock = Arc::new(move || *now.lock().unwrap());
    Client::new(settings, http, vault, clock, tasks).unwrap()
}

fn app() -> App {
    App {
        name: "acme".to_owned(),
        consumer_key: "the-key".to_owned(),
        consumer_secret: "consumer-secret".into(),
        previous_consumer_secret: None,
        bearer_token: None,
        client_id: Some("client-id".to_owned()),
        client_secret: Some("client-secret".into()),
        owner_token: None,
        delivery: Delivery::Activity,
        tier: Tier::SelfServe,
        mirror: vec![],
    }
}

fn account() -> Account {
    Account {
        app: "acme".to_owned(),
        id: AccountId("2975699229".parse().unwrap()),
        username: "acme".to_owned(),
        access_token: Some(AccessToken {
            token: "the-token".into(),
            secret: "token-secret".into(),
        }),
        oauth2_refresh_token: Some("seed-refresh".into()),
        linking: None,
        sending: Sending::Live,
        blocked: Default::default(),
        monthly_budget: None,
        max_post_length: None,
        enrich: Default::default(),
        feeds: Default::default(),
    }
}

pub(super) fn pair(access: &str, refresh: &str, expires_at: &str) -> TokenPair {
    TokenPair {
        access_token: SecretString::from(access),
        refresh_token: SecretString::from(refresh),
        expires_at: expires_at.parse().unwrap(),
        scopes: "tweet.read".to_owned(),
    }
}

/// A vault that tells what was kept, and can fail.
#[derive(Default)]
pub(super) struct MemoryVault {
    pairs: Mutex<HashMap<AccountId, TokenPair>>,
    /// Refresh tokens in the order they were kept.
    pub(super) saved: Mutex<Vec<String>>,
    pub(super) is_broken: Mutex<bool>,
}

impl MemoryVault {
    pub(super) fn put(&self, account: AccountId, pair: TokenPair) {
        self.pairs.lock().unwrap().insert(account, pair);
    }
}

impl TokenVault for MemoryVault {
    fn load(&self, account: AccountId) -> BoxFuture<'_, Result<Option<TokenPair>, VaultError>> {
        let pair = self.pairs.lock().unwrap().get(&account).cloned();
        async { Ok(pair) }.boxed()
    }

    fn reserve(&self, _account: AccountId) -> BoxFuture<'_, Result<(), VaultError>> {
        async { Ok(()) }.boxed()
    }

    fn save(&self, account: AccountId, pair: TokenPair) -> BoxFuture<'_, Result<(), VaultError>> {
        async move {
            if *self.is_broken.lock().unwrap() {
                return Err(VaultError("disk full".into()));
            }
            let refresh = pair.refresh_token.expose_secret().to_owned();
            self.saved.lock().unwrap().push(refresh);
            self.put(account, pair);
            Ok(())
        }
        .boxed()
    }
}
