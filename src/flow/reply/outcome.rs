//! The end of a command: its state and its event, in one transaction.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::plan::Plan;
use super::planner::Notice;
use crate::domain::command::{Action, Command, Failure, FailureCode};
use crate::domain::event::{Conversation, Customer, Event, Payload};
use crate::domain::ids::{AccountId, CommandId, ConversationId};
use crate::domain::message::MessageKind;
use crate::domain::outcome::{
    CommandRef, Deferred, Failed, Outcome, OutcomeMessage, Succeeded, Upstream,
};
use crate::flow::ingest::append;
use crate::flow::rules::{Rules, parse_conversation, recent};
use crate::store::{CommandRow, CommandState, Lane, OutcomeRow, SendKind, StoreError, Told, Tx};
use crate::telemetry::traces::{CommandTrace, SenderTrace, TraceContext};

/// A command of the ledger, read back.
pub(super) struct Case {
    pub row: CommandRow,
    pub command: Command,
    pub plan: Plan,
}

/// How a command ends.
#[derive(Clone, Debug)]
pub(super) enum Verdict {
    Succeeded {
        detail: String,
    },
    Failed {
        failure: Failure,
        upstream: Option<Upstream>,
    },
}

impl Verdict {
    pub(super) fn failed(code: FailureCode, field: &str, detail: impl Into<String>) -> Self {
        Self::Failed {
            failure: Failure {
                code,
                field: field.to_owned(),
                detail: detail.into(),
            },
            upstream: None,
        }
    }

    pub(super) fn succeeded() -> Self {
        Self::Succeeded {
            detail: String::new(),
        }
    }
}

impl From<Failure> for Verdict {
    fn from(failure: Failure) -> Self {
        Self::Failed {
            failure,
            upstream: None,
        }
    }
}

impl Case {
    /// Reads a command; `None` when there is no such one, or it has its outcome.
    pub(super) fn open(tx: &Tx<'_>, sequence: u64) -> Result<Option<Self>, StoreError> {
        let row = tx.command(sequence)?;
        let open = row.filter(|row| row.waiting.state.is_open());
        open.map(Self::read).transpose()
    }

    /// As the ledger has it.
    pub(super) fn read(row: CommandRow) -> Result<Self, StoreError> {
        let corrupt = |_| StoreError::Corrupt {
            what: "command",
            value: row.id.to_string(),
        };
        let command = serde_json::from_str(&row.content).map_err(corrupt)?;
        let plan = serde_json::from_str(&row.plan).map_err(corrupt)?;
        Ok(Self { row, command, plan })
    }

    /// Where its spans hang.
    pub(super) fn trace(&self) -> TraceContext {
        CommandTrace::of(&self.row.id, self.plan.trace.as_ref()).own
    }

    pub(super) fn sequence(&self) -> u64 {
        self.row.waiting.sequence
    }

    /// What the command is for events.
    fn outcome(&self, tx: &Tx<'_>, at: Timestamp) -> Result<Outcome, StoreError> {
        let account = self.row.waiting.account;
        Ok(Outcome {
            command: CommandRef::from(&self.command),
            name: self.command.action.name().to_owned(),
            conversation: account
                .map(|account| self.conversation(tx, account, at))
                .transpose()?
                .flatten(),
            messages: self.messages(tx, at)?,
            cost: self.row.cost,
            retry_of: self.command.retry_of.clone(),
            at,
        })
    }

    fn conversation(
        &self,
        tx: &Tx<'_>,
        account: AccountId,
        at: Timestamp,
    ) -> Result<Option<Conversation>, StoreError> {
        let id = match parse_conversation(self.plan.conversation.as_ref()) {
            Some(id) => id,
            None => match self.own_thread(tx)? {
                Some(id) => id,
                None => return Ok(None),
            },
        };
        let id = tx.survivor(account, &id)?;
        let customer = self.plan.customer.as_ref().map(|customer| Customer {
            id: customer.id,
            username: customer.username.clone(),
        });
        let related = match &customer {
            Some(customer) => tx.related(account, customer.id, &id, recent(at))?,
            None => Vec::new(),
        };
        Ok(Some(Conversation {
            id,
            customer,
            related,
        }))
    }

    /// The thread that a post which answers nothing begins.
    fn own_thread(&self, tx: &Tx<'_>) -> Result<Option<ConversationId>, StoreError> {
        let Action::SendPost(_) = self.command.action else {
            return Ok(None);
        };
        let first = tx.sends(self.sequence())?.into_iter().next();
        let message = first.and_then(|send| send.message);
        Ok(message.map(|id| ConversationId::Thread(id.as_post())))
    }

    fn messages(&self, tx: &Tx<'_>, at: Timestamp) -> Result<Vec<OutcomeMessage>, StoreError> {
        let one = |id, kind| OutcomeMessage {
            id,
            kind,
            at,
            part: 1,
            parts: 1,
        };
        Ok(match &self.command.action {
            Action::DeleteMessage { message_id } => {
                let kind = match self.plan.deletes_direct_message {
                    true => MessageKind::DirectMessage,
                    false => MessageKind::Post,
                };
                vec![one(*message_id, kind)]
            }
            Action::HideReply { message_id, .. } => {
                vec![one((*message_id).into(), MessageKind::Post)]
            }
            _ => self.sent(tx)?,
        })
    }

    /// What of it is at X.
    fn sent(&self, tx: &Tx<'_>) -> Result<Vec<OutcomeMessage>, StoreError> {
        let parts = self.plan.part_count();
        let sends = tx.sends(self.sequence())?.into_iter();
        Ok(sends
            .filter_map(|send| {
                Some(OutcomeMessage {
                    id: send.message?,
                    kind: match send.kind {
                        SendKind::Post => MessageKind::Post,
                        SendKind::DirectMessage => MessageKind::DirectMessage,
                    },
                    at: send.sent_at?,
                    part: send.part,
                    parts,
                })
            })
            .collect())
    }

