//! `compliance`: which published posts X wants out of all copies.

use clap::Subcommand;
use jiff::Timestamp;
use serde::Serialize;
use twitter_channel::domain::access::Actor;
use twitter_channel::domain::registry::Registry;
use twitter_channel::flow::admin::compliance;
use twitter_channel::flow::compliance::Requested;
use twitter_channel::store::{ComplianceRow, Store};

use super::{line, rows};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Have the running service ask X now, for one app: it begins within seconds and takes as long
    /// as X takes.
    Run {
        /// Name of the app.
        #[arg(long)]
        app: String,
    },
    /// When each app was checked last, and what came in between.
    List {
        /// One JSON object per line.
        #[arg(long)]
        json: bool,
    },
}

impl Command {
    /// Does it; gives what to print.
    pub(super) async fn run(self, store: &Store, registry: &Registry) -> anyhow::Result<String> {
        match self {
            Self::Run { app } => {
                let (who, now) = (Actor::CommandLine, Timestamp::now());
                let requested = compliance::request(store, registry, &app, who, now).await?;
                Ok(match requested {
                    Requested::Begins => format!("{app}: the service begins within seconds\n"),
                    Requested::UnderWay(since) => format!("{app}: under way since {since:.0}\n"),
                })
            }
            Self::List { json } => {
                let listed: Vec<_> = compliance::list(store).await?;
                let listed: Vec<_> = listed.into_iter().map(Listed::from).collect();
                rows(&listed, json, Listed::line)
            }
        }
    }
}

/// A line of the list.
#[derive(Debug, Serialize)]
struct Listed {
    app: String,
    last_done: Option<String>,
    under_way_since: Option<String>,
    due: String,
    problem: String,
}

impl From<ComplianceRow> for Listed {
    fn from(row: ComplianceRow) -> Self {
        let shown = |at: Timestamp| format!("{at:.0}");
        Self {
            last_done: row.last_done.map(shown),
            under_way_since: row.check.map(|check| shown(check.started)),
            due: shown(row.due),
            app: row.app,
            problem: row.problem,
        }
    }
}

impl Listed {
    fn line(&self) -> String {
        let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        line(&[
            self.app.clone(),
            format!("done {:<20}", or_dash(&self.last_done)),
            format!("under way {:<20}", or_dash(&self.under_way_since)),
            format!("due {}", self.due),
            self.problem.clone(),
        ])
    }
}
