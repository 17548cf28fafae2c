//! For whom X delivers to our webhook: compared with the accounts in force, and brought in line.

use std::collections::{BTreeMap, BTreeSet};

use super::activity::{self, Plan, TAG, Wanted, kinds, plan};
use super::{Setup, SetupError};
use crate::domain::account::{Account, App, Delivery};
use crate::domain::ids::{AccountId, SubscriptionId, UserId, WebhookId};
use crate::domain::registry::Registry;
use crate::flow::reply::result_name;
use crate::store::StoreError;
use crate::telemetry::metrics;
use crate::x::client::{
    ActivityKind, ActivitySubscription, CallError, LimitScope, NotSent, Obstacle, Reply,
};

/// Subscriptions in a page, and pages that are read at most: more than X allows anybody.
const PAGE: u32 = 1_000;
const MOST_PAGES: usize = 200;
/// Subscriptions that are deleted at once.
const MOST_IDS: usize = 100;

/// What an account does not get of what it should.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Lack {
    /// `None`: everything.
    pub(super) kind: Option<ActivityKind>,
    pub(super) why: Why,
}

/// Why X does not deliver it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Why {
    /// It was not there; it has been made anew, or is being so.
    Lost,
    /// It leads to another's webhook.
    Taken(WebhookId),
    Refused(Option<Obstacle>, CallError),
}

/// What a look at the subscriptions of an app found.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Of each account; one that gets everything is not in it.
    pub(super) lacks: BTreeMap<AccountId, Vec<Lack>>,
    /// Led here by somebody else.
    pub(super) foreign: BTreeSet<String>,
    /// How many were made or changed.
    pub(super) repaired: usize,
}

/// What a look is for.
pub(super) struct Look<'a> {
    pub(super) app: &'a App,
    pub(super) registry: &'a Registry,
    pub(super) webhook: WebhookId,
    /// Webhooks of the app that are somebody else's.
    pub(super) others: BTreeSet<WebhookId>,
    /// Accounts with a credential that X accepts.
    pub(super) accounts: Vec<&'a Account>,
    /// Of these nothing is tried this time; their subscriptions are looked at.
    pub(super) resting: BTreeSet<AccountId>,
}

impl Look<'_> {
    fn account(&self, id: AccountId) -> Option<&Account> {
        self.accounts.iter().find(|it| it.id == id).copied()
    }
}

impl Setup {
    /// Brings the subscriptions of an app in line. An error is of the look at them; what was
    /// refused of repairs is in [`Seen`].
    pub(super) async fn keep_subscriptions(&self, look: &Look<'_>) -> Result<Seen, SetupError> {
        let app = look.app.name.clone();
        let ours = self.store.read(move |tx| tx.subscribed_accounts(&app));
        let ours: BTreeSet<_> = ours.await?.into_iter().collect();
        let mut seen = match look.app.delivery {
            Delivery::Activity => self.keep_activity(look, &ours).await?,
            Delivery::AccountActivity | Delivery::AccountActivityV1 { .. } => {
                self.keep_account_activity(look, &ours).await?
            }
        };
        let fresh = look.accounts.iter().map(|account| account.id);
        let fresh: Vec<_> = fresh.filter(|id| !ours.contains(id)).collect();
        for id in fresh {
            // What was never there is not lost.
            if let Some(lacks) = seen.lacks.get_mut(&id) {
                lacks.retain(|lack| lack.why != Why::Lost);
            }
            seen.lacks.retain(|_, lacks| !lacks.is_empty());
            if !seen.lacks.contains_key(&id) || seen.repaired > 0 {
                self.note_subscribed(look.app, id, true).await?;
            }
        }
        Ok(seen)
    }

    /// Ends what X delivers for an account, while its app is still known; how many subscriptions
    /// that were. For the moment before it is unlinked.
    ///
    /// # Errors
    /// X's, when one of them is left.
    pub async fn unsubscribe(&self, app: &App, account: AccountId) -> Result<usize, SetupError> {
        let Ok(own) = self.own() else {
            return Ok(0);
        };
        let url = own.url.webhook(&app.name);
        let listed = self.listed(app).await?.into_iter();
        let ours: Vec<_> = listed.filter(|it| it.url == url).map(|it| it.id).collect();
        let ended = match app.delivery {
            Delivery::Activity => {
                let existing = self.activity_subscriptions(app).await?.into_iter();
                let is_ours = |it: &ActivitySubscription| {
                    let leads_here = it.webhook.is_some_and(|at| ours.contains(&at));
                    it.user == Some(account.0) && (leads_here || it.tag == TAG)
                };
                let ids: Vec<_> = existing.filter(is_ours).map(|it| it.id).collect();
                self.end_activity(app, &ids).await?
            }
            Delivery::AccountActivity | Delivery::AccountActivityV1 { .. } => {
                let mut ended = 0;
                for webhook in ours {
                    ended += usize::from(self.end_account_activity(app, webhook, account.0).await?);
                }
                ended
            }
        };
        self.note_subscribed(app, account, false).await?;
        tracing::info!(app = app.name, account.id = %account, ended, "X delivers nothing more for an account");
        Ok(ended)
    }

