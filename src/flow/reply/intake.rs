//! Commands from the broker into the ledger: a batch is one transaction.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use jiff::Timestamp;
use tokio::sync::Notify;

use super::accept::{self, Accepted, Prepared};
use super::erase::FORGET_PERSON;
use super::{files, immediate};
use crate::attachments::{Attachments, Kept, TakeError};
use crate::broker::commands::{Reading, read};
use crate::broker::delivery::{Delivery, Handler, Verdict};
use crate::domain::command::{AttachmentSource, Command, InvalidCommand};
use crate::domain::ids::CommandId;
use crate::flow::rules::{LiveRules, Rules};
use crate::store::{Store, StoreError, Tx};
use crate::telemetry::metrics;
use crate::telemetry::traces::{self, CommandTrace, SenderTrace};

/// Takes commands in.
#[derive(Clone)]
pub struct Intake {
    pub(super) store: Store,
    pub(super) rules: LiveRules,
    pub(super) attachments: Attachments,
    /// Where they come from, for traces.
    pub(super) queue: String,
    /// Hears of people to be erased.
    pub(super) to_erase: Arc<Notify>,
}

/// A delivery, as far as it goes without the ledger.
enum Ready {
    Command(Box<Command>, Prepared),
    Invalid(Box<InvalidCommand>, Option<SenderTrace>),
    Dead(Verdict),
}

/// What became of a delivery.
struct Taken {
    verdict: Verdict,
    /// Its files are needed.
    used: bool,
    /// A command that was not there before.
    new: Option<&'static str>,
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
        let began = SystemTime::now();
        let traced: Vec<_> = ready.iter().map(Ready::traced).collect();
        let files: Vec<_> = ready.iter().map(Ready::files).collect();
        let rules = self.rules.now();
        let taken = self
            .store
            .write(move |tx| {
                let ready = ready.into_iter();
                ready.map(|it| take(tx, &rules, it, at)).collect()
            })
            .await;
        let taken: Vec<Taken> = taken.unwrap_or_else(|error| {
            tracing::warn!(%error, "commands wait for the store");
            Vec::new()
        });
        for (place, files) in files.into_iter().enumerate() {
            let used = taken.get(place).is_some_and(|taken| taken.used);
            if !used {
                self.discard(files).await;
            }
        }
        for (taken, traced) in taken.iter().zip(traced) {
            if let (Some(name), Some((id, trace))) = (taken.new, traced) {
                traces::took_command(&self.queue, &id, name, (&trace, began));
            }
        }
        for name in taken.iter().filter_map(|taken| taken.new) {
            metrics::count_command(name);
            if name == FORGET_PERSON {
                self.to_erase.notify_one();
            }
        }
        let mut verdicts: Vec<_> = taken.into_iter().map(|taken| taken.verdict).collect();
        verdicts.resize(batch.len(), Verdict::Later);
        verdicts
    }
}

impl Ready {
    fn files(&self) -> Vec<Kept> {
        match self {
            Self::Command(_, prepared) => prepared.kept.values().cloned().collect(),
            Self::Invalid(..) | Self::Dead(_) => Vec::new(),
        }
    }

    /// Its id and place in its trace, while traces are on.
    fn traced(&self) -> Option<(CommandId, CommandTrace)> {
        let (id, upstream) = match self {
            _ if !traces::is_on() => return None,
            Self::Command(command, prepared) => (&command.id, prepared.trace.as_ref()),
            Self::Invalid(invalid, upstream) => (&invalid.id, upstream.as_ref()),
            Self::Dead(_) => return None,
        };
        Some((id.clone(), CommandTrace::of(id, upstream)))
    }
}

fn take(tx: &mut Tx<'_>, rules: &Rules, ready: Ready, at: Timestamp) -> Result<Taken, StoreError> {
    let (name, accepted) = match ready {
        Ready::Command(command, prepared) => {
            let name = command.action.name();
            (name, accept::accept(tx, rules, *command, prepared, at)?)
        }
        Ready::Invalid(invalid, trace) => {
            let name = invalid.name;
            (
                name,
                accept::accept_invalid(tx, rules, *invalid, trace, at)?,
            )
        }
        Ready::Dead(verdict) => {
            return Ok(Taken {
                verdict,
                used: false,
                new: None,
            });
        }
    };
    let is_new = matches!(accepted, Accepted::New { .. });
    Ok(Taken {
        verdict: match accepted {
            Accepted::New { .. } | Accepted::Repeat => Verdict::Accepted,
            Accepted::Reused => Verdict::Dead {
                reason: "command-id-reused",
                detail: "A command with this id and another content came before.".to_owned(),
            },
        },
        used: is_new,
        new: is_new.then_some(name),
    })
}

impl Intake {
    async fn prepare(&self, delivery: &Delivery, at: Timestamp) -> Result<Ready, Wait> {
        let message_id = delivery.message_id.as_deref();
        let content_type = delivery.content_type.as_deref();
        let state = delivery.tracestate.as_deref();
        let upstream = SenderTrace::read(delivery.traceparent.as_deref(), state);
        match read(&delivery.body, message_id, content_type) {
            Reading::Command(command) => {
                let mut prepared = self.beforehand(&command, at).await?;
                prepared.trace = upstream;
                Ok(Ready::Command(command, prepared))
            }
            Reading::Invalid(invalid) => Ok(Ready::Invalid(invalid, upstream)),
            Reading::Unreadable { reason, detail } => {
                Ok(Ready::Dead(Verdict::Dead { reason, detail }))
            }
        }
    }

    /// Puts files that come with a command into the vault, and does what takes more than one
    /// transaction.
    async fn beforehand(&self, command: &Command, at: Timestamp) -> Result<Prepared, Wait> {
        let mut prepared = Prepared::default();
        if accept::admit(&self.rules.now(), command, at).is_ok() {
            prepared.done = immediate::beforehand(&self.store, command, at).await?;
        }
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
