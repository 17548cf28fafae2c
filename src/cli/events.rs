//! `events`: what the journal holds.

use anyhow::{Context, ensure};
use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde::{Serialize, Serializer};
use serde_json::Value;
use twitter_channel::domain::access::Actor;
use twitter_channel::domain::ids::{AccountId, ConversationId, EventId};
use twitter_channel::flow::admin::events::{self as journal, EventState, StoredEvent};
use twitter_channel::flow::dry_run::explain;
use twitter_channel::flow::storm;
use twitter_channel::store::{JournalRow, Lane, Store, StoreError, Tx};

use super::{as_text, line, rows};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the newest events, newest first: sequence, time, type, routing key, id, state.
    List(List),
    /// Show one event: its properties and its body.
    Show {
        /// Id of the event: 32 hex digits.
        id: EventId,
    },
    /// Have the running service publish events again, with the same ids and x-republished.
    Republish(Republish),
    /// Have the running service publish what is held back of a conversation in storm, in order.
    Release(Release),
    /// Say which filter took a message, or why none did.
    Explain {
        /// X's id of the message, or the event's: 32 hex digits.
        id: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct Release {
    /// Id of the conversation, as conversation.storm has it: post:1209097192914313216.
    #[arg(long, value_name = "ID")]
    conversation: ConversationId,
    /// Only what is held back for the account with this id.
    #[arg(long, value_name = "ID", value_parser = account_id)]
    account: Option<AccountId>,
}

fn account_id(raw: &str) -> Result<AccountId, String> {
    let id = raw.parse().map_err(|error| format!("{error}"));
    id.map(AccountId)
}

#[derive(Debug, Args)]
pub(super) struct List {
    #[arg(long, default_value_t = 20)]
    limit: usize,
    /// Only events whose routing key nobody has bound, oldest first.
    #[arg(long)]
    unrouted: bool,
    /// One JSON object per line.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Republish {
    /// The events with these ids.
    #[arg(long = "id", value_name = "ID", num_args = 1.., required_unless_present = "from")]
    ids: Vec<EventId>,
    /// All events written from this time on (RFC 3339) ...
    #[arg(long, value_name = "TIME", requires = "to", conflicts_with = "ids")]
    from: Option<Timestamp>,
    /// ... and before this one.
    #[arg(long, value_name = "TIME", requires = "from", conflicts_with = "ids")]
    to: Option<Timestamp>,
}

impl Command {
    /// Whether it has to know which accounts are linked.
    pub(super) fn concerns_accounts(&self) -> bool {
        matches!(self, Self::Explain { .. })
    }

    /// Does it, of these accounts where that matters; gives what to print.
    pub(super) async fn run(
        self,
        store: &Store,
        accounts: Vec<AccountId>,
    ) -> anyhow::Result<String> {
        match self {
            Self::List(list) => list.run(store).await,
            Self::Show { id } => show(store, id).await,
            Self::Republish(republish) => republish.run(store).await,
            Self::Release(release) => release.run(store).await,
            Self::Explain { id } => explained(store, accounts, &id).await,
        }
    }
}

/// A line of the list.
#[derive(Debug, Serialize)]
struct Listed {
    sequence: u64,
    #[serde(serialize_with = "as_text")]
    time: Timestamp,
    #[serde(rename = "type")]
    event_type: String,
    routing_key: String,
    #[serde(serialize_with = "as_text")]
    id: EventId,
    #[serde(serialize_with = "state")]
    state: EventState,
}

fn state<S: Serializer>(state: &EventState, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(state.name())
}

impl Listed {
    fn new(row: JournalRow, tx: &Tx<'_>) -> Result<Self, StoreError> {
        Ok(Self {
            sequence: row.sequence,
            state: EventState::of(row.sequence, tx)?,
            time: row.time,
            event_type: row.event_type,
            routing_key: row.routing_key,
            id: row.id,
        })
    }

    fn line(&self) -> String {
        line(&[
            format!("{:>8}", self.sequence),
            format!("{:.0}", self.time),
            format!("{:<20}", self.event_type),
            format!("{:<50}", self.routing_key),
            self.id.to_string(),
            self.state.name().to_owned(),
        ])
    }
}

impl List {
    async fn run(self, store: &Store) -> anyhow::Result<String> {
        let json = self.json;
        let listed = store.read(move |tx| self.listed(tx)).await?;
        rows(&listed, json, Listed::line)
    }

    fn listed(&self, tx: &Tx<'_>) -> Result<Vec<Listed>, StoreError> {
        let rows = match self.unrouted {
            true => tx.lane(Lane::Unrouted, None, self.limit)?,
            false => tx.newest_events(self.limit)?,
        };
        rows.into_iter().map(|row| Listed::new(row, tx)).collect()
    }
}

async fn show(store: &Store, id: EventId) -> anyhow::Result<String> {
    let found = journal::show(store, id).await?;
    let StoredEvent { row, state } =
        found.with_context(|| format!("no event {id}, or its body is no longer kept"))?;
    let body: Value = serde_json::from_slice(&row.body).context("the stored body is no JSON")?;
    let properties: String = [
        ("message_id", row.id.to_string()),
        ("type", row.event_type),
        ("routing_key", row.routing_key),
        ("correlation_id", row.correlation_id),
        ("subject", row.subject),
        ("time", row.time.to_string()),
        ("written", row.at.to_string()),
        ("sequence", row.sequence.to_string()),
        ("mandatory", row.mandatory.to_string()),
        ("state", state.name().to_owned()),
    ]
    .into_iter()
    .map(|(name, value)| line(&[format!("{name:<14}"), value]))
    .collect();
    Ok(format!("{properties}\n{body:#}\n"))
}

impl Republish {
    async fn run(self, store: &Store) -> anyhow::Result<String> {
        let (who, now) = (Actor::CommandLine, Timestamp::now());
        let count = match (self.from, self.to) {
            (Some(from), Some(to)) => {
                ensure!(from < to, "--from must be before --to");
                journal::republish_range(store, None, from..to, who, now).await?
            }
            _ => journal::republish(store, self.ids, who, now).await?,
        };
        Ok(format!(
            "{count} events will be published again by the running service\n"
        ))
    }
}

impl Release {
    async fn run(self, store: &Store) -> anyhow::Result<String> {
        let name = self.conversation.name();
        let count = storm::release(store, self.account, self.conversation).await?;
        ensure!(count > 0, "nothing is held back of {name}");
        Ok(format!(
            "{count} messages will be published by the running service\n"
        ))
    }
}

async fn explained(store: &Store, accounts: Vec<AccountId>, id: &str) -> anyhow::Result<String> {
    let found = explain(store, accounts, id).await?;
    ensure!(
        !found.is_empty(),
        "nothing is known of {id}: it never came, lies in quarantine, or is too long ago"
    );
    let told = found.iter().map(|it| {
        line(&[
            format!("{:.0}", it.at),
            it.event.to_string(),
            it.finding.sentence(),
        ])
    });
    Ok(told.collect())
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use twitter_channel::domain::event::message_event_id;
    use twitter_channel::domain::ids::MessageId;
    use twitter_channel::store::NewRow;

    use super::*;
    use crate::cli::tests::{TestStore, at};

    #[derive(Debug, Parser)]
    struct Arguments {
        #[command(subcommand)]
        command: Command,
    }

    fn parse(line: &str) -> Result<Command, clap::Error> {
        let words = std::iter::once("events").chain(line.split(' '));
        Arguments::try_parse_from(words).map(|arguments| arguments.command)
    }

    async fn run(store: &Store, line: &str) -> anyhow::Result<String> {
        let accounts = vec![AccountId("1".parse().unwrap())];
        parse(line).unwrap().run(store, accounts).await
    }

    fn id(number: u64) -> EventId {
        EventId::new("1", "message.received", "x", number)
    }

    /// Three events: published, unrouted and waiting.
    async fn store() -> TestStore {
        let store = TestStore::open();
        let fill = |tx: &mut Tx<'_>| {
            for number in 1..=3 {
                tx.append(
                    NewRow {
                        id: id(number),
                        event_type: "message.received",
                        routing_key: "message.received.post.1".to_owned(),
                        correlation_id: "post:9".to_owned(),
                        subject: "9".to_owned(),
                        time: at(number),
                        mandatory: true,
                        case: None,
                        body: r#"{"message":{"text":"Hello"}}"#.into(),
                    },
                    at(100 + number),
                )?;
            }
            let unrouted = (Lane::Unrouted, 2, "message.received.post.1".to_owned());
            tx.advance_cursor(2, &[unrouted], at(200))
        };
        store.write(fill).await.unwrap();
        store
    }

    async fn republished(store: &Store) -> Vec<u64> {
        let lane = |tx: &Tx<'_>| tx.lane(Lane::Republish, None, 10);
        let rows = store.read(lane).await.unwrap();
        rows.iter().map(|row| row.sequence).collect()
    }

    #[tokio::test]
    async fn a_list_is_a_line_for_each_event_newest_first() {
        let text = run(&*store().await, "list --limit 2").await.unwrap();
        let lines: Vec<_> = text.lines().map(str::trim).collect();
        let [waiting, unrouted] = lines.as_slice() else {
            panic!("{text}");
        };
        assert!(waiting.starts_with("3  1970-01-01T00:00:03Z  message.received "));
        assert!(waiting.ends_with(&format!("{}  waiting", id(3))), "{text}");
        assert!(unrouted.ends_with("  unrouted"), "{text}");
        let all = run(&*store().await, "list").await.unwrap();
        assert!(all.trim_end().ends_with("  published"), "{all}");
    }

    #[tokio::test]
    async fn unrouted_events_can_be_listed_alone_and_as_json() {
        let text = run(&*store().await, "list --unrouted --json")
            .await
            .unwrap();
        let listed: Value = serde_json::from_str(&text).unwrap();
        let expected = serde_json::json!({
            "sequence": 2,
            "time": "1970-01-01T00:00:02Z",
            "type": "message.received",
            "routing_key": "message.received.post.1",
            "id": id(2).to_string(),
            "state": "unrouted",
        });
        assert_eq!(listed, expected);
    }

    #[tokio::test]
    async fn an_event_is_shown_with_its_properties_and_body() {
        let text = run(&*store().await, &format!("show {}", id(1)))
            .await
            .unwrap();
        assert!(
            text.starts_with(&format!("message_id      {}\n", id(1))),
            "{text}"
        );
        assert!(text.contains("\ncorrelation_id  post:9\n"), "{text}");
        assert!(text.contains("    \"text\": \"Hello\"\n"), "{text}");
        run(&*store().await, &format!("show {}", id(9)))
            .await
            .unwrap_err();
    }

    #[tokio::test]
    async fn events_are_republished_by_id_all_or_none() {
        let store = store().await;
        let error = run(&store, &format!("republish --id {} {}", id(1), id(9))).await;
        assert!(error.unwrap_err().to_string().contains(&id(9).to_string()));
        assert!(republished(&store).await.is_empty());
        let both = format!("republish --id {} --id {}", id(1), id(3));
        assert!(run(&store, &both).await.unwrap().starts_with("2 events"));
        assert_eq!(republished(&store).await, [1, 3]);
    }

    #[tokio::test]
    async fn events_are_republished_by_the_time_they_were_written() {
        let store = store().await;
        let range = "--from 1970-01-01T00:01:42Z --to 1970-01-01T00:01:43Z";
        let said = run(&store, &format!("republish {range}")).await.unwrap();
        assert!(said.starts_with("1 events"), "{said}");
        assert_eq!(republished(&store).await, [2]);
        let reversed = "republish --from 1970-01-02T00:00:00Z --to 1970-01-01T00:00:00Z";
        run(&store, reversed).await.unwrap_err();
    }

    #[tokio::test]
    async fn messages_are_explained_by_their_event_or_their_own_id() {
        let store = store().await;
        let gone = |tx: &mut Tx<'_>| {
            let id = message_event_id(
                AccountId("1".parse().unwrap()),
                "message.received",
                &MessageId::Post("77".parse().unwrap()),
            );
            tx.remember_unwanted(id, at(5))
        };
        store.write(gone).await.unwrap();
        let said = run(&store, &format!("explain {}", id(1))).await.unwrap();
        assert!(said.contains("It was published"), "{said}");
        let said = run(&store, "explain 77").await.unwrap();
        assert!(said.contains("no longer remembered"), "{said}");
        let error = run(&store, "explain 78").await.unwrap_err().to_string();
        assert!(error.contains("nothing is known of 78"), "{error}");
    }

    #[tokio::test]
    async fn nothing_is_let_through_where_nothing_is_held_back() {
        let error = run(&*store().await, "release --conversation post:1").await;
        let error = error.unwrap_err().to_string();
        assert_eq!(error, "nothing is held back of post:1");
        parse("release --conversation 1").expect_err("no conversation");
    }

    #[test]
    fn what_to_republish_must_be_said_in_one_way() {
        let time = "2026-01-01T00:00:00Z";
        for line in [
            "republish".to_owned(),
            format!("republish --from {time}"),
            format!("republish --to {time}"),
            format!("republish --id {} --from {time} --to {time}", id(1)),
            "republish --id 12".to_owned(),
        ] {
            parse(&line).expect_err(&line);
        }
    }
}
