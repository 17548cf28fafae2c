//! Times, names and states as pages show them.

use std::fmt;

use askama::filters::HtmlSafe;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::domain::event::{Fault, HealthState};
use crate::domain::ids::AccountId;
use crate::flow::rules::Rules;
use crate::store::{CommandRow, CommandState, Hold};

/// A time, UTC; a script shows it in the reader's own zone.
#[derive(Clone, Copy, Debug)]
pub(super) struct When(pub Timestamp);

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = TimeZone::UTC.to_datetime(self.0);
        let shown = shown.strftime("%Y-%m-%d %H:%M:%S UTC");
        write!(f, "<time datetime=\"{}\">{shown}</time>", self.0)
    }
}

/// Digits and signs of our own.
impl HtmlSafe for When {}

/// How long ago, roughly: `3 hours`.
pub(super) fn ago(at: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(at).max(SignedDuration::ZERO).as_secs();
    let (count, unit) = match seconds {
        ..60 => return "less than a minute".to_owned(),
        60..3600 => (seconds / 60, "minute"),
        3600..86_400 => (seconds / 3600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    plural(count.unsigned_abs(), unit)
}

/// `1 message`, `2 messages`.
pub(super) fn plural(count: u64, one: &str) -> String {
    match count {
        1 => format!("1 {one}"),
        _ => format!("{count} {one}s"),
    }
}

/// `@acme`, or the id of an account that is not linked any more.
pub(super) fn handle(rules: &Rules, account: AccountId) -> String {
    match rules.registry.account(account.0) {
        Some(account) => format!("@{}", account.username),
        None => account.to_string(),
    }
}

/// A fault, as a page shows it.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    pub sentence: String,
    pub fix: String,
    /// Http or a path of ours only; empty where there is none.
    pub fix_url: String,
    pub since: When,
    pub code: &'static str,
}

impl From<&Fault> for Shown {
    fn from(fault: &Fault) -> Self {
        Self {
            sentence: fault.sentence.clone(),
            fix: fault.fix.clone(),
            fix_url: link(&fault.fix_url),
            since: When(fault.since),
            code: fault.code,
        }
    }
}

/// An address that may stand in a link; empty for any other.
pub(super) fn link(url: &str) -> String {
    let fits = ["https://", "http://"]
        .iter()
        .any(|start| url.starts_with(start));
    let own = url.starts_with('/') && !url.starts_with("//");
    if fits || own {
        url.to_owned()
    } else {
        String::new()
    }
}

/// Words and class of an account's state.
pub(super) fn health_words(state: HealthState) -> (&'static str, &'static str) {
    match state {
        HealthState::Ok => ("Works", "good"),
        HealthState::Degraded => ("Works, with faults", "warn"),
        HealthState::Down => ("Does not work", "bad"),
    }
}

/// Words and class of where a command stands.
pub(super) fn command_words(row: &CommandRow) -> (&'static str, &'static str) {
    match (row.waiting.state, row.waiting.hold) {
        (CommandState::Succeeded, _) => ("Sent", "good"),
        (CommandState::Failed, _) => ("Failed", "bad"),
        (CommandState::Sending, _) => ("On its way to X", "plain"),
        (CommandState::Uncertain, Hold::None) => ("Uncertain: it is being looked for at X", "warn"),
        (_, Hold::None) => ("Waits for its turn", "plain"),
        (_, Hold::Files) => ("Waits for its files", "plain"),
        (_, Hold::Stopped) => ("Held: sending is stopped", "warn"),
        (_, Hold::Revoked) => ("Held: X does not accept the account's credential", "warn"),
        (_, Hold::Erasing) => ("Erases a person", "plain"),
        (_, Hold::Restored) => ("Waits for a look at what X has since the backup", "warn"),
        (_, Hold::Person) => ("Held: a person has to let it go", "warn"),
    }
}

/// What a kind of command does.
pub(super) fn command_name(name: &str) -> &str {
    match name {
        "send_post" => "Send a post",
        "send_direct_message" => "Send a direct message",
        "delete_message" => "Delete a message",
        "hide_reply" => "Hide or show a reply",
        "cancel_command" => "Cancel a command",
        "republish_events" => "Publish events again",
        "forget_person" => "Forget a person",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_counts_are_words() {
        let at: Timestamp = "2026-11-25T20:00:00Z".parse().unwrap();
        let shown = "<time datetime=\"2026-11-25T20:00:00Z\">2026-11-25 20:00:00 UTC</time>";
        assert_eq!(When(at).to_string(), shown);
        let later = |seconds| at + SignedDuration::from_secs(seconds);
        assert_eq!(ago(at, later(59)), "less than a minute");
        assert_eq!(ago(at, later(7300)), "2 hours");
        assert_eq!(ago(at, later(86_400)), "1 day");
        assert_eq!(ago(later(9), at), "less than a minute");
    }

    #[test]
    fn no_link_runs_a_script() {
        for bad in [
            "javascript:alert(1)",
            "data:text/html,x",
            "//evil.example",
            "",
        ] {
            assert_eq!(link(bad), "");
        }
        assert_eq!(link("https://x.com/i/status/1"), "https://x.com/i/status/1");
        assert_eq!(link("/setup"), "/setup");
    }
}
