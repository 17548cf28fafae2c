//! `gaps`: times for which X may have messages that are not here.

use anyhow::Context;
use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde::Serialize;
use twitter_channel::domain::access::Actor;
use twitter_channel::domain::ids::UserId;
use twitter_channel::domain::registry::Registry;
use twitter_channel::flow::admin::gaps::{self, Wanted};
use twitter_channel::flow::rules::Rules;
use twitter_channel::store::{Gap, GapReason, Store};

use super::{as_text, line, rows};

/// Gaps read at a time.
const PAGE: usize = 200;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List gaps, newest first: id, app, account, from, to, reason, state, note.
    List(List),
    /// Have the running service fill a time, by X's replay where that goes, else by reads, which X
    /// charges. What is here already does not come twice.
    Fill(Fill),
    /// End the notice that something of a gap is lost.
    Acknowledge {
        /// Id of the gap.
        id: u64,
    },
}

#[derive(Debug, Args)]
pub(super) struct List {
    /// Closed ones too.
    #[arg(long)]
    all: bool,
    /// One JSON object per line.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Fill {
    /// Name of the app.
    #[arg(long)]
    app: String,
    /// Id or username of one account of it; all of them when not given.
    #[arg(long)]
    account: Option<String>,
    /// Beginning, RFC 3339; at most seven days ago.
    #[arg(long)]
    from: Timestamp,
    /// End, RFC 3339; now when not given.
    #[arg(long)]
    to: Option<Timestamp>,
}

impl Command {
    /// Does it; gives what to print.
    pub(super) async fn run(
        self,
        store: &Store,
        rules: std::sync::Arc<Rules>,
    ) -> anyhow::Result<String> {
        match self {
            Self::List(list) => list.run(store).await,
            Self::Fill(fill) => fill.run(store, &rules.registry).await,
            Self::Acknowledge { id } => {
                gaps::acknowledge(store, id, Actor::CommandLine, Timestamp::now()).await?;
                Ok(format!("gap {id} is acknowledged\n"))
            }
        }
    }
}

/// A line of the list.
#[derive(Debug, Serialize)]
struct Listed {
    id: u64,
    app: String,
    account: Option<String>,
    #[serde(serialize_with = "as_text")]
    from: Timestamp,
    #[serde(serialize_with = "as_text")]
    to: Timestamp,
    reason: &'static str,
    /// `open`, `replay`, `reads` or `lost`.
    state: &'static str,
    note: String,
}

impl From<Gap> for Listed {
    fn from(gap: Gap) -> Self {
        Self {
            id: gap.id,
            account: gap.account.map(|id| id.to_string()),
            from: gap.from,
            to: gap.until,
            reason: gap.reason.name(),
            state: gap.closed.map_or("open", |(_, end)| end.name()),
            app: gap.app,
            note: gap.note,
        }
    }
}

impl Listed {
    fn line(&self) -> String {
        line(&[
            format!("{:>6}", self.id),
            self.app.clone(),
            format!("{:>19}", self.account.as_deref().unwrap_or("-")),
            format!("{:.0}", self.from),
            format!("{:.0}", self.to),
            format!("{:<8}", self.reason),
            format!("{:<6}", self.state),
            self.note.clone(),
        ])
    }
}

impl List {
    async fn run(self, store: &Store) -> anyhow::Result<String> {
        let mut listed: Vec<Listed> = Vec::new();
        let mut before = None;
        loop {
            let page = gaps::list(store, !self.all, before, PAGE).await?;
            listed.extend(page.items.into_iter().map(Listed::from));
            before = page.next;
            if before.is_none() {
                return rows(&listed, self.json, Listed::line);
            }
        }
    }
}

impl Fill {
    async fn run(self, store: &Store, registry: &Registry) -> anyhow::Result<String> {
        let now = Timestamp::now();
        let account = match &self.account {
            None => None,
            Some(named) => Some(find(registry, named)?),
        };
        let wanted = Wanted {
            app: self.app,
            account,
            from: self.from,
            until: self.to.unwrap_or(now),
            reason: GapReason::ByHand,
        };
        let gap = gaps::fill(store, registry, wanted, Actor::CommandLine, now).await?;
        Ok(format!("gap {} is filled by the running service\n", gap.id))
    }
}

fn find(
    registry: &Registry,
    named: &str,
) -> anyhow::Result<twitter_channel::domain::ids::AccountId> {
    let id: Option<UserId> = named.parse().ok();
    let name = named.trim_start_matches('@');
    let mut accounts = registry.accounts();
    let found = accounts
        .find(|account| id == Some(account.id.0) || account.username.eq_ignore_ascii_case(name));
    let found = found.with_context(|| format!("no account {named} is linked"))?;
    Ok(found.id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::tests::{TestStore, at};
    use twitter_channel::store::{GapEnd, Tx};

    #[tokio::test]
    async fn closed_gaps_are_listed_on_request() {
        let store = TestStore::open();
        let fill = |tx: &mut Tx<'_>| {
            tx.open_gap("acme", at(0), at(100), GapReason::Downtime)?;
            tx.open_gap("acme", at(5000), at(5100), GapReason::Refused)?;
            let first = tx.open_gaps()?[0].id;
            tx.close_gap(first, GapEnd::Lost, "Gone.", at(9000))
        };
        store.write(fill).await.unwrap();
        let list = |all, json| List { all, json }.run(&store);
        let open = list(false, false).await.unwrap();
        assert!(open.contains("refused   open"), "{open}");
        assert_eq!(open.lines().count(), 1);
        let all = list(true, true).await.unwrap();
        let states: Vec<_> = all
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["state"].clone())
            .collect();
        assert_eq!(states, ["open", "lost"]);
    }
}
