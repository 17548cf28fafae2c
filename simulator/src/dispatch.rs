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

/// Puts neighbours together that are for one account in one form of Account Activity.
pub(crate) fn merge(letters: Vec<Letter>) -> Vec<Letter> {
    let mut merged: Vec<Letter> = Vec::new();
    for letter in letters {
        let fits = |other: &Letter| {
            letter.form.is_account_activity()
                && (&other.app, other.account, other.form)
                    == (&letter.app, letter.account, letter.form)
        };
        match merged.iter().position(fits) {
            Some(at) => {
                let first = merged.remove(at);
                merged.splice(at..at, merge_two(first, letter));
            }
            None => merged.push(letter),
        }
    }
    merged
}

fn merge_two(first: Letter, second: Letter) -> Vec<Letter> {
    let (one, two) = (first.clone(), second.clone());
    match forms::merge(first.body, second.body) {
        Ok(body) => vec![Letter { body, ..one }],
        Err(_) => vec![one, two],
    }
}
