//! Tokens: what they are, whose, and whether they still live.
//!
//! All are derived from names, so that a script knows them without asking: of the app `acme` and
//! the user 42 they are `42-acme-token`, `42-acme-token-secret`, `acme-bearer`, `acme-client`,
//! `acme-client-secret` and `42-acme-refresh`. A user who lets an app in again gets new ones, with
//! `-2` behind them, `-3`, and so on.

use std::collections::{HashMap, HashSet};

use serde::Serialize;

use crate::model::{Permission, Refused, UserId, World};

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

/// What a user has given an app: the newest of each token, empty where there is none.
#[derive(Clone, Debug, Default)]
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
    /// The user lets the app in, in both ways; one that is in stays so, with the tokens it has.
    pub(crate) fn authorize(&mut self, app: &str, user: UserId, permission: Permission) {
        let grant = self.grant(app, user);
        if grant.access_token.is_empty() {
            self.sign_in(app, user, permission);
        }
        let grant = self.grant(app, user);
        if grant.refresh_token.is_empty() {
            let token = numbered(&format!("{user}-{app}-refresh"), grant.generation);
            grant.refresh_token.clone_from(&token);
            let scopes = SCOPES.iter().map(|scope| (*scope).to_owned()).collect();
            self.keep_refresh(&token, app, user, scopes);
        }
    }

    /// The grant of the user, a new one where there is none or a dead one.
    fn grant(&mut self, app: &str, user: UserId) -> &mut Grant {
        let grant = self.grants.entry((app.to_owned(), user)).or_default();
        if !grant.alive {
            *grant = Grant {
                generation: grant.generation + 1,
                alive: true,
                ..Grant::default()
            };
        }
        grant
    }

    /// The user lets the app in by OAuth 1.0a: the token it has already, unless the level is
    /// another; tokens of the old level live on with it.
    pub(crate) fn sign_in(&mut self, app: &str, user: UserId, permission: Permission) -> Signed {
        let held = self.grant(app, user).access_token.clone();
        let known = self.signed.get(&held);
        if let Some(known) = known.filter(|token| token.alive && token.permission == permission) {
            return Signed {
                secret: known.secret.clone(),
                token: held,
            };
        }
        let grant = self.grant(app, user);
        grant.generation += u32::from(!held.is_empty());
        let signed = Signed {
            token: numbered(&format!("{user}-{app}-token"), grant.generation),
            secret: numbered(&format!("{user}-{app}-token-secret"), grant.generation),
        };
        grant.access_token.clone_from(&signed.token);
        let kept = AccessToken {
            app: app.to_owned(),
            user,
            secret: signed.secret.clone(),
            permission,
            alive: true,
        };
        self.signed.insert(signed.token.clone(), kept);
        signed
    }

    /// Whether the user has let the app in and not put it out.
    pub(crate) fn is_in(&self, app: &str, user: UserId) -> bool {
        let grant = self.grants.get(&(app.to_owned(), user));
        grant.is_some_and(|grant| grant.alive)
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
            client_id: settings.client_id.clone(),
            client_secret: settings.client_secret.clone(),
            access_token: grant.access_token.clone(),
            access_token_secret: secret.map(|token| token.secret.clone()).unwrap_or_default(),
            refresh_token: grant.refresh_token.clone(),
        })
    }

    /// Puts other values in place of the derived ones.
    pub(crate) fn set_access_token(&mut self, app: &str, user: UserId, token: &str, secret: &str) {
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
        Some(self.issue(app, used.user, used.scopes, expires_at_ms))
    }

    /// A new pair for what the user has agreed to.
    pub(super) fn issue(
        &mut self,
        app: &str,
        user: UserId,
        scopes: Vec<String>,
        expires_at_ms: i64,
    ) -> Pair {
        self.issued += 1;
        let number = self.issued;
        let pair = Pair {
            access_token: format!("{user}-{app}-access.{number}"),
            refresh_token: format!("{user}-{app}-refresh.{number}"),
            scopes: scopes.clone(),
        };
        if pair.is_lasting() {
            self.keep_refresh(&pair.refresh_token, app, user, scopes.clone());
            self.grant(app, user)
                .refresh_token
                .clone_from(&pair.refresh_token);
        }
        self.grant(app, user);
        let access = UserToken {
            app: app.to_owned(),
            user,
            scopes,
            expires_at_ms: Some(expires_at_ms),
            alive: true,
        };
        self.access.insert(pair.access_token.clone(), access);
        pair
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

impl Pair {
    /// Whether the user agreed to a refresh token.
    pub(super) fn is_lasting(&self) -> bool {
        self.scopes.iter().any(|scope| scope == "offline.access")
    }
}

/// A token of OAuth 1.0a as it is given out.
pub(crate) struct Signed {
    pub(crate) token: String,
    pub(crate) secret: String,
}

/// A token as a test or a person looks at it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TokenSeen {
    /// The token itself; its secret is told by the credentials.
    pub token: String,
    /// `oauth1`, `oauth2_access` or `oauth2_refresh`.
    pub kind: &'static str,
    /// The app that has it.
    pub app: String,
    /// The user who gave it.
    pub user: UserId,
    /// Of OAuth 1.0a: the level when it was given.
    pub permission: Option<Permission>,
    /// Of OAuth 2.0.
    pub scopes: Vec<String>,
    /// Whether it is good for a call now.
    pub alive: bool,
}

impl Tokens {
    /// Every token there ever was, by its text.
    pub(crate) fn seen(&self, now_ms: i64) -> Vec<TokenSeen> {
        let signed = self.signed.iter().map(|(text, token)| TokenSeen {
            token: text.clone(),
            kind: "oauth1",
            app: token.app.clone(),
            user: token.user,
            permission: Some(token.permission),
            scopes: Vec::new(),
            alive: token.alive,
        });
        let of = |kind: &'static str| {
            move |(text, token): (&String, &UserToken)| TokenSeen {
                token: text.clone(),
                kind,
                app: token.app.clone(),
                user: token.user,
                permission: None,
                scopes: token.scopes.clone(),
                alive: token.is_good(now_ms),
            }
        };
        let access = self.access.iter().map(of("oauth2_access"));
        let refresh = self.refresh.iter().map(of("oauth2_refresh"));
        let mut all: Vec<TokenSeen> = signed.chain(access).chain(refresh).collect();
        all.sort_by(|one, other| one.token.cmp(&other.token));
        all
    }
}

fn numbered(name: &str, generation: u32) -> String {
    if generation == 1 {
        name.to_owned()
    } else {
        format!("{name}-{generation}")
    }
}
