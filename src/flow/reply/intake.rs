//! Commands from the broker into the ledger: a batch is one transaction.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::accept::{self, Accepted, Prepared};
use super::rules::Rules;
use super::{files, immediate};
use crate::attachments::{Attachments, Kept, TakeError};
use crate::broker::commands::{Reading, read};
use crate::broker::delivery::{Delivery, Handler, Verdict};
use crate::domain::command::{AttachmentSource, Command, InvalidCommand};
use crate::store::{Store, StoreError, Tx};

/// Takes commands in.
#[derive(Clone)]
pub struct Intake {
    pub(super) store: Store,
    pub(super) rules: Arc<Rules>,
    pub(super) attachments: Attachments,
}

/// A delivery, as far as it goes without the ledger.
enum Ready {
    Command(Box<Command>, Prepared),
    Invalid(Box<InvalidCommand>),
    Dead(Verdict),
}

/// Why a delivery has to wait.
#[derive(Debug, thiserror::Error)]
enum Wait {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Files(TakeError),
}

impl Handler for Intake {
    async fn handle(&self, batch: Vec<Delivery>) -> Vec<Verdict> {
        let at = Timestamp::now();
        let mut ready = Vec::with_capacity(batch.len());
        for delivery in &batch {
            match self.prepare(delivery, at).await {
                Ok(prepared) => ready.push(prepared),
                // This one and those behind it are handed in again.
                Err(error) => {
                    tracing::warn!(%error, "a command waits to be taken");
                    break;
                }
            }
        }
        let files: Vec<_> = ready.iter().map(Ready::files).collect();
        let rules = Arc::clone(&self.rules);
        let taken = self
            .store
            .write(move |tx| {
                let ready = ready.into_iter();
                ready.map(|it| take(tx, &rules, it, at)).collect()
            })
            .await;
        let taken: Vec<(Verdict, bool)> = taken.unwrap_or_else(|error| {
            tracing::warn!(%error, "commands wait for the store");
            Vec::new()
        });
        for (place, files) in files.into_iter().enumerate() {
            let used = taken.get(place).is_some_and(|(_, used)| *used);
            if !used {
                self.discard(files).await;
            }
        }
        let mut verdicts: Vec<_> = taken.into_iter().map(|(verdict, _)| verdict).collect();
        verdicts.resize(batch.len(), Verdict::Later);
        verdicts
    }
}

impl Ready {
    fn files(&self) -> Vec<Kept> {
        match self {
            Self::Command(_, prepared) => prepared.kept.values().cloned().collect(),
            Self::Invalid(_) | Self::Dead(_) => Vec::new(),
        }
    }
}

/// What becomes of a delivery, and whether its files are needed.
fn take(
    tx: &mut Tx<'_>,
    rules: &Rules,
    ready: Ready,
    at: Timestamp,
) -> Result<(Verdict, bool), StoreError> {
    let accepted = match ready {
        Ready::Command(command, prepared) => accept::accept(tx, rules, *command, prepared, at)?,
        Ready::Invalid(invalid) => accept::accept_invalid(tx, rules, *invalid, at)?,
        Ready::Dead(verdict) => return Ok((verdict, false)),
    };
    Ok(match accepted {
        Accepted::New { .. } => (Verdict::Accepted, true),
        Accepted::Repeat => (Verdict::Accepted, false),
        Accepted::Reused => {
            let verdict = Verdict::Dead {
                reason: "command-id-reused",
                detail: "A command with this id and another content came before.".to_owned(),
            };
            (verdict, false)
        }
    })
}

impl Intake {
    async fn prepare(&self, delivery: &Delivery, at: Timestamp) -> Result<Ready, Wait> {
        let message_id = delivery.message_id.as_deref();
        let content_type = delivery.content_type.as_deref();
        match read(&delivery.body, message_id, content_type) {
            Reading::Command(command) => {
                let prepared = self.beforehand(&command, at).await?;
                Ok(Ready::Command(command, prepared))
            }
            Reading::Invalid(invalid) => Ok(Ready::Invalid(invalid)),
            Reading::Unreadable { reason, detail } => {
                Ok(Ready::Dead(Verdict::Dead { reason, detail }))
            }
        }
    }

    /// Puts files that come with a command into the vault, and does what takes more than one
    /// transaction.
    async fn beforehand(&self, command: &Command, at: Timestamp) -> Result<Prepared, Wait> {
        let mut prepared = Prepared {
            done: immediate::beforehand(&self.store, command, at).await?,
            ..Prepared::default()
        };
        let mut kept = BTreeMap::new();
        for (place, attachment) in accept::attachments(&command.action).iter().enumerate() {
            let AttachmentSource::Data(data) = &attachment.source else {
                continue;
            };
            let declared = &attachment.content_type;
            match self.attachments.keep(data, declared).await {
                Ok(file) => {
                    kept.insert(place, file);
                }
                Err(TakeError::Unfit(unfit)) => {
                    let unfit = TakeError::Unfit(unfit);
                    prepared.failure = Some(files::failure(&command.action, place, &unfit));
                    break;
                }
                Err(error) => {
                    self.discard(kept.into_values().collect()).await;
                    return Err(Wait::Files(error));
                }
            }
        }
        prepared.kept = kept;
        Ok(prepared)
    }

    async fn discard(&self, files: Vec<Kept>) {
        for file in files {
            if let Err(error) = self.attachments.vault().remove(&file.file.name).await {
                tracing::warn!(%error, "an attachment stays until the next start");
            }
        }
    }
}
