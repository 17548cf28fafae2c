//! Credentials of X: who a call is made for, and in which context.

pub(super) mod bearer;
pub(super) mod oauth1;
pub(super) mod tokens;

use std::sync::Arc;

use jiff::Timestamp;
use secrecy::SecretString;

pub use tokens::{TokenVault, VaultError};

use super::call::Call;
use crate::domain::account::{AccessToken, Account, App};

/// What time it is; handed in.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// For whom a call is made.
#[derive(Clone, Copy, Debug)]
pub enum Auth<'a> {
    /// One of our accounts, through the app that it is linked by.
    Account { app: &'a App, account: &'a Account },
    /// The app itself, by its bearer: for reads of what is public, and for what is the app's own.
    App(&'a App),
    /// A person by an OAuth 1.0a token that no account holds: the app's owner, who may manage its
    /// webhooks, or somebody who is just being linked.
    Owner {
        app: &'a App,
        token: &'a AccessToken,
    },
    /// A person who is just being linked, by an OAuth 2.0 access token that is in no vault yet.
    Linking {
        app: &'a App,
        access_token: &'a SecretString,
    },
}

/// The kinds of credential that X knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Context {
    OAuth1,
    OAuth2,
    Bearer,
}

impl<'a> Auth<'a> {
    /// The contexts in which X takes a call, the first one first: OAuth 1.0a wherever X allows it
    /// and the account has it, since its tokens neither end nor rotate. What is the app's own goes
    /// by bearer, but for v1.1, which asks for the owner's token.
    pub(super) fn contexts(self, call: Call) -> impl Iterator<Item = Context> {
        let contexts: &[_] = match self {
            Self::App(_) => &[Context::Bearer],
            Self::Owner { .. } if call.is_v1() => &[Context::OAuth1, Context::Bearer],
            Self::Owner { .. } => &[Context::Bearer, Context::OAuth1],
            Self::Account { account, .. } if account.access_token.is_some() => {
                &[Context::OAuth1, Context::OAuth2]
            }
            Self::Account { .. } | Self::Linking { .. } => &[Context::OAuth2],
        };
        contexts.iter().copied().filter(move |it| call.takes(*it))
    }

    pub(super) fn app(self) -> &'a App {
        match self {
            Self::Account { app, .. }
            | Self::App(app)
            | Self::Owner { app, .. }
            | Self::Linking { app, .. } => app,
        }
    }

    pub(super) fn account(self) -> Option<&'a Account> {
        match self {
            Self::Account { account, .. } => Some(account),
            Self::App(_) | Self::Owner { .. } | Self::Linking { .. } => None,
        }
    }

    /// The token that signs by OAuth 1.0a.
    pub(super) fn access_token(self) -> Option<&'a AccessToken> {
        match self {
            Self::Account { account, .. } => account.access_token.as_ref(),
            Self::Owner { token, .. } => Some(token),
            Self::App(_) | Self::Linking { .. } => None,
        }
    }
}
