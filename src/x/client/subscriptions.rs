//! For whom X delivers Account Activity, by either version: everything of a user at once.

use reqwest::Method;
use serde_json::json;

use super::auth::Auth;
use super::call::Call;
use super::error::{CallError, NotSent, RefusalReason, UncertainBecause};
use super::obstacle::Obstacle;
use super::posts::{data, id, no_result, not_sent};
use super::send::{Request, Sent};
use super::transport::{Answer, read_object};
use super::webhooks::in_environment;
use super::{Client, Reply, Resources};
use crate::domain::account::{Account, App, Delivery};
use crate::domain::ids::{UserId, WebhookId};
use crate::x::wire::answer::{self, Envelope, Subscribed};

/// How many subscriptions there are and may be; `None` where X does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SubscriptionCount {
    pub used: Option<u64>,
    /// What the app's plan allows.
    pub allowed: Option<u64>,
}

/// Where the paths of the two versions part.
enum Form<'a> {
    V1(&'a str),
    V2,
}

impl Client {
    /// Subscribes the webhook, or that of the app's environment, to everything of the account.
    /// One that is there already is [`Obstacle::DuplicateSubscription`].
    pub async fn subscribe_account(
        &self,
        app: &App,
        account: &Account,
        webhook: WebhookId,
    ) -> Reply<()> {
        let request = match form(app) {
            Ok(Form::V1(label)) => {
                let path = in_environment(label, "subscriptions.json");
                Request::new(Call::V1SubscribeAccount, Method::POST, path)
            }
            Ok(Form::V2) => {
                Request::new(Call::SubscribeAccount, Method::POST, all_of(webhook)).json(json!({}))
            }
            Err(error) => return not_sent(Call::SubscribeAccount, error),
        };
        let sent = self.send(Auth::Account { app, account }, &request).await;
        stands(sent, true)
    }

    /// Whether X delivers what concerns the account to the webhook.
    pub async fn is_account_subscribed(
        &self,
        app: &App,
        account: &Account,
        webhook: WebhookId,
    ) -> Reply<bool> {
        let request = match form(app) {
            Ok(Form::V1(label)) => {
                let path = in_environment(label, "subscriptions.json");
                Request::new(Call::V1AccountSubscription, Method::GET, path)
            }
            Ok(Form::V2) => Request::new(Call::AccountSubscription, Method::GET, all_of(webhook)),
            Err(error) => return not_sent(Call::AccountSubscription, error),
        };
        let sent = self.send(Auth::Account { app, account }, &request).await;
        if is_no(&sent) {
            return sent.answered(false);
        }
        match sent.call {
            Call::V1AccountSubscription => sent.read_answer(|_| Ok(true)),
            _ => sent.read(|answer, envelope| {
                let subscribed = subscribed(answer, envelope)?;
                Ok((subscribed, Resources::default()))
            }),
        }
    }

    /// Everybody for whom X delivers to the webhook, or to that of the environment.
    pub async fn account_subscribers(&self, app: &App, webhook: WebhookId) -> Reply<Vec<UserId>> {
        let request = match form(app) {
            Ok(Form::V1(label)) => {
                let path = in_environment(label, "subscriptions/list.json");
                Request::new(Call::V1AccountSubscribers, Method::GET, path)
            }
            Ok(Form::V2) => {
                let path = format!("{}/list", all_of(webhook));
                Request::new(Call::AccountSubscribers, Method::GET, path)
            }
            Err(error) => return not_sent(Call::AccountSubscribers, error),
        };
        let sent = self.send(Auth::App(app), &request).await;
        sent.read_answer(|answer| {
            let users = subscribers(answer);
            users.ok_or_else(|| answer.uncertain(UncertainBecause::Unreadable))
        })
    }

    /// Ends a subscription without the user's token. One that is not there is
    /// [`Obstacle::NoSuchSubscription`].
    pub async fn unsubscribe_account(
        &self,
        app: &App,
        webhook: WebhookId,
        user: UserId,
    ) -> Reply<()> {
        let request = match form(app) {
            Ok(Form::V1(label)) => {
                let path = in_environment(label, &format!("subscriptions/{user}.json"));
                Request::new(Call::V1UnsubscribeAccount, Method::DELETE, path)
            }
            Ok(Form::V2) => {
                let path =
                    format!("2/account_activity/webhooks/{webhook}/subscriptions/{user}/all");
                Request::new(Call::UnsubscribeAccount, Method::DELETE, path)
            }
            Err(error) => return not_sent(Call::UnsubscribeAccount, error),
        };
        let sent = self.send(Auth::App(app), &request).await;
        stands(sent, false)
    }

