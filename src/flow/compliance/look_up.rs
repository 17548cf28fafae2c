//! Posts looked up by id, for apps that may not have jobs: X charges each.

use std::sync::Arc;

use jiff::Timestamp;

use super::job::{LOOKED_BACK, counted};
use super::noting::{self, LookedFor};
use super::{Checks, Progress, Setback};
use crate::domain::account::App;
use crate::domain::event::{DetectedBy, GoneBecause};
use crate::domain::ids::{AccountId, TweetId};
use crate::flow::reads;
use crate::flow::rules::Rules;
use crate::store::{CheckRow, LookUp, Tx};
use crate::x::client::{Auth, Detail, Missing, PostsFound, RefusalReason};

/// Ids of one call.
const PAGE: usize = 100;

impl Checks {
    /// Whose posts are looked up first.
    pub(super) fn first_account(&self, app: &App) -> Option<AccountId> {
        next_account(&self.rules.now(), app, None)
    }

    /// Looks up the next posts of an account; after the last ones, and at its budget, the next
    /// account's follow.
    pub(super) async fn look_up(
        &self,
        rules: &Arc<Rules>,
        app: &App,
        check: &CheckRow,
        at: LookUp,
        now: Timestamp,
    ) -> Result<Progress, Setback> {
        let Some(auth @ Auth::Account { account, .. }) = rules.auth(Some(at.account)) else {
            return Ok(next_step(rules, app, check, at));
        };
        let since = now.saturating_sub(LOOKED_BACK).unwrap_or(Timestamp::MIN);
        let page = move |tx: &Tx<'_>| tx.published_posts(at.account, at.before, since, PAGE);
        let ids = self.store.read(page).await?;
        let Some(last) = ids.last().copied() else {
            return Ok(next_step(rules, app, check, at));
        };
        if reads::is_over_budget(&self.store, account, now).await? {
            tracing::info!(account.id = %account.id, "the budget ends a compliance check");
            return Ok(next_step(rules, app, check, at));
        }
        let reply = self.client.posts(auth, &ids, Detail::Plain).await;
        let (read, charged_by) = (reply.resources, Arc::clone(rules));
        let charge = move |tx: &mut Tx<'_>| {
            reads::charge(tx, &charged_by.prices.calls, at.account, read, now).map(drop)
        };
        self.store.write(charge).await?;
        let found = gone(&counted(reply)?, now);
        let looked_for = LookedFor::new(rules, app, DetectedBy::Lookup);
        noting::note(&self.store, &looked_for, found, now).await?;
        let before = Some(last);
        Ok(step(check, LookUp { before, ..at }))
    }
}

fn next_step(rules: &Rules, app: &App, check: &CheckRow, at: LookUp) -> Progress {
    match next_account(rules, app, Some(at.account)) {
        Some(account) => {
            let before = None;
            step(check, LookUp { account, before })
        }
        None => Progress::Done,
    }
}

fn step(check: &CheckRow, at: LookUp) -> Progress {
    Progress::Step(CheckRow {
        look_up: Some(at),
        ..check.clone()
    })
}

/// In the order of their ids.
fn next_account(rules: &Rules, app: &App, after: Option<AccountId>) -> Option<AccountId> {
    let accounts = rules.registry.accounts_of(&app.name).map(|it| it.id);
    accounts
        .filter(|id| after.is_none_or(|after| *id > after))
        .min()
}

/// The posts of which X says why it does not show them. An answer that cannot be read whole proves
/// no absence.
fn gone(found: &PostsFound, now: Timestamp) -> Vec<(TweetId, GoneBecause, Timestamp)> {
    if !found.unreadable.is_empty() {
        return Vec::new();
    }
    let missing = found.missing.iter();
    missing
        .filter_map(|it| Some((it.id, because(it)?, now)))
        .collect()
}

fn because(missing: &Missing<TweetId>) -> Option<GoneBecause> {
    match missing.reason {
        RefusalReason::Deleted | RefusalReason::NotFound => Some(GoneBecause::Deleted),
        RefusalReason::Protected => Some(GoneBecause::Protected),
        RefusalReason::Suspended => Some(GoneBecause::Suspended),
        _ => None,
    }
}
