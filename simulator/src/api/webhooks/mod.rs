//! Webhooks by API: v2 here, with what it has in common with v1.1.

mod refusal;
pub(super) mod v1;

use std::net::{Ipv4Addr, Ipv6Addr};

use reqwest::Url;
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::{Answer, Outcome};
use super::serve::Call;
use crate::model::{Place, Webhook, format};
use crate::simulator::Simulator;

pub(super) use refusal::WebhookRefusal;

const TIME: &str = "%Y-%m-%dT%H:%M:%S.%3fZ";
/// In characters, by X's specification.
const LONGEST_URL: usize = 200;

/// A webhook that has to answer a challenge before the caller is answered.
#[derive(Clone, Debug)]
pub(crate) struct Check {
    app: String,
    what: Checked,
    style: Style,
    limit: usize,
}

impl Check {
    /// The same, to be answered in the words of v1.1.
    fn in_v1(self) -> Self {
        Self {
            style: Style::V1,
            ..self
        }
    }
}

#[derive(Clone, Debug)]
enum Checked {
    /// It is registered if it passes.
    New { url: String, place: Place },
    /// It is there: what comes of the check is noted.
    Known(u64),
}

#[derive(Deserialize)]
struct NewWebhook {
    url: String,
}

/// `POST /2/webhooks`
pub(super) fn create(call: Call<'_>) -> Outcome {
    let NewWebhook { url } = call.incoming.json()?;
    let check = call.new_webhook(url, Place::v2());
    pending(check.map_err(|refusal| refusal.v2())?)
}

/// `GET /2/webhooks`
pub(super) fn list(call: Call<'_>) -> Outcome {
    let webhooks: Vec<Value> = call.webhooks_in(&Place::v2()).map(told).collect();
    let meta = json!({ "result_count": webhooks.len() });
    Ok(Answer::ok(&json!({ "data": webhooks, "meta": meta })))
}

/// `PUT /2/webhooks/{id}`
pub(super) fn validate(call: Call<'_>) -> Outcome {
    let webhook = call.named_webhook(&Place::v2());
    pending(call.check_of(webhook.map_err(|refusal| refusal.v2())?))
}

/// `DELETE /2/webhooks/{id}`
pub(super) fn delete(call: Call<'_>) -> Outcome {
    let webhook = call.named_webhook(&Place::v2());
    let id = webhook.map_err(|refusal| refusal.v2())?;
    call.remove_webhook(id).map_err(|refusal| refusal.v2())?;
    let answer = Answer::ok(&json!({ "data": { "deleted": true } }));
    Ok(answer.with_effect(id, None))
}

fn pending(check: Check) -> Outcome {
    Ok(Answer {
        check: Some(check),
        ..Answer::default()
    })
}

fn told(webhook: &Webhook) -> Value {
    json!({
        "id": webhook.id.to_string(),
        "url": webhook.url,
        "valid": webhook.valid,
        "created_at": format(webhook.created_at_ms, TIME),
    })
}

/// What both versions ask of a call.
impl Call<'_> {
    fn new_webhook(&self, url: String, place: Place) -> Result<Check, WebhookRefusal> {
        let check = Check {
            app: self.caller.app.clone(),
            what: Checked::New {
                url: url.clone(),
                place: place.clone(),
            },
            style: Style::of(&place),
            limit: self.state.settings.webhooks(),
        };
        may_register(self.world, &check.app, &url, &place, check.limit)?;
        Ok(check)
    }

    fn check_of(&self, webhook: u64) -> Check {
        Check {
            app: self.caller.app.clone(),
            what: Checked::Known(webhook),
            style: Style::V2,
            limit: 0,
        }
    }

    pub(super) fn webhooks_in<'a>(&'a self, place: &Place) -> impl Iterator<Item = &'a Webhook> {
        let (app, place) = (&self.caller.app, place.clone());
        let webhooks = self.world.webhooks();
        webhooks.filter(move |webhook| webhook.app == *app && webhook.place.covers(&place))
    }

    /// The webhook of the path; another app's is none.
    pub(super) fn named_webhook(&self, place: &Place) -> Result<u64, WebhookRefusal> {
        let id = self.incoming.part("id");
        self.webhook_with_id(id, place)
    }

    pub(super) fn webhook_with_id(&self, id: &str, place: &Place) -> Result<u64, WebhookRefusal> {
        let mut webhooks = self.webhooks_in(place);
        let found = webhooks.find(|webhook| webhook.id.to_string() == id);
        found
            .map(|webhook| webhook.id)
            .ok_or_else(|| WebhookRefusal::Unknown(id.to_owned()))
    }

    fn remove_webhook(self, id: u64) -> Result<(), WebhookRefusal> {
        let gone = self.world.delete_webhook(id);
        gone.map_err(|_gone| WebhookRefusal::Unknown(id.to_string()))
    }
}

