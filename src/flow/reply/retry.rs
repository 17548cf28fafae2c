//! A command that repeats a failed one: what reached X already is not repeated.

use jiff::Timestamp;

use super::by_hand::{has_own_files, refuse};
use super::immediate;
use super::outcome::{Case, Verdict};
use super::plan::Plan;
use crate::domain::command::{Command, Failure, FailureCode};
use crate::domain::ids::CommandId;
use crate::flow::rules::Rules;
use crate::store::{
    CommandRow, CommandState, Hold, SendKind, SendRow, SendState, StoreError, Tx, Wait,
};
use crate::x::client::Call;

/// The command to repeat, or why it cannot be.
pub(super) fn check(
    tx: &Tx<'_>,
    command: &Command,
    plan: &Plan,
    before: &CommandId,
) -> Result<Result<CommandRow, Failure>, StoreError> {
    let refuse = |detail: String| {
        Ok(Err(Failure {
            code: FailureCode::Invalid,
            field: "retry_of".to_owned(),
            detail,
        }))
    };
    let Some(row) = newest_of(tx, before)? else {
        return refuse(format!("There is no command {before}."));
    };
    let before = &row.id;
    if row.waiting.state.is_open() {
        return refuse(format!("The command {before} has no outcome yet."));
    }
    if row.name != command.action.name() {
        return refuse(format!("The command {before} is a {}.", row.name));
    }
    for send in tx
        .sends(row.waiting.sequence)?
        .iter()
        .filter(is_or_may_be_there)
    {
        let index = usize::try_from(send.part).unwrap_or(0).saturating_sub(1);
        let same = plan.parts.get(index) == Some(&send.text);
        if !same && !send.text.is_empty() {
            return refuse(format!(
                "Part {} of the command {before} is or may be at X, with another text.",
                send.part
            ));
        }
    }
    Ok(Ok(row))
}

/// What a failed command was, for a person to have it done once more.
pub(super) fn again(tx: &Tx<'_>, id: &CommandId) -> Result<Result<Command, Failure>, StoreError> {
    let Some(asked) = tx.command_by_id(id)? else {
        return Ok(Err(refuse(format!("There is no command {id}."))));
    };
    let newest = newest_of(tx, id)?.unwrap_or_else(|| asked.clone());
    let name = match newest.id == *id {
        true => format!("The command {id}"),
        false => format!("The command {id} was retried as {}, which", newest.id),
    };
    let why = match newest.waiting.state {
        CommandState::Failed => None,
        CommandState::Succeeded => Some("has succeeded: there is nothing to retry"),
        _ => Some("has no outcome yet"),
    };
    if let Some(why) = why {
        return Ok(Err(refuse(format!("{name} {why}."))));
    }
    let Ok(command) = serde_json::from_str::<Command>(&asked.content) else {
        return Ok(Err(refuse(format!(
            "The content of the command {id} is not kept: it broke a rule, or is older than \
             retention.commands. It has to be sent anew."
        ))));
    };
    if immediate::is_immediate(&command.action) {
        return Ok(Err(refuse(format!(
            "The command {id} is a {}, which does not go to X: send it anew.",
            asked.name
        ))));
    }
    if has_own_files(&command) {
        return Ok(Err(refuse(format!(
            "The attachments of the command {id} came with it and are no longer kept: it has to \
             be sent anew, with them."
        ))));
    }
    Ok(Ok(Command {
        // Where it was told by the message answered, that may be forgotten by now.
        account: asked.waiting.account.or(command.account),
        ..command
    }))
}

/// The command, or the last of those that repeated it: that one has what is at X.
fn newest_of(tx: &Tx<'_>, id: &CommandId) -> Result<Option<CommandRow>, StoreError> {
    let Some(mut row) = tx.command_by_id(id)? else {
        return Ok(None);
    };
    while let Some(next) = plan_of(&row).retried_by
        && let Some(later) = tx.command_by_id(&next)?
    {
        row = later;
    }
    Ok(Some(row))
}

/// Of one that is no longer kept, nothing.
fn plan_of(row: &CommandRow) -> Plan {
    serde_json::from_str(&row.plan).unwrap_or_default()
}

fn is_or_may_be_there(send: &&SendRow) -> bool {
    matches!(
        send.state,
        SendState::Done | SendState::Uncertain | SendState::Sending
    )
}

/// Takes over what the earlier command has at X, and looks for what it may have.
pub(super) fn begin(
    tx: &mut Tx<'_>,
    rules: &Rules,
    sequence: u64,
    before: &CommandRow,
    at: Timestamp,
) -> Result<(), StoreError> {
    tx.move_sends(before.waiting.sequence, sequence)?;
    let Some(case) = Case::open(tx, sequence)? else {
        return Ok(());
    };
    let plan = Plan {
        retried_by: Some(case.row.id.clone()),
        ..plan_of(before)
    };
    tx.set_plan(before.waiting.sequence, &plan.to_json())?;
    let sends = tx.sends(sequence)?;
    let done = sends.iter().filter(|send| send.state == SendState::Done);
    let parts = case.plan.part_count();
    if parts > 0 && done.count() == usize::try_from(parts).unwrap_or(usize::MAX) {
        return case.finish(tx, rules, Verdict::succeeded(), at);
    }
    let open = sends
        .into_iter()
        .find(|send| !matches!(send.state, SendState::Done | SendState::Absent));
    let Some(mut send) = open else {
        return Ok(());
    };
    if case.command.force {
        send.state = SendState::Absent;
        return tx.put_send(&send);
    }
    // Long after the call a single look that finds nothing tells.
    send.state = SendState::Uncertain;
    send.empty_reads = 1;
    tx.put_send(&send)?;
    tx.set_waiting(
        sequence,
        &Wait {
            state: CommandState::Uncertain,
            hold: Hold::None,
            call: look_call(&send).name(),
            next_attempt_at: at,
            attempt: 0,
        },
    )
}

/// The call that finds out whether a send is at X.
pub(super) fn look_call(send: &SendRow) -> Call {
    match (send.kind, send.target.contains('-')) {
        (SendKind::Post, _) => Call::UserPosts,
        (SendKind::DirectMessage, true) => Call::DirectMessagesWithPerson,
        (SendKind::DirectMessage, false) => Call::DirectMessagesOfConversation,
    }
}
