//! `account`: which accounts there are, and how they come and go.

use anyhow::bail;
use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde::Serialize;
use tokio_util::task::TaskTracker;
use twitter_channel::app::linker;
use twitter_channel::config::Settings;
use twitter_channel::domain::access::Actor;
use twitter_channel::domain::ids::AccountId;
use twitter_channel::flow::link::{Kind, LinkError, Linker, Listed, Offered, Order};
use twitter_channel::store::Store;

use super::{as_text, line, rows};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the accounts: id, handle, state, app, since when, kinds of credential, scopes.
    List {
        /// One JSON object per line.
        #[arg(long)]
        json: bool,
    },
    /// Link an account: prints a link to open in your browser within ten minutes.
    Link {
        #[command(flatten)]
        way: Way,
        /// The account that is expected; another one is refused.
        #[arg(long, value_name = "HANDLE")]
        username: Option<String>,
    },
    /// Invite the owner of an account to link it: prints a link to send, good once within 24 hours.
    Invite {
        #[command(flatten)]
        way: Way,
        /// The account; another one is refused.
        #[arg(long, value_name = "HANDLE")]
        username: String,
    },
    /// Let the messages of a linked account be routed.
    Confirm {
        #[arg(value_name = "ID", value_parser = account)]
        id: AccountId,
    },
    /// Unsubscribe an account, revoke its credentials at X and forget them.
    Unlink {
        #[arg(value_name = "ID", value_parser = account)]
        id: AccountId,
    },
}

/// Through which app, and by which of X's ways.
#[derive(Debug, Args)]
pub(super) struct Way {
    /// Name of the app; may be left out where there is only one.
    #[arg(long)]
    app: Option<String>,
    /// OAuth 1.0a, the default: its tokens do not end.
    #[arg(long, conflicts_with = "oauth2")]
    oauth1: bool,
    /// OAuth 2.0: alt texts and files of direct messages need it. An account may have both.
    #[arg(long)]
    oauth2: bool,
}

fn account(raw: &str) -> Result<AccountId, String> {
    let id = raw.parse().map(AccountId);
    id.map_err(|error| format!("X's id of an account is expected: {error}"))
}

impl Way {
    fn kind(&self) -> Kind {
        match self.oauth2 {
            true => Kind::OAuth2,
            false => Kind::OAuth1,
        }
    }

    fn app(&self, linker: &Linker) -> anyhow::Result<String> {
        let apps = linker.apps();
        match (&self.app, apps.as_slice()) {
            (Some(app), _) => Ok(app.clone()),
            (None, [only]) => Ok(only.clone()),
            (None, []) => bail!("there is no app yet"),
            (None, several) => bail!("there are several apps, name one: {}", several.join(", ")),
        }
    }
}

impl Command {
    /// Does it; gives what to print.
    pub(super) async fn run(self, settings: &Settings, store: &Store) -> anyhow::Result<String> {
        let tasks = TaskTracker::new();
        let linker = linker(settings, store, &tasks).await?;
        let done = self.run_with(&linker, Timestamp::now()).await;
        // A refresh of tokens under way must not be cut.
        tasks.close();
        tasks.wait().await;
        done
    }

    async fn run_with(self, linker: &Linker, now: Timestamp) -> anyhow::Result<String> {
        let by = Actor::CommandLine;
        match self {
            Self::List { json } => list(linker, json).await,
            Self::Link { way, username } => {
                let order = Order {
                    app: way.app(linker)?,
                    kind: way.kind(),
                    username,
                    by,
                    back: None,
                };
                offered(linker.offer(order, now).await)
            }
            Self::Invite { way, username } => {
                let app = way.app(linker)?;
                offered(linker.invite(&app, way.kind(), &username, by, now).await)
            }
            Self::Confirm { id } => {
                linker.confirm(by, id).await?;
                Ok(format!("account {id} is confirmed\n"))
            }
            Self::Unlink { id } => unlink(linker, id).await,
        }
    }
}

fn offered(offered: Result<Offered, LinkError>) -> anyhow::Result<String> {
    match offered {
        Ok(offered) => Ok(format!(
            "{}\ngood once, until {:.0}\n",
            offered.url, offered.expires_at
        )),
        Err(error) => bail!("{error} {}", error.fix()),
    }
}

async fn unlink(linker: &Linker, id: AccountId) -> anyhow::Result<String> {
    let unlinked = linker.unlink(Actor::CommandLine, id).await?;
    let left: String = unlinked
        .left_at_x
        .iter()
        .map(|it| format!("{it}\n"))
        .collect();
    Ok(format!("account {id} is unlinked\n{left}"))
}

/// A line of the list.
#[derive(Debug, Serialize)]
struct Row {
    #[serde(serialize_with = "as_text")]
    id: AccountId,
    username: String,
    name: String,
    state: &'static str,
    app: String,
    since: Option<String>,
    kinds: Vec<&'static str>,
    scopes: Vec<String>,
}

impl From<Listed> for Row {
    fn from(listed: Listed) -> Self {
        let kinds = [(listed.oauth1, Kind::OAuth1), (listed.oauth2, Kind::OAuth2)];
        let kinds = kinds.into_iter().filter(|(has, _)| *has);
        Self {
            id: listed.id,
            username: listed.username,
            name: listed.name,
            state: listed.state.name(),
            app: listed.app,
            since: listed.since.map(|at| format!("{at:.0}")),
            kinds: kinds.map(|(_, kind)| kind.name()).collect(),
            scopes: listed.scopes,
        }
    }
}

impl Row {
    fn line(&self) -> String {
        line(&[
            format!("{:>19}", self.id),
            format!("@{:<15}", self.username),
            format!("{:<11}", self.state),
            format!("{:<12}", self.app),
            format!("{:<20}", self.since.as_deref().unwrap_or("-")),
            self.kinds.join("+"),
            self.scopes.join(" "),
        ])
    }
}

async fn list(linker: &Linker, json: bool) -> anyhow::Result<String> {
    let listed = linker.accounts().await?;
    let listed: Vec<_> = listed.into_iter().map(Row::from).collect();
    rows(&listed, json, Row::line)
}
