//! The helpdesk core of a test: puts commands on the queue and remembers all it hears.

use serde_json::{Value, json};

use crate::support::broker::eventually;
use crate::support::service::{ACME, Event, TestService};

/// A command of [`ACME`]: its id and what else stands in it.
pub(super) fn command(id: &str, rest: Value) -> Value {
    let mut command = json!({"command_id": id, "account_id": ACME.to_string()});
    for (name, value) in rest.as_object().unwrap() {
        command[name] = value.clone();
    }
    command
}

/// `send_post` of [`ACME`] with these fields.
pub(super) fn post(id: &str, fields: Value) -> Value {
    command(id, json!({"send_post": fields}))
}

/// `send_direct_message` of [`ACME`] with these fields.
pub(super) fn message(id: &str, fields: Value) -> Value {
    command(id, json!({"send_direct_message": fields}))
}

/// Hears everything, in order, and forgets nothing.
pub(super) struct Listener<'s> {
    service: &'s TestService,
    heard: Vec<Event>,
}

impl<'s> Listener<'s> {
    pub(super) fn to(service: &'s TestService) -> Self {
        let heard = Vec::new();
        Self { service, heard }
    }

    /// Waits until an event that fits has come, also one of before.
    pub(super) async fn hears(&mut self, what: &str, fits: impl Fn(&Event) -> bool) -> Event {
        let fitting = self.hears_times(what, 1, fits).await;
        fitting.into_iter().next().unwrap()
    }

    /// Waits until so many events that fit have come.
    pub(super) async fn hears_times(
        &mut self,
        what: &str,
        count: usize,
        fits: impl Fn(&Event) -> bool,
    ) -> Vec<Event> {
        loop {
            let heard: Vec<_> = self.heard.iter().filter(|event| fits(event)).collect();
            if heard.len() >= count {
                return heard.into_iter().cloned().collect();
            }
            let come = async || {
                let events = self.service.take_events().await;
                (!events.is_empty()).then_some(events)
            };
            let events = eventually(what, come).await;
            self.heard.extend(events);
        }
    }

    /// What has come so far and fits.
    pub(super) async fn heard(&mut self, fits: impl Fn(&Event) -> bool) -> Vec<Event> {
        self.heard.extend(self.service.take_events().await);
        let heard = self.heard.iter().filter(|event| fits(event));
        heard.cloned().collect()
    }

    pub(super) async fn outcome(&mut self, id: &str) -> Event {
        let what = format!("the outcome of {id}");
        self.hears(&what, |event| is_outcome(event, id)).await
    }

    pub(super) async fn succeeded(&mut self, id: &str) -> Event {
        let outcome = self.outcome(id).await;
        let event_type = outcome.event_type();
        assert_eq!(event_type, "command.succeeded", "{:#}", outcome.body);
        outcome
    }

    pub(super) async fn failed(&mut self, id: &str, code: &str) -> Event {
        let outcome = self.outcome(id).await;
        let event_type = outcome.event_type();
        assert_eq!(event_type, "command.failed", "{:#}", outcome.body);
        assert_eq!(outcome.text("/code"), code, "{:#}", outcome.body);
        assert!(!outcome.text("/advice").is_empty(), "{:#}", outcome.body);
        outcome
    }

    pub(super) async fn deferred(&mut self, id: &str, code: &str) -> Event {
        let what = format!("{id} deferred for {code}");
        let fits = |event: &Event| is_deferred(event, id) && event.text("/code") == code;
        self.hears(&what, fits).await
    }

    /// The codes for which a command was deferred so far.
    pub(super) async fn deferrals(&mut self, id: &str) -> Vec<String> {
        let deferred = self.heard(|event| is_deferred(event, id)).await;
        let codes = deferred.iter().map(|event| event.text("/code").to_owned());
        codes.collect()
    }

    /// Sends a command and waits until it has succeeded.
    pub(super) async fn does(&mut self, command: &Value) -> Event {
        self.service.command(command).await;
        self.succeeded(command["command_id"].as_str().unwrap())
            .await
    }

    /// Sends a command and waits for its outcome.
    pub(super) async fn outcome_of(&mut self, command: &Value) -> Event {
        self.service.command(command).await;
        self.outcome(command["command_id"].as_str().unwrap()).await
    }

    /// Sends a command and waits until it has failed with this code.
    pub(super) async fn refuses(&mut self, command: &Value, code: &str) -> Event {
        self.service.command(command).await;
        let id = command["command_id"].as_str().unwrap();
        self.failed(id, code).await
    }
}

fn is_outcome(event: &Event, id: &str) -> bool {
    matches!(event.event_type(), "command.succeeded" | "command.failed")
        && event.text("/command_id") == id
}

fn is_deferred(event: &Event, id: &str) -> bool {
    event.event_type() == "command.deferred" && event.text("/command_id") == id
}

/// The messages that an outcome names.
pub(super) fn named(outcome: &Event) -> Vec<&str> {
    let messages = outcome.at("/messages").as_array().unwrap().iter();
    messages.map(|it| it["id"].as_str().unwrap()).collect()
}
