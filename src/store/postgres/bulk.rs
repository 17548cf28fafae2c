//! Many sets of parameters in one statement, and many statements in one: to send and run each by
//! itself would take most of the time of a busy writer.

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
    columns: String,
    kinds: Vec<&'static str>,
    /// Places of the parameters that are the key by which a row takes the place of another one.
    /// PostgreSQL refuses two such rows in one statement.
    key: Vec<usize>,
    /// What is done where there is a row with its key.
    conflict: String,
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
        if !is_plain || kinds.is_empty() || answers.iter().any(|other| rest.contains(other)) {
            return None;
        }
        Some(Self {
            table: table.trim().to_owned(),
            columns: columns.to_owned(),
            kinds: kinds.iter().map(name).collect::<Option<_>>()?,
            key: key(columns, rest)?,
            conflict: rest.to_owned(),
        })
    }

    /// The statement, with parameters from `first` on.
    fn text(&self, first: usize) -> String {
        let Self {
            table,
            columns,
            conflict,
            ..
        } = self;
        let arrays = arrays(&self.kinds, first);
        format!("INSERT INTO {table} ({columns}) SELECT * FROM unnest({arrays}) {conflict}")
    }

    fn key_of(&self, row: &[Kept]) -> Vec<Kept> {
        let key = self.key.iter();
        key.filter_map(|place| row.get(*place).cloned()).collect()
    }
}

/// One statement that does what all of these do, in no order: each into another table. Their parameters
/// are arrays, those of the first one first.
pub(super) fn together<'i>(all: impl Iterator<Item = &'i Inserting>) -> String {
    let (mut parts, mut first) = (Vec::new(), 1);
    for inserting in all {
        parts.push(inserting.text(first));
        first += inserting.kinds.len();
    }
    let last = parts.pop().unwrap_or_default();
    if parts.is_empty() {
        return last;
    }
    let parts = parts.into_iter().enumerate();
    let parts: Vec<_> = parts
        .map(|(number, part)| format!("w{number} AS ({part})"))
        .collect();
    format!("WITH {} {last}", parts.join(", "))
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

/// What a type is called in a statement.
fn name(kind: &Type) -> Option<&'static str> {
    match *kind {
        Type::INT8 => Some("bigint"),
        Type::INT4 => Some("integer"),
        Type::BOOL => Some("boolean"),
        Type::TEXT => Some("text"),
        Type::BYTEA => Some("bytea"),
        _ => None,
    }
}

/// Parameters from `first` on, as arrays.
fn arrays(kinds: &[&str], first: usize) -> String {
    let kinds = kinds.iter().enumerate();
    let arrays: Vec<_> = kinds
        .map(|(place, kind)| format!("${}::{kind}[]", first + place))
        .collect();
    arrays.join(", ")
}

/// What is asked with parameters `$1`, `$2`, ...
pub(super) struct Asking<'q> {
    pub text: &'q str,
    pub params: &'q [Type],
    pub columns: Vec<&'q Type>,
}

/// Questions as one, each put for many sets of parameters. A row of the answer begins with the place of
/// its question, and that of the set, both from 0; then come the columns of all questions, NULL but for
/// its own. `None`: there is something of a kind that is not known.
pub(super) fn asking(questions: &[Asking<'_>]) -> Option<String> {
    let kinds = |question: &Asking<'_>| -> Option<Vec<_>> {
        question.columns.iter().map(|kind| name(kind)).collect()
    };
    let columns = questions.iter().map(kinds).collect::<Option<Vec<_>>>()?;
    let (mut parts, mut first) = (Vec::new(), 1);
    for (place, question) in questions.iter().enumerate() {
        let mut row = Vec::new();
        for (other, kinds) in columns.iter().enumerate() {
            row.extend(
                kinds
                    .iter()
                    .enumerate()
                    .map(|(number, kind)| match other == place {
                        true => format!("found.c{number}"),
                        false => format!("NULL::{kind}"),
                    }),
            );
        }
        let names = columns.get(place)?.iter().enumerate();
        let names: Vec<_> = names.map(|(number, _)| format!("c{number}")).collect();
        let params = question
            .params
            .iter()
            .map(name)
            .collect::<Option<Vec<_>>>()?;
        let keys = keys(&params, first);
        let mut text = question.text.to_owned();
        for number in (1..=params.len()).rev() {
            text = text.replace(&format!("${number}"), &format!("keys.p{number}"));
        }
        // OFFSET 0: each is looked up by itself, and no plan for few rows goes through a whole table.
        parts.push(format!(
            "SELECT {place}::bigint, keys.place - 1, {} FROM {keys}
             CROSS JOIN LATERAL ({text} OFFSET 0) AS found ({})",
            row.join(", "),
            names.join(", ")
        ));
        first += params.len();
    }
    Some(parts.join(" UNION ALL "))
}

