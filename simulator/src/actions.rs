//! What people at the page and scripts at the control API can make happen.

use std::num::ParseIntError;

use serde::{Deserialize, Deserializer, Serialize};
use thiserror::Error;

use crate::crc::CrcError;
use crate::model::{NewMedia, NewMessage, NewPost, PostId, Refused, ReplySettings, UserId};
use crate::simulator::Simulator;

/// A wish that could not be met.
#[derive(Debug, Error)]
pub(crate) enum ActionError {
    #[error("{0} is needed")]
    Missing(&'static str),
    #[error("the id of a post is needed")]
    PostId(#[source] ParseIntError),
    #[error("@{0} has no post to reply to")]
    NothingToReplyTo(String),
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error(transparent)]
    Crc(#[from] CrcError),
}

/// What can be made to happen; the names are those of the control API.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Action {
    Post,
    Mention,
    Reply,
    Quote,
    Repost,
    Edit,
    Delete,
    Like,
    Follow,
    Block,
    Unblock,
    DirectMessage,
    Typing,
    ChatMessage,
    Revoke,
    Crc,
    WebhookInvalid,
    WebhookDeleted,
    WebhookCheck,
    SubscriptionLost,
    SuspendApp,
    ResumeApp,
    Release,
}

/// The fields of all actions; each takes what it needs.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Request {
    /// Who does it: @name or id.
    from: String,
    /// To whom: @name or id.
    to: String,
    text: String,
    /// With a photo. A form sends "on", JSON says true.
    #[serde(deserialize_with = "checkbox")]
    photo: bool,
    app: String,
    /// The webhook meant, by id.
    webhook: String,
    /// The subscription meant, by id.
    subscription: String,
    /// The post meant, by id.
    post: String,
    /// Who may reply to what is written.
    reply_settings: ReplySettings,
}

/// What came of it: the id of what was made, where something was.
#[derive(Debug, Serialize)]
pub(crate) struct Done {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
}

/// Makes it happen.
pub(crate) async fn run(
    simulator: &Simulator,
    action: Action,
    request: &Request,
) -> Result<Done, ActionError> {
    let wish = Wish { simulator, request };
    let id = match action {
        Action::Post => Some(wish.write(wish.draft()?)?),
        Action::Mention => Some(wish.write(wish.mention()?)?),
        Action::Reply => Some(wish.write(wish.draft()?.replying_to(wish.parent()?))?),
        Action::Quote => Some(wish.write(wish.draft()?.quoting(wish.post()?))?),
        Action::Repost => Some(simulator.repost(wish.from()?, wish.post()?)?.to_string()),
        Action::Edit => Some(simulator.edit(wish.post()?, &request.text)?.to_string()),
        Action::DirectMessage => Some(wish.direct_message()?),
        Action::ChatMessage => Some(simulator.chat_message(wish.from()?, wish.to()?)?),
        Action::Delete => {
            simulator.delete(wish.post()?)?;
            None
        }
        Action::Like => {
            simulator.like(wish.from()?, wish.post()?)?;
            None
        }
        Action::Follow => {
            simulator.follow(wish.from()?, wish.to()?)?;
            None
        }
        Action::Block => {
            simulator.block(wish.from()?, wish.to()?)?;
            None
        }
        Action::Unblock => {
            simulator.unblock(wish.from()?, wish.to()?)?;
            None
        }
        Action::Typing => {
            simulator.typing(wish.from()?, wish.to()?)?;
            None
        }
        Action::Revoke => {
            simulator.revoke(wish.app()?, wish.from()?)?;
            None
        }
        Action::Crc => {
            simulator.crc(wish.app()?).await?;
            None
        }
        Action::WebhookInvalid => {
            simulator.invalidate_webhook(number("webhook", &request.webhook)?)?;
            None
        }
        Action::WebhookDeleted => {
            simulator.delete_webhook(number("webhook", &request.webhook)?)?;
            None
        }
        Action::WebhookCheck => {
            let webhook = number("webhook", &request.webhook)?;
            simulator.check_webhook(webhook).await?;
            None
        }
        Action::SubscriptionLost => {
            wish.lose_subscription()?;
            None
        }
        Action::SuspendApp | Action::ResumeApp => {
            simulator.suspend_app(wish.app()?, matches!(action, Action::SuspendApp))?;
            None
        }
        Action::Release => {
            simulator.release();
            None
        }
    };
    Ok(Done { id })
}

