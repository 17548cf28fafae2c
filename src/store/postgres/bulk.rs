//! Many sets of parameters in one statement: to send and run each by itself would take most of the
//! time of a busy writer.

use std::collections::HashSet;
use std::sync::Arc;

use tokio_postgres::types::Type;

use super::session::Prepared;
use super::shared::Kept;

/// Rows that may wait to be sent.
const QUEUE: usize = 4096;

/// A statement that inserts one row, as one that inserts many.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Inserting {
    table: String,
    /// Places of the parameters that are the key by which a row takes the place of another one.
    /// PostgreSQL refuses two such rows in one statement.
    key: Vec<usize>,
    pub text: String,
}

impl Inserting {
    /// `None`: it is of another form, and stays by itself.
    pub(super) fn of(text: &str, kinds: &[Type]) -> Option<Self> {
        let rest = text.trim_start().strip_prefix("INSERT INTO ")?;
        let (table, rest) = rest.split_once('(')?;
        let (columns, rest) = rest.split_once(')')?;
        let rest = rest.trim_start().strip_prefix("VALUES")?;
        let (values, rest) = rest.trim_start().strip_prefix('(')?.split_once(')')?;
        let expected = (1..=kinds.len()).map(|number| format!("${number}"));
        let is_plain = expected.eq(values.split(',').map(|value| value.trim().to_owned()));
        let answers = ["$", "SELECT", "RETURNING"];
        if !is_plain || answers.iter().any(|other| rest.contains(other)) {
            return None;
        }
        let (table, arrays) = (table.trim(), arrays(kinds)?);
        Some(Self {
            table: table.to_owned(),
            key: key(columns, rest)?,
            text: format!("INSERT INTO {table} ({columns}) SELECT * FROM unnest({arrays}) {rest}"),
        })
    }

    fn key_of(&self, row: &[Kept]) -> Vec<Kept> {
        let key = self.key.iter();
        key.filter_map(|place| row.get(*place).cloned()).collect()
    }
}

/// The places of the columns by which rows conflict: none where one that conflicts is left out.
fn key(columns: &str, rest: &str) -> Option<Vec<usize>> {
    let rest = rest.trim();
    if rest.is_empty() || rest == "ON CONFLICT DO NOTHING" {
        return Some(Vec::new());
    }
    let rest = rest.strip_prefix("ON CONFLICT")?.trim_start();
    let (names, _) = rest.strip_prefix('(')?.split_once(')')?;
    let mut places = names.split(',').map(|name| {
        let mut columns = columns.split(',').map(str::trim);
        columns.position(|column| column == name.trim())
    });
    places.by_ref().collect()
}

fn arrays(kinds: &[Type]) -> Option<String> {
    let mut arrays = Vec::new();
    for (number, kind) in kinds.iter().enumerate() {
        let kind = match *kind {
            Type::INT8 => "bigint",
            Type::INT4 => "integer",
            Type::BOOL => "boolean",
            Type::TEXT => "text",
            Type::BYTEA => "bytea",
            _ => return None,
        };
        arrays.push(format!("${}::{kind}[]", number + 1));
    }
    (!arrays.is_empty()).then(|| arrays.join(", "))
}

/// A question with `$1`, `$2`, ... as one that is put for many of them; the last column of an answer
/// is the place of the set, from 1. `None`: it has none, or of a kind that is not known.
pub(super) fn asking(text: &str, kinds: &[Type]) -> Option<String> {
    let (arrays, mut inner) = (arrays(kinds)?, text.to_owned());
    for number in (1..=kinds.len()).rev() {
        inner = inner.replace(&format!("${number}"), &format!("keys.p{number}"));
    }
    let names: Vec<_> = (1..=kinds.len()).map(|n| format!("p{n}")).collect();
    let names = names.join(", ");
    // OFFSET 0: each is looked up by itself, and no plan for few rows goes through a whole table.
    Some(format!(
        "SELECT found.*, keys.place FROM unnest({arrays}) WITH ORDINALITY AS keys ({names}, place)
         CROSS JOIN LATERAL ({inner} OFFSET 0) AS found"
    ))
}

