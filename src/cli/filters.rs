//! `filters`: what the configured filters would make of what came.

use anyhow::{Context, ensure};
use clap::{Args, Subcommand};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use twitter_channel::domain::account::Account;
use twitter_channel::domain::registry::Registry;
use twitter_channel::flow::dry_run::{Trial, Tried, Verdict, dry_run};
use twitter_channel::store::Store;

use super::{as_text, line, rows};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Try the filters of the settings file, and those made in the console, on the messages of the
    /// last hours: a line for each message, then the sums. Nothing is changed; with another --config
    /// than the service's its filters are tried before they are in force.
    Try(Try),
}

#[derive(Debug, Args)]
pub(super) struct Try {
    /// How far to look back; what nobody wanted is remembered for `store.unwanted`.
    #[arg(long, default_value_t = 24)]
    hours: u16,
    /// Id or username of one account; all that are linked when not given.
    #[arg(long)]
    account: Option<String>,
    /// Most messages listed for an account, the newest ones.
    #[arg(long, default_value_t = 100)]
    limit: usize,
    /// One JSON object per message, without sums.
    #[arg(long)]
    json: bool,
}

impl Command {
    /// Does it; gives what to print.
    pub(super) async fn run(self, store: &Store, registry: &Registry) -> anyhow::Result<String> {
        match self {
            Self::Try(these) => these.run(store, registry).await,
        }
    }
}

/// A line of the list.
#[derive(Debug, Serialize)]
struct Listed<'a> {
    #[serde(serialize_with = "as_text")]
    created_at: Timestamp,
    account: &'a str,
    message_id: String,
    conversation: String,
    username: String,
    summary: String,
    published: bool,
    /// Name of the filter that takes it, or that fits all the same.
    filter: Option<String>,
    group: Option<String>,
    /// Why none takes it.
    reason: Option<String>,
}

impl<'a> Listed<'a> {
    fn new(account: &'a Account, tried: Tried) -> Self {
        let (filter, group, reason) = match tried.verdict {
            Verdict::Taken(taker) => (Some(taker.filter), Some(taker.group), None),
            Verdict::Left(reason) => (reason.filter, None, Some(reason.sentence)),
        };
        Self {
            created_at: tried.created_at,
            account: &account.username,
            message_id: tried.message_id,
            conversation: tried.conversation,
            username: tried.username,
            summary: tried.summary,
            published: tried.published,
            filter,
            group,
            reason,
        }
    }

    fn line(&self) -> String {
        let found = match (&self.filter, &self.group, &self.reason) {
            (Some(filter), Some(group), _) => format!("{filter} -> {group}"),
            (_, _, reason) => reason.clone().unwrap_or_default(),
        };
        line(&[
            format!("{:.0}", self.created_at),
            format!("{:<20}", self.message_id),
            format!("{:<16}", format!("@{}", self.username)),
            self.summary.clone(),
            found,
        ])
    }
}

impl Try {
    async fn run(self, store: &Store, registry: &Registry) -> anyhow::Result<String> {
        let back = SignedDuration::from_hours(self.hours.into());
        let since = Timestamp::now().saturating_sub(back)?;
        let accounts = registry.accounts().filter(|it| self.means(it));
        let mut said = String::new();
        for account in accounts {
            let trial = dry_run(
                store,
                account,
                registry.filters(account.id),
                since,
                self.limit,
            );
            said += &self.said(account, trial.await?)?;
        }
        let of = self.account.as_deref().unwrap_or_default();
        ensure!(!said.is_empty() || self.json, "no account {of} is linked");
        Ok(said)
    }

    fn means(&self, account: &Account) -> bool {
        let Some(wanted) = &self.account else {
            return true;
        };
        account.username.eq_ignore_ascii_case(wanted) || account.id.to_string() == *wanted
    }

    fn said(&self, account: &Account, trial: Trial) -> anyhow::Result<String> {
        let sums = sums(account, &trial);
        let tried = trial.messages.into_iter();
        let listed: Vec<_> = tried.map(|tried| Listed::new(account, tried)).collect();
        let listed = rows(&listed, self.json, Listed::line).context("a line cannot be written")?;
        Ok(match self.json {
            true => listed,
            false => listed + &sums,
        })
    }
}

fn sums(account: &Account, trial: &Trial) -> String {
    let mut lines = vec![format!("@{}:", account.username)];
    for (filter, count) in &trial.taken {
        lines.push(format!("{count:>8}  {filter}"));
    }
    for (why, count) in &trial.left {
        lines.push(format!("{count:>8}  not wanted: {why}"));
    }
    match trial.remembered_since {
        Some(since) => lines.push(format!(
            "What nobody wanted is remembered since {since:.0}."
        )),
        None => lines.push("Nothing is remembered that nobody wanted.".to_owned()),
    }
    if !trial.complete {
        lines.push("There are more messages than one look takes in: say fewer hours.".to_owned());
    }
    lines.into_iter().map(|it| line(&[it])).collect()
}
