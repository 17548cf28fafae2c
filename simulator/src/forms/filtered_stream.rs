//! Filtered-stream webhooks: public posts, with the rules they match.

use serde_json::{Value, json};

use super::json::with;
use super::post_v2::{self, Included};
use super::{Body, View};
use crate::model::{App, Event, Reach, Rule, Subject};

/// A post that matches a rule of the app; the account plays no part.
pub(super) fn body(view: View<'_>, event: &Event) -> Option<Body> {
    let Event::Posted(id) = event else {
        return None;
    };
    let post = view.world.visible_post(*id).ok()?;
    let author = view.world.user(post.author).ok()?;
    let subject = Subject::new(view.world, post, Reach::Stream);
    let rules = matching(view.app, &subject);
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

/// X's `matching_rules`: those of the app's that hold.
pub(crate) fn matching(app: &App, subject: &Subject<'_>) -> Vec<Value> {
    let rules = app.rules.iter().filter(|rule| rule.matches(subject));
    rules.map(matched).collect()
}

fn matched(rule: &Rule) -> Value {
    let tag = (!rule.tag.is_empty()).then(|| json!(rule.tag));
    with(json!({ "id": rule.id.to_string() }), "tag", tag)
}
