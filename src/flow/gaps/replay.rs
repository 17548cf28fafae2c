//! Has X deliver again: one job at a time for a webhook, whose end comes to the webhook itself.

use jiff::{SignedDuration, Timestamp};

use super::window::{self, Next};
use super::{LONG_PAUSE, SHORT_PAUSE, Step, after, pause};
use crate::domain::account::App;
use crate::domain::ids::WebhookId;
use crate::flow::reply::result_name;
use crate::settings::webhook_path;
use crate::store::{GapEnd, GapMethod, ReplayOrder, StoreError};
use crate::telemetry::metrics;
use crate::x::client::{CallError, Obstacle, ReplayJob, Reply, Webhook};

/// How often a span is ordered before its messages are read.
const ATTEMPTS: u32 = 3;

/// Where X is to deliver.
enum Target {
    Webhook(WebhookId),
    /// Not now.
    Later(Timestamp, String),
    /// It has no webhook of ours, or does not tell.
    Nowhere(String),
}

/// What to do about an order that X did not take.
#[derive(Debug, PartialEq)]
enum Refused {
    Wait(Timestamp),
    /// An attempt that failed.
    Again,
    /// It may run all the same: its end will tell.
    Unclear,
    Reads,
}

impl Step<'_> {
    /// The next span of the gap.
    pub(super) async fn replay_next(&self, app: &App) -> Result<bool, StoreError> {
        match window::next(self.span(), self.gap.filled, self.now) {
            Next::Order { from, until } => self.order(app, from, until).await,
            Next::Wait(at) => {
                let note = format!("X replays what is half an hour old: from {at:.0} on.");
                self.wait(at, note).await
            }
            Next::TooOld(at) => self.leave_oldest_to_reads(at).await,
            Next::Complete => self.close_as_replayed().await,
        }
    }

    async fn order(
        &self,
        app: &App,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<bool, StoreError> {
        let webhook = match self.target(app).await {
            Target::Webhook(id) => id,
            Target::Later(at, note) => return self.wait(at, note).await,
            Target::Nowhere(why) => return self.leave_to_reads(why).await,
        };
        let mut order = ReplayOrder {
            job: String::new(),
            from,
            until,
            at: self.now,
        };
        // Deliveries may begin before X's answer is here.
        self.note(order.clone()).await?;
        let client = &self.gaps.client;
        let reply = client.replay_webhook(app, webhook, from, until).await;
        metrics::count_call(reply.call.name(), result_name(&reply.result));
        match &reply.result {
            Ok(job) => {
                order.job.clone_from(&job.id);
                tracing::info!(app = app.name, %from, %until, job.id, "X replays a gap");
                self.note(order).await
            }
            Err(error) => self.refused(&reply, error).await,
        }
    }

    async fn note(&self, order: ReplayOrder) -> Result<bool, StoreError> {
        let id = self.gap.id;
        self.write(move |tx| tx.put_replay(id, &order)).await
    }

    async fn refused(
        &self,
        reply: &Reply<ReplayJob>,
        error: &CallError,
    ) -> Result<bool, StoreError> {
        let why = format!("X did not begin a replay: {error}");
        match refused(reply.obstacle(), error, self.now) {
            Refused::Wait(at) => {
                let id = self.gap.id;
                self.write(move |tx| tx.drop_replay(id)).await?;
                self.wait(at, why).await
            }
            Refused::Again => self.failed(None, why).await,
            Refused::Unclear => Ok(true),
            Refused::Reads => self.leave_to_reads(why).await,
        }
    }

    /// Looks for the end of the job.
    pub(super) async fn await_replay(&self, order: &ReplayOrder) -> Result<bool, StoreError> {
        let mut ends = self.sight.ends.iter();
        let end = ends.find(|end| {
            let is_its = match order.job.as_str() {
                // Nobody else orders replays to our webhook.
                "" => end.at >= order.at,
                job => end.job == job,
            };
            end.app == self.gap.app && is_its
        });
        let patience = SignedDuration::try_from(self.gaps.settings.replay_end_within);
        let waited = self.now.duration_since(order.at);
        match end {
            Some(end) if end.complete => self.replayed(end.job.clone()).await,
            Some(end) => {
                let why = "X's replay ended incomplete.".to_owned();
                self.failed(Some(end.job.clone()), why).await
            }
            None if patience.is_ok_and(|patience| waited > patience) => {
                let why = "The end of X's replay did not come.".to_owned();
                self.failed(None, why).await
            }
            None => Ok(false),
        }
    }

    async fn replayed(&self, job: String) -> Result<bool, StoreError> {
        let (id, app) = (self.gap.id, self.gap.app.clone());
        self.write(move |tx| {
            tx.forget_replay_end(&app, &job)?;
            tx.end_replay(id, true)
        })
        .await
    }

    /// The span is ordered again, or read in the end. `job`: whose end was looked at.
    async fn failed(&self, job: Option<String>, why: String) -> Result<bool, StoreError> {
        let (id, app) = (self.gap.id, self.gap.app.clone());
        let attempts = self.gap.attempts + 1;
        tracing::warn!(app, attempts, why, "a replay failed");
        let pause = SignedDuration::from_mins((attempts - 1).into());
        let next_at = after(self.now, pause);
        self.write(move |tx| {
            if let Some(job) = job {
                tx.forget_replay_end(&app, &job)?;
            }
            tx.end_replay(id, false)?;
            match attempts < ATTEMPTS {
                true => tx.delay_gap(id, Some(next_at), &why),
                false => {
                    tx.delay_gap(id, None, &why)?;
                    tx.set_gap_method(id, Some(GapMethod::Reads))
                }
            }
        })
        .await
    }

    async fn close_as_replayed(&self) -> Result<bool, StoreError> {
        let end = GapEnd::Filled(GapMethod::Replay);
        self.close(end, "X delivered it again.".to_owned()).await
    }

    /// What lies before `at` is too old for X's replay.
    async fn leave_oldest_to_reads(&self, at: Timestamp) -> Result<bool, StoreError> {
        if at >= self.gap.until {
            let why = "X replays the last 24 hours only.".to_owned();
            return self.leave_to_reads(why).await;
        }
        let id = self.gap.id;
        self.write(move |tx| {
            let rest = tx.split_gap(id, at)?;
            tx.set_gap_method(rest, Some(GapMethod::Replay))?;
            tx.set_gap_method(id, Some(GapMethod::Reads))
        })
        .await
    }

    /// The webhook of the app that is ours.
    async fn target(&self, app: &App) -> Target {
        let reply = self
            .gaps
            .client
            .webhooks(app, app.owner_token.as_ref())
            .await;
        metrics::count_call(reply.call.name(), result_name(&reply.result));
        let webhooks = match reply.result {
            Ok(webhooks) => webhooks,
            Err(error) => {
                let why = format!("X does not tell the app's webhooks: {error}");
                return match pause(&error, self.now) {
                    Some(at) => Target::Later(at, why),
                    None => Target::Nowhere(why),
                };
            }
        };
        let base = self.gaps.settings.public_url.as_deref();
        match ours(&webhooks, base, &app.name) {
            Some(webhook) if webhook.valid => Target::Webhook(webhook.id),
            // The watch over webhooks has it validated.
            Some(_) => {
                let why = "X does not deliver to the app's webhook: it is invalid.".to_owned();
                Target::Later(after(self.now, SHORT_PAUSE), why)
            }
            None => Target::Nowhere("The app has no webhook of ours at X.".to_owned()),
        }
    }
}

