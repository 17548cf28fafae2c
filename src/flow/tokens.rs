//! The newest OAuth 2.0 pair of each account, sealed in the store.

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use crate::domain::account::TokenPair;
use crate::domain::ids::AccountId;
use crate::sealing::{Sealer, TooLong, WrongKeyOrDamaged};
use crate::store::{Store, StoreError, Tx};
use crate::x::client::{TokenVault, VaultError};

/// How long a renewal is given, and by how much longer than its call.
const RENEWAL: Duration = Duration::from_secs(25);
const RENEWAL_MARGIN: Duration = Duration::from_secs(5);
/// How often is looked whether another process has renewed a pair.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// Keeps pairs for the client.
pub struct StoredTokens {
    store: Store,
    sealer: Sealer,
    /// Of this one among those that may renew pairs.
    name: String,
    /// How long a renewal may take before another may be tried.
    renewal: Duration,
}

/// A pair as it is sealed.
#[derive(Serialize, Deserialize)]
struct Written {
    access_token: String,
    refresh_token: String,
    /// Seconds since 1970.
    expires_at: i64,
    scopes: String,
}

/// Why a pair cannot be kept or had.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the pair was {0}; link the account again, or restore secrets.key")]
    Sealed(#[from] WrongKeyOrDamaged),
    #[error("the pair cannot be read")]
    Unreadable(#[from] serde_json::Error),
    #[error(transparent)]
    TooLong(#[from] TooLong),
}

impl StoredTokens {
    pub fn new(store: Store, sealer: Sealer) -> Self {
        Self {
            store,
            sealer,
            name: format!("{:016x}", rand::random::<u64>()),
            renewal: RENEWAL,
        }
    }

    /// With another time limit for the call that renews a pair.
    #[must_use]
    pub fn renewing_within(self, call_timeout: Duration) -> Self {
        Self {
            renewal: call_timeout + RENEWAL_MARGIN,
            ..self
        }
    }

    async fn wait_for_others(&self, account: AccountId) -> Result<(), StoreError> {
        loop {
            let (name, lasts) = (self.name.clone(), self.renewal);
            let now = Timestamp::now();
            let reserve = move |tx: &mut Tx<'_>| tx.reserve_renewal(account, &name, lasts, now);
            match self.store.write(reserve).await? {
                None => return Ok(()),
                Some(wait) => sleep(wait.min(LOOK_AGAIN)).await,
            }
        }
    }

    async fn read(&self, account: AccountId) -> Result<Option<TokenPair>, Fault> {
        let state = self.store.read(move |tx| tx.account_state(account)).await?;
        let Some(sealed) = state.tokens else {
            return Ok(None);
        };
        open(&self.sealer, account, &sealed).map(Some)
    }

    async fn write(&self, account: AccountId, pair: TokenPair) -> Result<(), Fault> {
        let sealed = seal(&self.sealer, account, &pair)?;
        self.store
            .write(move |tx| {
                let mut state = tx.account_state(account)?;
                state.tokens = Some(sealed);
                tx.put_account_state(account, &state)?;
                tx.end_renewal(account)
            })
            .await?;
        Ok(())
    }
}

/// Seals a pair as [`StoredTokens`] reads it.
///
/// # Errors
/// For a pair beyond all measure.
pub(super) fn seal(
    sealer: &Sealer,
    account: AccountId,
    pair: &TokenPair,
) -> Result<Vec<u8>, TooLong> {
    let text = |secret: &SecretString| secret.expose_secret().to_owned();
    let written = Written {
        access_token: text(&pair.access_token),
        refresh_token: text(&pair.refresh_token),
        expires_at: pair.expires_at.as_second(),
        scopes: pair.scopes.clone(),
    };
    // Four strings and numbers always make JSON.
    let json = SecretString::from(serde_json::json!(written).to_string());
    sealer.seal(&purpose(account), json.expose_secret().as_bytes())
}

/// Opens a pair that [`seal`] made.
///
/// # Errors
/// When it was sealed with another key, or damaged.
pub(super) fn open(sealer: &Sealer, account: AccountId, sealed: &[u8]) -> Result<TokenPair, Fault> {
    let open = sealer.open(&purpose(account), sealed)?;
    let written: Written = serde_json::from_slice(open.expose_secret())?;
    Ok(TokenPair {
        access_token: written.access_token.into(),
        refresh_token: written.refresh_token.into(),
        expires_at: Timestamp::from_second(written.expires_at).unwrap_or(Timestamp::UNIX_EPOCH),
        scopes: written.scopes,
    })
}

fn purpose(account: AccountId) -> String {
    format!("oauth2:{account}")
}

impl TokenVault for StoredTokens {
    fn load(&self, account: AccountId) -> BoxFuture<'_, Result<Option<TokenPair>, VaultError>> {
        async move {
            let read = self.read(account).await;
            read.map_err(|fault| VaultError(Box::new(fault)))
        }
        .boxed()
    }

    fn reserve(&self, account: AccountId) -> BoxFuture<'_, Result<(), VaultError>> {
        async move {
            let reserved = self.wait_for_others(account).await;
            reserved.map_err(|error| VaultError(Box::new(error)))
        }
        .boxed()
    }

    fn save(&self, account: AccountId, pair: TokenPair) -> BoxFuture<'_, Result<(), VaultError>> {
        async move {
            let written = self.write(account, pair).await;
            written.map_err(|fault| VaultError(Box::new(fault)))
        }
        .boxed()
    }
}
