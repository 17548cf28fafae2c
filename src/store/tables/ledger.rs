//! The ledger: commands with their state, in the order in which they came.

use jiff::Timestamp;

use super::tx::{Tx, count, millis, number, stored, timestamp};
use crate::domain::ids::{AccountId, CommandId, EventId, UserId};
use crate::domain::money::Usd;
use crate::store::StoreError;
use crate::store::sql::{self, FromValue, Row, ToValue, Value, params};

/// Words of the domain that are stored by their names.
macro_rules! stored_words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
        }

        impl $name {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// As stored and shown.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }

        impl FromValue for $name {
            fn from_value(value: Value<'_>) -> Option<Self> {
                match value {
                    $(Value::Text($word) => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }

        impl ToValue for $name {
            fn to_value(&self) -> Value<'_> {
                Value::Text(self.name())
            }
        }
    };
}
pub(super) use stored_words;

stored_words! {
    /// Where a command stands.
    CommandState {
        /// Waits for its next attempt, or is held.
        Pending = "pending",
        /// On its way to X, or was when the process ended.
        Sending = "sending",
        /// May have reached X; is looked up.
        Uncertain = "uncertain",
        /// Done; final.
        Succeeded = "succeeded",
        /// Not done; final.
        Failed = "failed",
    }
}

stored_words! {
    /// Who lets a pending command go on.
    Hold {
        /// Nobody has to: it goes when its time has come.
        None = "",
        /// The fetch of its attachments.
        Files = "files",
        /// Whoever turns the stop switch back.
        Stopped = "stopped",
        /// Whoever links the account again.
        Revoked = "revoked",
        /// A person who releases it: it is too old to go by itself.
        Person = "person",
        /// The erasure that it asks for, which is under way.
        Erasing = "erasing",
        /// The look at what X has of its account since the backup that the store was restored from.
        Restored = "restored",
    }
}

impl CommandState {
    /// Whether it has no outcome yet.
    pub fn is_open(self) -> bool {
        !matches!(self, Self::Succeeded | Self::Failed)
    }
}

/// Which commands to list, by where they stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CommandFilter {
    #[default]
    All,
    /// Those in this state, held ones too.
    In(CommandState),
    /// Those that something or somebody has to let go on.
    Held,
}

/// Which commands are looked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommandQuery {
    pub filter: CommandFilter,
    pub account: Option<AccountId>,
    /// By its id.
    pub conversation: Option<String>,
    /// `send_post`, ...
    pub name: Option<String>,
    /// Those that came before the one with this sequence.
    pub before: Option<u64>,
}

/// A command to accept.
#[derive(Clone, Debug)]
pub struct NewCommand {
    pub id: CommandId,
    /// Of the content as parsed.
    pub fingerprint: [u8; 32],
    pub account: Option<AccountId>,
    /// `send_post`, ...
    pub name: &'static str,
    /// Within which order is kept; empty where it stands alone.
    pub conversation: String,
    /// X's call that its next step makes.
    pub call: &'static str,
    pub hold: Hold,
    pub received_at: Timestamp,
    pub expires_at: Timestamp,
    /// The command as JSON, without files.
    pub content: String,
    /// What was decided of it, as JSON.
    pub plan: String,
}

/// What the scheduler has to know of a command; no texts.
#[derive(Clone, Debug, PartialEq)]
pub struct Waiting {
    pub sequence: u64,
    pub account: Option<AccountId>,
    pub conversation: String,
    pub call: String,
    pub state: CommandState,
    pub hold: Hold,
    pub received_at: Timestamp,
    pub expires_at: Timestamp,
    pub next_attempt_at: Timestamp,
    /// Grows with each change made by others than the scheduler.
    pub changed: u64,
    /// The last `command.deferred`, if there was one.
    pub told: Option<Told>,
}

/// The last `command.deferred` of a command.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    pub code: String,
    /// `None`: a person was needed.
    pub until: Option<Timestamp>,
}

/// A command of the ledger.
#[derive(Clone, Debug, PartialEq)]
pub struct CommandRow {
    pub waiting: Waiting,
    pub id: CommandId,
    pub fingerprint: Vec<u8>,
    pub name: String,
    pub attempt: u32,
    /// How many `command.deferred` there were.
    pub told_count: u32,
    pub content: String,
    pub plan: String,
    /// What X has charged for it so far.
    pub cost: Usd,
    pub finished_at: Option<Timestamp>,
}

