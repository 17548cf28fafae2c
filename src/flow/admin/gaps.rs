//! Gaps: how they stand, filled on request, and what is lost acknowledged.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{AdminError, Page, write};
use crate::domain::access::Actor;
use crate::domain::ids::AccountId;
use crate::domain::registry::Registry;
use crate::flow::gaps::{self, Estimate, REACH};
use crate::flow::rules::Rules;
use crate::store::{Gap, GapReason, NewGap, Store, StoreError, Tx};

/// What is to be filled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub app: String,
    /// For this account alone, by reads; `None`: for all of the app, by X's replay where that goes.
    pub account: Option<AccountId>,
    /// At most [`REACH`] ago.
    pub from: Timestamp,
    pub until: Timestamp,
    pub reason: GapReason,
}

/// Gaps, newest first; those before an id where given, and only `open` ones if so.
///
/// # Errors
/// When the store cannot be read.
pub async fn list(
    store: &Store,
    open: bool,
    before: Option<u64>,
    limit: usize,
) -> Result<Page<Gap>, StoreError> {
    let read = move |tx: &Tx<'_>| tx.gap_page(open, before, limit + 1);
    let rows = store.read(read).await?;
    Ok(Page::cut(rows, limit, |gap| gap.id))
}

/// Has the running service fill a time; the gap, as it is now. It may have become one with another
/// that was not begun.
///
/// # Errors
/// [`AdminError::NotFound`] for an app or account that is not linked, [`AdminError::Refused`] for a
/// time that cannot be filled, and when the store cannot be used.
pub async fn fill(
    store: &Store,
    registry: &Registry,
    wanted: Wanted,
    who: Actor,
    now: Timestamp,
) -> Result<Gap, AdminError> {
    check_place(registry, &wanted)?;
    check_time(&wanted, now)?;
    let open = move |tx: &mut Tx<'_>| {
        let detail = json!({
            "account": wanted.account,
            "from": wanted.from.to_string(),
            "to": wanted.until.to_string(),
        });
        tx.audit(&who, "gap.fill", &wanted.app, &detail, now)?;
        let id = gaps::open(
            tx,
            &NewGap {
                app: wanted.app,
                account: wanted.account,
                from: wanted.from,
                until: wanted.until,
                reason: wanted.reason,
                at: now,
            },
        )?;
        tx.gap(id)
    };
    let opened = write(store, open).await?;
    opened.ok_or_else(|| AdminError::NotFound("the gap is gone already".to_owned()))
}

fn check_place(registry: &Registry, wanted: &Wanted) -> Result<(), AdminError> {
    let app = &wanted.app;
    if !registry.apps().iter().any(|it| it.name == *app) {
        return Err(AdminError::NotFound(format!("There is no app {app}.")));
    }
    let Some(id) = wanted.account else {
        return Ok(());
    };
    match registry.account(id.0) {
        Some(account) if account.app == *app => Ok(()),
        _ => {
            let why = format!("The account {id} is not linked through the app {app}.");
            Err(AdminError::NotFound(why))
        }
    }
}

fn check_time(wanted: &Wanted, now: Timestamp) -> Result<(), AdminError> {
    let refused = |why: &str| Err(AdminError::Refused(why.to_owned()));
    if wanted.from >= wanted.until {
        return refused("`from` has to be before `to`.");
    }
    if wanted.until > now {
        return refused("`to` is in the future: what has not happened cannot be missing.");
    }
    if now.duration_since(wanted.from) > REACH {
        return refused("X's lists are read back seven days: `from` is too long ago.");
    }
    Ok(())
}

/// What reading an account's messages of the last `span` would cost.
///
/// # Errors
/// When the store cannot be read.
pub async fn price(
    store: &Store,
    rules: Arc<Rules>,
    account: AccountId,
    span: SignedDuration,
    now: Timestamp,
) -> Result<Estimate, StoreError> {
    let from = now.saturating_sub(span).unwrap_or(now);
    let read =
        move |tx: &Tx<'_>| gaps::estimate(tx, &rules.prices.calls, account, (from, now), now);
    store.read(read).await
}

/// Ends the notice that something of a gap is lost.
///
/// # Errors
/// [`AdminError::NotFound`] where nothing is, and when the store cannot be used.
pub async fn acknowledge(
    store: &Store,
    id: u64,
    who: Actor,
    now: Timestamp,
) -> Result<(), AdminError> {
    let mark = move |tx: &mut Tx<'_>| {
        let known = tx.acknowledge_gap(id, now)?;
        if known {
            tx.audit(&who, "gap.acknowledge", &id.to_string(), &Value::Null, now)?;
        }
        Ok(known)
    };
    match write(store, mark).await? {
        true => Ok(()),
        false => {
            let why = format!("There is no gap {id} of which something is lost.");
            Err(AdminError::NotFound(why))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_past_time_within_reach_can_be_filled() {
        let now: Timestamp = "2026-09-10T12:00:00Z".parse().unwrap();
        let hours = SignedDuration::from_hours;
        let check = |from, until| {
            let wanted = Wanted {
                app: "acme".to_owned(),
                account: None,
                from: now - hours(from),
                until: now - hours(until),
                reason: GapReason::ByHand,
            };
            check_time(&wanted, now).is_ok()
        };
        assert!(check(7 * 24, 0));
        assert!(!check(7 * 24 + 1, 0));
        assert!(!check(1, 1));
        assert!(!check(1, 2));
        assert!(!check(1, -1));
    }
}
