//! Pages of lists that run from the newest to the oldest.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::answer::Answer;
use super::incoming::Incoming;
use super::problem;
use crate::forms::json::with;

/// The parameters that choose a page.
pub(super) const PARAMETERS: [&str; 7] = [
    "max_results",
    "pagination_token",
    "next_token",
    "since_id",
    "until_id",
    "start_time",
    "end_time",
];

/// Which part of a list is wanted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    max_results: usize,
    /// Only ids below this.
    below: Option<u64>,
    /// Only ids above this.
    pub(super) above: Option<u64>,
    pub(super) from_ms: Option<i64>,
    pub(super) until_ms: Option<i64>,
}

/// One entry of a list.
pub(super) trait Listed {
    fn id(&self) -> u64;
    fn at_ms(&self) -> i64;
}

impl Wanted {
    /// `bounds` are those of `max_results`, and what it is when absent.
    pub(super) fn parse(
        incoming: &Incoming,
        (least, most, usual): (usize, usize, usize),
    ) -> Result<Self, Box<Answer>> {
        let max_results = number(incoming, "max_results")?.map_or(Some(usual), |given| {
            let given = usize::try_from(given).ok()?;
            (least..=most).contains(&given).then_some(given)
        });
        let max_results = max_results.ok_or_else(|| {
            let given = incoming.parameter("max_results").unwrap_or_default();
            let message = format!("`max_results` is not between {least} and {most}");
            problem::invalid("max_results", given, &message)
        })?;
        let until_id = number(incoming, "until_id")?;
        let token = token(incoming)?;
        let below = [until_id, token].into_iter().flatten().min();
        Ok(Self {
            max_results,
            below,
            above: number(incoming, "since_id")?,
            from_ms: time(incoming, "start_time")?,
            until_ms: time(incoming, "end_time")?,
        })
    }

    /// Those of `entries`, newest first, that lie in the wanted span.
    pub(super) fn span<'a, T: Listed + 'a>(
        self,
        entries: impl Iterator<Item = &'a T>,
    ) -> impl Iterator<Item = &'a T> {
        let too_new = move |entry: &&T| {
            self.below.is_some_and(|below| entry.id() >= below)
                || self.until_ms.is_some_and(|until| entry.at_ms() >= until)
        };
        let new_enough = move |entry: &&T| {
            self.above.is_none_or(|above| entry.id() > above)
                && self.from_ms.is_none_or(|from| entry.at_ms() >= from)
        };
        entries.skip_while(too_new).take_while(new_enough)
    }

    /// The page out of `entries`, newest first, and the token of the next one.
    pub(super) fn page<'a, T: Listed + 'a>(
        self,
        entries: impl Iterator<Item = &'a T>,
    ) -> (Vec<&'a T>, Option<String>) {
        let mut found: Vec<&T> = self.span(entries).take(self.max_results + 1).collect();
        let more = found.len() > self.max_results;
        found.truncate(self.max_results);
        let last = found.last().map(|entry| entry.id()).filter(|_| more);
        (found, last.map(|id| format!("b26v{id:x}")))
    }
}

/// `meta` of a page of posts.
pub(super) fn meta<T: Listed>(page: &[&T], next: Option<String>) -> Value {
    let id = |entry: Option<&&T>| entry.map(|entry| json!(entry.id().to_string()));
    let meta = json!({ "result_count": page.len() });
    let meta = with(meta, "newest_id", id(page.first()));
    let meta = with(meta, "oldest_id", id(page.last()));
    with(meta, "next_token", next.map(Value::from))
}

fn token(incoming: &Incoming) -> Result<Option<u64>, Box<Answer>> {
    let given = incoming.parameter("pagination_token");
    let Some(given) = given.or_else(|| incoming.parameter("next_token")) else {
        return Ok(None);
    };
    let id = given
        .strip_prefix("b26v")
        .and_then(|id| u64::from_str_radix(id, 16).ok());
    let bad = || problem::invalid("pagination_token", given, "The token is not valid");
    id.map(Some).ok_or_else(bad)
}

fn number(incoming: &Incoming, name: &str) -> Result<Option<u64>, Box<Answer>> {
    let Some(given) = incoming.parameter(name) else {
        return Ok(None);
    };
    let parsed = given.parse();
    parsed
        .map(Some)
        .map_err(|_not_a_number| problem::invalid(name, given, "not a number"))
}

fn time(incoming: &Incoming, name: &str) -> Result<Option<i64>, Box<Answer>> {
    let Some(given) = incoming.parameter(name) else {
        return Ok(None);
    };
    let parsed = given.parse::<Timestamp>();
    parsed
        .map(|time| Some(time.as_millisecond()))
        .map_err(|_not_a_time| problem::invalid(name, given, "not a time"))
}
