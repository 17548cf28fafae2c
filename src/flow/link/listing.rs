//! The accounts that there are, for people.

use jiff::Timestamp;

use crate::domain::account::Account;
use crate::domain::ids::AccountId;
use crate::flow::registry::{ChangeError, Directory, Linked};
use crate::flow::tokens;
use crate::sealing::Sealer;
use crate::store::{AccountState, LinkRow, Store};

/// Whether an account works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// Declared in the configuration.
    Declared,
    /// Linked and confirmed.
    Linked,
    /// An administrator has to confirm it; nothing is routed.
    Unconfirmed,
    /// X does not accept its credential.
    Revoked,
    /// What is kept of it cannot be read: by another key, or its app is gone.
    Unreadable,
}

impl LinkState {
    /// As it is written everywhere.
    pub fn name(self) -> &'static str {
        match self {
            Self::Declared => "declared",
            Self::Linked => "linked",
            Self::Unconfirmed => "unconfirmed",
            Self::Revoked => "revoked",
            Self::Unreadable => "unreadable",
        }
    }
}

/// An account.
#[derive(Clone, Debug)]
pub struct Listed {
    pub id: AccountId,
    /// Without `@`.
    pub username: String,
    /// Display name at linking; empty where the configuration declares it.
    pub name: String,
    pub avatar_url: String,
    pub app: String,
    pub state: LinkState,
    /// When it was linked, or X took its credential for the last time.
    pub since: Option<Timestamp>,
    pub oauth1: bool,
    pub oauth2: bool,
    /// Of OAuth 2.0, as X granted them.
    pub scopes: Vec<String>,
}

/// All accounts, by id.
///
/// # Errors
/// When the store cannot be read.
pub(super) async fn list(
    store: &Store,
    sealer: &Sealer,
    directory: &Directory,
) -> Result<Vec<Listed>, ChangeError> {
    let mut listed = Vec::new();
    let rules = directory.rules().now();
    let declared = rules.registry.accounts();
    for account in declared.filter(|it| directory.declares_account(it.id)) {
        listed.push(one(store, sealer, account, LinkState::Declared).await?);
    }
    for Linked { row: link, account } in directory.linked().await? {
        let state = match link.confirmed_at {
            Some(_) => LinkState::Linked,
            None => LinkState::Unconfirmed,
        };
        let row = match account {
            Ok(account) => one(store, sealer, &account, state).await?,
            Err(_) => unreadable(&link),
        };
        listed.push(Listed {
            name: link.name,
            avatar_url: link.avatar_url,
            ..row
        });
    }
    listed.sort_by_key(|it| it.id);
    Ok(listed)
}

fn unreadable(link: &LinkRow) -> Listed {
    Listed {
        id: link.account,
        username: String::new(),
        name: String::new(),
        avatar_url: String::new(),
        app: link.app.clone(),
        state: LinkState::Unreadable,
        since: Some(link.linked_at),
        oauth1: false,
        oauth2: link.oauth2,
        scopes: Vec::new(),
    }
}

async fn one(
    store: &Store,
    sealer: &Sealer,
    account: &Account,
    state: LinkState,
) -> Result<Listed, ChangeError> {
    let id = account.id;
    let known = store.read(move |tx| tx.account_state(id)).await?;
    Ok(Listed {
        id,
        username: account.username.clone(),
        name: String::new(),
        avatar_url: String::new(),
        app: account.app.clone(),
        state: known.revoked_at.map_or(state, |_| LinkState::Revoked),
        since: known.revoked_at.or(account.linking.map(|it| it.at)),
        oauth1: account.access_token.is_some(),
        oauth2: account.has_oauth2(),
        scopes: scopes(sealer, id, &known),
    })
}

/// What cannot be read any more lists nothing: the account itself says that it is broken.
fn scopes(sealer: &Sealer, id: AccountId, known: &AccountState) -> Vec<String> {
    let sealed = known.tokens.as_deref();
    let pair = sealed.and_then(|sealed| tokens::open(sealer, id, sealed).ok());
    let scopes = pair.map(|pair| pair.scopes).unwrap_or_default();
    scopes.split_whitespace().map(str::to_owned).collect()
}
