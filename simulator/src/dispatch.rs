//! Who is told of what happened, and in which form.

use crate::forms::{self, Body, View};
use crate::model::{App, Event, Form, UserId, World};

/// A body and whom it is for.
#[derive(Clone, Debug)]
pub(crate) struct Letter {
    pub(crate) app: String,
    pub(crate) account: UserId,
    pub(crate) form: Form,
    pub(crate) body: Body,
    /// When it happened.
    pub(crate) at_ms: i64,
}

/// One letter for each subscribed account and form that X would tell.
pub(crate) fn letters(world: &World, event: &Event) -> Vec<Letter> {
    world
        .apps()
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
            letters.extend(
                forms::bodies(view, event, form)
                    .into_iter()
                    .map(|body| Letter {
                        app: name.clone(),
                        account: account.id,
                        form,
                        body,
                        at_ms: world.now_ms(),
                    }),
            );
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
        (&letter.app, letter.account, letter.form) == (&more.app, more.account, more.form);
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