fn may_register(
    world: &crate::model::World,
    app: &str,
    url: &str,
    place: &Place,
    limit: usize,
) -> Result<(), WebhookRefusal> {
    check_url(url)?;
    let of_app = || world.webhooks().filter(|webhook| webhook.app == app);
    if of_app().any(|webhook| webhook.url == url && webhook.place.covers(place)) {
        return Err(WebhookRefusal::Duplicate(url.to_owned()));
    }
    let is_full = match place.environment {
        // A label has one; v2 counts over the developer account.
        Some(_) => of_app().any(|webhook| webhook.place.covers(place)),
        None => world
            .developer_webhooks(app)
            .is_ok_and(|count| count >= limit),
    };
    match is_full {
        true => Err(WebhookRefusal::TooMany(limit)),
        false => Ok(()),
    }
}

/// X's rules; this machine is let off https and the port.
fn check_url(raw: &str) -> Result<(), WebhookRefusal> {
    let refuse = |why: &str| Err(WebhookRefusal::Url(raw.to_owned(), why.to_owned()));
    if !(1..=LONGEST_URL).contains(&raw.chars().count()) {
        return refuse("the URL has to have 1 to 200 characters");
    }
    let Ok(url) = Url::parse(raw) else {
        return refuse("the URL is malformed");
    };
    if is_here(&url) && matches!(url.scheme(), "http" | "https") {
        return Ok(());
    }
    match (url.scheme(), url.port(), url.host_str()) {
        ("https", None, Some(_)) => Ok(()),
        ("https", Some(_), _) => refuse("the URL must not have a port"),
        _ => refuse("the URL has to be https"),
    }
}

fn is_here(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || bare.parse().is_ok_and(|ip: Ipv4Addr| ip.is_loopback())
        || bare.parse().is_ok_and(|ip: Ipv6Addr| ip.is_loopback())
}

/// Asks the webhook that an answer waits for, and answers by what it says.
pub(super) async fn checked(simulator: &Simulator, mut answer: Answer) -> Answer {
    let Some(check) = answer.check.take() else {
        return answer;
    };
    let found = match check.what.clone() {
        Checked::Known(id) => known(simulator, id).await.map(|()| Done::Validated(id)),
        Checked::New { url, place } => {
            let made = register(simulator, &check, &url, &place).await;
            made.map(|webhook| Done::Created(Box::new(webhook)))
        }
    };
    let told = match found {
        Ok(done) => check.style.success(&done),
        Err(refusal) => check.style.refusal(&refusal),
    };
    told.with_headers(answer.headers)
}

enum Done {
    Created(Box<Webhook>),
    Validated(u64),
}

/// Whose words are used.
#[derive(Clone, Copy, Debug)]
enum Style {
    V1,
    V2,
}

impl Style {
    fn of(place: &Place) -> Self {
        match place.v2 {
            true => Self::V2,
            false => Self::V1,
        }
    }

    fn success(self, done: &Done) -> Answer {
        match (self, done) {
            (Self::V2, Done::Created(webhook)) => {
                Answer::ok(&json!({ "data": told(webhook) })).with_effect(webhook.id, None)
            }
            (Self::V1, Done::Created(webhook)) => v1::created(webhook),
            (Self::V2, Done::Validated(id)) => {
                Answer::ok(&json!({ "data": { "valid": true } })).with_effect(id, None)
            }
            (Self::V1, Done::Validated(id)) => v1::empty().with_effect(id, None),
        }
    }

    fn refusal(self, refusal: &WebhookRefusal) -> Answer {
        match self {
            Self::V1 => *refusal.v1(),
            Self::V2 => *refusal.v2(),
        }
    }
}

async fn known(simulator: &Simulator, id: u64) -> Result<(), WebhookRefusal> {
    use crate::crc::CrcError;
    simulator
        .check_webhook(id)
        .await
        .map_err(|error| match error {
            CrcError::Failed(failure) => WebhookRefusal::Crc(failure),
            CrcError::Refused(_) => WebhookRefusal::Unknown(id.to_string()),
        })
}

async fn register(
    simulator: &Simulator,
    check: &Check,
    url: &str,
    place: &Place,
) -> Result<Webhook, WebhookRefusal> {
    let unknown = |_gone| WebhookRefusal::Unknown(String::new());
    let asked = simulator.try_webhook(&check.app, url).await;
    if let Some(failure) = asked.map_err(unknown)? {
        return Err(WebhookRefusal::Crc(failure));
    }
    let mut world = simulator.world().lock();
    // Another may have come while this one was asked.
    may_register(&world, &check.app, url, place, check.limit)?;
    let id = world.register_webhook(&check.app, url, place.clone());
    let id = id.map_err(unknown)?;
    world.webhook(id).cloned().map_err(unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_let_off_https_and_the_port() {
        for good in [
            "https://desk.example/webhooks",
            "https://desk.example:443/webhooks",
            "http://127.0.0.1:8080/webhooks",
            "http://[::1]:8080/",
            "http://localhost:1/x",
        ] {
            assert!(check_url(good).is_ok(), "{good}");
        }
        let long = format!("https://desk.example/{}", "x".repeat(180));
        for bad in [
            "",
            "desk.example",
            "http://desk.example/webhooks",
            "https://desk.example:8443/webhooks",
            "ftp://127.0.0.1/",
            &long,
        ] {
            assert!(check_url(bad).is_err(), "{bad}");
        }
    }
}
