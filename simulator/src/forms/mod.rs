//! The forms in which X tells an app what happened: things that happen go in, bodies come out.

mod account_activity;
mod activity;
mod direct_message;
mod filtered_stream;
pub(crate) mod json;
mod post_v1;
pub(crate) mod post_v2;
pub(crate) mod user;

use serde_json::Value;

use crate::model::{App, Event, Form, Post, User, World};
use crate::text::{self, Composed, QuoteLink};

/// For whom a body is made, out of what.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) world: &'a World,
    pub(crate) app: &'a App,
    /// The subscribed account.
    pub(crate) account: &'a User,
}

/// One delivery's content, and the events in it by X's names.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Body {
    pub(crate) events: Vec<String>,
    pub(crate) json: Value,
}

impl Body {
    fn of(event: impl Into<String>, json: Value) -> Self {
        Self {
            events: vec![event.into()],
            json,
        }
    }
}

/// What the account's app is told of `event` in `form`; nothing where X stays silent.
pub(crate) fn bodies(view: View<'_>, event: &Event, form: Form) -> Vec<Body> {
    match form {
        Form::AccountActivityV1 | Form::AccountActivity => {
            account_activity::body(view, event, form)
                .into_iter()
                .collect()
        }
        Form::Activity => activity::bodies(view, event),
        Form::FilteredStream => filtered_stream::body(view, event).into_iter().collect(),
    }
}

pub(crate) use account_activity::{merge, replay_ended};
pub(crate) use filtered_stream::matching;

/// How a post concerns an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Concern {
    own: bool,
    mentioned: bool,
    mentioned_explicitly: bool,
    replied_to: bool,
    quoted: bool,
    reposted: bool,
}

impl Concern {
    fn of(view: View<'_>, post: &Post) -> Self {
        let account = view.account.id;
        let authored = |id: Option<_>| {
            id.and_then(|id| view.world.any_post(id))
                .is_some_and(|other| other.author == account)
        };
        let own = post.author == account;
        // A repost concerns the author of the original, not those it merely mentions.
        if post.repost_of.is_some() {
            let reposted = authored(post.repost_of);
            return Self {
                own,
                reposted,
                ..Self::default()
            };
        }
        let text = text::compose(view.world, post, QuoteLink::Omitted);
        Self {
            own,
            mentioned: text.mentions().any(|user| user == account),
            mentioned_explicitly: text.mentions_explicitly(account),
            replied_to: authored(post.parent),
            quoted: authored(post.quote),
            reposted: false,
        }
    }

    fn any(self) -> bool {
        self != Self::default()
    }
}

/// A post's text, be it a repost's or its own.
fn composed(world: &World, post: &Post, quote_link: QuoteLink) -> Composed {
    let original = post.repost_of.and_then(|id| world.any_post(id));
    let author = original.and_then(|original| world.user(original.author).ok());
    match (original, author) {
        (Some(original), Some(author)) => {
            text::compose_repost(&text::compose(world, original, quote_link), author)
        }
        _ => text::compose(world, post, quote_link),
    }
}
