//! `person`: what is held of somebody.

use std::io;

use clap::Subcommand;
use jiff::Timestamp;
use twitter_channel::domain::ids::UserId;
use twitter_channel::flow::person::{PersonError, Persons};

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
    match persons.export(person, &mut io::stdout()).await {
        // `... | head` has seen enough.
        Err(PersonError::Written(error)) if error.kind() == io::ErrorKind::BrokenPipe => {}
        exported => exported?,
    }
    Ok(String::new())
}

/// Who is at the keyboard, as the system knows it.
fn user() -> String {
    let variables: Vec<_> = environment().collect();
    let named = |name: &str| variables.iter().find(|(known, _)| known == name);
    let user = named("SUDO_USER").or_else(|| named("USER"));
    user.map_or_else(|| "unknown".to_owned(), |(_, user)| user.clone())
}

async fn erase(persons: &Persons, person: UserId) -> anyhow::Result<String> {
    let asked_by = format!("command line, {}", user());
    let erased = persons.erase(person, asked_by, Timestamp::now()).await?;
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
