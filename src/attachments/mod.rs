//! Files that commands bring along: fetched, looked at, and kept sealed until their outcome.

pub mod address;
pub mod fetch;
pub mod settings;
#[cfg(test)]
mod testing;
pub mod vault;

use serde::{Deserialize, Serialize};

use crate::domain::attachment::{Inspected, Inspector, Unfit};
use fetch::{FetchError, Fetcher};
use vault::{Deposit, FileRef, Vault, VaultError};

/// A file that X takes, in the vault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    pub file: FileRef,
    pub media: Inspected,
}

/// Why an attachment could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum TakeError {
    /// See its own codes.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// X would not take it: final.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// Our disk: try again later.
    #[error(transparent)]
    Vault(#[from] VaultError),
}

impl TakeError {
    /// Whether the same may do better a little later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Fetch(error) => error.is_retryable(),
            Self::Unfit(_) => false,
            Self::Vault(_) => true,
        }
    }
}

/// Takes attachments in; cheap to clone.
#[derive(Clone)]
pub struct Attachments {
    fetcher: Fetcher,
    vault: Vault,
}

impl Attachments {
    pub fn new(fetcher: Fetcher, vault: Vault) -> Self {
        Self { fetcher, vault }
    }

    /// Where what was taken lies.
    pub fn vault(&self) -> &Vault {
        &self.vault
    }

    /// Fetches a file. It is looked at while it comes in and nothing more is read of one that X
    /// would not take. `declared` is the command's `content_type`, or empty.
    ///
    /// # Errors
    /// [`TakeError`]; nothing is left behind then, nor when the future is dropped.
    pub async fn fetch(&self, url: &str, declared: &str) -> Result<Kept, TakeError> {
        let mut body = self.fetcher.get(url).await?;
        let mut inspector = Inspector::new(declared);
        let mut deposit = self.vault.create().await?;
        while let Some(piece) = body.chunk().await? {
            inspector.push(&piece)?;
            deposit.write(&piece).await?;
        }
        finish(inspector, deposit).await
    }

    /// Takes a file that came with the command.
    ///
    /// # Errors
    /// [`TakeError`], never of fetching.
    pub async fn keep(&self, bytes: &[u8], declared: &str) -> Result<Kept, TakeError> {
        let mut inspector = Inspector::new(declared);
        inspector.push(bytes)?;
        let mut deposit = self.vault.create().await?;
        deposit.write(bytes).await?;
        finish(inspector, deposit).await
    }
}

async fn finish(inspector: Inspector, deposit: Deposit) -> Result<Kept, TakeError> {
    let media = inspector.finish()?;
    let file = deposit.finish().await?;
    Ok(Kept { file, media })
}

#[cfg(test)]
mod tests;