/// The sets of parameters of a question.
fn keys(params: &[&str], first: usize) -> String {
    if params.is_empty() {
        return "(VALUES (1::bigint)) AS keys (place)".to_owned();
    }
    let names: Vec<_> = (1..=params.len()).map(|n| format!("p{n}")).collect();
    let (arrays, names) = (arrays(params, first), names.join(", "));
    format!("unnest({arrays}) WITH ORDINALITY AS keys ({names}, place)")
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

impl Group {
    fn table(&self) -> Option<&str> {
        let inserting = self.prepared.inserting.as_ref();
        inserting.map(|inserting| inserting.table.as_str())
    }
}

/// What is sent later.
pub(super) enum Step {
    Rows(Group),
    /// Statements that have no parameters and give no rows, such as those that end a transaction.
    Control(String),
}

/// Statements that are sent later, in order; insertions into different tables may pass each other.
#[derive(Default)]
pub(super) struct Queue {
    steps: Vec<Step>,
    rows: usize,
}

/// Statements that are sent as one: insertions each into another table, or a single one.
pub(super) enum Sent {
    Rows(Vec<Group>),
    Control(String),
}

impl Queue {
    /// Whether it is to be sent now.
    pub(super) fn is_full(&self) -> bool {
        self.rows >= QUEUE
    }

    pub(super) fn control(&mut self, sql: String) {
        match self.steps.last_mut() {
            Some(Step::Control(before)) => {
                before.push_str("; ");
                before.push_str(&sql);
            }
            _ => self.steps.push(Step::Control(sql)),
        }
    }

    pub(super) fn push(&mut self, prepared: Arc<Prepared>, row: Vec<Kept>) {
        self.rows += 1;
        let inserting = prepared.inserting.as_ref();
        let key = inserting.map(|it| it.key_of(&row)).unwrap_or_default();
        if let Some(group) = self.joined(&prepared, &key) {
            group.rows.push(row);
            group.keys.extend((!key.is_empty()).then_some(key));
            return;
        }
        self.steps.push(Step::Rows(Group {
            prepared,
            rows: vec![row],
            keys: (!key.is_empty()).then_some(key).into_iter().collect(),
        }));
    }

    /// The group that a row may be put into.
    fn joined(&mut self, prepared: &Arc<Prepared>, key: &Vec<Kept>) -> Option<&mut Group> {
        let table = &prepared.inserting.as_ref()?.table;
        for step in self.steps.iter_mut().rev() {
            let Step::Rows(group) = step else {
                return None;
            };
            let other = &group.prepared.inserting.as_ref()?.table;
            if Arc::ptr_eq(&group.prepared, prepared) {
                return (!group.keys.contains(key)).then_some(group);
            }
            if other == table {
                return None;
            }
        }
        None
    }

    /// Empties it.
    pub(super) fn sent(self) -> Vec<Sent> {
        let mut all: Vec<Sent> = Vec::new();
        for step in self.steps {
            match (step, all.last_mut()) {
                (Step::Control(sql), _) => all.push(Sent::Control(sql)),
                (Step::Rows(group), Some(Sent::Rows(before))) if goes_with(&group, before) => {
                    before.push(group);
                }
                (Step::Rows(group), _) => all.push(Sent::Rows(vec![group])),
            }
        }
        all
    }
}

/// Whether one statement can do it too.
fn goes_with(group: &Group, others: &[Group]) -> bool {
    let table = group.table();
    let fits = |other: &Group| other.table().is_some() && other.table() != table;
    table.is_some() && others.iter().all(fits)
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
        let text = together([&inserting].into_iter());
        assert!(
            text.starts_with(
                "INSERT INTO costs (account, kind, count) \
                 SELECT * FROM unnest($1::bigint[], $2::text[], $3::bigint[]) "
            ),
            "{text}"
        );
    }

    #[test]
    fn insertions_into_two_tables_are_one_statement() {
        let costs = Inserting::of(UPSERT, &[Type::INT8, Type::TEXT, Type::INT8]).unwrap();
        let other = Inserting::of("INSERT INTO a (b) VALUES ($1)", &[Type::BYTEA]).unwrap();
        let text = together([&costs, &other].into_iter());
        assert!(
            text.starts_with("WITH w0 AS (INSERT INTO costs (account"),
            "{text}"
        );
        assert!(
            text.ends_with("excluded.count) INSERT INTO a (b) SELECT * FROM unnest($4::bytea[]) "),
            "{text}"
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
    fn questions_are_put_as_one_each_for_many() {
        let first = Asking {
            text: "SELECT a FROM b WHERE c = $1",
            params: &[Type::BYTEA],
            columns: vec![&Type::TEXT],
        };
        let other = Asking {
            text: "SELECT max(d) FROM e",
            params: &[],
            columns: vec![&Type::INT8],
        };
        let asked = asking(&[first, other]).unwrap();
        let (first, other) = asked.split_once(" UNION ALL ").unwrap();
        assert!(
            first.contains("0::bigint, keys.place - 1, found.c0, NULL::bigint"),
            "{first}"
        );
        assert!(first.contains("unnest($1::bytea[])"), "{first}");
        assert!(first.contains("WHERE c = keys.p1 OFFSET 0"), "{first}");
        assert!(
            other.contains("1::bigint, keys.place - 1, NULL::text, found.c0"),
            "{other}"
        );
    }
}
