//! What people at the page and scripts at the control API can make happen.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::crc::CrcError;
use crate::model::{NewMedia, NewMessage, NewPost, PostId, Refused, UserId};
use crate::simulator::Simulator;

/// A wish that could not be met.
#[derive(Debug, Error)]
pub(crate) enum ActionError {
    #[error("there is no action {0}")]
    Unknown(String),
    #[error("{0} is needed")]
    Missing(&'static str),
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error(transparent)]
    Crc(#[from] CrcError),
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
    /// The post meant, by id.
    post: String,
}

/// What came of it: the id of what was made, where there is one.
#[derive(Debug, Serialize)]
pub(crate) struct Done {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
}

/// Makes it happen.
pub(crate) async fn run(
    simulator: &Simulator,
    action: &str,
    request: &Request,
) -> Result<Done, ActionError> {
    let id = match action {
        "mention" => Some(mention(simulator, request)?),
        "reply" => Some(reply(simulator, request)?),
        "post" => Some(post(simulator, request)?),
        "quote" => Some(quote(simulator, request)?),
        "repost" => {
            let author = user(simulator, &request.from)?;
            Some(simulator.repost(author, post_id(request)?)?.to_string())
        }
        "edit" => Some(
            simulator
                .edit(post_id(request)?, &request.text)?
                .to_string(),
        ),
        "delete" => nothing(simulator.delete(post_id(request)?)?),
        "like" => nothing(simulator.like(user(simulator, &request.from)?, post_id(request)?)?),
        "direct_message" => Some(direct_message(simulator, request)?),
        "typing" => nothing(simulator.typing(
            user(simulator, &request.from)?,
            user(simulator, &request.to)?,
        )?),
        "chat_message" => Some(simulator.chat_message(
            user(simulator, &request.from)?,
            user(simulator, &request.to)?,
        )?),
        "follow" => nothing(simulator.follow(
            user(simulator, &request.from)?,
            user(simulator, &request.to)?,
        )?),
        "crc" => nothing(simulator.crc(needed(&request.app, "app")?).await?),
        "revoke" => nothing(simulator.revoke(
            needed(&request.app, "app")?,
            user(simulator, &request.from)?,
        )?),
        "release" => nothing(simulator.release()),
        other => return Err(ActionError::Unknown(other.to_owned())),
    };
    Ok(Done { id })
}

fn nothing((): ()) -> Option<String> {
    None
}

/// The name is put first unless the text has it.
fn mention(simulator: &Simulator, request: &Request) -> Result<String, ActionError> {
    let to = user(simulator, &request.to)?;
    let name = format!("@{}", simulator.world().lock().user(to)?.username);
    let text = if request.text.to_lowercase().contains(&name.to_lowercase()) {
        request.text.clone()
    } else {
        format!("{name} {}", request.text)
    };
    write(
        simulator,
        request,
        NewPost::by(user(simulator, &request.from)?, &text),
    )
}

/// To the given post, else to the newest of the person or between the two.
fn reply(simulator: &Simulator, request: &Request) -> Result<String, ActionError> {
    let parent = match request.post.is_empty() {
        false => post_id(request)?,
        true => newest_by(simulator, user(simulator, &request.to)?)?,
    };
    let author = user(simulator, &request.from)?;
    write(
        simulator,
        request,
        NewPost::by(author, &request.text).replying_to(parent),
    )
}

fn newest_by(simulator: &Simulator, author: UserId) -> Result<PostId, ActionError> {
    let world = simulator.world().lock();
    let newest = world
        .posts()
        .rev()
        .find(|post| post.author == author && !post.deleted && post.repost_of.is_none());
    newest
        .map(|post| post.id)
        .ok_or(ActionError::Missing("post"))
}

fn post(simulator: &Simulator, request: &Request) -> Result<String, ActionError> {
    let author = user(simulator, &request.from)?;
    write(simulator, request, NewPost::by(author, &request.text))
}

fn quote(simulator: &Simulator, request: &Request) -> Result<String, ActionError> {
    let author = user(simulator, &request.from)?;
    let quoted = post_id(request)?;
    write(
        simulator,
        request,
        NewPost::by(author, &request.text).quoting(quoted),
    )
}

fn write(
    simulator: &Simulator,
    request: &Request,
    mut post: NewPost,
) -> Result<String, ActionError> {
    if request.photo {
        post = post.with_media(NewMedia::photo());
    }
    Ok(simulator.post(post)?.to_string())
}

fn direct_message(simulator: &Simulator, request: &Request) -> Result<String, ActionError> {
    let (from, to) = (
        user(simulator, &request.from)?,
        user(simulator, &request.to)?,
    );
    let mut message = NewMessage::between(from, to, &request.text);
    if request.photo {
        message = message.with_media(NewMedia::photo());
    }
    Ok(simulator.direct_message(message)?.to_string())
}

/// By @name, else by id.
fn user(simulator: &Simulator, given: &str) -> Result<UserId, ActionError> {
    let name = needed(given, "from or to")?.trim_start_matches('@');
    let world = simulator.world().lock();
    let by_id = || name.parse().ok().and_then(|id| world.user(id).ok());
    let found = world.user_named(name).or_else(by_id);
    Ok(found
        .map(|user| user.id)
        .ok_or_else(|| Refused::UnknownUser(name.to_owned()))?)
}

fn post_id(request: &Request) -> Result<PostId, ActionError> {
    request
        .post
        .parse()
        .map_err(|_: std::num::ParseIntError| ActionError::Missing("post"))
}

fn needed<'a>(value: &'a str, name: &'static str) -> Result<&'a str, ActionError> {
    if value.is_empty() {
        Err(ActionError::Missing(name))
    } else {
        Ok(value)
    }
}

fn checkbox<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
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