    /// Ends it: no message of a deleting or hiding command that failed is named.
    pub(super) fn finish(
        &self,
        tx: &mut Tx<'_>,
        rules: &Rules,
        verdict: Verdict,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let mut outcome = self.outcome(tx, at)?;
        let (state, payload) = match verdict {
            Verdict::Succeeded { detail } => (
                CommandState::Succeeded,
                Payload::CommandSucceeded(Box::new(Succeeded { outcome, detail })),
            ),
            Verdict::Failed { failure, upstream } => {
                outcome.messages = self.sent(tx)?;
                (
                    CommandState::Failed,
                    Payload::CommandFailed(Box::new(Failed {
                        outcome,
                        failure,
                        upstream,
                    })),
                )
            }
        };
        let event = Event {
            account: rules.account_ref(self.row.waiting.account),
            time: at,
            backfilled: false,
            payload,
        };
        finish_with(tx, self.sequence(), state, event, at)
    }
}

/// The trace of the core that a command came in; `None` where there was none, or it is forgotten.
pub(crate) fn trace_of(tx: &Tx<'_>, id: &CommandId) -> Result<Option<SenderTrace>, StoreError> {
    let row = tx.command_by_id(id)?;
    let plan = row.and_then(|row| serde_json::from_str::<Plan>(&row.plan).ok());
    Ok(plan.and_then(|plan| plan.trace))
}

/// What events give back of a command of the ledger. Of one whose content is no longer kept that is
/// its id.
pub(crate) fn command_ref(tx: &Tx<'_>, sequence: u64) -> Result<Option<CommandRef>, StoreError> {
    let row = tx.command(sequence)?;
    Ok(row.map(|row| {
        let id = row.id.clone();
        match serde_json::from_str::<Command>(&row.content) {
            Ok(command) => CommandRef::from(&command),
            Err(_) => CommandRef {
                id,
                metadata: BTreeMap::new(),
                agent: None,
            },
        }
    }))
}

/// Publishes the outcome and closes the command with it.
pub(super) fn finish_with(
    tx: &mut Tx<'_>,
    sequence: u64,
    state: CommandState,
    event: Event,
    at: Timestamp,
) -> Result<(), StoreError> {
    let (id, event_type) = (event.id(), event.payload.event_type());
    append(tx, id, event, at)?;
    let body = tx.event(id)?.map(|row| row.body.to_vec());
    let outcome = OutcomeRow {
        event: id,
        event_type: event_type.to_owned(),
        body: body.unwrap_or_default(),
        finished_at: at,
    };
    tx.finish_command(sequence, state, &outcome)
}

/// Publishes the outcome of a finished command again: same id, same body.
pub(super) fn publish_again(
    tx: &mut Tx<'_>,
    row: &CommandRow,
    rules: &Rules,
    at: Timestamp,
) -> Result<(), StoreError> {
    let Some(outcome) = tx.outcome(row.waiting.sequence)? else {
        return Ok(());
    };
    let key = format!(
        "{}.{}.{}",
        outcome.event_type,
        kind_word(&row.name),
        rules.account_ref(row.waiting.account).key()
    );
    let sequence = tx.restore_event(&outcome, &key, row.id.as_str(), at)?;
    tx.enter_lane(Lane::Republish, sequence, &key, at)
}

fn kind_word(name: &str) -> &str {
    match Action::NAMES.contains(&name) {
        true => name,
        false => Action::NONE,
    }
}

/// Tells the core of waits; those that have ended meanwhile are left out.
pub(super) fn tell(
    tx: &mut Tx<'_>,
    rules: &Rules,
    notices: &[Notice],
    at: Timestamp,
) -> Result<(), StoreError> {
    for notice in notices {
        let Some(case) = Case::open(tx, notice.sequence)? else {
            continue;
        };
        let deferred = Deferred {
            command: CommandRef::from(&case.command),
            name: case.row.name.clone(),
            code: notice.code,
            detail: detail_of(notice).to_owned(),
            next_attempt_at: notice.until,
            attempt: case.row.attempt,
            told: case.row.told_count,
            at,
        };
        let event = Event {
            account: rules.account_ref(case.row.waiting.account),
            time: at,
            backfilled: false,
            payload: Payload::CommandDeferred(Box::new(deferred)),
        };
        append(tx, event.id(), event, at)?;
        let told = Told {
            code: notice.code.name().to_owned(),
            until: notice.until,
        };
        tx.set_told(notice.sequence, &told)?;
    }
    Ok(())
}

/// What a wait is for, in words.
fn detail_of(notice: &Notice) -> &'static str {
    match notice.code {
        FailureCode::RateLimited => {
            "X's limit for this account is used up; it goes when the window opens."
        }
        FailureCode::CreditsDepleted => {
            "The app's credits at X are used up; it goes once they are topped up."
        }
        FailureCode::XUnavailable => "X does not answer as it should; it is tried again.",
        FailureCode::Uncertain => {
            "X's answer is lost; it is looked up whether the message is there."
        }
        FailureCode::Unauthorized => {
            "X does not accept the account's credential; link the account again."
        }
        FailureCode::SendingStopped if notice.until.is_none() => {
            "Sending is stopped; it waits until it is resumed, or for a person to release it."
        }
        FailureCode::MediaUnreachable => "An attachment cannot be fetched yet; it is tried again.",
        _ => "It waits for an earlier message of its conversation.",
    }
}
