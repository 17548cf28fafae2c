//! `commands`: what the core wants done, and what became of it.

use std::sync::Arc;

use anyhow::{Context, ensure};
use clap::{Args, Subcommand, ValueEnum};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use twitter_channel::domain::access::Actor;
use twitter_channel::domain::command::Failure;
use twitter_channel::domain::ids::{AccountId, CommandId};
use twitter_channel::flow::admin::commands::{self as ledger, ListedCommand, next_attempt};
use twitter_channel::flow::rules::Rules;
use twitter_channel::store::{
    CommandFilter, CommandRow, CommandState, Hold, SendRow, Store, StoreError, Tx,
};

use super::{as_text, line, rows};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the newest commands, newest first: id, name, account, state, age, next attempt or
    /// code of the failure, conversation.
    List(List),
    /// Show one command: its content, what of it is at X, its outcome.
    Show { id: CommandId },
    /// Repeat a failed command under a new id, which is printed. What reached X is not repeated.
    Retry {
        id: CommandId,
        /// Go ahead though the failed one may be at X: it may then be there twice.
        #[arg(long)]
        force: bool,
    },
    /// Let held commands go.
    Release(Release),
    /// Take a command back that is not on its way to X.
    Cancel { id: CommandId },
}

#[derive(Debug, Args)]
pub(super) struct List {
    #[arg(long, value_enum)]
    state: Option<Listing>,
    #[arg(long, default_value_t = 20)]
    limit: usize,
    /// One JSON object per line.
    #[arg(long)]
    json: bool,
}

/// What `--state` takes.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Listing {
    Pending,
    Sending,
    Uncertain,
    Succeeded,
    Failed,
    /// Pending, and something or somebody has to let it go.
    Held,
}

