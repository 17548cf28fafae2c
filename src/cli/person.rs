//! `person`: what is held of somebody.

use std::io::{self, Write};

use anyhow::ensure;
use clap::Subcommand;
use jiff::Timestamp;
use tokio::sync::mpsc;
use twitter_channel::domain::access::Actor;
use twitter_channel::domain::ids::UserId;
use twitter_channel::flow::person::{AskedBy, PersonError, Persons};

use super::environment;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Print all that is held of a person, one JSON object per line.
    Export {
        /// X's id of the person.
        #[arg(value_name = "ID")]
        person: UserId,
    },
    /// Erase all that is held of a person, as `forget_person` does.
    Erase {
        /// X's id of the person.
        #[arg(value_name = "ID")]
        person: UserId,
    },
}

impl Command {
    /// Does it; gives what to print beside what is printed already.
    pub(super) async fn run(self, persons: &Persons) -> anyhow::Result<String> {
        match self {
            Self::Export { person } => export(persons, person).await,
            Self::Erase { person } => erase(persons, person).await,
        }
    }
}

async fn export(persons: &Persons, person: UserId) -> anyhow::Result<String> {
    let (out, mut lines) = mpsc::channel::<String>(64);
    let printing = async {
        while let Some(line) = lines.recv().await {
            if !print(&line)? {
                break;
            }
        }
        // Nothing more is looked for then.
        drop(lines);
        anyhow::Ok(())
    };
    let exporting = async {
        let out = out;
        persons.export(person, &out).await
    };
    let (exported, printed) = tokio::join!(exporting, printing);
    printed?;
    match exported {
        Err(PersonError::NotTaken) => {}
        exported => exported?,
    }
    Ok(String::new())
}

/// Whether somebody reads on: `... | head` has seen enough some time.
fn print(line: &str) -> io::Result<bool> {
    match io::stdout().write_all(line.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        written => written.map(|()| true),
    }
}

/// Who is at the keyboard, as the system knows it.
fn user() -> String {
    let variables: Vec<_> = environment().collect();
    let named = |name: &str| variables.iter().find(|(known, _)| known == name);
    let user = named("SUDO_USER").or_else(|| named("USER"));
    user.map_or_else(|| "unknown".to_owned(), |(_, user)| user.clone())
}

async fn erase(persons: &Persons, person: UserId) -> anyhow::Result<String> {
    ensure!(
        !persons.is_ours(person),
        "{person} is an account of ours: unlink it instead"
    );
    let by = AskedBy::admin(Actor::CommandLine, format!("command line, {}", user()));
    let erased = persons.erase(person, by, Timestamp::now()).await?;
    Ok(format!(
        "erased {} events, {} posts, {} kept deliveries, {} commands and {} files; left out of {} \
         events of others; the core hears of {} messages. At X nothing changes\n",
        erased.events,
        erased.posts,
        erased.deliveries,
        erased.commands,
        erased.files,
        erased.redacted,
        erased.told
    ))
}
