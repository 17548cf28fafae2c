//! Credentials of X: who a call is made for, and in which context.

pub(super) mod bearer;
pub(super) mod oauth1;
pub(super) mod tokens;

use std::sync::Arc;

use jiff::Timestamp;

pub use tokens::{TokenVault, VaultError};

use super::call::Call;
use crate::domain::account::{Account, App};

/// What time it is; handed in.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// For whom a call is made.
#[derive(Clone, Copy, Debug)]
pub enum Auth<'a> {
    /// One of our accounts, through the app that it is linked by.
    Account { app: &'a App, account: &'a Account },
    /// The app itself, by its bearer: for reads of what is public.
    App(&'a App),
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
    /// and the account has it, since its tokens neither end nor rotate.
    pub(super) fn contexts(self, call: Call) -> &'static [Context] {
        match self {
            Self::App(_) if call.takes_bearer() => &[Context::Bearer],
            Self::App(_) => &[],
            Self::Account { account, .. }
                if account.access_token.is_some() && call.takes_oauth1() =>
            {
                &[Context::OAuth1, Context::OAuth2]
            }
            Self::Account { .. } => &[Context::OAuth2],
        }
    }

    pub(super) fn app(self) -> &'a App {
        match self {
            Self::Account { app, .. } | Self::App(app) => app,
        }
    }

    pub(super) fn account(self) -> Option<&'a Account> {
        match self {
            Self::Account { account, .. } => Some(account),
            Self::App(_) => None,
        }
    }
}