impl From<Listing> for CommandFilter {
    fn from(listing: Listing) -> Self {
        match listing {
            Listing::Pending => Self::In(CommandState::Pending),
            Listing::Sending => Self::In(CommandState::Sending),
            Listing::Uncertain => Self::In(CommandState::Uncertain),
            Listing::Succeeded => Self::In(CommandState::Succeeded),
            Listing::Failed => Self::In(CommandState::Failed),
            Listing::Held => Self::Held,
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct Release {
    /// The commands with these ids.
    #[arg(value_name = "ID", required_unless_present = "account")]
    ids: Vec<CommandId>,
    /// All held commands of the account with this id.
    #[arg(long, value_name = "ID", conflicts_with = "ids", value_parser = account)]
    account: Option<AccountId>,
}

fn account(raw: &str) -> Result<AccountId, String> {
    let id = raw.parse().map(AccountId);
    id.map_err(|error| format!("X's id of an account is expected: {error}"))
}

impl Command {
    /// Does it; gives what to print.
    pub(super) async fn run(self, store: &Store, rules: Arc<Rules>) -> anyhow::Result<String> {
        let now = Timestamp::now();
        match self {
            Self::List(list) => list.run(store, now).await,
            Self::Show { id } => show(store, id).await,
            Self::Retry { id, force } => retry(store, rules, id, force, now).await,
            Self::Release(release) => release.run(store, rules, now).await,
            Self::Cancel { id } => cancel(store, rules, id, now).await,
        }
    }
}

/// A line of the list: no texts.
#[derive(Debug, Serialize)]
struct Listed {
    #[serde(serialize_with = "as_text")]
    id: CommandId,
    name: String,
    account: Option<String>,
    state: &'static str,
    /// What has to let it go; empty where nothing has to.
    hold: &'static str,
    attempt: u32,
    #[serde(serialize_with = "as_text")]
    received_at: Timestamp,
    #[serde(serialize_with = "as_text")]
    expires_at: Timestamp,
    next_attempt_at: Option<String>,
    finished_at: Option<String>,
    /// Why it failed, or what its wait was announced with.
    code: String,
    conversation: String,
    #[serde(serialize_with = "as_text")]
    cost_usd: twitter_channel::domain::money::Usd,
}

impl Listed {
    fn new(row: CommandRow, tx: &Tx<'_>) -> Result<Self, StoreError> {
        let ListedCommand { row, code } = ListedCommand::read(row, tx)?;
        Ok(Self {
            account: row.waiting.account.map(|id| id.to_string()),
            state: row.waiting.state.name(),
            hold: row.waiting.hold.name(),
            attempt: row.attempt,
            received_at: row.waiting.received_at,
            expires_at: row.waiting.expires_at,
            next_attempt_at: next_attempt(&row).map(|at| format!("{at:.0}")),
            finished_at: row.finished_at.map(|at| format!("{at:.0}")),
            code,
            conversation: row.waiting.conversation,
            cost_usd: row.cost,
            name: row.name,
            id: row.id,
        })
    }

    fn line(&self, now: Timestamp) -> String {
        let state = match self.hold {
            "" => self.state.to_owned(),
            hold => format!("held:{hold}"),
        };
        let next = self.next_attempt_at.as_deref();
        line(&[
            format!("{:<38}", self.id.as_str()),
            format!("{:<19}", self.name),
            format!("{:>19}", self.account.as_deref().unwrap_or("-")),
            format!("{state:<12}"),
            format!("{:>4}", age(now, self.received_at)),
            format!("{:<20}", next.unwrap_or(or_dash(&self.code))),
            or_dash(&self.conversation).to_owned(),
        ])
    }
}

fn or_dash(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
}

/// In one figure, for a column.
fn age(now: Timestamp, since: Timestamp) -> String {
    let seconds = now.duration_since(since).as_secs().max(0);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

impl List {
    async fn run(self, store: &Store, now: Timestamp) -> anyhow::Result<String> {
        let filter = self.state.map_or(CommandFilter::All, CommandFilter::from);
        let limit = self.limit;
        let read = move |tx: &Tx<'_>| {
            let rows = tx.newest_commands(filter, limit)?;
            rows.into_iter().map(|row| Listed::new(row, tx)).collect()
        };
        let listed: Vec<Listed> = store.read(read).await?;
        rows(&listed, self.json, |listed| listed.line(now))
    }
}

async fn show(store: &Store, id: CommandId) -> anyhow::Result<String> {
    let found = ledger::show(store, id.clone()).await?;
    let story = found.with_context(|| format!("there is no command {id}"))?;
    let (row, sends, outcome) = (story.command.row, story.sends, story.outcome);
    let outcome = outcome.map(|outcome| outcome.body);
    Ok([
        properties(&row),
        block("content", Some(row.content.as_bytes())),
        block("plan", Some(row.plan.as_bytes())),
        parts(&sends),
        block("outcome", outcome.as_deref()),
    ]
    .concat())
}

fn properties(row: &CommandRow) -> String {
    let waiting = &row.waiting;
    let time = |at: Option<Timestamp>| at.map_or_else(|| "-".to_owned(), |at| at.to_string());
    let told = waiting.told.as_ref().map(|told| {
        let until = match told.until {
            Some(until) => until.to_string(),
            None => "a person is needed".to_owned(),
        };
        format!("{} times, last {} until {until}", row.told_count, told.code)
    });
    let properties = [
        ("command_id", row.id.to_string()),
        ("command", row.name.clone()),
        (
            "account",
            waiting
                .account
                .map_or_else(|| "-".to_owned(), |id| id.to_string()),
        ),
        ("conversation", or_dash(&waiting.conversation).to_owned()),
        ("state", waiting.state.name().to_owned()),
        ("hold", or_dash(waiting.hold.name()).to_owned()),
        ("received", waiting.received_at.to_string()),
        ("expires", waiting.expires_at.to_string()),
        ("next_attempt", time(next_attempt(row))),
        ("next_call", waiting.call.clone()),
        ("attempts", row.attempt.to_string()),
        ("deferred", told.unwrap_or_else(|| "never".to_owned())),
        ("finished", time(row.finished_at)),
        ("cost_usd", row.cost.to_string()),
    ];
    let lines = properties.map(|(name, value)| line(&[format!("{name:<13}"), value]));
    lines.concat()
}

/// A part of what is stored, as JSON.
fn block(title: &str, json: Option<&[u8]>) -> String {
    let value: Option<Value> = json.and_then(|json| serde_json::from_slice(json).ok());
    match value {
        Some(value) => format!("\n{title}:\n{value:#}\n"),
        None if title == "outcome" => format!("\n{title}: none yet, or no longer kept\n"),
        None => format!("\n{title}: not kept\n"),
    }
}

/// What is or may be at X.
fn parts(sends: &[SendRow]) -> String {
    if sends.is_empty() {
        return "\nparts: nothing has gone out\n".to_owned();
    }
    let lines = sends.iter().map(|send| {
        let message = send.message.map(|id| id.to_string());
        let sent = send.sent_at.map(|at| format!("at {at:.0}"));
        let known = [message, sent].into_iter().flatten();
        line(&[
            format!("  {}", send.part),
            send.kind.name().to_owned(),
            send.state.name().to_owned(),
            format!("to {}", or_dash(&send.target)),
            known.collect::<Vec<_>>().join(" "),
            Value::from(send.text.as_str()).to_string(),
        ])
    });
    format!("\nparts:\n{}", lines.collect::<String>())
}

/// A refusal as the end of the program.
fn refused(failure: Failure) -> anyhow::Error {
    let detail = failure.detail.trim_end_matches('.');
    match failure.field.as_str() {
        "" | "cancel_command.target_command_id" => anyhow::anyhow!("{detail}"),
        field => anyhow::anyhow!("{} {field}: {detail}", failure.code.name()),
    }
}

async fn retry(
    store: &Store,
    rules: Arc<Rules>,
    id: CommandId,
    force: bool,
    now: Timestamp,
) -> anyhow::Result<String> {
    let again = ledger::retry(store, rules, id, force, Actor::CommandLine, now);
    let row = again.await?.map_err(refused)?;
    let what = match (row.waiting.state, row.waiting.hold) {
        (CommandState::Succeeded, _) => "has succeeded: all of it is at X already",
        (CommandState::Uncertain, _) => "first looks whether the earlier one is at X",
        (_, Hold::Files) => "fetches its attachments and goes",
        (_, Hold::Stopped) => "is held: sending is stopped",
        (_, Hold::Revoked) => "is held: the account has to be linked again",
        _ => "goes when its turn comes",
    };
    Ok(line(&[row.id.to_string(), what.to_owned()]))
}

async fn cancel(
    store: &Store,
    rules: Arc<Rules>,
    id: CommandId,
    now: Timestamp,
) -> anyhow::Result<String> {
    let said = line(&[format!("{id} is taken back")]);
    let cancel = ledger::cancel(store, rules, id, Actor::CommandLine, now);
    cancel.await?.map_err(refused)?;
    Ok(said)
}

impl Release {
    async fn run(self, store: &Store, rules: Arc<Rules>, now: Timestamp) -> anyhow::Result<String> {
        let what = match self.account {
            Some(account) => ledger::Release::AllOf(account),
            None => ledger::Release::These(self.ids),
        };
        let released = ledger::release(store, rules, what, Actor::CommandLine, now).await?;
        let (mut said, mut failed) = (String::new(), Vec::new());
        for (id, result) in released {
            match result {
                Ok(hold) => said += &line(&[id.to_string(), fate(hold).to_owned()]),
                Err(failure) => failed.push(failure.detail.trim_end_matches('.').to_owned()),
            }
        }
        ensure!(failed.is_empty(), "{}\n{said}", failed.join("; "));
        Ok(match said.as_str() {
            "" => "no command of this account is held\n".to_owned(),
            _ => said,
        })
    }
}

/// What becomes of a released command.
fn fate(hold: Hold) -> &'static str {
    match hold {
        Hold::Stopped => {
            "is released, but will be held again: sending is stopped (commands.sending, or sending \
             of the account)"
        }
        Hold::Revoked => {
            "is released, but will be held again: X does not accept the account's credential; link \
             it again"
        }
        Hold::Restored => {
            "is released, and goes once X was asked what it has since the backup that the store was \
             restored from"
        }
        Hold::None | Hold::Files | Hold::Person | Hold::Erasing => "goes when its turn comes",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use clap::Parser;
    use jiff::SignedDuration;
    use twitter_channel::app::directory;
    use twitter_channel::config::Settings;
    use twitter_channel::domain::command::{
        Action, AttachmentSource, Command as Content, OutgoingAttachment, SendPost,
    };
    use twitter_channel::domain::ids::EventId;
    use twitter_channel::sealing::Sealer;
    use twitter_channel::store::{AccountState, NewCommand, OutcomeRow};

    use super::*;
    use crate::cli::tests::TestStore;

    const ACCOUNT: &str = "2975699229";

    #[derive(Debug, Parser)]
    struct Arguments {
        #[command(subcommand)]
        command: Command,
    }

    fn parse(line: &str) -> Result<Command, clap::Error> {
        let words = std::iter::once("commands").chain(line.split(' '));
        Arguments::try_parse_from(words).map(|arguments| arguments.command)
    }

    /// The rules of a service with one account, whose stop switch is this.
    async fn rules_with(store: &Store, sending: &str) -> Arc<Rules> {
        let variables = [
            ("APPS__0__NAME", "acme"),
            ("APPS__0__CONSUMER_KEY", "k"),
            ("APPS__0__CONSUMER_SECRET", "s"),
            ("ACCOUNTS__0__APP", "acme"),
            ("ACCOUNTS__0__ID", ACCOUNT),
            ("ACCOUNTS__0__USERNAME", "acme"),
            ("ACCOUNTS__0__SENDING", sending),
        ];
        let variables = variables.map(|(key, value)| {
            let key = format!("TWITTER_CHANNEL__{key}");
            (key, value.to_owned())
        });
        let settings = Settings::load(None, variables.into_iter()).unwrap();
        let sealer = Sealer::new(Box::new([7; 32]).into());
        let directory = directory(&settings, store, sealer).await.unwrap();
        directory.rules().now()
    }

    async fn run(store: &Store, line: &str) -> anyhow::Result<String> {
        parse(line)
            .unwrap()
            .run(store, rules_with(store, "live").await)
            .await
    }

    fn post(id: &str, text: &str) -> Content {
        Content {
            id: id.parse().unwrap(),
            account: Some(account(ACCOUNT).unwrap()),
            expires_at: None,
            max_cost: None,
            only_if_summoned: false,
            retry_of: None,
            force: false,
            metadata: BTreeMap::new(),
            agent: None,
            action: Action::SendPost(SendPost {
                text: text.to_owned(),
                in_reply_to: Some("1209".parse().unwrap()),
                ..SendPost::default()
            }),
        }
    }

    /// Puts a command into the ledger as if it had come an hour ago.
    async fn put(store: &Store, content: Content, hold: Hold) -> u64 {
        let received_at = Timestamp::now() - SignedDuration::from_mins(61);
        let new = NewCommand {
            id: content.id.clone(),
            fingerprint: content.fingerprint(),
            account: content.account,
            name: content.action.name(),
            conversation: "post:1209".to_owned(),
            call: "create_post",
            hold,
            received_at,
            expires_at: received_at + SignedDuration::from_hours(24),
            content: serde_json::to_string(&content).unwrap(),
            plan: r#"{"parts":["Secret text"]}"#.to_owned(),
        };
        let put = store.write(move |tx| tx.insert_command(&new)).await;
        put.unwrap()
    }

    async fn fail(store: &Store, sequence: u64, code: &str) {
        let outcome = OutcomeRow {
            event: EventId::new("1", "command.failed", "x", sequence),
            event_type: "command.failed".to_owned(),
            body: format!("{{\"code\":\"{code}\"}}").into(),
            finished_at: Timestamp::now(),
        };
        let finish =
            move |tx: &mut Tx<'_>| tx.finish_command(sequence, CommandState::Failed, &outcome);
        store.write(finish).await.unwrap();
    }

    async fn row(store: &Store, id: &str) -> CommandRow {
        let id = id.parse().unwrap();
        let row = store.read(move |tx| tx.command_by_id(&id)).await;
        row.unwrap().unwrap()
    }

    #[tokio::test]
    async fn a_list_is_a_line_for_each_command_without_its_text() {
        let store = TestStore::open();
        put(&store, post("c1", "Secret text"), Hold::None).await;
        put(&store, post("c2", "Secret text"), Hold::Person).await;
        let failed = put(&store, post("c3", "Secret text"), Hold::None).await;
        fail(&store, failed, "DELETED").await;
        let text = run(&store, "list").await.unwrap();
        assert!(!text.contains("Secret"), "{text}");
        let words: Vec<Vec<&str>> = text
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        let [failed, held, pending] = words.as_slice() else {
            panic!("{text}");
        };
        let conversation = "post:1209";
        let expected = [
            "c3",
            "send_post",
            ACCOUNT,
            "failed",
            "61m",
            "DELETED",
            conversation,
        ];
        assert_eq!(failed.as_slice(), expected);
        let expected = [
            "c2",
            "send_post",
            ACCOUNT,
            "held:person",
            "61m",
            "-",
            conversation,
        ];
        assert_eq!(held.as_slice(), expected);
        assert_eq!(pending[3..5], ["pending", "61m"]);
        assert!(pending[5].ends_with('Z'), "{text}");
    }

    #[tokio::test]
    async fn commands_can_be_listed_by_state_and_as_json() {
        let store = TestStore::open();
        put(&store, post("c1", "one"), Hold::None).await;
        put(&store, post("c2", "two"), Hold::Stopped).await;
        for (state, expected) in [
            ("held", &["c2"][..]),
            ("pending", &["c2", "c1"]),
            ("failed", &[]),
        ] {
            let text = run(&store, &format!("list --json --state {state}"))
                .await
                .unwrap();
            let rows: Vec<Value> = text
                .lines()
                .map(|line| serde_json::from_str(line).unwrap())
                .collect();
            let ids: Vec<_> = rows.iter().map(|row| row["id"].as_str().unwrap()).collect();
            assert_eq!(ids, expected, "{state}");
        }
        let text = run(&store, "list --json --limit 1").await.unwrap();
        let listed: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            (&listed["hold"], &listed["cost_usd"]),
            (&"stopped".into(), &"0.000".into())
        );
        assert_eq!(listed["next_attempt_at"], Value::Null);
        parse("list --state done").unwrap_err();
    }

    #[tokio::test]
    async fn a_command_is_shown_whole() {
        let store = TestStore::open();
        let sequence = put(&store, post("c1", "Secret text"), Hold::None).await;
        fail(&store, sequence, "DELETED").await;
        let text = run(&store, "show c1").await.unwrap();
        for part in [
            "command_id     c1\n",
            "state          failed\n",
            "deferred       never\n",
            "\n      \"text\": \"Secret text\"\n",
            "\nparts: nothing has gone out\n",
            "\noutcome:\n{\n  \"code\": \"DELETED\"\n}\n",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        let error = run(&store, "show c9").await.unwrap_err();
        assert_eq!(error.to_string(), "there is no command c9");
    }

    #[tokio::test]
    async fn a_command_is_cancelled_until_it_has_an_outcome() {
        let store = TestStore::open();
        put(&store, post("c1", "one"), Hold::Person).await;
        assert_eq!(
            run(&store, "cancel c1").await.unwrap(),
            "c1 is taken back\n"
        );
        let cancelled = row(&store, "c1").await;
        assert_eq!(cancelled.waiting.state, CommandState::Failed);
        let shown = run(&store, "show c1").await.unwrap();
        assert!(shown.contains("\"code\": \"CANCELLED\""), "{shown}");
        let error = run(&store, "cancel c1").await.unwrap_err();
        assert_eq!(error.to_string(), "The command c1 has failed already");
        let error = run(&store, "cancel c9").await.unwrap_err();
        assert_eq!(error.to_string(), "There is no command c9");
    }

    #[tokio::test]
    async fn held_commands_are_released_and_the_service_hears_of_it() {
        let store = TestStore::open();
        put(&store, post("c1", "one"), Hold::Person).await;
        put(&store, post("c2", "two"), Hold::Stopped).await;
        put(&store, post("c3", "three"), Hold::Files).await;
        let known = store.read(|tx| tx.newest_change()).await.unwrap();
        let error = run(&store, "release c1 c3 c9")
            .await
            .unwrap_err()
            .to_string();
        let lines: Vec<_> = error.lines().collect();
        assert_eq!(
            lines[0],
            "The command c3 waits for its attachments, and goes once they are fetched; \
             There is no command c9"
        );
        assert_eq!(lines[1], "c1  goes when its turn comes");
        let changed = store
            .read(move |tx| tx.commands_changed(known))
            .await
            .unwrap();
        assert_eq!((changed.len(), changed[0].hold), (1, Hold::None));
        let error = run(&store, &format!("release --account {ACCOUNT}")).await;
        let error = error.unwrap_err().to_string();
        assert!(
            error.ends_with("\nc2  goes when its turn comes\n"),
            "{error}"
        );
        let said = run(&store, "release --account 77").await.unwrap();
        assert_eq!(said, "no command of this account is held\n");
    }

    #[tokio::test]
    async fn what_will_hold_a_released_command_again_is_said() {
        let store = TestStore::open();
        put(&store, post("c1", "one"), Hold::Person).await;
        put(&store, post("c2", "two"), Hold::Person).await;
        let release = parse("release c1")
            .unwrap()
            .run(&store, rules_with(&store, "hold").await);
        let said = release.await.unwrap();
        assert!(said.contains("held again: sending is stopped"), "{said}");
        let revoked = AccountState {
            revoked_at: Some(Timestamp::now()),
            ..AccountState::default()
        };
        let account = account(ACCOUNT).unwrap();
        let revoke = move |tx: &mut Tx<'_>| tx.put_account_state(account, &revoked);
        store.write(revoke).await.unwrap();
        let said = run(&store, "release c2").await.unwrap();
        assert!(said.contains("held again: X does not accept"), "{said}");
    }

    #[tokio::test]
    async fn a_failed_command_is_retried_under_a_new_id() {
        let store = TestStore::open();
        let expired = Content {
            expires_at: Some(Timestamp::now() - SignedDuration::from_secs(1)),
            ..post("c1", "Once more")
        };
        let sequence = put(&store, expired, Hold::None).await;
        let error = run(&store, "retry c1").await.unwrap_err();
        assert_eq!(error.to_string(), "The command c1 has no outcome yet");
        fail(&store, sequence, "EXPIRED").await;
        let said = run(&store, "retry c1 --force").await.unwrap();
        let new = said.split_whitespace().next().unwrap();
        let retried = row(&store, new).await;
        assert_eq!(retried.waiting.state, CommandState::Pending);
        let content: Content = serde_json::from_str(&retried.content).unwrap();
        assert_eq!(content.retry_of, Some("c1".parse().unwrap()));
        assert!(content.force && content.expires_at.is_none());
        assert_eq!(content.action, post("c1", "Once more").action);
        // The newest of its kind counts from now on.
        let error = run(&store, "retry c1").await.unwrap_err().to_string();
        assert_eq!(
            error,
            format!("The command c1 was retried as {new}, which has no outcome yet")
        );
    }

    #[tokio::test]
    async fn a_refused_retry_tells_why_and_leaves_nothing() {
        let store = TestStore::open();
        let mut with_file = post("c1", "one");
        if let Action::SendPost(post) = &mut with_file.action {
            post.attachments.push(OutgoingAttachment {
                source: AttachmentSource::Data("x".into()),
                content_type: String::new(),
                filename: String::new(),
                alt_text: String::new(),
            });
        }
        let stranger = Content {
            account: Some(account("77").unwrap()),
            ..post("c2", "two")
        };
        for (content, why) in [
            (with_file, "came with it and are no longer kept"),
            (
                stranger,
                "UNKNOWN_ACCOUNT account_id: No account 77 is linked",
            ),
            (post("c3", &"x".repeat(281)), "TEXT_TOO_LONG send_post.text"),
        ] {
            let id = content.id.to_string();
            let sequence = put(&store, content, Hold::None).await;
            fail(&store, sequence, "REFUSED").await;
            let error = run(&store, &format!("retry {id}")).await.unwrap_err();
            assert!(error.to_string().contains(why), "{error}");
        }
        assert_eq!(run(&store, "list").await.unwrap().lines().count(), 3);
    }

    #[test]
    fn what_to_release_must_be_said_in_one_way() {
        for line in [
            "release",
            "release c1 --account 77",
            "release --account acme",
            "cancel",
        ] {
            parse(line).expect_err(line);
        }
    }
}
