//! For what X Activity delivers: one subscription for each kind of event of each user.

use jiff::Timestamp;
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::auth::Auth;
use super::call::Call;
use super::error::{CallError, UncertainBecause};
use super::posts::{id, list_of_ids, no_result, not_sent, within};
use super::send::Request;
use super::transport::{Answer, read_object};
use super::{Client, Reply, Resources};
use crate::domain::account::{Account, App};
use crate::domain::ids::{SubscriptionId, UserId, WebhookId};
use crate::x::normalize::answers::moment;
use crate::x::wire::answer::{self, Envelope};
use crate::x::wire::{List, Members, Raw};

/// Fewest and most subscriptions of a page.
const PAGE: (u32, u32) = (1, 1_000);

/// The kinds of event that a helpdesk has a use for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ActivityKind {
    Mention,
    Reply,
    Quote,
    Repost,
    OwnPost,
    OwnPostDeleted,
    DirectMessageReceived,
    DirectMessageSent,
    DirectMessageRead,
    DirectMessageTyping,
    EncryptedMessageReceived,
    EncryptedMessageSent,
    EncryptedConversationJoined,
}

impl ActivityKind {
    pub const ALL: [Self; 13] = [
        Self::Mention,
        Self::Reply,
        Self::Quote,
        Self::Repost,
        Self::OwnPost,
        Self::OwnPostDeleted,
        Self::DirectMessageReceived,
        Self::DirectMessageSent,
        Self::DirectMessageRead,
        Self::DirectMessageTyping,
        Self::EncryptedMessageReceived,
        Self::EncryptedMessageSent,
        Self::EncryptedConversationJoined,
    ];

    /// X's name of it, its `event_type`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mention => "post.mention.create",
            Self::Reply => "post.reply.create",
            Self::Quote => "post.quote.create",
            Self::Repost => "post.repost.create",
            Self::OwnPost => "post.create",
            Self::OwnPostDeleted => "post.delete",
            Self::DirectMessageReceived => "dm.received",
            Self::DirectMessageSent => "dm.sent",
            Self::DirectMessageRead => "dm.read",
            Self::DirectMessageTyping => "dm.indicate_typing",
            Self::EncryptedMessageReceived => "chat.received",
            Self::EncryptedMessageSent => "chat.sent",
            Self::EncryptedConversationJoined => "chat.conversation.join",
        }
    }

    /// The kind of this name; the older name of one included.
    pub fn from_name(name: &str) -> Option<Self> {
        let name = match name {
            "chat.conversation_join" => "chat.conversation.join",
            other => other,
        };
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Whether the user has to have authorised the app. Source: X's introduction to X Activity.
    pub fn is_private(self) -> bool {
        !matches!(self, Self::OwnPost | Self::OwnPostDeleted)
    }

    /// The scope of OAuth 2.0 that a subscription needs. Source: X's OpenAPI.
    pub fn scope(self) -> &'static str {
        match self {
            Self::DirectMessageReceived
            | Self::DirectMessageSent
            | Self::DirectMessageRead
            | Self::DirectMessageTyping
            | Self::EncryptedMessageReceived
            | Self::EncryptedMessageSent
            | Self::EncryptedConversationJoined => "dm.read",
            Self::Mention
            | Self::Reply
            | Self::Quote
            | Self::Repost
            | Self::OwnPost
            | Self::OwnPostDeleted => "tweet.read",
        }
    }
}

/// A subscription, as X has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActivitySubscription {
    pub id: SubscriptionId,
    /// X's name: there are more kinds than [`ActivityKind`] has.
    pub event_type: String,
    /// `None` where X filters by something else.
    pub user: Option<UserId>,
    /// `None`: it goes to the stream only.
    pub webhook: Option<WebhookId>,
    /// Empty where there is none.
    pub tag: String,
    pub created_at: Option<Timestamp>,
}

/// One page of the app's subscriptions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ActivitySubscriptionsFound {
    pub subscriptions: Vec<ActivitySubscription>,
    /// How many items were no readable subscription; such an answer proves no absence.
    pub unreadable: usize,
    /// Where the next page begins; `None`: this is the last.
    pub next: Option<String>,
}

