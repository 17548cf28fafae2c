//! The command line. Commands on events, commands, gaps and quarantine work on the store, beside a running
//! service.

mod accounts;
mod commands;
mod compliance;
mod dead_letters;
mod events;
mod filters;
mod gaps;
mod person;
mod probe;
mod quarantine;
mod secrets;
mod store;
mod threads;
mod token;
mod webhook;

use std::fmt::Display;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{anyhow, ensure};
use clap::{Parser, Subcommand};
use serde::{Serialize, Serializer};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::task::TaskTracker;
use twitter_channel::app::{App, directory, key_file, persons, setup_of};
use twitter_channel::broker::check;
use twitter_channel::config::{ConfigFaults, Settings};
use twitter_channel::flow::registry::Directory;
use twitter_channel::flow::restored::Restore;
use twitter_channel::flow::rules::Rules;
use twitter_channel::flow::setup::Setup;
use twitter_channel::http::api::document;
use twitter_channel::store::Store;
use twitter_channel::telemetry;

/// Bad configuration, as sysexits.h has it for bad input (contract 7).
const EXIT_CONFIGURATION: u8 = 64;

/// Made from `proto/` by `make schemas`.
const ASYNCAPI: &str = include_str!("../proto/asyncapi.json");

/// X (Twitter) as a channel of a helpdesk.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Arguments {
    /// Settings file (TOML); environment variables override it.
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "TWITTER_CHANNEL_CONFIG"
    )]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the service until SIGTERM.
    Serve(Serve),
    /// Say what is wrong with the configuration, without starting.
    Check {
        /// Also log in to the broker, and look for what is missing there: exchanges, queues, rights.
        #[arg(long)]
        broker: bool,
    },
    /// Ask the running service whether it is ready (for a container's health check).
    Probe {
        /// Ask there instead of at private.listen: a name or an address of its private listener.
        #[arg(long, value_name = "HOST:PORT")]
        address: Option<String>,
    },
    /// Accounts of X, and how they are linked.
    #[command(subcommand)]
    Account(accounts::Command),
    /// Events of the journal.
    #[command(subcommand)]
    Events(events::Command),
    /// Filters.
    #[command(subcommand)]
    Filters(filters::Command),
    /// Commands of the helpdesk core.
    #[command(subcommand)]
    Commands(commands::Command),
    /// Deliveries of X that were kept because they were not understood or had no account yet.
    #[command(subcommand)]
    Quarantine(quarantine::Command),
    /// Times for which X may have messages that are not here.
    #[command(subcommand)]
    Gaps(gaps::Command),
    /// Conversations that began with another channel.
    #[command(subcommand)]
    Threads(threads::Command),
    /// Events that the core gave back or let expire, and commands that could not be read.
    #[command(subcommand)]
    DeadLetters(dead_letters::Command),
    /// Tokens of the API, beside the one of the settings (private.token).
    #[command(subcommand)]
    Token(token::Command),
    /// Print the description of the API: OpenAPI 3.1.
    Openapi,
    /// Print the description of what goes over the broker: AsyncAPI 3.
    Asyncapi,
    /// Published posts that X wants out of all copies.
    #[command(subcommand)]
    Compliance(compliance::Command),
    /// What is held of a person at X.
    #[command(subcommand)]
    Person(person::Command),
    /// Webhooks that apps have at X.
    #[command(subcommand)]
    Webhook(webhook::Webhook),
    /// Apps of X's developer console.
    #[command(subcommand)]
    App(webhook::AppCommand),
    /// The key that credentials are sealed with.
    #[command(subcommand)]
    Secrets(secrets::Command),
    /// The store: its backup.
    #[command(subcommand)]
    Store(store::Command),
}

