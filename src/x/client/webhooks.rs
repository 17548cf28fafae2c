//! Where X delivers to: registered, listed, validated again, deleted, and told to deliver once more
//! what it delivered before. By the paths of v2, or for Account Activity v1.1 premium by those of
//! its environment. Source of the latter: X's sample application and its old reference.

use jiff::{Timestamp, ToSpan, Unit};
use reqwest::Method;
use serde_json::json;

use super::auth::Auth;
use super::auth::oauth1::encode;
use super::call::Call;
use super::error::{CallError, NotSent, UncertainBecause};
use super::posts::{done, id, no_result, not_sent};
use super::send::Request;
use super::transport::{Answer, read_object};
use super::{Client, Reply, Resources};
use crate::domain::account::{AccessToken, App, Delivery};
use crate::domain::ids::WebhookId;
use crate::x::normalize::answers::moment;
use crate::x::wire::answer::{self, Done, Envelope};
use crate::x::wire::{Members, Raw};

/// A webhook, as X has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    pub id: WebhookId,
    pub url: String,
    /// Whether X delivers to it: its last challenge was answered well.
    pub valid: bool,
    /// `None` where X does not say it readably.
    pub created_at: Option<Timestamp>,
}

/// A replay that X has begun; its end comes to the webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayJob {
    pub id: String,
    /// `None` where X does not say it readably.
    pub created_at: Option<Timestamp>,
}

/// Whether X replays to the webhooks of a form. Its premium form of v1.1 had no such call.
pub fn offers_replay(delivery: &Delivery) -> bool {
    match delivery {
        Delivery::Activity | Delivery::AccountActivity => true,
        Delivery::AccountActivityV1 { .. } => false,
    }
}

impl Client {
    /// Makes a URL a webhook of the app, after a challenge to it, which X sends before it answers.
    /// `owner` is the token of the app's owner; v1.1 takes nothing else, v2 takes the bearer first.
    pub async fn register_webhook(
        &self,
        app: &App,
        owner: Option<&AccessToken>,
        url: &str,
    ) -> Reply<Webhook> {
        let request = match environment(app) {
            Some(label) => {
                let path = in_environment(label, "webhooks.json");
                // In a form: X's documents show it in the query, too, where others met code 32.
                Request::new(Call::V1RegisterWebhook, Method::POST, path)
                    .form(vec![("url", url.to_owned())])
            }
            None => Request::new(Call::RegisterWebhook, Method::POST, "2/webhooks")
                .json(json!({"url": url})),
        };
        if let Some(error) = owner_missing(app, owner) {
            return not_sent(request.call, error);
        }
        let sent = self.send(manager(app, owner), &request).await;
        sent.read_answer(|answer| {
            let found = inner(&answer.body, &["data"]).and_then(webhook);
            found.ok_or_else(|| answer.uncertain(UncertainBecause::NoResult))
        })
    }

    /// The webhooks of the app, or of its environment. One that cannot be read makes the whole
    /// answer unreadable: it may be what is in the way.
    pub async fn webhooks(&self, app: &App, owner: Option<&AccessToken>) -> Reply<Vec<Webhook>> {
        let request = match environment(app) {
            Some(label) => {
                let path = in_environment(label, "webhooks.json");
                Request::new(Call::V1Webhooks, Method::GET, path)
            }
            None => Request::new(Call::Webhooks, Method::GET, "2/webhooks"),
        };
        let sent = self.send(manager(app, owner), &request).await;
        sent.read_answer(|answer| {
            let found = listed_webhooks(&answer.body);
            found.ok_or_else(|| answer.uncertain(UncertainBecause::Unreadable))
        })
    }

    /// Has X challenge a webhook now, and use it again if it passes: whether it did. v1.1 does not
    /// say: its `true` means that the challenge was sent, so read the list afterwards.
    pub async fn validate_webhook(
        &self,
        app: &App,
        owner: Option<&AccessToken>,
        id: WebhookId,
    ) -> Reply<bool> {
        let Some(label) = environment(app) else {
            let path = format!("2/webhooks/{id}");
            let request = Request::new(Call::ValidateWebhook, Method::PUT, path);
            let sent = self.send(manager(app, owner), &request).await;
            return sent.read(|answer, envelope| {
                let done: Option<Done> = super::posts::data(envelope);
                let valid = done.and_then(|done| *done.valid);
                let valid = valid.ok_or_else(|| no_result(answer, envelope))?;
                Ok((valid, Resources::default()))
            });
        };
        let path = in_environment(label, &format!("webhooks/{id}.json"));
        let request = Request::new(Call::V1ValidateWebhook, Method::PUT, path);
        let sent = self.send(manager(app, owner), &request).await;
        sent.read_answer(|_| Ok(true))
    }

    /// Takes a webhook away, and every subscription with it.
    pub async fn delete_webhook(
        &self,
        app: &App,
        owner: Option<&AccessToken>,
        id: WebhookId,
    ) -> Reply<()> {
        let Some(label) = environment(app) else {
            let path = format!("2/webhooks/{id}");
            let request = Request::new(Call::DeleteWebhook, Method::DELETE, path);
            let sent = self.send(manager(app, owner), &request).await;
            return done(sent, |done| *done.deleted == Some(true));
        };
        let path = in_environment(label, &format!("webhooks/{id}.json"));
        let request = Request::new(Call::V1DeleteWebhook, Method::DELETE, path);
        if let Some(error) = owner_missing(app, owner) {
            return not_sent(request.call, error);
        }
        let sent = self.send(manager(app, owner), &request).await;
        sent.read_answer(|_| Ok(()))
    }