/// What became of subscriptions that were to be deleted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ActivitySubscriptionsDeleted {
    pub deleted: Vec<SubscriptionId>,
    /// Those that X does not call deleted, with its words for it, which may be none.
    pub left: Vec<(SubscriptionId, String)>,
}

impl Client {
    /// Subscribes the webhook to one kind of event of the account. `tag` comes back with each
    /// event: up to 200 characters, none if empty.
    pub async fn subscribe_activity(
        &self,
        app: &App,
        account: &Account,
        kind: ActivityKind,
        webhook: WebhookId,
        tag: &str,
    ) -> Reply<ActivitySubscription> {
        let mut body = changes(webhook, tag);
        body.insert("event_type".to_owned(), kind.name().into());
        body.insert("filter".to_owned(), json!({"user_id": account.id.0}));
        let request = Request::new(
            Call::SubscribeActivity,
            Method::POST,
            "2/activity/subscriptions",
        );
        let request = request.json(body.into());
        let auth = match kind.is_private() {
            true => Auth::Account { app, account },
            false => Auth::App(app),
        };
        let sent = self.send(auth, &request).await;
        sent.read(one)
    }

    /// A page of the app's subscriptions, over all its webhooks and users: the first, or that of
    /// [`ActivitySubscriptionsFound::next`].
    pub async fn activity_subscriptions(
        &self,
        app: &App,
        max_results: u32,
        page: Option<&str>,
    ) -> Reply<ActivitySubscriptionsFound> {
        let mut request = Request::new(
            Call::ActivitySubscriptions,
            Method::GET,
            "2/activity/subscriptions",
        )
        .query("max_results", within(max_results, PAGE));
        if let Some(page) = page {
            request = request.query("pagination_token", page);
        }
        let sent = self.send(Auth::App(app), &request).await;
        sent.read(|answer, envelope| {
            self.refuse_errors_alone(answer, envelope)?;
            let found = found(answer, envelope)?;
            Ok((found, Resources::default()))
        })
    }

    /// Points a subscription to another webhook, with another tag.
    pub async fn update_activity_subscription(
        &self,
        app: &App,
        id: SubscriptionId,
        webhook: WebhookId,
        tag: &str,
    ) -> Reply<ActivitySubscription> {
        let path = format!("2/activity/subscriptions/{id}");
        let request = Request::new(Call::UpdateActivitySubscription, Method::PUT, path);
        let request = request.json(changes(webhook, tag).into());
        let sent = self.send(Auth::App(app), &request).await;
        sent.read(one)
    }

    /// Ends up to 100 subscriptions.
    pub async fn delete_activity_subscriptions(
        &self,
        app: &App,
        ids: &[SubscriptionId],
    ) -> Reply<ActivitySubscriptionsDeleted> {
        let call = Call::DeleteActivitySubscriptions;
        let list = match list_of_ids(ids) {
            Ok(list) => list,
            Err(error) => return not_sent(call, error),
        };
        let request = Request::new(call, Method::DELETE, "2/activity/subscriptions");
        let sent = self.send(Auth::App(app), &request.query("ids", list)).await;
        sent.read_answer(|answer| {
            let deleted = deleted(ids, answer);
            deleted.ok_or_else(|| answer.uncertain(UncertainBecause::Unreadable))
        })
    }
}

/// What may be changed of a subscription.
fn changes(webhook: WebhookId, tag: &str) -> Map<String, Value> {
    let mut body = Map::new();
    body.insert("webhook_id".to_owned(), json!(webhook));
    if !tag.is_empty() {
        body.insert("tag".to_owned(), tag.into());
    }
    body
}

fn one(
    answer: &Answer,
    envelope: &Envelope<'_>,
) -> Result<(ActivitySubscription, Resources), CallError> {
    let made = envelope.data.and_then(unwrapped).and_then(subscription);
    let made = made.ok_or_else(|| no_result(answer, envelope))?;
    Ok((made, Resources::default()))
}