#[derive(Debug, clap::Args)]
struct Serve {
    /// The store was restored: look up at X what it lacks before anything is sent.
    ///
    /// A file of `store backup` is known for one and needs no option. For copies made otherwise
    /// (pg_dump, a snapshot of the volume): once, at the first start. Where the same store was
    /// restored before, `--restored=again`.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "once")]
    restored: Option<Restored>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Restored {
    Once,
    Again,
}

impl Serve {
    fn restore(&self) -> Restore {
        match self.restored {
            None => Restore::Marked,
            Some(Restored::Once) => Restore::Once,
            Some(Restored::Again) => Restore::Again,
        }
    }
}

/// Why a command ends with another status than 0.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("the configuration cannot be used:\n{0}")]
    Configuration(#[from] ConfigFaults),
    #[error("{}", told(.0))]
    Failed(#[from] anyhow::Error),
}

/// With its causes, none of them twice.
fn told(error: &anyhow::Error) -> String {
    telemetry::chain(&**error)
}

impl Failure {
    /// Says it on stderr; gives the exit status.
    pub(crate) fn report(&self) -> ExitCode {
        // With stderr gone there is nobody left to tell.
        let _unsaid = writeln!(io::stderr(), "twitter-channel: {self}");
        match self {
            Self::Configuration(_) => ExitCode::from(EXIT_CONFIGURATION),
            Self::Failed(_) => ExitCode::FAILURE,
        }
    }
}

/// Does what the arguments ask for.
pub(crate) async fn run(arguments: Arguments) -> Result<(), Failure> {
    // Of this program, whatever its settings.
    match arguments.command {
        Command::Openapi => return Ok(print(&(document() + "\n"))?),
        Command::Asyncapi => return Ok(print(ASYNCAPI)?),
        _ => {}
    }
    let settings = Settings::load(arguments.config.as_deref(), environment())?;
    match arguments.command {
        Command::Openapi | Command::Asyncapi => {}
        Command::Serve(how) => serve(settings, how.restore()).await?,
        Command::Store(command) => print(&command.run(settings).await?)?,
        Command::Check { broker } => {
            print("the configuration is good\n")?;
            if broker {
                check_broker(&settings).await?;
            }
        }
        Command::Probe { address } => {
            probe::ready(address, settings.private.listen).await?;
        }
        Command::Account(command) => {
            let store = open_store(&settings)?;
            print(&command.run(&settings, &store).await?)?;
        }
        Command::Events(command) => {
            let store = open_store(&settings)?;
            let mut accounts = Vec::new();
            if command.concerns_accounts() {
                let rules = open_directory(&settings, &store).await?.rules().now();
                accounts.extend(rules.registry.accounts().map(|account| account.id));
            }
            print(&command.run(&store, accounts).await?)?;
        }
        Command::Filters(command) => {
            let store = open_store(&settings)?;
            let rules = open_directory(&settings, &store).await?.rules().now();
            print(&command.run(&store, &rules.registry).await?)?;
        }
        Command::Commands(command) => {
            let store = open_store(&settings)?;
            let directory = open_directory(&settings, &store).await?;
            print(&command.run(&store, directory.rules().now()).await?)?;
        }
        Command::Compliance(command) => {
            let store = open_store(&settings)?;
            let rules = open_directory(&settings, &store).await?.rules().now();
            print(&command.run(&store, &rules.registry).await?)?;
        }
        Command::Gaps(command) => {
            let store = open_store(&settings)?;
            let directory = open_directory(&settings, &store).await?;
            print(&command.run(&store, directory.rules().now()).await?)?;
        }
        Command::Threads(command) => {
            let store = open_store(&settings)?;
            let rules = open_directory(&settings, &store).await?.rules().now();
            print(&command.run(&store, &rules.registry).await?)?;
        }
        Command::Webhook(command) => {
            let store = open_store(&settings)?;
            let (setup, rules) = open_setup(&settings, &store).await?;
            print(&command.run(&setup, &rules.registry).await?)?;
        }
        Command::App(command) => {
            let store = open_store(&settings)?;
            let (setup, rules) = open_setup(&settings, &store).await?;
            let (said, right) = command.run(&setup, &rules.registry).await?;
            print(&said)?;
            if !right {
                return Err(anyhow!("not all of it is right").into());
            }
        }
        Command::DeadLetters(command) => print(&command.run(settings.broker).await?)?,
        Command::Secrets(command) => print(&command.run(&settings).await?)?,
        Command::Quarantine(command) => print(&command.run(&open_store(&settings)?).await?)?,
        // The first token may be made before the service has ever run.
        Command::Token(command) => {
            let store = Store::open(settings.store.clone()).map_err(anyhow::Error::from)?;
            print(&command.run(&store).await?)?;
        }
        Command::Person(command) => {
            let persons = persons(&settings, &open_store(&settings)?)
                .await
                .map_err(anyhow::Error::from)?;
            print(&command.run(&persons).await?)?;
        }
    }
    Ok(())
}

/// Not `env::vars`, which panics where some other program's variable is no UTF-8.
fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| {
        let name = name.into_string().ok()?;
        Some((name, value.into_string().ok()?))
    })
}

async fn serve(settings: Settings, restore: Restore) -> anyhow::Result<()> {
    telemetry::start_logs(&settings.log)?;
    let traces = telemetry::traces::start(&settings.telemetry)?;
    // Before the first start-up step: from here on a signal ends the service in order.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        () = Store::reachable(&settings.store) => {}
        _ = terminate.recv() => return Ok(()),
        _ = interrupt.recv() => return Ok(()),
    }
    let app = App::start_restored(settings, restore).await?;
    tracing::info!(
        public = %app.public_address,
        private = %app.private_address,
        "the service runs"
    );
    let fallen = tokio::select! {
        _ = terminate.recv() => false,
        _ = interrupt.recv() => false,
        () = app.fallen() => true,
    };
    tracing::info!("the service stops");
    let hurried = tokio::select! {
        () = app.stop() => false,
        _ = terminate.recv() => true,
        _ = interrupt.recv() => true,
    };
    if let Some(traces) = traces {
        traces.close().await;
    }
    ensure!(
        !hurried,
        "a second signal ended the service at once; calls to X under way are looked up after the \
         next start"
    );
    ensure!(!fallen, "a part of the service ended by itself");
    Ok(())
}

