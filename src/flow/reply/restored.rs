//! Commands of a store that was restored: what is unfinished in it may be at X by now, and what
//! comes anew may have come before. See `flow::restored`.

use jiff::Timestamp;

use super::outcome::{Case, Verdict};
use super::retry::look_call;
use super::revoked::{self, YOUNG};
use super::settle::{self, write_call};
use super::step::new_send;
use crate::domain::account::Account;
use crate::domain::command::FailureCode;
use crate::domain::ids::AccountId;
use crate::flow::restored::{Restored, found};
use crate::flow::rules::Rules;
use crate::store::{CommandState, Hold, SendRow, SendState, StoreError, Tx, Wait};
use crate::x::client::CallError;

/// What became of the unfinished commands of an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Settled {
    /// All or some of it was found at X.
    pub at_x: u64,
    /// Nothing of it was.
    pub absent: u64,
}

/// Puts everything that is unfinished in doubt, the pending as well: it may have been sent after the
/// backup was made. How many commands that are.
pub(crate) fn doubt(
    tx: &Tx<'_>,
    rules: &Rules,
    since: Timestamp,
    at: Timestamp,
) -> Result<u64, StoreError> {
    let mut count = 0;
    for waiting in tx.open_commands()? {
        if waiting.account.is_none() || waiting.hold == Hold::Erasing {
            continue;
        }
        if let Some(case) = Case::open(tx, waiting.sequence)? {
            doubt_one(tx, rules, &case, since, at)?;
            count += 1;
        }
    }
    Ok(count)
}

fn doubt_one(
    tx: &Tx<'_>,
    rules: &Rules,
    case: &Case,
    since: Timestamp,
    at: Timestamp,
) -> Result<(), StoreError> {
    let send = next_send(tx, rules, case, since)?;
    let (state, call) = match &send {
        Some(send) => {
            tx.put_send(send)?;
            (CommandState::Uncertain, look_call(send))
        }
        // To delete and to hide once more is harmless.
        None => (CommandState::Pending, write_call(case)),
    };
    let wait = Wait {
        state,
        hold: Hold::Restored,
        call: call.name(),
        next_attempt_at: at,
        // X's answer that it is gone already is then that of one that was sent before.
        attempt: case.row.attempt.max(1),
    };
    tx.set_waiting(case.sequence(), &wait)?;
    tx.touch_command(case.sequence())
}

/// The next part that is not known to be at X, as one of which nothing is settled. Where it has not
/// been begun, as far as we know, it may have been right after the backup was made: whatever is in
/// the store came before that, and what comes now may have come before.
fn next_send(
    tx: &Tx<'_>,
    rules: &Rules,
    case: &Case,
    since: Timestamp,
) -> Result<Option<SendRow>, StoreError> {
    let sends = tx.sends(case.sequence())?;
    let is_done = |part: u32| {
        let mut sends = sends.iter();
        sends.any(|send| send.part == part && send.state == SendState::Done)
    };
    let part = (1..=case.plan.part_count()).find(|part| !is_done(*part));
    match part.zip(case.row.waiting.account) {
        Some((part, account)) => {
            let send = new_send(tx, rules, case, (account, part), since)?;
            Ok(Some(SendRow {
                state: SendState::Uncertain,
                doubted: true,
                ..send
            }))
        }
        None => Ok(None),
    }
}

/// Settles by what was found at X what of a command is there: all its parts in order. Whether
/// anything was.
fn claim(
    tx: &mut Tx<'_>,
    rules: &Rules,
    sequence: u64,
    since: Timestamp,
    at: Timestamp,
) -> Result<bool, StoreError> {
    let mut claimed = false;
    loop {
        let Some(case) = Case::open(tx, sequence)? else {
            return Ok(claimed);
        };
        let Some(mut send) = next_send(tx, rules, &case, since)? else {
            return Ok(claimed);
        };
        let mut message = found::take(tx, &send)?;
        let fallback = case.plan.fallback_parent.map(|parent| parent.to_string());
        if let Some(parent) = fallback.filter(|_| message.is_none() && send.part > 1) {
            send.target = parent;
            message = found::take(tx, &send)?;
        }
        let Some(message) = message else {
            return Ok(claimed);
        };
        settle::sent(tx, rules, send, message, at)?;
        claimed = true;
    }
}

