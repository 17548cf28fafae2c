//! Tokens: what they are, whose, and whether they still live.
//!
//! All are derived from names, so that a script knows them without asking: of the app `acme` and
//! the user 42 they are `42-acme-token`, `42-acme-token-secret`, `acme-bearer`, `acme-client`,
//! `acme-client-secret` and `42-acme-refresh`. A user who lets an app in again gets new ones, with
//! `-2` behind them, `-3`, and so on.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};

use crate::model::{Refused, UserId, World};

/// What an app may do for a user by OAuth 1.0a; each includes the ones before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Permission {
    /// Look.
    Read,
    /// And post.
    ReadWrite,
    /// And read and write direct messages.
    #[default]
    ReadWriteMessages,
}

/// Everything an app needs to act for a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Credentials {
    /// The API key.
    pub consumer_key: String,
    /// The API key secret.
    pub consumer_secret: String,
    /// The app's own token.
    pub bearer_token: String,
    /// OAuth 2.0: the app.
    pub client_id: String,
    /// OAuth 2.0: its secret.
    pub client_secret: String,
    /// OAuth 1.0a: the user.
    pub access_token: String,
    /// OAuth 1.0a: its secret.
    pub access_token_secret: String,
    /// OAuth 2.0: the newest refresh token of the user; it can be used once.
    pub refresh_token: String,
}

/// A token of OAuth 1.0a.
#[derive(Clone, Debug)]
pub(crate) struct AccessToken {
    pub(crate) app: String,
    pub(crate) user: UserId,
    pub(crate) secret: String,
    pub(crate) permission: Permission,
    pub(crate) alive: bool,
}

/// A token of OAuth 2.0, to access or to refresh.
#[derive(Clone, Debug)]
pub(crate) struct UserToken {
    pub(crate) app: String,
    pub(crate) user: UserId,
    pub(crate) scopes: Vec<String>,
    /// Milliseconds since 1970; a refresh token does not age.
    pub(crate) expires_at_ms: Option<i64>,
    pub(crate) alive: bool,
}

impl UserToken {
    pub(crate) fn is_good(&self, now_ms: i64) -> bool {
        self.alive && self.expires_at_ms.is_none_or(|end| now_ms < end)
    }
}

/// All tokens there ever were.
#[derive(Default)]
pub(crate) struct Tokens {
    grants: HashMap<(String, UserId), Grant>,
    signed: HashMap<String, AccessToken>,
    access: HashMap<String, UserToken>,
    refresh: HashMap<String, UserToken>,
    bearers: HashMap<String, u32>,
    /// Whose app it is.
    owners: HashMap<String, UserId>,
    nonces: HashSet<(String, String)>,
    issued: u64,
}

/// What a user has given an app: the newest of each token.
#[derive(Clone, Debug)]
struct Grant {
    generation: u32,
    alive: bool,
    access_token: String,
    refresh_token: String,
}

const SCOPES: &[&str] = &[
    "tweet.read",
    "tweet.write",
    "tweet.moderate.write",
    "users.read",
    "dm.read",
    "dm.write",
    "media.write",
    "offline.access",
];

impl Tokens {
    /// The user lets the app in; one that is in stays so, with the tokens it has.
    pub(crate) fn authorize(&mut self, app: &str, user: UserId) {
        let key = (app.to_owned(), user);
        let before = self.grants.get(&key);
        if before.is_some_and(|grant| grant.alive) {
            return;
        }
        let generation = before.map_or(1, |grant| grant.generation + 1);
        let access_token = numbered(&format!("{user}-{app}-token"), generation);
        let refresh_token = numbered(&format!("{user}-{app}-refresh"), generation);
        let secret = numbered(&format!("{user}-{app}-token-secret"), generation);
        self.signed.insert(
            access_token.clone(),
            AccessToken {
                app: app.to_owned(),
                user,
                secret,
                permission: Permission::default(),
                alive: true,
            },
        );
        let scopes = SCOPES.iter().map(|scope| (*scope).to_owned()).collect();
        self.keep_refresh(&refresh_token, app, user, scopes);
        self.grants.insert(
            key,
            Grant {
                generation,
                alive: true,
                access_token,
                refresh_token,
            },
        );
    }

    fn keep_refresh(&mut self, token: &str, app: &str, user: UserId, scopes: Vec<String>) {
        let kept = UserToken {
            app: app.to_owned(),
            user,
            scopes,
            expires_at_ms: None,
            alive: true,
        };
        self.refresh.insert(token.to_owned(), kept);
    }

    /// The user, or X, puts the app out: all its tokens for the user are dead for good.
    pub(crate) fn revoke(&mut self, app: &str, user: UserId) {
        if let Some(grant) = self.grants.get_mut(&(app.to_owned(), user)) {
            grant.alive = false;
        }
        let signed = self.signed.values_mut();
        for token in signed.filter(|token| token.app == app && token.user == user) {
            token.alive = false;
        }
        let user_tokens = self.access.values_mut().chain(self.refresh.values_mut());
        for token in user_tokens.filter(|token| token.app == app && token.user == user) {
            token.alive = false;
        }
    }

