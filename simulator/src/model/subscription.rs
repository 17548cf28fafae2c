//! Subscriptions: what an app wants to be told of an account, and where.

use serde_json::Value;

use super::app::{Form, Permission};
use super::ids::UserId;

/// The events of X Activity, by X's specification of 2026-08; `chat.conversation_join` is an alias.
pub(crate) const EVENTS: &[&str] = &[
    "profile.update.bio",
    "profile.update.profile_picture",
    "profile.update.banner_picture",
    "profile.update.screenname",
    "profile.update.geo",
    "profile.update.url",
    "profile.update.verified_badge",
    "profile.update.affiliate_badge",
    "profile.update.handle",
    "news.new",
    "follow.follow",
    "follow.unfollow",
    "spaces.start",
    "spaces.end",
    "broadcast.start",
    "broadcast.end",
    "broadcast.chat",
    "chat.received",
    "chat.sent",
    "chat.conversation.join",
    "chat.conversation.member_added",
    "chat.conversation.member_removed",
    "chat.conversation.admin_added",
    "chat.conversation.admin_removed",
    "chat.update.group_name",
    "chat.update.restrictions",
    "dm.sent",
    "dm.received",
    "dm.indicate_typing",
    "dm.read",
    "post.create",
    "post.delete",
    "post.mention.create",
    "post.reply.create",
    "post.quote.create",
    "post.repost.create",
    "like.create",
    "mute.mute",
    "mute.unmute",
    "block.block",
    "block.unblock",
];

/// Nobody can subscribe to it: who is subscribed to anything of the user is told.
const REVOKED: &str = "oauth.revoke";

/// One subscription of an app to an account.
#[derive(Clone, Debug)]
pub(crate) struct Subscription {
    pub(crate) id: u64,
    pub(crate) app: String,
    pub(crate) user: UserId,
    pub(crate) subject: Topic,
    /// Without one there is nothing to deliver to.
    pub(crate) webhook: Option<u64>,
    /// The app's own word for it, in X Activity.
    pub(crate) tag: Option<String>,
    pub(crate) created_at_ms: i64,
    pub(crate) updated_at_ms: i64,
}

/// What a subscription is to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Topic {
    /// All that this form has of the account.
    All(Form),
    /// One event of X Activity.
    Activity(Interest),
}

/// One event of X Activity, and what narrows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Interest {
    /// One of [`EVENTS`].
    pub(crate) event: &'static str,
    /// `inbound` or `outbound`.
    pub(crate) direction: Option<String>,
    pub(crate) keyword: Option<String>,
}

impl Interest {
    /// All of an event, by X's name or its alias; nothing where X has no such event.
    pub(crate) fn in_event(name: &str) -> Option<Self> {
        let name = match name {
            "chat.conversation_join" => "chat.conversation.join",
            other => other,
        };
        let event = EVENTS.iter().find(|event| **event == name)?;
        Some(Self {
            event,
            direction: None,
            keyword: None,
        })
    }

    /// Whether the user has to agree, which is shown by calling for the user.
    pub(crate) fn is_private(&self) -> bool {
        let kinds = ["like.", "chat.", "dm.", "mute.", "block."];
        let posts = ["mention", "reply", "quote", "repost"];
        let of_posts = self.event.strip_prefix("post.");
        kinds.iter().any(|kind| self.event.starts_with(kind))
            || of_posts.is_some_and(|rest| posts.iter().any(|kind| rest.starts_with(kind)))
            || self.event == "broadcast.chat"
    }

    /// What an OAuth 2.0 token needs for it.
    pub(crate) fn scope(&self) -> &'static str {
        match self.event.split('.').next() {
            Some("chat" | "dm") => "dm.read",
            Some("like") => "like.read",
            Some("mute") => "mute.read",
            Some("block") => "block.read",
            _ if self.event == "broadcast.chat" => "broadcast.read",
            _ => "tweet.read",
        }
    }

    /// What an OAuth 1.0a token needs for it.
    pub(crate) fn permission(&self) -> Permission {
        match self.scope() {
            "dm.read" => Permission::ReadWriteMessages,
            _ => Permission::Read,
        }
    }

    fn matches(&self, event: &str, body: &Value) -> bool {
        let said = |pointer| body.pointer(pointer).and_then(Value::as_str);
        let direction_fits = || match (self.direction.as_deref(), said("/data/filter/direction")) {
            (Some(wanted), Some(given)) => wanted == given,
            _ => true,
        };
        let keyword_fits = |keyword: &String| {
            let text = said("/data/payload/text").unwrap_or_default();
            text.to_lowercase().contains(&keyword.to_lowercase())
        };
        self.event == event && direction_fits() && self.keyword.as_ref().is_none_or(keyword_fits)
    }
}

impl Subscription {
    pub(crate) fn form(&self) -> Form {
        match &self.subject {
            Topic::All(form) => *form,
            Topic::Activity(_) => Form::Activity,
        }
    }

    /// X's name of the event; absent where it is to all.
    pub(crate) fn interest(&self) -> Option<&Interest> {
        match &self.subject {
            Topic::All(_) => None,
            Topic::Activity(interest) => Some(interest),
        }
    }

    /// Whether a body of this form, with these events in it, is what it is to.
    pub(crate) fn wants(&self, form: Form, events: &[String], body: &Value) -> bool {
        match &self.subject {
            Topic::All(own) => *own == form,
            Topic::Activity(interest) => {
                form == Form::Activity
                    && events
                        .iter()
                        .any(|event| event == REVOKED || interest.matches(event, body))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_concerns_others_is_private_and_what_all_can_see_is_not() {
        let is_private = |event| Interest::in_event(event).unwrap().is_private();
        for event in [
            "dm.read",
            "chat.sent",
            "post.mention.create",
            "like.create",
            "mute.mute",
        ] {
            assert!(is_private(event), "{event}");
        }
        for event in [
            "post.create",
            "post.delete",
            "profile.update.bio",
            "broadcast.end",
        ] {
            assert!(!is_private(event), "{event}");
        }
        assert!(Interest::in_event("post.like").is_none());
        let alias = Interest::in_event("chat.conversation_join").unwrap();
        assert_eq!(alias.event, "chat.conversation.join");
    }

    #[test]
    fn direction_and_keyword_narrow_an_event() {
        let mut interest = Interest::in_event("like.create").unwrap();
        let body = json!({ "data": { "filter": { "direction": "inbound" }, "payload": {} } });
        interest.direction = Some("inbound".to_owned());
        assert!(interest.matches("like.create", &body));
        interest.direction = Some("outbound".to_owned());
        assert!(!interest.matches("like.create", &body));
        let mut interest = Interest::in_event("post.create").unwrap();
        interest.keyword = Some("Printer".to_owned());
        let body = |text| json!({ "data": { "payload": { "text": text } } });
        assert!(interest.matches("post.create", &body("my printer burns")));
        assert!(!interest.matches("post.create", &body("hello")));
    }
}