/// Lets the commands of an account go on, now that it is known what X has of it.
pub(crate) fn settle_restored(
    tx: &mut Tx<'_>,
    rules: &Rules,
    account: AccountId,
    at: Timestamp,
) -> Result<Settled, StoreError> {
    let mut settled = Settled::default();
    let Some(restored) = Restored::read(tx)? else {
        return Ok(settled);
    };
    for sequence in tx.held_commands(Hold::Restored)? {
        let row = tx.command(sequence)?;
        if row.is_none_or(|row| row.waiting.account != Some(account)) {
            continue;
        }
        match claim(tx, rules, sequence, restored.since(), at)? {
            true => settled.at_x += 1,
            false => settled.absent += 1,
        }
        if let Some(case) = Case::open(tx, sequence)? {
            go_on(tx, rules, &case, at)?;
        }
    }
    Ok(settled)
}

/// What is not at X goes on as if it had been held: at once while it is young, else a person looks
/// at it first.
fn go_on(tx: &Tx<'_>, rules: &Rules, case: &Case, at: Timestamp) -> Result<(), StoreError> {
    let sequence = case.sequence();
    for send in tx.sends(sequence)? {
        if send.state == SendState::Uncertain {
            tx.put_send(&SendRow {
                state: SendState::Absent,
                ended_at: Some(at),
                ..send
            })?;
        }
    }
    let young = at.duration_since(case.row.waiting.received_at) < YOUNG;
    let hold = match held_otherwise(tx, rules, case)? {
        Hold::None if !young => Hold::Person,
        hold => hold,
    };
    let wait = Wait {
        state: CommandState::Pending,
        hold,
        call: write_call(case).name(),
        next_attempt_at: at,
        attempt: case.row.attempt,
    };
    tx.set_waiting(sequence, &wait)?;
    tx.touch_command(sequence)
}

fn held_otherwise(tx: &Tx<'_>, rules: &Rules, case: &Case) -> Result<Hold, StoreError> {
    let account = case.row.waiting.account;
    let Some(account) = account.and_then(|id| rules.registry.account(id.0)) else {
        return Ok(Hold::None);
    };
    let files = super::accept::needs_files(tx, case.sequence(), &case.plan)?;
    rules.hold_now(tx, account, files)
}

/// A command that has just come may be the repeat of one that was lost with the store's newest part.
pub(super) fn compare(
    tx: &mut Tx<'_>,
    rules: &Rules,
    sequence: u64,
    account: Option<AccountId>,
    at: Timestamp,
) -> Result<(), StoreError> {
    let restored = Restored::read(tx)?;
    let Some((restored, account)) = restored.zip(account) else {
        return Ok(());
    };
    if !restored.is_watched(account, at) {
        return Ok(());
    }
    if claim(tx, rules, sequence, restored.since(), at)? {
        tracing::info!(
            command.sequence = sequence,
            "a command was at X before the restore"
        );
    }
    Ok(())
}

/// X does not tell what it has of an account. What waits for that beyond its time ends.
pub(crate) fn cannot_look(
    tx: &mut Tx<'_>,
    rules: &Rules,
    account: &Account,
    error: &CallError,
    at: Timestamp,
) -> Result<(), StoreError> {
    if let CallError::Unauthorized {
        upstream,
        revoked_for_sure: true,
    } = error
    {
        let reason = format!("X does not accept its credential: {upstream}.");
        revoked::note_of(tx, account, reason, at)?;
    }
    for sequence in tx.held_commands(Hold::Restored)? {
        let Some(case) = Case::open(tx, sequence)? else {
            continue;
        };
        let waiting = &case.row.waiting;
        let is_over = waiting.state == CommandState::Uncertain && waiting.expires_at <= at;
        if waiting.account == Some(account.id) && is_over {
            let detail = "The store was restored from a backup, and it could not be looked up \
                          whether this was sent after that was made.";
            let verdict = Verdict::failed(FailureCode::Uncertain, "", detail);
            case.finish(tx, rules, verdict, at)?;
            tx.touch_command(sequence)?;
        }
    }
    Ok(())
}