    /// What the app has for the user.
    pub(crate) fn credentials(
        &self,
        world: &World,
        app: &str,
        user: UserId,
    ) -> Result<Credentials, Refused> {
        let settings = &world.app(app)?.settings;
        let grant = self.grants.get(&(app.to_owned(), user));
        let grant = grant.filter(|grant| grant.alive);
        let grant = grant.ok_or_else(|| Refused::NotAuthorized {
            app: app.to_owned(),
            user,
        })?;
        let secret = self.signed.get(&grant.access_token);
        Ok(Credentials {
            consumer_key: settings.consumer_key.clone(),
            consumer_secret: settings.consumer_secret.clone(),
            bearer_token: self.bearer(app),
            client_id: client_id(app),
            client_secret: client_secret(app),
            access_token: grant.access_token.clone(),
            access_token_secret: secret.map(|token| token.secret.clone()).unwrap_or_default(),
            refresh_token: grant.refresh_token.clone(),
        })
    }

    /// Puts other values in place of the derived ones.
    pub(crate) fn set_access_token(&mut self, app: &str, user: UserId, token: &str, secret: &str) {
        self.authorize(app, user);
        let Some(grant) = self.grants.get_mut(&(app.to_owned(), user)) else {
            return;
        };
        let before = std::mem::replace(&mut grant.access_token, token.to_owned());
        if let Some(mut kept) = self.signed.remove(&before) {
            kept.secret = secret.to_owned();
            self.signed.insert(token.to_owned(), kept);
        }
    }

    pub(crate) fn set_permission(&mut self, app: &str, user: UserId, permission: Permission) {
        let signed = self.signed.values_mut();
        for token in signed.filter(|token| token.app == app && token.user == user) {
            token.permission = permission;
        }
    }

    /// Chooses what tokens of OAuth 2.0 are good for, those given out already too.
    pub(crate) fn set_scopes(&mut self, app: &str, user: UserId, scopes: &[String]) {
        let user_tokens = self.access.values_mut().chain(self.refresh.values_mut());
        for token in user_tokens.filter(|token| token.app == app && token.user == user) {
            token.scopes = scopes.to_vec();
        }
    }

    /// The owner of the app reads what is its own at a lower price.
    pub(crate) fn set_owner(&mut self, app: &str, owner: UserId) {
        self.owners.insert(app.to_owned(), owner);
    }

    pub(crate) fn owner(&self, app: &str) -> Option<UserId> {
        self.owners.get(app).copied()
    }

    pub(super) fn signed_token(&self, token: &str) -> Option<&AccessToken> {
        self.signed.get(token)
    }

    /// True the first time.
    pub(super) fn is_fresh(&mut self, token: &str, nonce: &str) -> bool {
        self.nonces.insert((token.to_owned(), nonce.to_owned()))
    }

    pub(super) fn access(&self, token: &str) -> Option<&UserToken> {
        self.access.get(token)
    }

    pub(super) fn bearer(&self, app: &str) -> String {
        let generation = self.bearers.get(app).copied().unwrap_or(1);
        numbered(&format!("{app}-bearer"), generation)
    }

    pub(super) fn app_of_bearer(&self, world: &World, token: &str) -> Option<String> {
        let mut names = world.apps().map(|app| &app.settings.name);
        names.find(|name| self.bearer(name) == token).cloned()
    }

    /// From now on the app's bearer token is another.
    pub(crate) fn renew_bearer(&mut self, app: &str) {
        *self.bearers.entry(app.to_owned()).or_insert(1) += 1;
    }

    /// A new pair for a refresh token, which dies of it.
    pub(super) fn rotate(&mut self, token: &str, app: &str, expires_at_ms: i64) -> Option<Pair> {
        let used = self.refresh.get_mut(token)?;
        if !used.alive || used.app != app {
            return None;
        }
        used.alive = false;
        let used = used.clone();
        self.issued += 1;
        let (user, number) = (used.user, self.issued);
        let pair = Pair {
            access_token: format!("{user}-{app}-access.{number}"),
            refresh_token: format!("{user}-{app}-refresh.{number}"),
            scopes: used.scopes.clone(),
        };
        self.keep_refresh(&pair.refresh_token, app, user, used.scopes.clone());
        let access = UserToken {
            expires_at_ms: Some(expires_at_ms),
            alive: true,
            ..used
        };
        self.access.insert(pair.access_token.clone(), access);
        if let Some(grant) = self.grants.get_mut(&(app.to_owned(), user)) {
            grant.refresh_token = pair.refresh_token.clone();
        }
        Some(pair)
    }

    /// One token dies, of whichever kind.
    pub(super) fn kill(&mut self, token: &str, app: &str) {
        let found = [self.access.get_mut(token), self.refresh.get_mut(token)];
        for token in found.into_iter().flatten().filter(|token| token.app == app) {
            token.alive = false;
        }
    }
}

/// What a refresh gives.
pub(super) struct Pair {
    pub(super) access_token: String,
    pub(super) refresh_token: String,
    pub(super) scopes: Vec<String>,
}

pub(super) fn client_id(app: &str) -> String {
    format!("{app}-client")
}

pub(super) fn client_secret(app: &str) -> String {
    format!("{app}-client-secret")
}

fn numbered(name: &str, generation: u32) -> String {
    if generation == 1 {
        name.to_owned()
    } else {
        format!("{name}-{generation}")
    }
}
