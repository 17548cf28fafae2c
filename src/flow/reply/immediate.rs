//! Commands that X is not asked for: they are done when they are accepted.

use std::ops::Range;

use jiff::Timestamp;

use super::outcome::{Case, Verdict};
use crate::domain::command::{Action, Command, Failure, FailureCode};
use crate::domain::ids::{AccountId, CommandId};
use crate::flow::rules::Rules;
use crate::store::{CommandRow, CommandState, Hold, Store, StoreError, Tx};

/// Rows that one transaction changes: deliveries must not wait long behind it.
const CHUNK: usize = 500;

pub(super) fn is_immediate(action: &Action) -> bool {
    match action {
        Action::CancelCommand { .. }
        | Action::RepublishEvents { .. }
        | Action::ForgetPerson { .. } => true,
        Action::SendPost(_)
        | Action::SendDirectMessage(_)
        | Action::DeleteMessage { .. }
        | Action::HideReply { .. } => false,
    }
}

/// What takes many transactions is done before the one that accepts the command. To do it twice,
/// after a fault between, changes nothing. Tells what was done.
pub(super) async fn beforehand(
    store: &Store,
    command: &Command,
    at: Timestamp,
) -> Result<String, StoreError> {
    // Most commands are nothing of that, and are spared a read.
    let Action::RepublishEvents { from, to } = command.action else {
        return Ok(String::new());
    };
    let id = command.id.clone();
    if store.read(move |tx| tx.command_by_id(&id)).await?.is_some() {
        return Ok(String::new());
    }
    let count = republish(store, command.account, from..to, at).await?;
    Ok(format!("{count} events are published again."))
}

/// Publishes again what was written in this time, part by part; how many events.
///
/// # Errors
/// When the store cannot be used.
pub async fn republish(
    store: &Store,
    account: Option<AccountId>,
    written: Range<Timestamp>,
    at: Timestamp,
) -> Result<u64, StoreError> {
    let (mut after, mut count) = (0, 0);
    loop {
        let written = written.clone();
        let chunk = store
            .write(move |tx| tx.republish_chunk(account, written, after, CHUNK, at))
            .await?;
        count += chunk.count;
        match chunk.last {
            Some(last) => after = last,
            None => return Ok(count),
        }
    }
}

/// Ends a command that needed no call; `done` tells what was done beforehand. To erase a person
/// takes longer, and goes on by itself: other commands do not wait behind it.
pub(super) fn perform(
    tx: &mut Tx<'_>,
    rules: &Rules,
    sequence: u64,
    done: String,
    at: Timestamp,
) -> Result<(), StoreError> {
    let Some(case) = Case::open(tx, sequence)? else {
        return Ok(());
    };
    let verdict = match &case.command.action {
        Action::ForgetPerson { .. } => return tx.set_hold(sequence, Hold::Erasing, at),
        Action::CancelCommand { target } => cancel(tx, rules, target, at)?,
        _ => Verdict::Succeeded { detail: done },
    };
    case.finish(tx, rules, verdict, at)
}

/// Takes a waiting command back.
pub(super) fn cancel(
    tx: &mut Tx<'_>,
    rules: &Rules,
    target: &CommandId,
    at: Timestamp,
) -> Result<Verdict, StoreError> {
    let row = match waiting(tx, target)? {
        Ok(row) => row,
        Err(failure) => {
            let Failure {
                code,
                field,
                detail,
            } = failure;
            return Ok(Verdict::failed(code, &field, detail));
        }
    };
    let case = Case::read(row)?;
    let cancelled = Verdict::failed(FailureCode::Cancelled, "", "It was taken back.");
    case.finish(tx, rules, cancelled, at)?;
    tx.touch_command(case.sequence())?;
    Ok(Verdict::succeeded())
}

/// The command to be taken back, or why it cannot be.
pub(super) fn waiting(
    tx: &Tx<'_>,
    target: &CommandId,
) -> Result<Result<CommandRow, Failure>, StoreError> {
    let refuse = |detail| Failure {
        code: FailureCode::Invalid,
        field: "cancel_command.target_command_id".to_owned(),
        detail,
    };
    let Some(row) = tx.command_by_id(target)? else {
        return Ok(Err(refuse(format!("There is no command {target}."))));
    };
    Ok(match row.waiting.state {
        CommandState::Pending if row.waiting.hold == Hold::Erasing => {
            Err(refuse(format!("The command {target} is being done.")))
        }
        CommandState::Pending => Ok(row),
        CommandState::Sending | CommandState::Uncertain => {
            Err(refuse(format!("The command {target} is on its way to X.")))
        }
        state @ (CommandState::Succeeded | CommandState::Failed) => Err(refuse(format!(
            "The command {target} has {} already.",
            state.name()
        ))),
    })
}