    /// The same for who unlinks an account, to whom only X's refusals say something.
    ///
    /// # Errors
    /// X's, when one of them is left.
    pub async fn end_subscriptions(&self, app: &App, account: AccountId) -> Result<(), CallError> {
        match self.unsubscribe(app, account).await {
            Ok(_) => Ok(()),
            Err(SetupError::X { error, .. }) => Err(error),
            Err(other) => {
                let reason = NotSent::Unaskable(other.to_string());
                Err(CallError::NotSent { reason })
            }
        }
    }

    async fn note_subscribed(
        &self,
        app: &App,
        account: AccountId,
        subscribed: bool,
    ) -> Result<(), StoreError> {
        let app = app.name.clone();
        self.store
            .write(move |tx| tx.note_subscribed(&app, account, subscribed))
            .await
    }

    /// Account Activity: one subscription brings everything of an account.
    async fn keep_account_activity(
        &self,
        look: &Look<'_>,
        ours: &BTreeSet<AccountId>,
    ) -> Result<Seen, SetupError> {
        let (app, webhook) = (look.app, look.webhook);
        let reply = self.client.account_subscribers(app, webhook).await;
        let there = SetupError::of("listing subscriptions", reply)?;
        let mut seen = Seen::default();
        let missing = look.accounts.iter();
        for account in missing.filter(|account| !there.contains(&account.id.0)) {
            let mut why = Why::Lost;
            if !look.resting.contains(&account.id) {
                let reply = self.client.subscribe_account(app, account, webhook).await;
                match refused(app, &reply) {
                    Some((Some(Obstacle::DuplicateSubscription), _)) => continue,
                    Some((obstacle, error)) => why = Why::Refused(obstacle, error),
                    None => seen.repaired += 1,
                }
            }
            seen.lacks
                .insert(account.id, vec![Lack { kind: None, why }]);
        }
        for user in there {
            let id = AccountId(user);
            if look.registry.accounts_of(&app.name).any(|it| it.id == id) {
                continue;
            }
            if !ours.contains(&id) {
                seen.foreign.insert(format!("everything of {user}"));
                continue;
            }
            self.end_account_activity(app, webhook, user).await?;
            self.note_subscribed(app, id, false).await?;
            seen.repaired += 1;
            metrics::count_repair(&app.name, "unsubscribed", "done");
        }
        Ok(seen)
    }

    /// Whether it was there.
    async fn end_account_activity(
        &self,
        app: &App,
        webhook: WebhookId,
        user: UserId,
    ) -> Result<bool, SetupError> {
        let reply = self.client.unsubscribe_account(app, webhook, user).await;
        match SetupError::of("ending a subscription", reply) {
            Err(error) if error.obstacle() == Some(Obstacle::NoSuchSubscription) => Ok(false),
            ended => ended.map(|()| true),
        }
    }

    async fn keep_activity(
        &self,
        look: &Look<'_>,
        ours: &BTreeSet<AccountId>,
    ) -> Result<Seen, SetupError> {
        let existing = self.activity_subscriptions(look.app).await?;
        let linked: BTreeSet<_> = look
            .registry
            .accounts_of(&look.app.name)
            .map(|account| account.id)
            .collect();
        let mut wanted = BTreeSet::new();
        for account in look.registry.accounts_of(&look.app.name) {
            let kinds = kinds(look.registry, account).into_iter();
            wanted.extend(kinds.map(|kind| (account.id, kind)));
        }
        let known = ours.union(&linked).copied().collect();
        let plan = plan(&existing, &wanted, &known, look.webhook, &look.others);
        let mut seen = self.carry_out(look, &plan).await?;
        seen.foreign = plan.foreign;
        for gone in ours.difference(&linked) {
            self.note_subscribed(look.app, *gone, false).await?;
        }
        Ok(seen)
    }

    async fn carry_out(&self, look: &Look<'_>, plan: &Plan) -> Result<Seen, SetupError> {
        let mut seen = Seen::default();
        for (wish, at) in &plan.taken {
            seen.lacks(look, *wish, Why::Taken(*at));
        }
        // First those that go, to make room.
        seen.repaired += self.end_activity(look.app, &plan.surplus).await?;
        for (id, wish) in &plan.point {
            let why = self.point(look, *id, *wish).await;
            seen.tried(look, *wish, why);
        }
        let mut given_up = BTreeSet::new();
        for wish in &plan.create {
            let why = match given_up.contains(&wish.0) {
                true => Some(Why::Lost),
                false => self.subscribe(look, *wish).await,
            };
            // The next kind of this account would be refused for the same reason.
            if let Some(Why::Refused(obstacle, error)) = &why
                && is_of_account(*obstacle, error)
            {
                given_up.insert(wish.0);
            }
            seen.tried(look, *wish, why);
        }
        Ok(seen)
    }