/// Which webhook is ours: by its whole URL where that is known, else by its path.
fn ours<'w>(webhooks: &'w [Webhook], base: Option<&str>, app: &str) -> Option<&'w Webhook> {
    let path = webhook_path(app);
    let is_ours = |url: &str| match base {
        Some(base) => url == format!("{}{path}", base.trim_end_matches('/')),
        None => url.ends_with(&path),
    };
    webhooks.iter().find(|webhook| is_ours(&webhook.url))
}

fn refused(obstacle: Option<Obstacle>, error: &CallError, now: Timestamp) -> Refused {
    match (obstacle, error) {
        (Some(Obstacle::ReplayRunning), _) => Refused::Wait(after(now, SHORT_PAUSE)),
        (Some(Obstacle::Crc(_)), _) => Refused::Again,
        (Some(Obstacle::ClockOff), _) => Refused::Wait(after(now, LONG_PAUSE)),
        (_, CallError::Uncertain { .. }) => Refused::Unclear,
        _ => pause(error, now).map_or(Refused::Reads, Refused::Wait),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::x::client::{LimitScope, Refusal, RefusalReason, UncertainBecause, Upstream};

    fn webhook(id: &str, url: &str) -> Webhook {
        Webhook {
            id: id.parse().unwrap(),
            url: url.to_owned(),
            valid: true,
            created_at: None,
        }
    }

    #[test]
    fn our_webhook_is_known_by_its_url() {
        let webhooks = [
            webhook("1", "https://other.example/webhooks/twitter/acme"),
            webhook("2", "https://desk.example/webhooks/twitter/acme"),
        ];
        let found = |base, app| ours(&webhooks, base, app).map(|it| it.id.to_string());
        let ours = found(Some("https://desk.example/"), "acme");
        assert_eq!(ours.as_deref(), Some("2"));
        assert_eq!(found(Some("https://desk.example"), "other"), None);
        assert_eq!(found(None, "acme").as_deref(), Some("1"));
        assert_eq!(found(None, "cme"), None);
    }

    #[test]
    fn a_refused_order_waits_or_is_left_to_reads() {
        let now: Timestamp = "2026-09-01T10:00:00Z".parse().unwrap();
        let upstream = Box::<Upstream>::default;
        let refusal = |reason| {
            let upstream = upstream();
            CallError::Refused(Refusal { reason, upstream })
        };
        let invalid = refusal(RefusalReason::Invalid);
        let running = refused(Some(Obstacle::ReplayRunning), &invalid, now);
        assert_eq!(running, Refused::Wait(after(now, SHORT_PAUSE)));
        assert_eq!(
            refused(Some(Obstacle::ReplayWindow), &invalid, now),
            Refused::Reads
        );
        let not_offered = refusal(RefusalReason::NotOffered);
        assert_eq!(
            refused(Some(Obstacle::NotInTier), &not_offered, now),
            Refused::Reads
        );
        let until = after(now, LONG_PAUSE * 2);
        let limited = CallError::RateLimited {
            until: Some(until),
            scope: LimitScope::Window,
            upstream: upstream(),
        };
        assert_eq!(refused(None, &limited, now), Refused::Wait(until));
        let lost = CallError::Uncertain {
            reason: UncertainBecause::TimedOut,
            upstream: None,
        };
        assert_eq!(refused(None, &lost, now), Refused::Unclear);
    }
}