async fn check_broker(settings: &Settings) -> anyhow::Result<()> {
    let found = check::look(&settings.broker).await?;
    for line in found.lines() {
        print(&format!("{line}\n"))?;
    }
    ensure!(
        found.is_good(),
        "the service could not work with this broker"
    );
    print("the broker is good\n")
}

/// What is linked, by these settings and by what administrators made.
async fn open_directory(settings: &Settings, store: &Store) -> anyhow::Result<Directory> {
    let sealer = key_file::sealer(settings, store).await?;
    Ok(directory(settings, store, sealer).await?)
}

/// What sets things up at X, and for whom.
async fn open_setup(settings: &Settings, store: &Store) -> anyhow::Result<(Setup, Arc<Rules>)> {
    let sealer = key_file::sealer(settings, store).await?;
    let rules = directory(settings, store, sealer.clone()).await?;
    // No call here refreshes a token, so nothing is left running.
    let setup = setup_of(settings, store, sealer, &TaskTracker::new())?;
    Ok((setup, rules.rules().now()))
}

/// Opens the store of a service that has run before: a wrong path must not make an empty one.
fn open_store(settings: &Settings) -> anyhow::Result<Store> {
    if let Some(path) = settings.store.place.file() {
        ensure!(path.exists(), "there is no store at {}", path.display());
    }
    Ok(Store::open(settings.store.clone())?)
}

fn print(text: &str) -> anyhow::Result<()> {
    match io::stdout().write_all(text.as_bytes()) {
        // `... | head` has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}

/// Rows for a person, or as one JSON object per line.
fn rows<T: Serialize>(
    rows: &[T],
    json: bool,
    line: impl Fn(&T) -> String,
) -> anyhow::Result<String> {
    rows.iter()
        .map(|row| match json {
            true => Ok(serde_json::to_string(row)? + "\n"),
            false => Ok(line(row)),
        })
        .collect()
}

/// Ids and times in JSON: as they are written everywhere else.
fn as_text<S: Serializer>(value: &impl Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// A line of a table for a terminal: what X or a file put into it must not steer the terminal.
fn line(columns: &[String]) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    let line: String = columns.join("  ").chars().map(plain).collect();
    line + "\n"
}

#[cfg(test)]
mod tests {
    use std::ops::Deref;

    use jiff::Timestamp;
    use tempfile::TempDir;
    use twitter_channel::store::StoreSettings;

    use super::*;

    /// A store of its own for each test.
    pub(super) struct TestStore {
        store: Store,
        _dir: TempDir,
    }

    impl TestStore {
        pub(super) fn open() -> Self {
            let dir = TempDir::new().unwrap();
            let settings = StoreSettings {
                place: dir.path().join("store.db").into(),
                max_bytes: 1 << 30,
                retention: std::time::Duration::from_hours(24),
            };
            Self {
                store: Store::open(settings).unwrap(),
                _dir: dir,
            }
        }
    }

    impl Deref for TestStore {
        type Target = Store;
        fn deref(&self) -> &Store {
            &self.store
        }
    }

    /// So many seconds after 1970 began.
    pub(super) fn at(second: u64) -> Timestamp {
        Timestamp::from_second(second.try_into().unwrap()).unwrap()
    }

    #[test]
    fn arguments_are_consistent() {
        use clap::CommandFactory;
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_command_that_the_runbook_names_is_one() {
        let runbook = include_str!("../docs/runbook.md");
        let runbook = runbook.split_whitespace().collect::<Vec<_>>().join(" ");
        let named: Vec<_> = runbook
            .split('`')
            .filter(|code| code.starts_with("twitter-channel "))
            .collect();
        assert!(named.len() > 40, "{named:#?}");
        for command in named {
            // Words in capitals stand for ids: those of events are checked by their parsers.
            let words = command.split(' ').map(|word| match word {
                "ID" => "2975699229",
                word => word,
            });
            if let Err(error) = Arguments::try_parse_from(words) {
                panic!("{command}: {error}");
            }
        }
    }

    #[test]
    fn the_settings_file_may_be_named_after_the_command() {
        let arguments = ["twitter-channel", "events", "list", "--config", "x.toml"];
        let arguments = Arguments::try_parse_from(arguments).unwrap();
        assert_eq!(arguments.config, Some(PathBuf::from("x.toml")));
    }

    #[test]
    fn a_line_cannot_steer_the_terminal() {
        assert_eq!(
            line(&["a\u{1b}[2J\n".to_owned(), "b".to_owned()]),
            "a [2J   b\n"
        );
    }
}