    /// Has X deliver again what it delivered, or tried to, from the minute of `from` to that after
    /// `to`: X's pages disagree whether the last minute counts. Both have to be within the last
    /// 24 hours, `from` at least 31 minutes and `to` at least 10 minutes ago; X advises two hours
    /// for one job. See [`offers_replay`].
    pub async fn replay_webhook(
        &self,
        app: &App,
        id: WebhookId,
        from: Timestamp,
        to: Timestamp,
    ) -> Reply<ReplayJob> {
        let call = Call::ReplayWebhook;
        if !offers_replay(&app.delivery) {
            let why = "X has no replay for Account Activity v1.1 premium";
            return not_sent(call, NotSent::Unaskable(why.to_owned()).into());
        }
        let (from, to) = match minutes(from, to) {
            Ok(minutes) => minutes,
            Err(error) => return not_sent(call, error),
        };
        let request = Request::new(call, Method::POST, "2/webhooks/replay")
            .json(json!({"webhook_id": id, "from_date": from, "to_date": to}));
        let sent = self.send(Auth::App(app), &request).await;
        sent.read_answer(replay_job)
    }
}

/// The label of v1.1.
pub(super) fn environment(app: &App) -> Option<&str> {
    match &app.delivery {
        Delivery::AccountActivityV1 { environment } => Some(environment),
        Delivery::Activity | Delivery::AccountActivity => None,
    }
}

/// A path of v1.1 premium.
pub(super) fn in_environment(label: &str, rest: &str) -> String {
    format!("1.1/account_activity/all/{}/{rest}", encode(label))
}

fn manager<'a>(app: &'a App, owner: Option<&'a AccessToken>) -> Auth<'a> {
    match owner {
        Some(token) => Auth::Owner { app, token },
        None => Auth::App(app),
    }
}

fn owner_missing(app: &App, owner: Option<&AccessToken>) -> Option<CallError> {
    let is_missing = environment(app).is_some() && owner.is_none();
    let missing = NotSent::NoCredential("X takes the OAuth 1.0a token of the app's owner only");
    is_missing.then(|| missing.into())
}

/// The member of one of these names, else the whole: v1.1 has no envelopes.
fn inner<'a>(body: &'a str, names: &[&str]) -> Option<Raw<'a>> {
    let whole: Raw<'_> = serde_json::from_str(body).ok()?;
    let members: Members<'_> = serde_json::from_str(body).unwrap_or_default();
    let wrapped = names.iter().find_map(|name| members.get(name));
    Some(wrapped.unwrap_or(whole))
}

fn webhook(raw: Raw<'_>) -> Option<Webhook> {
    let read: answer::Webhook<'_> = read_object(raw.get())?;
    Some(Webhook {
        id: id(read.id)?,
        url: read.url.to_string(),
        // X leaves out what is false or empty.
        valid: read.valid.unwrap_or(false),
        created_at: moment(&read.created_at),
    })
}

fn listed_webhooks(body: &str) -> Option<Vec<Webhook>> {
    let list = match read_object::<Envelope<'_>>(body) {
        // X leaves an empty list out.
        Some(envelope) if envelope.data.is_none() && envelope.meta.is_some() => {
            return Some(vec![]);
        }
        Some(envelope) => envelope.data?,
        None => serde_json::from_str(body).ok()?,
    };
    let list: Vec<Raw<'_>> = serde_json::from_str(list.get()).ok()?;
    list.into_iter().map(webhook).collect()
}

/// X answers in an envelope of its own name, too.
fn replay_job(answer: &Answer) -> Result<ReplayJob, CallError> {
    let raw = inner(&answer.body, &["data", "replay_event"]);
    let job: Option<answer::ReplayJob<'_>> = raw.and_then(|raw| read_object(raw.get()));
    let job = job.filter(|job| !job.job_id.is_empty());
    let job = job.ok_or_else(|| answer.uncertain(UncertainBecause::NoResult))?;
    Ok(ReplayJob {
        id: job.job_id.to_string(),
        created_at: moment(&job.created_at),
    })
}

/// As X writes them: `yyyymmddhhmm` in UTC, outwards to whole minutes.
fn minutes(from: Timestamp, to: Timestamp) -> Result<(String, String), CallError> {
    let unaskable = |why: String| CallError::from(NotSent::Unaskable(why));
    if from >= to {
        return Err(unaskable(format!("a replay from {from} to {to}")));
    }
    let written = |at: Timestamp| at.strftime("%Y%m%d%H%M").to_string();
    let whole = to
        .round(Unit::Minute)
        .map_err(|error| unaskable(error.to_string()))?;
    let after = if whole < to {
        whole + 1.minute()
    } else {
        whole
    };
    Ok((written(from), written(after)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replay_is_asked_for_in_whole_minutes_that_hold_the_times() {
        let at = |time: &str| format!("2026-09-01T{time}Z").parse::<Timestamp>().unwrap();
        for (from, to, expected) in [
            ("10:00:59.9", "11:05:01", ("202609011000", "202609011106")),
            ("10:00:00", "11:05:40", ("202609011000", "202609011106")),
            ("10:00:00", "11:05:00", ("202609011000", "202609011105")),
        ] {
            let (first, last) = minutes(at(from), at(to)).unwrap();
            assert_eq!((&*first, &*last), expected, "{from} {to}");
        }
        assert!(minutes(at("11:00:00"), at("11:00:00")).is_err());
    }
}