/// What the parameters of many sets are, by their places.
pub(super) fn columns<T>(sets: impl IntoIterator<Item = Vec<T>>) -> Vec<Vec<T>> {
    let mut columns: Vec<Vec<T>> = Vec::new();
    for set in sets {
        columns.resize_with(set.len().max(columns.len()), Vec::new);
        for (column, value) in columns.iter_mut().zip(set) {
            column.push(value);
        }
    }
    columns
}

/// Rows of one statement.
pub(super) struct Group {
    pub prepared: Arc<Prepared>,
    pub rows: Vec<Vec<Kept>>,
    keys: HashSet<Vec<Kept>>,
}

/// Statements that are sent later, in order; insertions into different tables may pass each other.
#[derive(Default)]
pub(super) struct Queue {
    pub groups: Vec<Group>,
    rows: usize,
}

impl Queue {
    /// Whether it is to be sent now.
    pub(super) fn is_full(&self) -> bool {
        self.rows >= QUEUE
    }

    pub(super) fn push(&mut self, prepared: Arc<Prepared>, row: Vec<Kept>) {
        self.rows += 1;
        let inserting = prepared.inserting.as_ref();
        let key = inserting.map(|it| it.key_of(&row)).unwrap_or_default();
        let group = match self.joined(&prepared, &key) {
            Some(group) => group,
            None => {
                self.groups.push(Group {
                    prepared,
                    rows: Vec::new(),
                    keys: HashSet::new(),
                });
                self.groups.last_mut()
            }
        };
        if let Some(group) = group {
            group.rows.push(row);
            if !key.is_empty() {
                group.keys.insert(key);
            }
        }
    }

    /// The group that a row may be put into.
    fn joined(&mut self, prepared: &Arc<Prepared>, key: &Vec<Kept>) -> Option<Option<&mut Group>> {
        let table = &prepared.inserting.as_ref()?.table;
        for group in self.groups.iter_mut().rev() {
            let other = &group.prepared.inserting.as_ref()?.table;
            if Arc::ptr_eq(&group.prepared, prepared) {
                return (!group.keys.contains(key)).then_some(Some(group));
            }
            if other == table {
                return None;
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UPSERT: &str = "INSERT INTO costs (account, kind, count) VALUES ($1, $2, $3)
        ON CONFLICT (kind, account) DO UPDATE SET count = excluded.count";

    #[test]
    fn an_insertion_of_one_row_is_written_for_many() {
        let inserting = Inserting::of(UPSERT, &[Type::INT8, Type::TEXT, Type::INT8]).unwrap();
        assert_eq!(inserting.key, [1, 0]);
        assert!(
            inserting.text.starts_with(
                "INSERT INTO costs (account, kind, count) \
                 SELECT * FROM unnest($1::bigint[], $2::text[], $3::bigint[]) "
            ),
            "{}",
            inserting.text
        );
    }

    #[test]
    fn what_answers_or_computes_stays_by_itself() {
        for text in [
            "INSERT INTO a (b) VALUES ($1) RETURNING b",
            "INSERT INTO a (b) VALUES ($1 + 1)",
            "INSERT INTO a (b) SELECT $1",
            "UPDATE a SET b = $1",
            "INSERT INTO a (b) VALUES ($1) ON CONFLICT (c) DO UPDATE SET b = 1",
        ] {
            assert_eq!(Inserting::of(text, &[Type::INT8]), None, "{text}");
        }
    }

    #[test]
    fn a_question_is_put_for_many() {
        let asked = asking("SELECT a FROM b WHERE c = $1", &[Type::BYTEA]).unwrap();
        assert!(asked.contains("unnest($1::bytea[])"), "{asked}");
        assert!(asked.contains("WHERE c = keys.p1 OFFSET 0"), "{asked}");
    }
}