/// A request with the one who can meet it.
struct Wish<'a> {
    simulator: &'a Simulator,
    request: &'a Request,
}

impl Wish<'_> {
    /// A post of the given text, standing alone.
    fn draft(&self) -> Result<NewPost, ActionError> {
        let post = NewPost::by(self.from()?, &self.request.text);
        Ok(NewPost {
            media: self.photo().into_iter().collect(),
            reply_settings: self.request.reply_settings,
            ..post
        })
    }

    fn write(&self, post: NewPost) -> Result<String, ActionError> {
        Ok(self.simulator.post(post)?.to_string())
    }

    fn direct_message(&self) -> Result<String, ActionError> {
        let message = NewMessage {
            media: self.photo(),
            ..NewMessage::between(self.from()?, self.to()?, &self.request.text)
        };
        Ok(self.simulator.direct_message(message)?.to_string())
    }

    /// The name is put first unless the text has it.
    fn mention(&self) -> Result<NewPost, ActionError> {
        let to = self.to()?;
        let name = format!("@{}", self.simulator.world().lock().user(to)?.username);
        let mut post = self.draft()?;
        if !post.text.to_lowercase().contains(&name.to_lowercase()) {
            post.text = format!("{name} {}", post.text);
        }
        Ok(post)
    }

    /// The given post, else the newest of the one replied to.
    fn parent(&self) -> Result<PostId, ActionError> {
        if !self.request.post.is_empty() {
            return self.post();
        }
        let author = self.to()?;
        let world = self.simulator.world().lock();
        let newest = world
            .posts()
            .rev()
            .find(|post| post.author == author && !post.deleted && post.repost_of.is_none());
        newest
            .map(|post| post.id)
            .ok_or_else(|| ActionError::NothingToReplyTo(self.request.to.clone()))
    }

    /// The one named, or all of an app to an account.
    fn lose_subscription(&self) -> Result<(), ActionError> {
        if self.request.subscription.is_empty() {
            let (app, account) = (self.app()?, self.from()?);
            return Ok(self.simulator.drop_subscriptions(app, account)?);
        }
        let id = number("subscription", &self.request.subscription)?;
        Ok(self.simulator.drop_subscription(id)?)
    }

    fn photo(&self) -> Option<NewMedia> {
        self.request.photo.then(NewMedia::photo)
    }

    fn from(&self) -> Result<UserId, ActionError> {
        self.user("from", &self.request.from)
    }

    fn to(&self) -> Result<UserId, ActionError> {
        self.user("to", &self.request.to)
    }

    fn app(&self) -> Result<&str, ActionError> {
        needed("app", &self.request.app)
    }

    fn post(&self) -> Result<PostId, ActionError> {
        self.request.post.parse().map_err(ActionError::PostId)
    }

    /// By @name, else by id.
    fn user(&self, field: &'static str, given: &str) -> Result<UserId, ActionError> {
        let name = needed(field, given)?.trim_start_matches('@');
        let world = self.simulator.world().lock();
        let by_id = || name.parse().ok().and_then(|id| world.user(id).ok());
        let found = world.user_named(name).or_else(by_id);
        let found = found.ok_or_else(|| Refused::UnknownUser(name.to_owned()))?;
        Ok(found.id)
    }
}

fn number(field: &'static str, given: &str) -> Result<u64, ActionError> {
    let given = needed(field, given)?;
    given
        .parse()
        .map_err(|_not_a_number| ActionError::Missing(field))
}

fn needed<'a>(field: &'static str, value: &'a str) -> Result<&'a str, ActionError> {
    if value.is_empty() {
        Err(ActionError::Missing(field))
    } else {
        Ok(value)
    }
}

fn checkbox<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Given {
        Json(bool),
        Form(String),
    }
    Ok(match Given::deserialize(deserializer)? {
        Given::Json(value) => value,
        Given::Form(value) => value == "on" || value == "true",
    })
}
