//! OAuth 2.0 user context. A refresh token works once, so a pair must never be lost: one refresh
//! at a time for each account, carried to its end even if nobody waits any more, and the new pair
//! stored before it is used.

use std::collections::HashMap;
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio_util::task::TaskTracker;

use super::Clock;
use super::bearer::basic;
use crate::domain::account::{Account, App, TokenPair};
use crate::domain::ids::AccountId;
use crate::x::client::Leave;
use crate::x::client::error::{CallError, NotSent};
use crate::x::client::transport::{Answer, Transport, read_object};
use crate::x::wire::answer::Token;

/// An access token is not used in its last minute: it might end on the way.
const MARGIN: Duration = Duration::from_secs(60);
/// Life of an access token where X does not say: what its documents say.
const USUAL_LIFE: u32 = 7_200;

/// Where OAuth 2.0 pairs live, encrypted. Implemented by what owns the store.
pub trait TokenVault: Send + Sync + 'static {
    /// The pair of an account; `None` before its first refresh.
    fn load(&self, account: AccountId) -> BoxFuture<'_, Result<Option<TokenPair>, VaultError>>;
    /// Makes sure that nobody else renews the pair of an account: waits until the one who does has
    /// saved it, or was given up. Holds until the pair is saved, or for as long as a call may take.
    fn reserve(&self, account: AccountId) -> BoxFuture<'_, Result<(), VaultError>>;
    /// Keeps the pair in place of the one before it; durable when it returns.
    fn save(&self, account: AccountId, pair: TokenPair) -> BoxFuture<'_, Result<(), VaultError>>;
}

/// The store of tokens cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct VaultError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// What is known of one account's pair.
#[derive(Debug, Default)]
struct Held {
    pair: Option<TokenPair>,
    /// It came from X, but the vault does not have it yet.
    unsaved: bool,
    /// X did not take its access token.
    refused: bool,
}

/// The pairs of all accounts.
pub(in crate::x::client) struct Tokens {
    vault: Arc<dyn TokenVault>,
    clock: Clock,
    tasks: TaskTracker,
    leave: Leave,
    accounts: StdMutex<HashMap<AccountId, Arc<Mutex<Held>>>>,
}

impl Tokens {
    pub(in crate::x::client) fn new(
        vault: Arc<dyn TokenVault>,
        clock: Clock,
        tasks: TaskTracker,
    ) -> Self {
        Self {
            vault,
            clock,
            tasks,
            leave: Arc::new(|| true),
            accounts: StdMutex::default(),
        }
    }

    pub(in crate::x::client) fn set_leave(&mut self, leave: Leave) {
        self.leave = leave;
    }

    /// Forgets what is known of all accounts. What X gave and the vault does not have yet stays.
    pub(in crate::x::client) fn forget_all(&self) {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        accounts.retain(|_, slot| slot.try_lock().map_or(true, |held| held.unsaved));
    }

    /// An access token that X should take.
    pub(in crate::x::client) async fn access(
        &self,
        app: &App,
        account: &Account,
        transport: &Transport,
    ) -> Result<SecretString, CallError> {
        let held = self.slot(account.id).lock_owned().await;
        if let Some(token) = self.usable(&held) {
            return Ok(token);
        }
        let refresh = Refresh::new(self, app, account, transport)?;
        // A task of its own: dropping it half-way could lose the pair for good.
        let task = self.tasks.spawn(refresh.run(held));
        task.await.unwrap_or_else(|error| {
            let lost = NotSent::RefreshLost(error.to_string());
            Err(lost.into())
        })
    }

    /// X did not take this access token, though its time is not over: the next call gets another.
    pub(in crate::x::client) async fn refused(&self, account: AccountId, token: &SecretString) {
        let slot = self.slot(account);
        let mut held = slot.lock().await;
        let is_current = held
            .pair
            .as_ref()
            .is_some_and(|pair| pair.access_token.expose_secret() == token.expose_secret());
        held.refused |= is_current;
    }

    /// Forgets what is known of an account, so that the vault is asked again.
    pub(in crate::x::client) async fn forget(&self, account: AccountId) {
        *self.slot(account).lock().await = Held::default();
    }

    fn slot(&self, account: AccountId) -> Arc<Mutex<Held>> {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        accounts.entry(account).or_default().clone()
    }

    fn usable(&self, held: &Held) -> Option<SecretString> {
        let pair = held.pair.as_ref()?;
        let is_usable = !held.unsaved && !held.refused && is_fresh(pair, &self.clock);
        is_usable.then(|| pair.access_token.clone())
    }
}

fn is_fresh(pair: &TokenPair, clock: &Clock) -> bool {
    clock()
        < pair
            .expires_at
            .saturating_sub(MARGIN)
            .unwrap_or(pair.expires_at)
}

/// Everything that one refresh needs, owned: it outlives the call that began it.
struct Refresh {
    vault: Arc<dyn TokenVault>,
    leave: Leave,
    clock: Clock,
    transport: Transport,
    account: AccountId,
    client_id: String,
    client_secret: Option<SecretString>,
    /// From the configuration: the first token, or one from a later linking.
    seed: Option<SecretString>,
}

impl Refresh {
    fn new(
        tokens: &Tokens,
        app: &App,
        account: &Account,
        transport: &Transport,
    ) -> Result<Self, CallError> {
        let missing = NotSent::NoCredential("the app has no OAuth 2.0 client id");
        Ok(Self {
            vault: tokens.vault.clone(),
            leave: tokens.leave.clone(),
            clock: tokens.clock.clone(),
            transport: transport.clone(),
            account: account.id,
            client_id: app.client_id.clone().ok_or(missing)?,
            client_secret: app.client_secret.clone(),
            seed: account.oauth2_refresh_token.clone(),
        })
    }

