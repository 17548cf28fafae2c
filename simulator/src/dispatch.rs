//! Who is told of what happened, and in which form.

use serde_json::Value;

use crate::forms::{self, Body, View};
use crate::model::{App, Event, Form, Subscription, UserId, World};

/// A body and whom it is for.
#[derive(Clone, Debug)]
pub(crate) struct Letter {
    pub(crate) app: String,
    pub(crate) account: UserId,
    pub(crate) form: Form,
    /// Where it goes.
    pub(crate) webhook: u64,
    pub(crate) body: Body,
    /// When it happened.
    pub(crate) at_ms: i64,
}

/// One letter for each subscription that X would tell.
pub(crate) fn letters(world: &World, event: &Event) -> Vec<Letter> {
    world
        .apps()
        .filter(|app| !app.suspended)
        .flat_map(|app| letters_to(world, app, event))
        .collect()
}

fn letters_to(world: &World, app: &App, event: &Event) -> Vec<Letter> {
    let name = &app.settings.name;
    let mut letters = Vec::new();
    for form in app.settings.forms.iter().copied() {
        let accounts = world.subscribers(name, form).take(match form {
            // The stream is the app's own; its accounts play no part.
            Form::FilteredStream => 1,
            _ => usize::MAX,
        });
        for account in accounts {
            let view = View {
                world,
                app,
                account,
            };
            let subscriptions = world.subscriptions_of(name, account.id);
            for body in forms::bodies(view, event, form) {
                letters.extend(addressed(subscriptions, form, &body, world.now_ms()));
            }
        }
    }
    match event {
        Event::Revoked { app, .. } if app != name => Vec::new(),
        Event::ReplayEnded { app, .. } if app != name => Vec::new(),
        // A job is the app's, not an account's.
        Event::ReplayEnded { .. } => letters.into_iter().take(1).collect(),
        _ => letters,
    }
}

/// The same body to each webhook that a subscription to it names, once.
fn addressed(subscriptions: &[Subscription], form: Form, body: &Body, at_ms: i64) -> Vec<Letter> {
    let wanting = subscriptions
        .iter()
        .filter(|subscription| subscription.wants(form, &body.events, &body.json));
    let mut letters: Vec<Letter> = Vec::new();
    for subscription in wanting {
        let Some(webhook) = subscription.webhook else {
            continue;
        };
        if letters.iter().all(|letter| letter.webhook != webhook) {
            letters.push(Letter {
                app: subscription.app.clone(),
                account: subscription.user,
                form,
                webhook,
                body: tagged(body, subscription.tag.as_deref()),
                at_ms,
            });
        }
    }
    letters
}

/// With the subscription's own tag, where bodies of the form have one.
fn tagged(body: &Body, tag: Option<&str>) -> Body {
    let mut body = body.clone();
    let data = body.json.get_mut("data").and_then(Value::as_object_mut);
    if let Some(data) = data.filter(|data| data.contains_key("tag")) {
        match tag {
            Some(tag) => data.insert("tag".to_owned(), tag.into()),
            None => data.remove("tag"),
        };
    }
    body
}

/// Puts together what is for one account in one form of Account Activity.
pub(crate) fn merge(letters: Vec<Letter>) -> Vec<Letter> {
    let mut merged: Vec<Letter> = Vec::new();
    for letter in letters {
        if !merged.iter_mut().any(|earlier| take_in(earlier, &letter)) {
            merged.push(letter);
        }
    }
    merged
}

/// Puts `more` into `letter`; false when they do not go together.
fn take_in(letter: &mut Letter, more: &Letter) -> bool {
    let same_address =
        (letter.webhook, letter.account, letter.form) == (more.webhook, more.account, more.form);
    if !same_address || !letter.form.is_account_activity() {
        return false;
    }
    match forms::merge(&letter.body, &more.body) {
        Some(body) => {
            letter.body = body;
            true
        }
        None => false,
    }
}