/// How a command goes on waiting.
#[derive(Clone, Debug, PartialEq)]
pub struct Wait {
    pub state: CommandState,
    pub hold: Hold,
    pub call: &'static str,
    pub next_attempt_at: Timestamp,
    pub attempt: u32,
}

/// The outcome event of a finished command.
#[derive(Clone, Debug, PartialEq)]
pub struct OutcomeRow {
    pub event: EventId,
    pub event_type: String,
    pub body: Vec<u8>,
    pub finished_at: Timestamp,
}

const WAITING: &str = "sequence, account, conversation, call, state, hold, received_at, \
                       expires_at, next_attempt_at, changed, told_code, told_until";
const COMMAND: &str = "id, fingerprint, name, attempt, told_count, content, plan, cost, \
                       finished_at";

fn read_waiting(row: &Row<'_>) -> sql::Result<Waiting> {
    Ok(Waiting {
        sequence: number(row.get(0)?),
        account: account(row.get(1)?),
        conversation: row.get(2)?,
        call: row.get(3)?,
        state: row.get(4)?,
        hold: row.get(5)?,
        received_at: timestamp(row.get(6)?),
        expires_at: timestamp(row.get(7)?),
        next_attempt_at: timestamp(row.get(8)?),
        changed: number(row.get(9)?),
        told: told(row.get(10)?, row.get(11)?),
    })
}

fn told(code: String, until: Option<i64>) -> Option<Told> {
    (!code.is_empty()).then(|| Told {
        code,
        until: until.map(timestamp),
    })
}

fn read_command(row: &Row<'_>) -> sql::Result<CommandRow> {
    const FIRST: usize = 12;
    Ok(CommandRow {
        waiting: read_waiting(row)?,
        id: command_id(row, FIRST)?,
        fingerprint: row.get(FIRST + 1)?,
        name: row.get(FIRST + 2)?,
        attempt: row.get(FIRST + 3)?,
        told_count: row.get(FIRST + 4)?,
        content: row.get(FIRST + 5)?,
        plan: row.get(FIRST + 6)?,
        cost: Usd::from_micros(number(row.get(FIRST + 7)?)),
        finished_at: row.get::<Option<i64>>(FIRST + 8)?.map(timestamp),
    })
}

fn command_id(row: &Row<'_>, column: usize) -> sql::Result<CommandId> {
    let raw: String = row.get(column)?;
    raw.try_into().map_err(|_unreadable| StoreError::Corrupt {
        what: "id of a command",
        value: format!("in column {column}"),
    })
}

/// A plan without what tells of people and their words; one that cannot be read tells nothing.
fn without_texts(plan: &str) -> String {
    let mut plan: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(plan).unwrap_or_default();
    for key in ["parts", "customer", "refused"] {
        plan.remove(key);
    }
    serde_json::Value::Object(plan).to_string()
}

fn account(stored: Option<i64>) -> Option<AccountId> {
    let id = stored.and_then(|id| UserId::from_number(number(id)));
    id.map(AccountId)
}

