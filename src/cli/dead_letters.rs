//! `dead-letters`: messages that the core gave back, let expire or could not get, and commands that
//! could not be read.

use std::collections::HashSet;
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde::Serialize;
use twitter_channel::broker::dead_queue::{Brought, DeadLetter, DeadQueue};
use twitter_channel::broker::settings::BrokerSettings;

use super::{line, rows};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List dead letters, in the order of the queue: id, when it died, type, account, reason, deaths, size, queue.
    List {
        #[command(flatten)]
        queue: Queue,
        /// Most letters of each queue.
        #[arg(long, default_value_t = 1000)]
        limit: usize,
        /// One JSON object per line.
        #[arg(long)]
        json: bool,
    },
    /// Show one letter with its headers; what people wrote only on request.
    Show {
        /// Its message id.
        id: String,
        #[command(flatten)]
        queue: Queue,
        /// Its body too: it may hold what people wrote.
        #[arg(long)]
        body: bool,
    },
    /// Bring letters back to the queue in which they died, under their old id.
    Retry(Retry),
}

#[derive(Debug, Args)]
pub(super) struct Queue {
    /// This queue of dead letters, instead of those of all inboxes; `twitter.dead` has commands.
    #[arg(long, value_name = "NAME")]
    queue: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct Retry {
    /// The letters with these message ids.
    #[arg(value_name = "ID", required_unless_present = "all")]
    ids: Vec<String>,
    /// All that are there now.
    #[arg(long, conflicts_with = "ids")]
    all: bool,
    #[command(flatten)]
    queue: Queue,
    /// Most letters to bring back.
    #[arg(long, default_value_t = 1000)]
    limit: usize,
    /// Only say what would be brought back.
    #[arg(long)]
    dry_run: bool,
}

impl Command {
    /// Does it; gives what to print.
    pub(super) async fn run(self, broker: BrokerSettings) -> anyhow::Result<String> {
        let broker = Arc::new(broker);
        match self {
            Self::List { queue, limit, json } => list(&broker, &queue, limit, json).await,
            Self::Show { id, queue, body } => show(&broker, &queue, &id, body).await,
            Self::Retry(retry) => retry.run(&broker).await,
        }
    }
}

impl Queue {
    fn names(&self, broker: &BrokerSettings) -> anyhow::Result<Vec<String>> {
        let names: Vec<_> = match &self.queue {
            Some(name) => vec![name.clone()],
            None => broker.dead_inboxes().collect(),
        };
        ensure!(
            !names.is_empty(),
            "broker.inboxes is empty, so the queue is not known: name it with --queue"
        );
        Ok(names)
    }
}

/// A line of the list.
#[derive(Debug, Serialize)]
struct Listed {
    id: Option<String>,
    died_at: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    account: Option<String>,
    reason: String,
    deaths: u64,
    bytes: usize,
    queue: String,
    died_in: Option<String>,
}

impl Listed {
    fn of(letter: &DeadLetter, queue: &str) -> Self {
        Self {
            id: letter.id.clone(),
            died_at: letter.died_at.map(|at| format!("{at:.0}")),
            kind: letter.kind.clone(),
            account: account(letter),
            reason: letter.reason.clone(),
            deaths: letter.deaths,
            bytes: letter.body().len(),
            queue: queue.to_owned(),
            died_in: letter.died_in.clone(),
        }
    }

