//! Filtered-stream webhooks: public posts, with the rules they match.

use serde_json::{Value, json};

use super::post_v2::{self, Included};
use super::{Body, View, composed};
use crate::model::{Candidate, Event, Post, User, World};
use crate::text::QuoteLink;

/// A post that matches a rule of the app; the account plays no part.
pub(super) fn body(view: View<'_>, event: &Event) -> Option<Body> {
    let Event::Posted(id) = event else {
        return None;
    };
    let post = view.world.visible_post(*id).ok()?;
    let author = view.world.user(post.author).ok()?;
    let candidate = candidate(view.world, post, author);
    let rules: Vec<Value> = view
        .app
        .rules
        .iter()
        .filter(|rule| rule.matches(&candidate))
        .map(|rule| json!({ "id": rule.id.to_string(), "tag": rule.tag }))
        .collect();
    if rules.is_empty() || author.protected {
        return None;
    }
    let json = json!({
        "data": post_v2::post(view.world, post),
        "includes": Included::with(view.world, post).into_json(),
        "matching_rules": rules,
    });
    Some(Body::of(
        "post",
        post_v2::reword(json, view.app.settings.vocabulary),
    ))
}

/// Rules look into the quoted post too.
fn candidate(world: &World, post: &Post, author: &User) -> Candidate {
    let text = composed(world, post, QuoteLink::Omitted);
    let quoted = post.quote.and_then(|id| world.visible_post(id).ok());
    let quoted = quoted.map(|quoted| composed(world, quoted, QuoteLink::Omitted));
    let name = |id| world.user(id).ok().map(|user| user.username.clone());
    let parent = post.parent.and_then(|id| world.any_post(id));
    let mentioned = text
        .mentions()
        .chain(quoted.iter().flat_map(|quoted| quoted.mentions()));
    Candidate {
        mentions: mentioned.filter_map(name).collect(),
        author: author.username.clone(),
        replied_to: parent.and_then(|parent| name(parent.author)),
        conversation: post.conversation,
        is_repost: post.repost_of.is_some(),
        text: match &quoted {
            Some(quoted) => format!("{}\n{}", text.text, quoted.text),
            None => text.text.clone(),
        },
    }
}