impl Tx<'_> {
    /// Writes a new command into the ledger; its sequence.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn insert_command(&self, new: &NewCommand) -> Result<u64, StoreError> {
        self.ledger_changed.set(true);
        self.inserted(
            "INSERT INTO commands (id, fingerprint, account, name, conversation, call, state, hold,
                                   received_at, expires_at, next_attempt_at, changed, content, plan)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'pending', ?7, ?8, ?9, ?8,
                     (SELECT coalesce(max(changed), 0) + 1 FROM commands), ?10, ?11)
             RETURNING sequence",
            params![
                new.id.as_str(),
                new.fingerprint,
                new.account.map(|id| stored(id.0.get())),
                new.name,
                new.conversation,
                new.call,
                new.hold,
                millis(new.received_at),
                millis(new.expires_at),
                new.content,
                new.plan,
            ],
        )
    }

    /// The command with this id.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn command_by_id(&self, id: &CommandId) -> Result<Option<CommandRow>, StoreError> {
        let sql = format!("SELECT {WAITING}, {COMMAND} FROM commands WHERE id = ?1");
        self.row(&sql, [id.as_str()], read_command)
    }

    /// The command with this sequence.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn command(&self, sequence: u64) -> Result<Option<CommandRow>, StoreError> {
        let sql = format!("SELECT {WAITING}, {COMMAND} FROM commands WHERE sequence = ?1");
        self.row(&sql, [stored(sequence)], read_command)
    }

    /// Commands for people to look at, newest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn newest_commands(
        &self,
        filter: CommandFilter,
        limit: usize,
    ) -> Result<Vec<CommandRow>, StoreError> {
        let query = CommandQuery {
            filter,
            ..CommandQuery::default()
        };
        self.commands_page(&query, limit)
    }

    /// The same of those that a query looks for.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn commands_page(
        &self,
        query: &CommandQuery,
        limit: usize,
    ) -> Result<Vec<CommandRow>, StoreError> {
        let state = match query.filter {
            CommandFilter::In(state) => Some(state),
            CommandFilter::All | CommandFilter::Held => None,
        };
        // Only what is asked for stands in the statement: else no index would be used.
        let conditions = [
            (state.is_some(), "state = ?1"),
            (
                query.filter == CommandFilter::Held,
                "finished_at IS NULL AND hold <> ''",
            ),
            (query.account.is_some(), "account = ?3"),
            (
                query.conversation.is_some(),
                "conversation = ?4 AND conversation <> ''",
            ),
            (query.name.is_some(), "name = ?5"),
            (query.before.is_some(), "sequence < ?6"),
        ];
        let asked = conditions.into_iter().filter(|(asked, _)| *asked);
        let asked: String = asked.map(|(_, sql)| format!(" AND {sql}")).collect();
        let sql = format!(
            "SELECT {WAITING}, {COMMAND} FROM commands WHERE true{asked}
             ORDER BY sequence DESC LIMIT ?7"
        );
        self.rows(
            &sql,
            params![
                state,
                None::<i64>,
                query.account.map(|id| stored(id.0.get())),
                query.conversation,
                query.name,
                query.before.map(stored),
                count(limit)
            ],
            read_command,
        )
    }

    /// The open commands of an account that are held, oldest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn held_commands_of(&self, account: AccountId) -> Result<Vec<CommandId>, StoreError> {
        self.rows(
            "SELECT id FROM commands
             WHERE account = ?1 AND finished_at IS NULL AND hold NOT IN ('', 'erasing')
             ORDER BY sequence",
            [stored(account.0.get())],
            |row| command_id(row, 0),
        )
    }

    /// Every command without an outcome, in order.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn open_commands(&self) -> Result<Vec<Waiting>, StoreError> {
        let sql =
            format!("SELECT {WAITING} FROM commands WHERE finished_at IS NULL ORDER BY sequence");
        self.rows(&sql, [], read_waiting)
    }

    /// Commands that others than the scheduler have changed after `after`, in order of that.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn commands_changed(&self, after: u64) -> Result<Vec<Waiting>, StoreError> {
        let sql = format!("SELECT {WAITING} FROM commands WHERE changed > ?1 ORDER BY changed");
        self.rows(&sql, [stored(after)], read_waiting)
    }

    /// The newest change of a command.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn newest_change(&self) -> Result<u64, StoreError> {
        let newest = self.row("SELECT max(changed) FROM commands", [], |row| {
            row.get::<Option<i64>>(0)
        })?;
        Ok(number(newest.flatten().unwrap_or(0)))
    }

    /// Lets the scheduler hear of a command that somebody else has changed.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn touch_command(&self, sequence: u64) -> Result<(), StoreError> {
        self.ledger_changed.set(true);
        self.run(
            "UPDATE commands SET changed = (SELECT coalesce(max(changed), 0) + 1 FROM commands)
             WHERE sequence = ?1",
            [stored(sequence)],
        )
    }

    /// Sets how an open command goes on.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn set_waiting(&self, sequence: u64, wait: &Wait) -> Result<(), StoreError> {
        self.run(
            "UPDATE commands SET state = ?2, hold = ?3, call = ?4, next_attempt_at = ?5, attempt = ?6
             WHERE sequence = ?1 AND finished_at IS NULL",
            params![
                stored(sequence),
                wait.state,
                wait.hold,
                wait.call,
                millis(wait.next_attempt_at),
                wait.attempt,
            ],
        )
    }

    /// Sets what a pending command waits for; without a hold it goes at once.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn set_hold(&self, sequence: u64, hold: Hold, at: Timestamp) -> Result<(), StoreError> {
        self.run(
            "UPDATE commands SET hold = ?2, next_attempt_at = ?3
             WHERE sequence = ?1 AND state = 'pending'",
            params![stored(sequence), hold, millis(at)],
        )
    }

    /// Holds the pending commands of an account that nothing holds; how many.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn hold_commands(&self, account: AccountId, hold: Hold) -> Result<u64, StoreError> {
        self.ledger_changed.set(true);
        let held = self.execute(
            "UPDATE commands SET hold = ?2,
                                 changed = (SELECT coalesce(max(changed), 0) + 1 FROM commands)
             WHERE account = ?1 AND finished_at IS NULL AND state = 'pending' AND hold = ''",
            params![stored(account.0.get()), hold],
        )?;
        Ok(held as u64)
    }

    /// Ends a hold of an account's commands: those received since `young_since` go at once, older
    /// ones wait for a person.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn resume_commands(
        &self,
        account: AccountId,
        hold: Hold,
        young_since: Timestamp,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        self.ledger_changed.set(true);
        self.run(
            "UPDATE commands SET hold = CASE WHEN received_at >= ?3 THEN '' ELSE 'person' END,
                                 next_attempt_at = ?4,
                                 changed = (SELECT coalesce(max(changed), 0) + 1 FROM commands)
             WHERE account = ?1 AND finished_at IS NULL AND hold = ?2",
            params![
                stored(account.0.get()),
                hold,
                millis(young_since),
                millis(at)
            ],
        )
    }

    /// Open commands that wait for this hold; none for [`Hold::None`].
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn held_commands(&self, hold: Hold) -> Result<Vec<u64>, StoreError> {
        self.rows(
            "SELECT sequence FROM commands
             WHERE finished_at IS NULL AND hold = ?1 AND hold <> '' ORDER BY sequence",
            params![hold],
            |row| row.get(0).map(number),
        )
    }

    /// Ended commands whose files are not removed yet, with their plans.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn commands_with_old_files(&self, limit: usize) -> Result<Vec<(u64, String)>, StoreError> {
        // The sign keeps SQLite from the index of all that have ended: it would read every one.
        self.rows(
            "SELECT sequence, plan FROM commands
             WHERE has_files = 1 AND +finished_at IS NOT NULL LIMIT ?1",
            [count(limit)],
            |row| Ok((number(row.get(0)?), row.get(1)?)),
        )
    }

    /// The plans of open commands that have files.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn plans_with_files(&self) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT plan FROM commands WHERE has_files = 1 AND finished_at IS NULL";
        self.rows(sql, [], |row| row.get(0))
    }

    /// Notes whether a command has files in the vault.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn set_has_files(&self, sequence: u64, has_files: bool) -> Result<(), StoreError> {
        self.run(
            "UPDATE commands SET has_files = ?2 WHERE sequence = ?1",
            params![stored(sequence), has_files],
        )
    }

    /// Replaces what was decided of a command.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn set_plan(&self, sequence: u64, plan: &str) -> Result<(), StoreError> {
        self.run(
            "UPDATE commands SET plan = ?2 WHERE sequence = ?1",
            params![stored(sequence), plan],
        )
    }

    /// Adds what X has charged for a command.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn add_command_cost(&self, sequence: u64, cost: Usd) -> Result<(), StoreError> {
        self.run(
            "UPDATE commands SET cost = cost + ?2 WHERE sequence = ?1",
            params![stored(sequence), stored(cost.micros())],
        )
    }

    /// Notes what the core was told of a wait.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn set_told(&self, sequence: u64, told: &Told) -> Result<(), StoreError> {
        self.run(
            "UPDATE commands SET told_code = ?2, told_until = ?3, told_count = told_count + 1
             WHERE sequence = ?1",
            params![stored(sequence), told.code, told.until.map(millis)],
        )
    }

    /// Ends a command: its outcome is final.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn finish_command(
        &self,
        sequence: u64,
        state: CommandState,
        outcome: &OutcomeRow,
    ) -> Result<(), StoreError> {
        self.run(
            "UPDATE commands SET state = ?2, hold = '', finished_at = ?3, outcome_type = ?4,
                                 outcome = ?5, outcome_event = ?6
             WHERE sequence = ?1",
            params![
                stored(sequence),
                state,
                millis(outcome.finished_at),
                outcome.event_type,
                outcome.body,
                outcome.event.0,
            ],
        )
    }

    /// The outcome of a finished command.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn outcome(&self, sequence: u64) -> Result<Option<OutcomeRow>, StoreError> {
        self.row(
            "SELECT outcome_event, outcome_type, outcome, finished_at FROM commands
             WHERE sequence = ?1 AND outcome IS NOT NULL",
            [stored(sequence)],
            |row| {
                Ok(OutcomeRow {
                    event: EventId(row.get(0)?),
                    event_type: row.get(1)?,
                    body: row.get(2)?,
                    finished_at: timestamp(row.get(3)?),
                })
            },
        )
    }

    /// The journal's sequence of a stored outcome; its event is put back where its body is no
    /// longer kept.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn restore_event(
        &mut self,
        outcome: &OutcomeRow,
        routing_key: &str,
        command: &str,
        at: Timestamp,
    ) -> Result<u64, StoreError> {
        if let Some(row) = self.event(outcome.event)? {
            return Ok(row.sequence);
        }
        // Under the sequence that its body names, behind the cursor: only a lane sends it.
        let body: serde_json::Value = serde_json::from_slice(&outcome.body).unwrap_or_default();
        let sequence = body.pointer("/event/sequence").and_then(|it| it.as_str());
        let sequence: u64 = sequence.and_then(|it| it.parse().ok()).unwrap_or(0);
        self.run(
            "INSERT INTO journal (sequence, id, type, routing_key, correlation_id, subject, time,
                                  at, mandatory, body)
             VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?6, ?7, 1, ?8) ON CONFLICT DO NOTHING",
            params![
                stored(sequence),
                outcome.event.0,
                outcome.event_type,
                routing_key,
                command,
                millis(outcome.finished_at),
                millis(at),
                outcome.body,
            ],
        )?;
        Ok(sequence)
    }

    /// Forgets at most `limit` commands, with what they sent, that ended before `before`; how many.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn prune_commands(&self, before: Timestamp, limit: usize) -> Result<usize, StoreError> {
        let old = "SELECT sequence FROM commands WHERE finished_at < ?1
                   ORDER BY finished_at, sequence LIMIT ?2";
        let bounds = params![millis(before), count(limit)];
        let sends = format!("DELETE FROM sends WHERE command IN ({old})");
        self.run(&sends, bounds)?;
        let commands = format!("DELETE FROM commands WHERE sequence IN ({old})");
        self.execute(&commands, bounds)
    }

    /// Blanks the texts of at most `limit` commands that ended before `before`; how many. Ids and
    /// outcomes stay, for a repeat of the command has to be known.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn blank_commands(&self, before: Timestamp, limit: usize) -> Result<usize, StoreError> {
        let old: Vec<(i64, String)> = self.rows(
            "SELECT sequence, plan FROM commands WHERE finished_at < ?1 AND content <> ''
             ORDER BY finished_at, sequence LIMIT ?2",
            [millis(before), count(limit)],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        for (sequence, plan) in &old {
            self.run("UPDATE sends SET text = '' WHERE command = ?1", [*sequence])?;
            self.run(
                "UPDATE commands SET content = '', plan = ?2 WHERE sequence = ?1",
                params![*sequence, without_texts(plan)],
            )?;
        }
        Ok(old.len())
    }

    /// How many open commands there are in each state, and when the oldest of each was received.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn ledger_summary(&self) -> Result<Vec<(CommandState, Hold, u64, Timestamp)>, StoreError> {
        self.rows(
            "SELECT state, hold, count(*), min(received_at) FROM commands
             WHERE finished_at IS NULL GROUP BY state, hold",
            [],
            |row| {
                Ok((
                    row.get(0)?,
                    row.get(1)?,
                    number(row.get(2)?),
                    timestamp(row.get(3)?),
                ))
            },
        )
    }
}