    fn line(&self) -> String {
        let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        line(&[
            format!("{:<32}", or_dash(&self.id)),
            format!("{:<20}", or_dash(&self.died_at)),
            format!("{:<18}", or_dash(&self.kind)),
            format!("{:>19}", or_dash(&self.account)),
            format!("{:<14}", self.reason),
            format!("{:>3}", self.deaths),
            format!("{:>6}", self.bytes),
            self.queue.clone(),
        ])
    }
}

/// The fourth word of an event's routing key.
fn account(letter: &DeadLetter) -> Option<String> {
    letter.kind.as_ref()?;
    let key = letter.routing_key.as_deref()?;
    key.rsplit('.').next().map(str::to_owned)
}

async fn list(
    broker: &Arc<BrokerSettings>,
    queue: &Queue,
    limit: usize,
    json: bool,
) -> anyhow::Result<String> {
    let mut listed = Vec::new();
    for name in queue.names(broker)? {
        let mut dead = DeadQueue::open(Arc::clone(broker), &name).await?;
        for _ in 0..limit {
            let Some(letter) = dead.next().await? else {
                break;
            };
            listed.push(Listed::of(&letter, &name));
            dead.refresh(&letter).await?;
        }
        dead.close().await;
    }
    match (listed.is_empty(), json) {
        (true, false) => Ok("no dead letters\n".to_owned()),
        _ => rows(&listed, json, Listed::line),
    }
}

async fn show(
    broker: &Arc<BrokerSettings>,
    queue: &Queue,
    id: &str,
    body: bool,
) -> anyhow::Result<String> {
    for name in queue.names(broker)? {
        let mut dead = DeadQueue::open(Arc::clone(broker), &name).await?;
        while let Some(letter) = dead.next().await? {
            if letter.id.as_deref() == Some(id) {
                let said = described(&letter, &name, body);
                dead.refresh(&letter).await?;
                dead.close().await;
                return said;
            }
        }
        dead.close().await;
    }
    bail!("there is no dead letter {id:?}")
}

fn described(letter: &DeadLetter, queue: &str, body: bool) -> anyhow::Result<String> {
    let listed = Listed::of(letter, queue);
    let field = |name: &str, value: &str| line(&[format!("{name:<14}"), value.to_owned()]);
    let or_empty = |text: &Option<String>| text.clone().unwrap_or_default();
    let age = letter.died_at.map(|at| Timestamp::now().duration_since(at));
    let age = age.map_or(String::new(), |age| format!("{} s", age.as_secs()));
    let mut said: String = [
        field("id", &or_empty(&listed.id)),
        field("type", &or_empty(&listed.kind)),
        field("account", &or_empty(&listed.account)),
        field("reason", &listed.reason),
        field("detail", &letter.detail),
        field("died in", &or_empty(&listed.died_in)),
        field("died at", &or_empty(&listed.died_at)),
        field("age", &age),
        field("deaths", &listed.deaths.to_string()),
        field("bytes", &listed.bytes.to_string()),
        field("queue", queue),
    ]
    .concat();
    for (name, value) in letter.headers() {
        said += &field("header", &format!("{name}: {value}"));
    }
    if body {
        let text = std::str::from_utf8(letter.body()).context("its body is no text")?;
        // JSON writes control characters so that no terminal acts on them; others may not.
        said += &line(&["body".to_owned(), text.to_owned()]);
    }
    Ok(said)
}

impl Retry {
    async fn run(self, broker: &Arc<BrokerSettings>) -> anyhow::Result<String> {
        let mut work = Bringing {
            wanted: self.ids.iter().cloned().collect(),
            left: self.limit,
            said: String::new(),
            brought: 0,
            stayed: 0,
            retry: &self,
        };
        for name in self.queue.names(broker)? {
            let mut dead = DeadQueue::open(Arc::clone(broker), &name).await?;
            let worked = work.on(&mut dead).await;
            dead.close().await;
            if let Err(error) = worked {
                let brought = work.brought;
                return Err(error.context(format!("{brought} were brought back before")));
            }
        }
        work.end()
    }
}

/// The work of one retry.
struct Bringing<'a> {
    /// Ids not seen yet.
    wanted: HashSet<String>,
    left: usize,
    said: String,
    brought: u64,
    stayed: u64,
    retry: &'a Retry,
}

impl Bringing<'_> {
    async fn on(&mut self, dead: &mut DeadQueue) -> anyhow::Result<()> {
        while self.left > 0 && (self.retry.all || !self.wanted.is_empty()) {
            let Some(letter) = dead.next().await? else {
                break;
            };
            let id = letter.id.clone().unwrap_or_default();
            let is_wanted = self.wanted.remove(&id) || self.retry.all;
            if !is_wanted {
                dead.refresh(&letter).await?;
                continue;
            }
            self.left -= 1;
            if self.retry.dry_run {
                dead.refresh(&letter).await?;
                self.say(&letter, "would be brought back to");
                self.brought += 1;
                continue;
            }
            match dead.bring_back(&letter).await? {
                Brought::Back => {
                    self.say(&letter, "brought back to");
                    self.brought += 1;
                }
                Brought::Refused { reason } => {
                    self.say(&letter, &format!("stays, refused ({reason}) by"));
                    self.stayed += 1;
                }
                Brought::Homeless => {
                    self.say(&letter, "stays, it does not tell its queue:");
                    self.stayed += 1;
                }
            }
        }
        Ok(())
    }

    fn say(&mut self, letter: &DeadLetter, what: &str) {
        let id = letter.id.clone().unwrap_or_else(|| "-".to_owned());
        let home = letter.died_in.clone().unwrap_or_else(|| "-".to_owned());
        self.said += &line(&[id, what.to_owned(), home]);
    }

    fn end(self) -> anyhow::Result<String> {
        let mut missing: Vec<_> = self.wanted.into_iter().collect();
        missing.sort();
        let said = self.said;
        ensure!(
            missing.is_empty() || self.left == 0,
            "{said}there is no dead letter {}",
            missing.join(", ")
        );
        let (brought, stayed) = (self.brought, self.stayed);
        ensure!(
            stayed == 0,
            "{said}{stayed} stay dead letters, {brought} were brought back"
        );
        Ok(match self.retry.dry_run {
            true => format!("{said}{brought} would be brought back\n"),
            false => format!("{said}{brought} brought back\n"),
        })
    }
}
