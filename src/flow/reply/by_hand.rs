//! What people do with commands, in a transaction of their own beside the running service: that
//! hears of it by the ledger.

use jiff::Timestamp;

use super::accept::{self, Prepared, attachments};
use super::immediate;
use super::outcome::Verdict;
use super::retry::again;
use crate::domain::command::{AttachmentSource, Command, Failure, FailureCode};
use crate::domain::ids::CommandId;
use crate::flow::rules::Rules;
use crate::store::{CommandRow, CommandState, Hold, StoreError, Tx};

/// Takes back a command that is not on its way, as `cancel_command` does.
///
/// # Errors
/// Inside, why it cannot be taken back; outside, when the store cannot be used.
pub fn cancel(
    tx: &mut Tx<'_>,
    rules: &Rules,
    id: &CommandId,
    at: Timestamp,
) -> Result<Result<(), Failure>, StoreError> {
    Ok(match immediate::cancel(tx, rules, id, at)? {
        Verdict::Succeeded { .. } => Ok(()),
        Verdict::Failed { failure, .. } => Err(failure),
    })
}

/// Lets a held command go; what will hold it again when its turn comes, [`Hold::None`] for nothing.
///
/// # Errors
/// Inside, why it is not let go; outside, when the store cannot be used.
pub fn release(
    tx: &mut Tx<'_>,
    rules: &Rules,
    id: &CommandId,
    at: Timestamp,
) -> Result<Result<Hold, Failure>, StoreError> {
    let Some(row) = tx.command_by_id(id)? else {
        return Ok(Err(refuse(format!("There is no command {id}."))));
    };
    if let Some(why) = why_not_released(&row) {
        return Ok(Err(refuse(format!("The command {id} {why}."))));
    }
    let sequence = row.waiting.sequence;
    tx.set_hold(sequence, Hold::None, at)?;
    tx.touch_command(sequence)?;
    holds_again(tx, rules, &row).map(Ok)
}

fn why_not_released(row: &CommandRow) -> Option<String> {
    match (row.waiting.state, row.waiting.hold) {
        (CommandState::Pending, Hold::Stopped | Hold::Revoked | Hold::Person) => None,
        (CommandState::Pending, Hold::Files) => {
            Some("waits for its attachments, and goes once they are fetched".to_owned())
        }
        (CommandState::Pending, Hold::Erasing) => Some("is being done".to_owned()),
        (CommandState::Pending | CommandState::Uncertain, Hold::Restored) => Some(
            "waits until X was asked what it has since the backup that the store was restored from"
                .to_owned(),
        ),
        (CommandState::Pending, Hold::None) => Some("is not held".to_owned()),
        (state @ (CommandState::Sending | CommandState::Uncertain), _) => {
            Some(format!("is {}, not held", state.name()))
        }
        (state @ (CommandState::Succeeded | CommandState::Failed), _) => {
            Some(format!("has {} already", state.name()))
        }
    }
}

fn holds_again(tx: &Tx<'_>, rules: &Rules, row: &CommandRow) -> Result<Hold, StoreError> {
    let account = row.waiting.account;
    match account.and_then(|id| rules.registry.account(id.0)) {
        Some(account) => rules.hold_now(tx, account, false),
        None => Ok(Hold::None),
    }
}

/// Repeats a failed command under the id `new`: same content, but for a time limit that has passed.
/// `force` goes ahead though the earlier one may be at X.
///
/// # Errors
/// Inside, why it cannot be repeated, and nothing is changed; outside, when the store cannot be
/// used.
pub fn retry(
    tx: &mut Tx<'_>,
    rules: &Rules,
    id: &CommandId,
    new: CommandId,
    force: bool,
    at: Timestamp,
) -> Result<Result<CommandRow, Failure>, StoreError> {
    let command = match again(tx, id)? {
        Ok(command) => command,
        Err(failure) => return Ok(Err(failure)),
    };
    let command = Command {
        id: new.clone(),
        expires_at: command.expires_at.filter(|expires| *expires > at),
        retry_of: Some(id.clone()),
        force,
        ..command
    };
    if let Some(failure) = accept::refusal(tx, rules, command.clone(), at)? {
        return Ok(Err(failure));
    }
    accept::accept(tx, rules, command, Prepared::default(), at)?;
    let row = tx.command_by_id(&new)?;
    Ok(row.ok_or_else(|| refuse(format!("The command {new} was not taken."))))
}

/// Whether files came with the command itself; they are kept until its outcome only.
pub(super) fn has_own_files(command: &Command) -> bool {
    let mut files = attachments(&command.action).iter();
    files.any(|file| matches!(file.source, AttachmentSource::Data(_)))
}

pub(super) fn refuse(detail: String) -> Failure {
    Failure {
        code: FailureCode::Invalid,
        field: String::new(),
        detail,
    }
}
