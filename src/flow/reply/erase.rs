//! Erasing the people that commands ask to forget: one after the other, beside everything else. What
//! the end of the process has cut off is done again from its beginning, which changes nothing.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::outcome::{Case, Verdict};
use crate::domain::command::{Action, Command};
use crate::flow::person::{AskedBy, Erased, PersonError, Persons};
use crate::flow::rules::LiveRules;
use crate::store::{Hold, Store, StoreError, Tx};

/// How the ledger names the command.
pub(super) const FORGET_PERSON: &str = "forget_person";

/// Until the next try where the store or a file fails.
const AGAIN: Duration = Duration::from_secs(1);

/// Erases whom commands name.
pub(super) struct Erasures {
    pub(super) store: Store,
    pub(super) rules: LiveRules,
    pub(super) persons: Persons,
    pub(super) asked: Arc<Notify>,
}

impl Erasures {
    /// Works until `stop`.
    pub(super) async fn run(self, stop: CancellationToken) {
        let work = async {
            loop {
                match self.erase_all().await {
                    Ok(()) => self.asked.notified().await,
                    Err(error) => {
                        tracing::warn!(%error, "a person is not erased to the end yet");
                        sleep(AGAIN).await;
                    }
                }
            }
        };
        stop.run_until_cancelled(work).await;
    }

    async fn erase_all(&self) -> Result<(), PersonError> {
        let waiting = self
            .store
            .read(|tx| tx.held_commands(Hold::Erasing))
            .await?;
        for sequence in waiting {
            let case = self.store.read(move |tx| Case::open(tx, sequence)).await?;
            if let Some(case) = case {
                self.erase(case).await?;
            }
        }
        Ok(())
    }

    async fn erase(&self, case: Case) -> Result<(), PersonError> {
        let Action::ForgetPerson { person_id } = case.command.action else {
            return Ok(());
        };
        let sequence = case.sequence();
        let by = AskedBy::core(asked_by(&case.command));
        let erased = self.persons.erase(person_id, by, Timestamp::now()).await?;
        let (rules, at) = (self.rules.now(), Timestamp::now());
        let end = move |tx: &mut Tx<'_>| -> Result<(), StoreError> {
            let Some(case) = Case::open(tx, sequence)? else {
                return Ok(());
            };
            case.finish(tx, &rules, done(&erased), at)?;
            // Its content names the person.
            tx.blank_command(sequence)
        };
        self.store.write(end).await?;
        Ok(self.store.purge_log().await?)
    }
}

fn done(erased: &Erased) -> Verdict {
    Verdict::Succeeded {
        detail: format!(
            "Erased: {} events, {} kept deliveries, {} texts of commands, {} files. At X nothing \
             changes.",
            erased.events, erased.deliveries, erased.commands, erased.files
        ),
    }
}

/// Who asked by a command, for the proof; ids only.
fn asked_by(command: &Command) -> String {
    let agent = command.agent.as_ref().map(|agent| agent.id.as_str());
    match agent.filter(|id| !id.is_empty()) {
        Some(agent) => format!("command {}, agent {agent}", command.id),
        None => format!("command {}", command.id),
    }
}
