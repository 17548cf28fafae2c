//! Accounts whose credential X no longer accepts: their commands wait until they are linked again.

use jiff::{SignedDuration, Timestamp};
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};

use super::outcome::{Case, Verdict};
use crate::domain::account::{Account, Sending};
use crate::domain::command::FailureCode;
use crate::domain::event::{AccountRef, Event, Payload};
use crate::domain::ids::AccountId;
use crate::flow::ingest::append;
use crate::flow::rules::Rules;
use crate::store::{AccountState, CommandState, Hold, StoreError, Tx};

/// Held commands that are younger go by themselves once the hold ends; older ones wait for a person.
pub(super) const YOUNG: SignedDuration = SignedDuration::from_hours(1);

/// Notes that an account's credential is dead: once, with its commands held. Whether that is new.
pub(crate) fn note_of(
    tx: &mut Tx<'_>,
    account: &Account,
    reason: String,
    at: Timestamp,
) -> Result<bool, StoreError> {
    let state = tx.account_state(account.id)?;
    // Also those that were on their way when it was noted.
    let held_commands = tx.hold_commands(account.id, Hold::Revoked)?;
    if state.revoked_at.is_some() {
        return Ok(false);
    }
    tx.put_account_state(
        account.id,
        &AccountState {
            revoked_at: Some(at),
            ..state
        },
    )?;
    let event = Event {
        account: AccountRef {
            id: Some(account.id),
            username: account.username.clone(),
        },
        time: at,
        backfilled: false,
        payload: Payload::AccountRevoked {
            app: account.app.clone(),
            reason,
            at,
            held_commands,
        },
    };
    append(tx, event.id(), event, at)?;
    tracing::warn!(account.id = %account.id, held_commands, "X no longer accepts an account's credential");
    Ok(true)
}

/// The same, for an account known by its id.
pub(super) fn note(
    tx: &mut Tx<'_>,
    rules: &Rules,
    account: AccountId,
    reason: String,
    at: Timestamp,
) -> Result<(), StoreError> {
    match rules.registry.account(account.0) {
        Some(account) => note_of(tx, account, reason, at).map(drop),
        None => Ok(()),
    }
}

/// An account was linked, for the first time or again, and `pair` is its new one, sealed: nothing
/// that was learnt of its former credential holds.
pub(in crate::flow) fn linked_again(
    tx: &mut Tx<'_>,
    account: &Account,
    pair: Option<Vec<u8>>,
) -> Result<(), StoreError> {
    let state = AccountState {
        credential: Some(fingerprint(account).to_vec()),
        revoked_at: None,
        tokens: pair,
        ..tx.account_state(account.id)?
    };
    tx.put_account_state(account.id, &state)
}

/// Brings holds in line with the stop switches and credentials of now, at start and after a change.
pub(in crate::flow) fn review(
    tx: &mut Tx<'_>,
    rules: &Rules,
    at: Timestamp,
) -> Result<(), StoreError> {
    for account in rules.registry.accounts() {
        let mut state = tx.account_state(account.id)?;
        let credential = fingerprint(account);
        if state.credential.as_deref() != Some(&credential) {
            state.credential = Some(credential.to_vec());
            state.revoked_at = None;
            // A pair that came of another seed.
            state.tokens = None;
            tx.put_account_state(account.id, &state)?;
        }
        let young_since = at.saturating_sub(YOUNG).unwrap_or(at);
        if state.revoked_at.is_none() {
            tx.resume_commands(account.id, Hold::Revoked, young_since, at)?;
        }
        match rules.sending(account) {
            Sending::Live => tx.resume_commands(account.id, Hold::Stopped, young_since, at)?,
            Sending::Hold | Sending::Refuse => {
                tx.hold_commands(account.id, Hold::Stopped)?;
            }
        }
        if state.revoked_at.is_some() {
            tx.hold_commands(account.id, Hold::Revoked)?;
        }
    }
    for waiting in tx.open_commands()? {
        let gone = |id: AccountId| rules.registry.account(id.0).is_none();
        if waiting.account.is_some_and(gone)
            && let Some(case) = Case::open(tx, waiting.sequence)?
        {
            end_unlinked(tx, rules, &case, at)?;
        }
    }
    Ok(())
}

/// A command whose account was unlinked while it waited.
fn end_unlinked(
    tx: &mut Tx<'_>,
    rules: &Rules,
    case: &Case,
    at: Timestamp,
) -> Result<(), StoreError> {
    let (code, detail) = match case.row.waiting.state {
        CommandState::Uncertain => (
            FailureCode::Uncertain,
            "X's answer was lost, and the account is no longer linked: it cannot be looked up \
             whether it is there.",
        ),
        _ => (
            FailureCode::UnknownAccount,
            "The account is no longer linked.",
        ),
    };
    case.finish(tx, rules, Verdict::failed(code, "account_id", detail), at)
}

/// Tells credentials apart without keeping them.
fn fingerprint(account: &Account) -> [u8; 32] {
    let mut hash = Sha256::new_with_prefix("account credential:");
    if let Some(token) = &account.access_token {
        hash.update(token.token.expose_secret());
        hash.update([0]);
        hash.update(token.secret.expose_secret());
    }
    hash.update([0]);
    if let Some(seed) = &account.oauth2_refresh_token {
        hash.update(seed.expose_secret());
    }
    if let Some(linking) = account.linking {
        hash.update(linking.at.as_millisecond().to_be_bytes());
    }
    hash.finalize().into()
}
