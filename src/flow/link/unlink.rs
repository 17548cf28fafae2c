//! How an account goes: unsubscribed, its credentials ended at X, then forgotten here. What it has
//! received and sent stays.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::error::LinkError;
use super::{Kind, Linker};
use crate::domain::access::Actor;
use crate::domain::account::{Account, App, TokenPair};
use crate::domain::ids::AccountId;
use crate::flow::registry::ChangeError;
use crate::flow::tokens::StoredTokens;
use crate::x::client::{CallError, TokenVault};

/// An account that is about to lose its credential.
#[derive(Clone, Copy, Debug)]
pub struct Unlinking<'a> {
    pub app: &'a App,
    pub account: &'a Account,
}

/// Ends what X delivers for an account, while it still has its credential.
pub type Unsubscribe =
    Arc<dyn for<'a> Fn(Unlinking<'a>) -> BoxFuture<'a, Result<(), CallError>> + Send + Sync>;

/// What could not be ended at X for an account that is no longer linked; its owner can, there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unlinked {
    /// Each in a sentence, with X's words.
    pub left_at_x: Vec<String>,
}

impl Linker {
    /// Has `unsubscribe` called before an account's credential is ended.
    #[must_use]
    pub fn unsubscribing(self, unsubscribe: Unsubscribe) -> Self {
        Self {
            unsubscribe: Some(unsubscribe),
            ..self
        }
    }

    /// Lets the messages of a linked account be routed.
    ///
    /// # Errors
    /// [`ChangeError`].
    pub async fn confirm(&self, by: Actor, account: AccountId) -> Result<(), ChangeError> {
        self.directory.confirm(by, account).await
    }

    /// Unsubscribes an account, ends its credentials at X and forgets them. What X does not do is
    /// told, and does not keep the account linked.
    ///
    /// # Errors
    /// [`ChangeError`]; nothing has changed then.
    pub async fn unlink(&self, by: Actor, id: AccountId) -> Result<Unlinked, ChangeError> {
        if self.directory.declares_account(id) {
            return Err(ChangeError::Declared(format!("the account {id}")));
        }
        // A refresh under way ends first: the pair to be revoked is the newest.
        self.client.forget_tokens(id).await;
        let left_at_x = match self.directory.linked_account(id).await {
            Ok(Some(account)) => match self.app(&account.app) {
                Ok(app) => self.end_at_x(&app, &account).await,
                Err(error) => vec![format!("Nothing was revoked: {error}")],
            },
            Ok(None) => return Err(ChangeError::Unknown(format!("linked account {id}"))),
            Err(ChangeError::Store(error)) => return Err(error.into()),
            // It could never be got rid of otherwise.
            Err(error) => vec![format!(
                "Nothing was revoked, its settings cannot be read: {error}."
            )],
        };
        self.directory.unlink(by, id).await?;
        self.client.forget_tokens(id).await;
        tracing::info!(account.id = %id, left_at_x = left_at_x.len(), "an account was unlinked");
        Ok(Unlinked { left_at_x })
    }

    /// What is left there.
    async fn end_at_x(&self, app: &App, account: &Account) -> Vec<String> {
        let mut left = Vec::new();
        if let Some(unsubscribe) = &self.unsubscribe
            && let Err(error) = unsubscribe(Unlinking { app, account }).await
        {
            left.push(format!("Its subscription was not ended: {error}."));
        }
        left.extend(self.end_its_token(app, account).await);
        left.extend(self.end_its_pair(app, account).await);
        left
    }

    async fn end_its_token(&self, app: &App, account: &Account) -> Option<String> {
        let token = account.access_token.as_ref()?;
        match self.needs(app, token, Some(account.id)).await {
            Ok(false) => told(Kind::OAuth1, self.invalidate(app, token).await),
            Ok(true) => Some(
                "Its OAuth 1.0a token was not revoked: the app's owner is it, and uses it on."
                    .to_owned(),
            ),
            Err(error) => told(Kind::OAuth1, Err(error)),
        }
    }

    async fn end_its_pair(&self, app: &App, account: &Account) -> Option<String> {
        if !account.has_oauth2() {
            return None;
        }
        let tokens = StoredTokens::new(self.store.clone(), self.sealer.clone());
        let pair: Option<TokenPair> = match tokens.load(account.id).await {
            Ok(pair) => pair,
            Err(error) => {
                return Some(format!("Its OAuth 2.0 tokens were not revoked: {error}."));
            }
        };
        told(Kind::OAuth2, self.revoke(app, &pair?).await)
    }
}

/// A credential that X does not know any more has ended as it should.
fn told(kind: Kind, ended: Result<(), LinkError>) -> Option<String> {
    let error = ended.err()?;
    if error.is_dead_credential() {
        return None;
    }
    let words = error.words().map(|it| format!(" ({it})"));
    Some(format!(
        "Its {} credential was not revoked: {error}{}",
        kind.name(),
        words.unwrap_or_default()
    ))
}
