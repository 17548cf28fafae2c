//! Asks X what our accounts have written since the backup, and lets their commands go by that.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::found::{self, Message, Place};
use super::{Restored, time};
use crate::domain::account::{Account, App};
use crate::domain::event::Effect;
use crate::domain::ids::AccountId;
use crate::flow::reads::charge;
use crate::flow::reply::{self, result_name};
use crate::flow::rules::LiveRules;
use crate::flow::watch::{Board, Subject, Trouble};
use crate::store::{Store, StoreError};
use crate::telemetry::metrics;
use crate::x::client::{
    Auth, CallError, Client, Detail, Page, PageToken, Reply, Resources, Since, Span, Until,
};

/// Most items of a page.
const PAGE: u32 = 100;
/// Until an account is asked for again that X did not tell of.
const AGAIN: Duration = Duration::from_secs(30);
/// How often it is looked whether something is due.
const TICK: Duration = Duration::from_millis(500);
/// X's clock and ours may differ, and posts bear the second in which they were made.
const EARLIER: SignedDuration = SignedDuration::from_secs(10);
const CODES: [&str; 1] = ["RESTORED"];

type Found = HashMap<Place, Vec<Message>>;

/// Why an account's messages are not known.
#[derive(Debug, thiserror::Error)]
enum Unread {
    #[error(transparent)]
    Call(#[from] CallError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How far an account is.
#[derive(Default)]
struct Progress {
    found: Found,
    /// It was read once: when the second look is due. Two are needed, as after any call of which the
    /// end is not known.
    second_at: Option<Instant>,
    /// Not before.
    next: Option<Instant>,
}

/// See the module.
pub struct Look {
    store: Store,
    rules: LiveRules,
    client: Arc<Client>,
    board: Board,
    progress: HashMap<AccountId, Progress>,
}

impl Look {
    pub fn new(store: Store, rules: LiveRules, client: Arc<Client>, board: Board) -> Self {
        Self {
            store,
            rules,
            client,
            board,
            progress: HashMap::new(),
        }
    }

    /// Looks, where the store was restored, until `stop`. A call under way is dropped then: a read
    /// changes nothing at X.
    pub async fn run(mut self, stop: CancellationToken) {
        stop.run_until_cancelled(self.work()).await;
        // To be done early is no fault.
        stop.cancelled().await;
    }

    async fn work(&mut self) {
        loop {
            let pause = match self.round().await {
                Ok(None) => return,
                Ok(Some(pause)) => pause,
                Err(error) => {
                    tracing::warn!(%error, "what X has since the backup waits");
                    AGAIN
                }
            };
            sleep(pause).await;
        }
    }

    /// What is due; how long until the next round, `None` where nothing is left to do.
    async fn round(&mut self) -> Result<Option<Duration>, StoreError> {
        let restored = self.store.read(Restored::read).await?;
        let Some(restored) = restored else {
            return Ok(None);
        };
        let now = Timestamp::now();
        self.show(&restored, now);
        if restored.open.is_empty() {
            if now < restored.watched_until() {
                return Ok(Some(AGAIN));
            }
            self.store
                .write(|tx| tx.forget_metas(found::PREFIX))
                .await?;
            return Ok(None);
        }
        // What was on its way to X when the backup's successor ended may show late.
        let first = SignedDuration::try_from(self.rules.now().first_read).unwrap_or_default();
        if now < time(restored.began).saturating_add(first).unwrap_or(now) {
            return Ok(Some(TICK));
        }
        for account in &restored.open {
            self.step(*account, &restored).await?;
        }
        Ok(Some(TICK))
    }

    fn show(&self, restored: &Restored, now: Timestamp) {
        metrics::set_restoring(restored.open.len());
        for account in self.rules.now().registry.accounts() {
            let waits = restored.open.contains(&account.id);
            let trouble = waits.then(|| trouble(account, restored));
            let subject = Subject::Account(account.id);
            self.board.set(&subject, &CODES, trouble, now);
        }
    }

    async fn step(&mut self, id: AccountId, restored: &Restored) -> Result<(), StoreError> {
        let rules = self.rules.now();
        let account = rules.registry.account(id.0);
        let Some((app, account)) = account.and_then(|it| Some((rules.registry.app_of(it)?, it)))
        else {
            // Its commands end with it.
            return self.finish(id, Found::new()).await;
        };
        let now = Instant::now();
        let mut progress = self.progress.remove(&id).unwrap_or_default();
        if progress.next.is_some_and(|next| now < next) {
            self.progress.insert(id, progress);
            return Ok(());
        }
        match self.read(app, account, restored.since()).await {
            Ok(found) => {
                for (place, messages) in found {
                    progress.found.entry(place).or_default().extend(messages);
                }
                match progress.second_at {
                    Some(_) => return self.finish(id, progress.found).await,
                    None => {
                        let second = Instant::now() + rules.second_read;
                        progress.second_at = Some(second);
                        progress.next = Some(second);
                    }
                }
            }
            Err(Unread::Store(error)) => return Err(error),
            Err(Unread::Call(error)) => {
                tracing::warn!(account.id = %id, %error, "X does not tell what it has since the backup");
                progress.next = Some(Instant::now() + self.refused(account, &error).await?);
            }
        }
        self.progress.insert(id, progress);
        Ok(())
    }

    /// X did not tell; how long to wait.
    async fn refused(&self, account: &Account, error: &CallError) -> Result<Duration, StoreError> {
        let (rules, at) = (self.rules.now(), Timestamp::now());
        let (account, told) = (account.clone(), error.clone());
        self.store
            .write(move |tx| reply::cannot_look(tx, &rules, &account, &told, at))
            .await?;
        let until = match error {
            CallError::RateLimited { until, .. } => *until,
            _ => None,
        };
        let wait = until.map(|until| until.duration_since(at));
        let wait = wait.and_then(|wait| Duration::try_from(wait).ok());
        Ok(wait.unwrap_or(AGAIN).max(Duration::from_secs(1)))
    }

    async fn finish(&mut self, id: AccountId, found: Found) -> Result<(), StoreError> {
        let (rules, at) = (self.rules.now(), Timestamp::now());
        let done = self
            .store
            .write(move |tx| {
                if let Some(mut restored) = Restored::read(tx)? {
                    restored.open.remove(&id);
                    restored.write(tx)?;
                }
                for (place, messages) in found {
                    found::keep(tx, id, &place, messages)?;
                }
                reply::settle_restored(tx, &rules, id, at)
            })
            .await?;
        tracing::warn!(
            account.id = %id,
            at_x = done.at_x,
            to_send = done.absent,
            "what X has since the backup is looked up: sending goes on"
        );
        Ok(())
    }

    /// All that the account has written since the backup.
    async fn read(&self, app: &App, account: &Account, since: Timestamp) -> Result<Found, Unread> {
        let since = since.saturating_sub(EARLIER).unwrap_or(since);
        let mut found = Found::new();
        let mut next = None;
        loop {
            let span = Span {
                since: Since::Time(since),
                until: Until::Now,
                page: next.as_ref(),
                max_results: PAGE,
                detail: Detail::Plain,
            };
            let auth = Auth::Account { app, account };
            let reply = self.client.own_posts(auth, account.id, &span).await;
            next = self.take(account, reply, since, &mut found).await?;
            if next.is_none() {
                break;
            }
        }
        loop {
            let (page, detail) = (next.as_ref(), Detail::Plain);
            let asked = self
                .client
                .direct_message_events(app, account, page, PAGE, detail);
            match self.take(account, asked.await, since, &mut found).await {
                // Who may not read them cannot send any.
                Err(Unread::Call(CallError::Refused(refusal))) => {
                    tracing::warn!(account.id = %account.id, error = %refusal.upstream, "X shows no direct messages");
                    break;
                }
                page => next = page?,
            }
            if next.is_none() {
                break;
            }
        }
        Ok(found)
    }

    /// Pays for a page and keeps what is ours of it; where the next one begins.
    async fn take(
        &self,
        account: &Account,
        reply: Reply<Page>,
        since: Timestamp,
        found: &mut Found,
    ) -> Result<Option<PageToken>, Unread> {
        metrics::count_call(reply.call.name(), result_name(&reply.result));
        self.bill(account.id, reply.resources).await?;
        let page = reply.result?;
        let mut older = false;
        let activities = page.deliveries.iter();
        for activity in activities.flat_map(|it| &it.normalized.activities) {
            if let Some((place, message)) = found::own(account.id, activity, since) {
                found.entry(place).or_default().push(message);
            }
            older |= found::is_older(activity, since);
        }
        Ok(page.next.filter(|_| !older))
    }

    async fn bill(&self, account: AccountId, read: Resources) -> Result<(), StoreError> {
        let (prices, at) = (self.rules.now().prices.calls.clone(), Timestamp::now());
        self.store
            .write(move |tx| charge(tx, &prices, account, read, at).map(drop))
            .await
    }
}

fn trouble(account: &Account, restored: &Restored) -> Trouble {
    Trouble {
        code: "RESTORED",
        effect: Effect::StopsSending,
        since: Some(time(restored.began)),
        sentence: format!(
            "The store was restored from a backup of {}: nothing is sent for @{} until X was asked \
             what it has of it since then.",
            restored.since(),
            account.username
        ),
        fix: "Wait a minute or two: it goes on by itself. If it lasts, X does not let the account \
              read its own posts or messages: see the other faults."
            .to_owned(),
        fix_url: String::new(),
    }
}