    /// The slot is locked for as long as this runs.
    async fn run(self, mut held: OwnedMutexGuard<Held>) -> Result<SecretString, CallError> {
        if held.pair.is_none() {
            held.pair = self.vault.load(self.account).await.map_err(vault_fails)?;
            held.refused = false;
        }
        let is_usable = |held: &Held| {
            let fresh = held
                .pair
                .as_ref()
                .is_some_and(|pair| is_fresh(pair, &self.clock));
            fresh && !held.refused
        };
        if !is_usable(&held) && !held.unsaved {
            let reserved = self.vault.reserve(self.account).await;
            reserved.map_err(vault_fails)?;
            self.take_over(&mut held).await?;
        }
        if !is_usable(&held) && !held.unsaved {
            if !(self.leave)() {
                return Err(NotSent::NoLeave.into());
            }
            held.pair = Some(self.new_pair(&mut held).await?);
            held.refused = false;
            held.unsaved = true;
        }
        self.store(&mut held).await
    }

    /// Another process may have renewed the pair, or the account was linked again.
    async fn take_over(&self, held: &mut Held) -> Result<(), CallError> {
        let kept = self.vault.load(self.account).await.map_err(vault_fails)?;
        let token = |pair: &TokenPair| pair.refresh_token.expose_secret().to_owned();
        if kept.as_ref().map(token) != held.pair.as_ref().map(token) {
            held.pair = kept;
            held.refused = false;
        }
        Ok(())
    }

    async fn store(&self, held: &mut Held) -> Result<SecretString, CallError> {
        let Some(pair) = held.pair.clone() else {
            return Err(no_credential());
        };
        let access_token = pair.access_token.clone();
        if held.unsaved {
            let saved = self.vault.save(self.account, pair).await;
            saved.map_err(vault_fails)?;
            held.unsaved = false;
        }
        Ok(access_token)
    }

    /// By the pair's refresh token; if X refuses it, by the seed, which may come from a new
    /// linking.
    async fn new_pair(&self, held: &mut Held) -> Result<TokenPair, CallError> {
        let current = held.pair.as_ref().map(|pair| pair.refresh_token.clone());
        let seed = self.seed.clone().filter(|seed| {
            let same = |token: &SecretString| token.expose_secret() == seed.expose_secret();
            !current.as_ref().is_some_and(same)
        });
        let first = current.clone().or_else(|| seed.clone());
        let first = first.ok_or_else(no_credential)?;
        match (self.ask(&first).await, current.and(seed)) {
            (Err(CallError::Unauthorized { .. }), Some(seed)) => self.ask(&seed).await,
            (Err(refused @ CallError::Unauthorized { .. }), None) => {
                // A new linking would be in the vault.
                *held = Held::default();
                Err(refused)
            }
            (asked, _) => asked,
        }
    }

    async fn ask(&self, refresh_token: &SecretString) -> Result<TokenPair, CallError> {
        let mut form = vec![
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh_token.expose_secret()),
        ];
        let basic = self
            .client_secret
            .as_ref()
            .map(|it| basic(&self.client_id, it));
        if basic.is_none() {
            form.push(("client_id", &self.client_id));
        }
        let answer = self
            .transport
            .ask_for_token("2/oauth2/token", &form, basic.as_ref())
            .await
            .map_err(refresh_failed)?;
        self.read(&answer, refresh_token)
    }

    fn read(&self, answer: &Answer, spent: &SecretString) -> Result<TokenPair, CallError> {
        let lost = || {
            let why = "the answer holds no token".to_owned();
            CallError::from(NotSent::RefreshLost(why))
        };
        let token: Token<'_> = read_object(&answer.body).ok_or_else(lost)?;
        if token.access_token.is_empty() {
            return Err(lost());
        }
        // X's documents do not promise a new refresh token.
        let refresh_token = match &*token.refresh_token {
            "" => spent.clone(),
            new => new.into(),
        };
        Ok(pair(&token, refresh_token, (self.clock)()))
    }
}

/// What X's answer makes of a pair. `now` is when it came.
pub(in crate::x::client) fn pair(
    token: &Token<'_>,
    refresh_token: SecretString,
    now: Timestamp,
) -> TokenPair {
    let life = Duration::from_secs(token.expires_in.unwrap_or(USUAL_LIFE).into());
    TokenPair {
        access_token: token.access_token.to_string().into(),
        refresh_token,
        expires_at: now.saturating_add(life).unwrap_or(now),
        scopes: token.scope.to_string(),
    }
}

/// X's no to a refresh token means that the account has to be linked again, whatever its code.
fn refresh_failed(error: CallError) -> CallError {
    match error {
        CallError::Uncertain { .. } => NotSent::RefreshLost(error.to_string()).into(),
        CallError::Unavailable { upstream } => {
            NotSent::TokenUnavailable(upstream.to_string()).into()
        }
        // A wrong client id or secret is a 401, and would mend itself.
        CallError::Refused(refusal) => CallError::Unauthorized {
            upstream: refusal.upstream,
            revoked_for_sure: true,
        },
        other => other,
    }
}

fn vault_fails(error: VaultError) -> CallError {
    NotSent::TokenVault(error.to_string()).into()
}

fn no_credential() -> CallError {
    NotSent::NoCredential("the account has no OAuth 2.0 token").into()
}
