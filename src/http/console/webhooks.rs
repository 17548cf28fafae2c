//! What the set-up asks of X for an app: the test of our address and of its keys, and its webhooks,
//! listed before anything is taken away.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Path};

use super::fields::Fields;
use super::page::{Refused, Visit, go};
use super::setup::{self, About, Outcome};
use super::words::When;
use crate::domain::account::App;
use crate::domain::ids::WebhookId;
use crate::flow::setup::{Listed, SetupError};
use crate::http::api::Api;

/// What was said to a form, at the form.
pub(super) struct Said {
    pub sentence: String,
    /// What mends it; may be empty.
    pub fix: String,
    pub class: &'static str,
}

impl Said {
    fn good(sentence: String) -> Self {
        Self {
            sentence,
            fix: String::new(),
            class: "good",
        }
    }

    /// Why something is not done at X; what only the log can explain is no answer to a form.
    pub(super) fn refusal(error: SetupError) -> Result<Self, Refused> {
        let fix = match &error {
            SetupError::Store(_) => return Err(error.into()),
            SetupError::InTheWay { .. } => {
                "Delete it where it is not needed, or register replacing this app's own, which are \
                 listed below."
            }
            error => error.fix(),
        };
        Ok(Self {
            fix: fix.to_owned(),
            sentence: sentence(&error.to_string()),
            class: "bad",
        })
    }
}

/// With a capital and a stop.
fn sentence(words: &str) -> String {
    let mut letters = words.chars();
    let first = letters.next().map(|it| it.to_uppercase().to_string());
    let end = if words.ends_with('.') { "" } else { "." };
    // An address and the name of a setting stay as they are.
    let begins = words.split_whitespace().next().unwrap_or_default();
    match begins.contains(['/', '.', '_']) {
        true => format!("{words}{end}"),
        false => format!("{}{}{end}", first.unwrap_or_default(), letters.as_str()),
    }
}

/// A webhook of the list.
pub(super) struct Row {
    pub id: String,
    pub url: String,
    pub valid: bool,
    pub ours: bool,
    pub created: Option<When>,
}

impl From<Listed> for Row {
    fn from(listed: Listed) -> Self {
        Self {
            id: listed.webhook.id.to_string(),
            url: listed.webhook.url,
            valid: listed.webhook.valid,
            ours: listed.ours,
            created: listed.webhook.created_at.map(When),
        }
    }
}

/// The webhooks of an app as X has them, or why they are not known.
#[derive(Default)]
pub(super) struct List {
    pub rows: Vec<Row>,
    pub fault: Option<Said>,
}

impl List {
    pub(super) async fn read(api: &Api, app: &App) -> Result<Self, Refused> {
        Ok(match api.setup.webhooks(app).await {
            Ok(listed) => Self {
                rows: listed.into_iter().map(Row::from).collect(),
                fault: None,
            },
            Err(error) => Self {
                rows: Vec::new(),
                fault: Some(Said::refusal(error)?),
            },
        })
    }

    /// X delivers here.
    pub(super) fn stand(&self) -> bool {
        self.rows.iter().any(|row| row.ours && row.valid)
    }

    /// There are webhooks that lead elsewhere.
    pub(super) fn has_others(&self) -> bool {
        self.rows.iter().any(|row| !row.ours)
    }
}

fn about(app: &App) -> About {
    About {
        app: app.name.clone(),
        ..About::default()
    }
}

/// Tries our address as X does before it takes a webhook.
pub(super) async fn try_address(
    api: Data<Api>,
    visit: Visit,
    name: Path<String>,
) -> Result<HttpResponse, Refused> {
    let app = api.app(&name)?;
    let (status, said) = match api.setup.try_address(&app).await {
        Ok(passed) => {
            let ends = passed.certificate_ends;
            let ends = ends.map_or(String::new(), |at| {
                format!(" Its certificate holds until {at:.0}.")
            });
            let url = api.webhook_url(&app.name);
            let good = format!("{url} answers X's challenge as it has to.{ends}");
            (StatusCode::OK, Said::good(good))
        }
        Err(error) => (StatusCode::CONFLICT, Said::refusal(error)?),
    };
    setup::answer(
        &api,
        &visit,
        "address",
        about(&app),
        Outcome::Said(said),
        status,
    )
    .await
}

