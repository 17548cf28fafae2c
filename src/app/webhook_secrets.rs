//! The consumer secrets that webhooks answer with, kept in line with the apps in force.

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::domain::account::App;
use crate::domain::registry::Registry;
use crate::flow::rules::LiveRules;
use crate::http::public::{AppSecrets, Webhooks};
use crate::store::{Store, StoreError};
use crate::x::signature::WebhookSecret;

/// Which secret of an app answers challenges is remembered over restarts.
pub(super) struct WebhookSecrets {
    store: Store,
    tasks: TaskTracker,
    known: HashMap<String, Known>,
}

/// The secrets of one app, and the fingerprints they were made of.
struct Known {
    prints: Vec<String>,
    secrets: Arc<AppSecrets>,
}

impl WebhookSecrets {
    pub(super) fn new(store: Store, tasks: TaskTracker) -> Self {
        Self {
            store,
            tasks,
            known: HashMap::new(),
        }
    }

    /// Of each app, by its name.
    pub(super) async fn of(
        &mut self,
        registry: &Registry,
    ) -> Result<HashMap<String, Arc<AppSecrets>>, StoreError> {
        let mut secrets = HashMap::new();
        for app in registry.apps() {
            secrets.insert(app.name.clone(), self.of_app(app).await?);
        }
        self.known.retain(|name, _| secrets.contains_key(name));
        Ok(secrets)
    }

    /// Follows the apps in force until `stop`.
    pub(super) async fn follow(
        mut self,
        rules: LiveRules,
        webhooks: Arc<Webhooks>,
        stop: CancellationToken,
    ) {
        let mut changes = rules.changes();
        changes.mark_changed();
        while let Some(Ok(())) = stop.run_until_cancelled(changes.changed()).await {
            let rules = Arc::clone(&changes.borrow_and_update());
            match self.of(&rules.registry).await {
                Ok(secrets) => webhooks.replace(secrets),
                Err(error) => {
                    tracing::warn!(%error, "webhooks answer for the apps that were there before");
                    changes.mark_changed();
                    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
                }
            }
        }
    }

    async fn of_app(&mut self, app: &App) -> Result<Arc<AppSecrets>, StoreError> {
        let previous = app.previous_consumer_secret.as_ref();
        let both = [Some(&app.consumer_secret), previous].into_iter().flatten();
        let prints: Vec<_> = both
            .map(|secret| fingerprint(secret.expose_secret()))
            .collect();
        if let Some(known) = self.known.get(&app.name).filter(|it| it.prints == prints) {
            return Ok(Arc::clone(&known.secrets));
        }
        let secrets = Arc::new(self.make(app, &prints).await?);
        let known = Known {
            prints,
            secrets: Arc::clone(&secrets),
        };
        self.known.insert(app.name.clone(), known);
        Ok(secrets)
    }

    async fn make(&self, app: &App, prints: &[String]) -> Result<AppSecrets, StoreError> {
        let key = format!("crc_secret.{}", app.name);
        let of = key.clone();
        let remembered = self.store.read(move |tx| tx.meta(&of)).await?;
        let answering = prints
            .iter()
            .position(|print| Some(print) == remembered.as_ref());
        let secret = |secret: &SecretString| WebhookSecret::new(secret.clone());
        Ok(AppSecrets::new(
            secret(&app.consumer_secret),
            app.previous_consumer_secret.as_ref().map(secret),
            answering.unwrap_or(0),
            self.remember(key, prints.to_vec()),
        ))
    }

    fn remember(&self, key: String, prints: Vec<String>) -> impl Fn(usize) + Send + Sync + 'static {
        let (store, tasks) = (self.store.clone(), self.tasks.clone());
        move |index| {
            let (store, key, print) = (store.clone(), key.clone(), prints.get(index).cloned());
            tracing::info!(
                index,
                "challenges are answered with another consumer secret now"
            );
            tasks.spawn(async move {
                let write = store.write(move |tx| tx.set_meta(&key, &print.unwrap_or_default()));
                if let Err(error) = write.await {
                    tracing::warn!(%error, "which consumer secret answers is not remembered");
                }
            });
        }
    }
}

/// Tells secrets apart without keeping them.
fn fingerprint(secret: &str) -> String {
    STANDARD.encode(
        Sha256::new()
            .chain_update("crc secret:")
            .chain_update(secret)
            .finalize(),
    )
}