    /// How many subscriptions the app has and may have, over all its webhooks.
    pub async fn count_account_subscriptions(&self, app: &App) -> Reply<SubscriptionCount> {
        let (call, version) = match form(app) {
            Ok(Form::V1(_)) => (Call::V1AccountSubscriptionCount, "1.1"),
            Ok(Form::V2) => (Call::AccountSubscriptionCount, "2"),
            Err(error) => return not_sent(Call::AccountSubscriptionCount, error),
        };
        let suffix = if call.is_v1() { ".json" } else { "" };
        let path = format!("{version}/account_activity/subscriptions/count{suffix}");
        let request = Request::new(call, Method::GET, path);
        let sent = self.send(Auth::App(app), &request).await;
        sent.read_answer(|answer| {
            let count = count(answer);
            count.ok_or_else(|| answer.uncertain(UncertainBecause::Unreadable))
        })
    }
}

impl Sent {
    /// An answer that is clear by its status.
    fn answered<T>(self, result: T) -> Reply<T> {
        Reply {
            call: self.call,
            result: Ok(result),
            limits: self.limits,
            resources: Resources::default(),
        }
    }
}

/// X Activity subscribes each kind of event apart.
fn form(app: &App) -> Result<Form<'_>, CallError> {
    match &app.delivery {
        Delivery::AccountActivityV1 { environment } => Ok(Form::V1(environment)),
        Delivery::AccountActivity => Ok(Form::V2),
        Delivery::Activity => {
            let why = "X Activity has no subscription to everything of an account";
            Err(NotSent::Unaskable(why.to_owned()).into())
        }
    }
}

fn all_of(webhook: WebhookId) -> String {
    format!("2/account_activity/webhooks/{webhook}/subscriptions/all")
}

/// v1.1 says no by "no such page"; v2 may name the reason.
fn is_no(sent: &Sent) -> bool {
    let Err(error) = &sent.result else {
        return false;
    };
    let is_absent = matches!(error, CallError::Refused(refusal)
        if refusal.reason == RefusalReason::NotFound && sent.call.is_v1());
    is_absent || Obstacle::of(sent.call, error) == Some(Obstacle::NoSuchSubscription)
}

/// v2 says how a subscription stands now; v1.1 has nothing but its status.
fn stands(sent: Sent, wanted: bool) -> Reply<()> {
    if sent.call.is_v1() {
        return sent.read_answer(|_| Ok(()));
    }
    sent.read(|answer, envelope| match subscribed(answer, envelope)? {
        stands if stands == wanted => Ok(((), Resources::default())),
        _ => Err(no_result(answer, envelope)),
    })
}

fn subscribed(answer: &Answer, envelope: &Envelope<'_>) -> Result<bool, CallError> {
    let read: Option<Subscribed> = data(envelope);
    let subscribed = read.and_then(|read| *read.subscribed);
    subscribed.ok_or_else(|| no_result(answer, envelope))
}

/// `None` if one of them cannot be read: whom nobody sees is not missed.
fn subscribers(answer: &Answer) -> Option<Vec<UserId>> {
    let envelope: Envelope<'_> = read_object(&answer.body)?;
    let body = envelope.data.map_or(&*answer.body, |data| data.get());
    let read: answer::Subscribers<'_> = read_object(body)?;
    // v2 leaves an empty list out, but not the webhook it is of.
    let listed = read.subscriptions.as_deref().unwrap_or_default();
    let user = |raw: &crate::x::wire::Raw<'_>| {
        let subscriber: answer::Subscriber<'_> = read_object(raw.get())?;
        id(subscriber.user_id)
    };
    listed.iter().map(user).collect()
}

fn count(answer: &Answer) -> Option<SubscriptionCount> {
    let envelope: Envelope<'_> = read_object(&answer.body)?;
    let body = envelope.data.map_or(&*answer.body, |data| data.get());
    let read: answer::SubscriptionCount<'_> = read_object(body)?;
    let all = [&read.subscriptions_count_all, &read.subscriptions_count];
    Some(SubscriptionCount {
        used: all.into_iter().find_map(|number| number.parse().ok()),
        allowed: read.provisioned_count.parse().ok(),
    })
}