/// Tests the keys of an app at X; the step that it was asked at shows what was found.
pub(super) async fn check(
    api: Data<Api>,
    name: Path<String>,
    fields: Fields,
) -> Result<HttpResponse, Refused> {
    let app = api.app(&name)?;
    api.setup.test_app(&app).await;
    let step = match fields.text("step") {
        step @ ("permissions" | "delivery" | "webhook") => step,
        _ => "keys",
    };
    Ok(go(&format!("/setup/{step}?app={}", app.name)))
}

/// Makes this service the app's webhook at X. What is in the way is told, and deleted only where
/// that was said.
pub(super) async fn register(
    api: Data<Api>,
    visit: Visit,
    name: Path<String>,
    fields: Fields,
) -> Result<HttpResponse, Refused> {
    let (app, rules) = (api.app(&name)?, api.rules.now());
    let (apps, replace) = (rules.registry.apps(), fields.has("replace"));
    let done = api.setup.register(&visit.actor, &app, apps, replace).await;
    after(&api, &visit, &app, done.map(|_registered| "registered")).await
}

/// Has X challenge one again.
pub(super) async fn validate(
    api: Data<Api>,
    visit: Visit,
    path: Path<(String, String)>,
) -> Result<HttpResponse, Refused> {
    let (name, id) = path.into_inner();
    let (app, id) = (api.app(&name)?, webhook(&id)?);
    match api.setup.validate(&visit.actor, &app, id).await {
        Ok(false) => {
            let said = Said {
                sentence: format!(
                    "The webhook {id} did not pass X's challenge: X does not use it."
                ),
                fix: "See that its address leads to a service that has the app's API key secret."
                    .to_owned(),
                class: "bad",
            };
            refuse(&api, &visit, &app, said).await
        }
        done => after(&api, &visit, &app, done.map(|_passed| "validated")).await,
    }
}

/// Takes one away.
pub(super) async fn delete(
    api: Data<Api>,
    visit: Visit,
    path: Path<(String, String)>,
) -> Result<HttpResponse, Refused> {
    let (name, id) = path.into_inner();
    let (app, id) = (api.app(&name)?, webhook(&id)?);
    let done = api.setup.delete(&visit.actor, &app, id).await;
    after(&api, &visit, &app, done.map(|_webhook| "webhook-deleted")).await
}

fn webhook(id: &str) -> Result<WebhookId, Refused> {
    id.parse().map_err(|_unread| Refused::not_found("webhook"))
}

/// To the step of the webhook, or why not, there.
async fn after(
    api: &Api,
    visit: &Visit,
    app: &App,
    done: Result<&'static str, SetupError>,
) -> Result<HttpResponse, Refused> {
    match done {
        Ok(word) => Ok(go(&format!("/setup/webhook?app={}&done={word}", app.name))),
        Err(error) => refuse(api, visit, app, Said::refusal(error)?).await,
    }
}

async fn refuse(api: &Api, visit: &Visit, app: &App, said: Said) -> Result<HttpResponse, Refused> {
    let (said, status) = (Outcome::Said(said), StatusCode::CONFLICT);
    setup::answer(api, visit, "webhook", about(app), said, status).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_sentences() {
        assert_eq!(sentence("no room: full"), "No room: full.");
        assert_eq!(
            sentence("public.url is not set: X waits."),
            "public.url is not set: X waits."
        );
        assert_eq!(
            sentence("https://a.example is bad"),
            "https://a.example is bad."
        );
    }
}
