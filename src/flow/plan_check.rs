//! What each account pays X for decides how long its posts may be: asked at start and once a day.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::reads;
use super::reply::result_name;
use super::rules::{LiveRules, Rules};
use crate::domain::account::Account;
use crate::domain::ids::{AccountId, UserId};
use crate::domain::text::{LONG_POST_LIMIT, POST_LIMIT};
use crate::store::{Store, StoreError, Tx};
use crate::telemetry::metrics;
use crate::x::client::{Auth, CallError, Client, Plan, Profile, Reply, Resources};

const EVERY: Duration = Duration::from_hours(24);
const AGAIN_AFTER: Duration = Duration::from_hours(1);

/// How long the posts of each account may be by its plan, as X told last.
#[derive(Debug, Default)]
pub struct PostLimits(Mutex<HashMap<AccountId, u32>>);

impl PostLimits {
    /// What is known from before.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn load(store: &Store) -> Result<Self, StoreError> {
        let known = store.read(|tx| tx.post_limits()).await?;
        Ok(Self(Mutex::new(known.into_iter().collect())))
    }

    /// Takes what is known by now in place of what was.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn reload(&self, store: &Store) -> Result<(), StoreError> {
        *self.lock() = store
            .read(|tx| tx.post_limits())
            .await?
            .into_iter()
            .collect();
        Ok(())
    }

    /// In weighted characters.
    pub fn of(&self, account: AccountId) -> u32 {
        self.lock().get(&account).copied().unwrap_or(POST_LIMIT)
    }

    fn set(&self, account: AccountId, limit: u32) {
        self.lock().insert(account, limit);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<AccountId, u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Long posts come with Premium. X does not say whether with the plan below it, too; who knows of
/// his account sets `max_post_length`.
fn limit_of(plan: &Plan) -> u32 {
    match plan {
        Plan::Premium | Plan::PremiumPlus => LONG_POST_LIMIT,
        Plan::None | Plan::Basic | Plan::Other(_) => POST_LIMIT,
    }
}

/// Why a plan is not known.
#[derive(Debug, thiserror::Error)]
enum Unknown {
    #[error(transparent)]
    Call(#[from] CallError),
    #[error("the account's credential is that of user {0}")]
    OfAnother(UserId),
    #[error("X did not say it")]
    NotTold,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Asks for the plans of the accounts that have a credential and no limit by their settings.
pub struct PlanCheck {
    store: Store,
    rules: LiveRules,
    client: Arc<Client>,
    /// Whose failure is logged.
    failing: HashSet<AccountId>,
}

impl PlanCheck {
    pub fn new(store: Store, rules: LiveRules, client: Arc<Client>) -> Self {
        Self {
            store,
            rules,
            client,
            failing: HashSet::new(),
        }
    }

    /// Asks until `stop`. A question under way is dropped then: it changes nothing at X.
    pub async fn run(mut self, stop: CancellationToken) {
        stop.run_until_cancelled(self.ask_forever()).await;
    }

    async fn ask_forever(&mut self) {
        let mut changes = self.rules.changes();
        let mut due: HashMap<AccountId, Instant> = HashMap::new();
        loop {
            let rules = Arc::clone(&changes.borrow_and_update());
            let asked = |id: AccountId| rules.registry.account(id.0).filter(|it| is_asked(it));
            due.retain(|id, _| asked(*id).is_some());
            for account in rules.registry.accounts().filter(|it| is_asked(it)) {
                due.entry(account.id).or_insert_with(Instant::now);
            }
            let next = due.iter().min_by_key(|(_, at)| **at);
            let Some((account, at)) = next.and_then(|(id, at)| Some((asked(*id)?, *at))) else {
                // Its sender lives as long as the rules do.
                let _ = changes.changed().await;
                continue;
            };
            tokio::select! {
                _ = changes.changed() => continue,
                () = sleep_until(at) => {}
            }
            let checked = self.check(&rules, account, Timestamp::now()).await;
            let pause = if checked.is_ok() { EVERY } else { AGAIN_AFTER };
            due.insert(account.id, Instant::now() + pause);
            self.log(account, checked);
        }
    }

    /// A failure once, until it is over.
    fn log(&mut self, account: &Account, checked: Result<u32, Unknown>) {
        let id = account.id;
        match checked {
            Ok(limit) => {
                self.failing.remove(&id);
                tracing::debug!(account.id = %id, limit, "the account's plan is known");
            }
            Err(error) if self.failing.insert(id) => {
                tracing::warn!(account.id = %id, %error, "how long the account's posts may be cannot be found out");
            }
            Err(error) => {
                tracing::debug!(account.id = %id, %error, "the account's plan is still unknown")
            }
        }
    }

    /// Asks X for one account's plan, and remembers it.
    async fn check(
        &self,
        rules: &Arc<Rules>,
        account: &Account,
        now: Timestamp,
    ) -> Result<u32, Unknown> {
        let app = rules.registry.app_of(account);
        let app = app.ok_or(Unknown::NotTold)?;
        let asked = self.client.me(Auth::Account { app, account }).await;
        metrics::count_call(asked.call.name(), result_name(&asked.result));
        let read = asked.resources;
        let limit = limit_told(account.id, asked);
        let (id, told) = (account.id, limit.as_ref().ok().copied());
        // First: what X told holds also where it cannot be stored.
        if let Some(limit) = told {
            rules.post_limits.set(id, limit);
        }
        let charged_by = Arc::clone(rules);
        self.store
            .write(move |tx| {
                charge(tx, &charged_by, id, read, now)?;
                told.map_or(Ok(()), |limit| remember(tx, id, limit))
            })
            .await?;
        limit
    }
}

/// Without a credential X cannot be asked, and with a limit by the settings it need not be.
fn is_asked(account: &Account) -> bool {
    let has_credential = account.has_credential();
    has_credential && account.max_post_length.is_none()
}

fn limit_told(account: AccountId, asked: Reply<Profile>) -> Result<u32, Unknown> {
    let profile = asked.result?;
    if profile.person.id != account.0 {
        return Err(Unknown::OfAnother(profile.person.id));
    }
    let plan = profile.plan.ok_or(Unknown::NotTold)?;
    Ok(limit_of(&plan))
}

/// X charges a user once a day (UTC), however often it is read.
pub(super) fn charge(
    tx: &Tx<'_>,
    rules: &Rules,
    account: AccountId,
    read: Resources,
    now: Timestamp,
) -> Result<(), StoreError> {
    let key = format!("plan_charged.{account}");
    let today = TimeZone::UTC.to_datetime(now).date().to_string();
    if read == Resources::default() || tx.meta(&key)?.as_ref() == Some(&today) {
        return Ok(());
    }
    reads::charge(tx, &rules.prices.calls, account, read, now)?;
    tx.set_meta(&key, &today)
}

fn remember(tx: &Tx<'_>, account: AccountId, limit: u32) -> Result<(), StoreError> {
    let mut state = tx.account_state(account)?;
    if state.post_limit == Some(limit) {
        return Ok(());
    }
    state.post_limit = Some(limit);
    tx.put_account_state(account, &state)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::none(Plan::None, 280)]
    #[case::basic(Plan::Basic, 280)]
    #[case::premium(Plan::Premium, 25_000)]
    #[case::premium_plus(Plan::PremiumPlus, 25_000)]
    #[case::unheard_of(Plan::Other("PremiumMinus".to_owned()), 280)]
    fn long_posts_come_with_premium(#[case] plan: Plan, #[case] limit: u32) {
        assert_eq!(limit_of(&plan), limit);
    }

    #[test]
    fn an_account_that_was_not_asked_for_has_the_usual_limit() {
        let account = AccountId("1".parse().unwrap());
        assert_eq!(PostLimits::default().of(account), 280);
    }
}