/// X answers with the object, a list of one, or the object under another name.
fn unwrapped(data: Raw<'_>) -> Option<Raw<'_>> {
    if let Ok(list) = serde_json::from_str::<Vec<Raw<'_>>>(data.get()) {
        return list.first().copied();
    }
    let members: Members<'_> = serde_json::from_str(data.get()).ok()?;
    Some(members.get("subscription").unwrap_or(data))
}

fn subscription(raw: Raw<'_>) -> Option<ActivitySubscription> {
    let read: answer::ActivitySubscription<'_> = read_object(raw.get())?;
    let filter = read.filter.into_inner();
    Some(ActivitySubscription {
        id: id(read.subscription_id)?,
        event_type: read.event_type.to_string(),
        user: filter.and_then(|filter| id(filter.user_id)),
        webhook: id(read.webhook_id),
        tag: read.tag.to_string(),
        created_at: moment(&read.created_at),
    })
}

fn found(
    answer: &Answer,
    envelope: &Envelope<'_>,
) -> Result<ActivitySubscriptionsFound, CallError> {
    let listed: Vec<Raw<'_>> = match envelope.data {
        Some(data) => serde_json::from_str(data.get())
            .map_err(|_unreadable| answer.uncertain(UncertainBecause::Unreadable))?,
        None => Vec::new(),
    };
    let subscriptions: Vec<_> = listed.iter().filter_map(|raw| subscription(raw)).collect();
    let next = envelope
        .meta
        .as_ref()
        .map(|meta| meta.next_token.to_string());
    Ok(ActivitySubscriptionsFound {
        unreadable: listed.len() - subscriptions.len(),
        subscriptions,
        next: next.filter(|next| !next.is_empty()),
    })
}

/// What X says of each; of a single one it may say that it is deleted without naming it.
fn deleted(ids: &[SubscriptionId], answer: &Answer) -> Option<ActivitySubscriptionsDeleted> {
    let members: Members<'_> = serde_json::from_str(&answer.body).ok()?;
    let items = |name: &str| {
        let list = members.get(name).map(|raw| raw.get());
        let list = list.and_then(|raw| serde_json::from_str::<List<_>>(raw).ok());
        list.unwrap_or_default()
    };
    let done: List<answer::ActivitySubscription<'_>> = items("data");
    let failed: List<answer::ActivitySubscription<'_>> = items("errors");
    let single: Option<answer::ActivitySubscription<'_>> =
        members.get("data").and_then(|raw| read_object(raw.get()));
    let is_single_done = ids.len() == 1 && single.is_some_and(|it| *it.deleted == Some(true));
    let names = |it: &answer::ActivitySubscription<'_>, wanted: SubscriptionId| {
        id(it.subscription_id) == Some(wanted)
    };
    let is_done = |wanted: SubscriptionId| {
        is_single_done
            || done
                .iter()
                .any(|it| *it.deleted == Some(true) && names(it, wanted))
    };
    let words = |wanted: SubscriptionId| {
        let error = failed.iter().find(|it| names(it, wanted));
        error.map_or_else(String::new, |it| match &*it.message {
            "" => it.reason.to_string(),
            message => message.to_owned(),
        })
    };
    let (deleted, left): (Vec<_>, Vec<_>) = ids.iter().partition(|id| is_done(**id));
    let left = left.into_iter().map(|id: SubscriptionId| (id, words(id)));
    Some(ActivitySubscriptionsDeleted {
        deleted,
        left: left.collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_known_by_its_name() {
        for kind in ActivityKind::ALL {
            assert_eq!(ActivityKind::from_name(kind.name()), Some(kind));
        }
        assert_eq!(
            ActivityKind::from_name("chat.conversation_join"),
            Some(ActivityKind::EncryptedConversationJoined)
        );
        assert_eq!(ActivityKind::from_name("news.new"), None);
    }

    #[test]
    fn what_others_do_and_what_is_said_in_private_needs_the_user() {
        let public = ActivityKind::ALL.into_iter().filter(|it| !it.is_private());
        assert_eq!(
            public.collect::<Vec<_>>(),
            [ActivityKind::OwnPost, ActivityKind::OwnPostDeleted]
        );
        assert_eq!(ActivityKind::DirectMessageTyping.scope(), "dm.read");
        assert_eq!(ActivityKind::Mention.scope(), "tweet.read");
    }
}
