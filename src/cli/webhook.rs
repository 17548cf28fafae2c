//! `webhook` and `app`: X's side of the set-up.

use anyhow::{Context, anyhow};
use clap::{Args, Subcommand};
use serde::Serialize;
use twitter_channel::domain::access::Actor;
use twitter_channel::domain::account::App;
use twitter_channel::domain::ids::WebhookId;
use twitter_channel::domain::registry::Registry;
use twitter_channel::flow::setup::{Finding, Listed, Setup, SetupError};

use super::{as_text, line, rows};

/// Of which app.
#[derive(Debug, Args)]
pub(super) struct OfApp {
    /// Name of the app; may be left out where there is just one.
    #[arg(long)]
    app: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Webhook {
    /// The webhooks that an app has at X.
    List {
        #[command(flatten)]
        of: OfApp,
        /// One JSON object per line.
        #[arg(long)]
        json: bool,
    },
    /// Make this service the app's webhook. What is in the way is named.
    Register {
        #[command(flatten)]
        of: OfApp,
        /// Delete other webhooks of the app that are in the way.
        #[arg(long)]
        replace: bool,
    },
    /// Have X challenge a webhook now: ours unless another is named.
    Validate {
        #[command(flatten)]
        of: OfApp,
        #[arg(long)]
        id: Option<WebhookId>,
    },
    /// Take a webhook away, with the subscriptions of Account Activity: ours unless another is
    /// named.
    Delete {
        #[command(flatten)]
        of: OfApp,
        #[arg(long)]
        id: Option<WebhookId>,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum AppCommand {
    /// Test an app's keys against X, and say which of them is wrong.
    Check {
        #[command(flatten)]
        of: OfApp,
        /// One JSON object per finding.
        #[arg(long)]
        json: bool,
    },
}

/// A webhook, listed.
#[derive(Debug, Serialize)]
struct Row {
    #[serde(serialize_with = "as_text")]
    id: WebhookId,
    url: String,
    valid: bool,
    ours: bool,
}

impl From<Listed> for Row {
    fn from(listed: Listed) -> Self {
        Self {
            id: listed.webhook.id,
            url: listed.webhook.url,
            valid: listed.webhook.valid,
            ours: listed.ours,
        }
    }
}

impl Row {
    fn line(&self) -> String {
        line(&[
            format!("{:<19}", self.id),
            format!("{:<7}", if self.valid { "valid" } else { "invalid" }),
            format!("{:<5}", if self.ours { "ours" } else { "other" }),
            self.url.clone(),
        ])
    }
}

/// Something that is wrong, listed.
#[derive(Debug, Serialize)]
struct Wrong<'a> {
    code: &'a str,
    field: &'a str,
    sentence: &'a str,
    fix: &'a str,
    words: &'a str,
}

impl<'a> From<&'a Finding> for Wrong<'a> {
    fn from(finding: &'a Finding) -> Self {
        Self {
            code: finding.code,
            field: finding.field,
            sentence: &finding.sentence,
            fix: &finding.fix,
            words: &finding.words,
        }
    }
}

impl Webhook {
    /// Does it; gives what to print.
    pub(super) async fn run(self, setup: &Setup, registry: &Registry) -> anyhow::Result<String> {
        let by = Actor::CommandLine;
        match self {
            Self::List { of, json } => {
                let app = of.find(registry)?;
                let listed = setup.webhooks(app).await.map_err(told)?;
                let listed: Vec<_> = listed.into_iter().map(Row::from).collect();
                rows(&listed, json, Row::line)
            }
            Self::Register { of, replace } => {
                let app = of.find(registry)?;
                let done = setup.register(&by, app, registry.apps(), replace).await;
                let done = done.map_err(told)?;
                let deleted = done.deleted.iter();
                let gone = deleted.map(|it| line(&[format!("deleted {} {}", it.id, it.url)]));
                let webhook = &done.webhook;
                let state = match (done.known, webhook.valid) {
                    (true, true) => "was registered already",
                    (_, true) => "registered",
                    (_, false) => "registered, but X does not deliver to it: validate it",
                };
                let now = line(&[format!("{state}: {} {}", webhook.id, webhook.url)]);
                Ok(gone.chain([now]).collect())
            }
            Self::Validate { of, id } => {
                let app = of.find(registry)?;
                let id = which(setup, app, id).await?;
                match setup.validate(&by, app, id).await.map_err(told)? {
                    true => Ok(line(&[format!("{id} is valid: X delivers to it")])),
                    false => Err(anyhow!("{id} did not pass X's challenge")),
                }
            }
            Self::Delete { of, id } => {
                let app = of.find(registry)?;
                let id = which(setup, app, id).await?;
                let gone = setup.delete(&by, app, id).await.map_err(told)?;
                Ok(line(&[format!("deleted {} {}", gone.id, gone.url)]))
            }
        }
    }
}

impl AppCommand {
    /// Does it; gives what to print, and whether all is right.
    pub(super) async fn run(
        self,
        setup: &Setup,
        registry: &Registry,
    ) -> anyhow::Result<(String, bool)> {
        let Self::Check { of, json } = self;
        let app = of.find(registry)?;
        let found = setup.check_app(app).await;
        let wrong: Vec<_> = found.iter().map(Wrong::from).collect();
        let said = rows(&wrong, json, |it| {
            let words = match it.words {
                "" => String::new(),
                words => format!("X says: {words}"),
            };
            line(&[
                it.code.to_owned(),
                it.sentence.to_owned(),
                words,
                it.fix.to_owned(),
            ])
        })?;
        Ok(match found.is_empty() && !json {
            true => (line(&[format!("the keys of {} are right", app.name)]), true),
            false => (said, found.is_empty()),
        })
    }
}

impl OfApp {
    fn find<'a>(&self, registry: &'a Registry) -> anyhow::Result<&'a App> {
        let apps = registry.apps();
        match (&self.app, apps) {
            (None, [only]) => Ok(only),
            (None, []) => Err(anyhow!("there is no app")),
            (None, _) => Err(anyhow!("there are several apps: say which by --app")),
            (Some(name), apps) => {
                let found = apps.iter().find(|app| app.name == *name);
                found.with_context(|| format!("there is no app {name}"))
            }
        }
    }
}

/// The one that is named, or ours.
async fn which(setup: &Setup, app: &App, id: Option<WebhookId>) -> anyhow::Result<WebhookId> {
    if let Some(id) = id {
        return Ok(id);
    }
    let listed = setup.webhooks(app).await.map_err(told)?;
    let ours = listed.into_iter().find(|listed| listed.ours);
    let ours = ours.map(|listed| listed.webhook.id);
    ours.with_context(|| {
        format!(
            "{} has no webhook that leads here; say which by --id",
            app.name
        )
    })
}

fn told(error: SetupError) -> anyhow::Error {
    anyhow!("{error}\n{}", error.fix())
}