    /// `None`: done.
    async fn point(&self, look: &Look<'_>, id: SubscriptionId, wish: Wanted) -> Option<Why> {
        if look.resting.contains(&wish.0) {
            return Some(Why::Lost);
        }
        let (app, webhook) = (look.app, look.webhook);
        let reply = self
            .client
            .update_activity_subscription(app, id, webhook, TAG)
            .await;
        refused(app, &reply).map(|(obstacle, error)| Why::Refused(obstacle, error))
    }

    /// `None`: done.
    async fn subscribe(&self, look: &Look<'_>, (id, kind): Wanted) -> Option<Why> {
        let account = look.account(id).filter(|it| !look.resting.contains(&it.id));
        let Some(account) = account else {
            return Some(Why::Lost);
        };
        let (app, webhook) = (look.app, look.webhook);
        let reply = self
            .client
            .subscribe_activity(app, account, kind, webhook, activity::TAG)
            .await;
        refused(app, &reply).map(|(obstacle, error)| Why::Refused(obstacle, error))
    }

    async fn activity_subscriptions(
        &self,
        app: &App,
    ) -> Result<Vec<ActivitySubscription>, SetupError> {
        let (mut all, mut page) = (Vec::new(), None);
        for _page in 0..MOST_PAGES {
            let reply = self
                .client
                .activity_subscriptions(app, PAGE, page.as_deref())
                .await;
            let found = SetupError::of("listing subscriptions", reply)?;
            if found.unreadable > 0 {
                let unreadable = found.unreadable;
                tracing::warn!(
                    app = app.name,
                    unreadable,
                    "X lists subscriptions that cannot be read"
                );
            }
            all.extend(found.subscriptions);
            page = found.next;
            if page.is_none() {
                break;
            }
        }
        Ok(all)
    }

    /// How many were ended; one that is gone already counts as well.
    async fn end_activity(&self, app: &App, ids: &[SubscriptionId]) -> Result<usize, SetupError> {
        for some in ids.chunks(MOST_IDS) {
            let reply = self.client.delete_activity_subscriptions(app, some).await;
            let done = SetupError::of("ending subscriptions", reply)?;
            for (id, words) in done.left {
                tracing::info!(app = app.name, subscription = %id, words, "X did not end a subscription");
            }
            metrics::count_repair(&app.name, "unsubscribed", "done");
        }
        Ok(ids.len())
    }
}

impl Seen {
    fn lacks(&mut self, look: &Look<'_>, (id, kind): Wanted, why: Why) {
        // Accounts whose credential is dead have a fault of their own.
        if look.account(id).is_some() {
            let kind = Some(kind);
            self.lacks.entry(id).or_default().push(Lack { kind, why });
        }
    }

    /// What was not there, and what became of making it.
    fn tried(&mut self, look: &Look<'_>, wish: Wanted, why: Option<Why>) {
        if why.is_none() {
            self.repaired += 1;
        }
        self.lacks(look, wish, why.unwrap_or(Why::Lost));
    }
}

/// Counts the repair; `None` where it was done.
fn refused<T>(app: &App, reply: &Reply<T>) -> Option<(Option<Obstacle>, CallError)> {
    metrics::count_call(reply.call.name(), result_name(&reply.result));
    let result = if reply.result.is_ok() {
        "done"
    } else {
        "refused"
    };
    metrics::count_repair(&app.name, "subscribed", result);
    let error = reply.result.as_ref().err()?;
    Some((reply.obstacle(), error.clone()))
}

/// Whether X would refuse any other kind of the account, too.
fn is_of_account(obstacle: Option<Obstacle>, error: &CallError) -> bool {
    let is_limit = matches!(
        obstacle,
        Some(Obstacle::SubscriptionLimit | Obstacle::NotInTier)
    );
    is_limit || is_for_now(error) || matches!(error, CallError::Unauthorized { .. })
}

/// Whether waiting helps.
pub(super) fn is_for_now(error: &CallError) -> bool {
    match error {
        CallError::NotSent { .. } | CallError::Unavailable { .. } | CallError::Uncertain { .. } => {
            true
        }
        CallError::RateLimited { scope, .. } => *scope != LimitScope::Cap,
        CallError::CreditsDepleted { .. }
        | CallError::Unauthorized { .. }
        | CallError::Refused(_) => false,
    }
}
