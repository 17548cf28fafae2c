//! An app as files and the control API describe it.

use serde::Deserialize;

use crate::model::{Form, Includes, NewApp, Permission, Vocabulary};

/// An app; what is left out or empty is as with [`NewApp::new`].
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AppSpec {
    /// Its name.
    pub name: String,
    /// The API key.
    #[serde(default)]
    pub consumer_key: String,
    /// The API key secret, which signs.
    pub consumer_secret: String,
    /// OAuth 2.0: the app.
    #[serde(default)]
    pub client_id: String,
    /// OAuth 2.0: its secret.
    #[serde(default)]
    pub client_secret: String,
    /// OAuth 2.0: whether it goes without its secret.
    #[serde(default)]
    pub public_client: bool,
    /// The level of the tokens that users give it.
    #[serde(default)]
    pub permission: Permission,
    /// Where users may be sent back to; ten at most.
    #[serde(default)]
    pub callbacks: Vec<String>,
    /// The labels of Account Activity v1.1.
    #[serde(default)]
    pub environments: Vec<String>,
    /// The developer account it belongs to.
    #[serde(default)]
    pub developer: String,
    /// The @name of the account that owns it.
    #[serde(default)]
    pub owner: String,
    /// A webhook that is there from the start.
    #[serde(default)]
    pub webhook: String,
    /// The delivery forms, which are X's products, that it is let into.
    pub forms: Vec<Form>,
    /// The @names it is subscribed to from the start.
    #[serde(default)]
    pub accounts: Vec<String>,
    /// The words of v2.
    #[serde(default)]
    pub vocabulary: Vocabulary,
    /// How much X Activity includes.
    #[serde(default)]
    pub includes: Includes,
    /// Whether `post.reply.create` fires for replies to replies.
    #[serde(default = "yes")]
    pub replies_to_replies: bool,
}

impl AppSpec {
    /// The app to be registered.
    pub fn app(&self) -> NewApp {
        let usual =
            NewApp::new(&self.name, &self.consumer_secret, &self.webhook).with_forms(&self.forms);
        let or = |given: &String, usual: String| match given.is_empty() {
            true => usual,
            false => given.clone(),
        };
        NewApp {
            consumer_key: or(&self.consumer_key, usual.consumer_key),
            client_id: or(&self.client_id, usual.client_id),
            client_secret: or(&self.client_secret, usual.client_secret),
            public_client: self.public_client,
            permission: self.permission,
            callbacks: self.callbacks.clone(),
            environments: match self.environments.is_empty() {
                true => usual.environments,
                false => self.environments.clone(),
            },
            developer: or(&self.developer, usual.developer),
            vocabulary: self.vocabulary,
            includes: self.includes,
            replies_to_replies: self.replies_to_replies,
            ..usual
        }
    }
}

fn yes() -> bool {
    true
}
