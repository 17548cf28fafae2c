//! What can be wrong with the way to the core and to X, each in a sentence with its fix.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::board::{Board, Subject, Trouble};
use super::silence::Silence;
use crate::broker::inbox::InboxState;
use crate::domain::account::{Account, App};
use crate::domain::command::FailureCode;
use crate::domain::event::{Effect, Fault};
use crate::domain::money::Usd;
use crate::flow::reply::Paused;

/// A missing inbox may be declared yet: the relay does it when it connects.
const MISSING_AFTER: SignedDuration = SignedDuration::from_mins(1);
/// An inbox without a reader for this long is a fault.
const UNREAD_AFTER: SignedDuration = SignedDuration::from_mins(5);

/// Faults with their beginnings, so that one that lasts is told once.
#[derive(Default)]
pub(super) struct Faults {
    /// Since when an inbox has no consumer, or is missing.
    unread: BTreeMap<String, Timestamp>,
    missing: BTreeMap<String, Timestamp>,
    unrouted_since: Option<Timestamp>,
    unrouted: Vec<(String, u64)>,
}

/// What is known of one account.
#[derive(Clone, Debug)]
pub(super) struct Standing<'a> {
    pub account: &'a Account,
    pub revoked_at: Option<Timestamp>,
    /// What X has charged this month.
    pub spent: Usd,
    pub silence: Option<Silence>,
}

/// What [`observe_account`] looks for.
const OF_ACCOUNTS: [&str; 5] = [
    "TOKEN_REVOKED",
    "BUDGET_USED",
    "BUDGET_LOW",
    "CREDENTIAL_MISSING",
    "SILENT",
];
/// What [`observe_apps`] looks for.
const OF_APPS: [&str; 2] = ["CREDITS_DEPLETED", "X_UNAVAILABLE"];

/// Shares of a budget, in percent, at which it is a fault.
const LOW: u64 = 80;
const USED: u64 = 100;

impl Faults {
    pub(super) fn observe_inboxes(&mut self, inboxes: &[InboxState], now: Timestamp) {
        for inbox in inboxes {
            let consumers = inbox.seen.as_ref().map(|depth| depth.consumers);
            keep(&mut self.missing, &inbox.queue, consumers.is_none(), now);
            keep(&mut self.unread, &inbox.queue, consumers == Some(0), now);
        }
    }

    /// Events that wait because nobody has bound them. Health events do not count: telling of them
    /// would make more of them.
    pub(super) fn observe_unrouted(&mut self, unrouted: Vec<(String, u64)>, now: Timestamp) {
        self.unrouted = unrouted;
        self.unrouted
            .retain(|(key, _)| !key.starts_with("account.health."));
        self.unrouted_since = match self.unrouted.is_empty() {
            true => None,
            false => self.unrouted_since.or(Some(now)),
        };
    }

    /// What is wrong now for every account.
    pub(super) fn list(&self, now: Timestamp) -> Vec<Fault> {
        let lasting = |since: Timestamp, least| now.duration_since(since) >= least;
        let missing = self.missing.iter();
        let missing = missing.filter(|(_, since)| lasting(**since, MISSING_AFTER));
        let unread = self.unread.iter();
        let unread = unread.filter(|(_, since)| lasting(**since, UNREAD_AFTER));
        missing
            .map(|(queue, since)| missing_inbox(queue, *since))
            .chain(unread.map(|(queue, since)| unread_inbox(queue, *since)))
            .chain(self.unrouted_since.map(|since| self.unrouted(since)))
            .collect()
    }

    fn unrouted(&self, since: Timestamp) -> Fault {
        let keys: Vec<_> = self.unrouted.iter().map(|(key, _)| key.as_str()).collect();
        Fault {
            code: "EVENTS_UNROUTED",
            effect: Effect::Nothing,
            since,
            sentence: format!(
                "Events wait because no queue is bound for them: {}.",
                keys.join(", ")
            ),
            fix: "Bind a queue for these routing keys to the events exchange; they go out by \
                  themselves then."
                .to_owned(),
            fix_url: String::new(),
        }
    }
}

/// Tells the board what is wrong with one account's way to X.
pub(super) fn observe_account(board: &Board, standing: &Standing<'_>, now: Timestamp) {
    let account = standing.account;
    let found = [
        standing.revoked_at.map(|at| revoked(account, at)),
        (!account.has_credential()).then(|| no_credential(account)),
        over_budget(standing),
        standing.silence.map(|silence| silent(account, silence)),
    ];
    let subject = Subject::Account(account.id);
    board.set(&subject, &OF_ACCOUNTS, found.into_iter().flatten(), now);
}

/// Tells the board which apps X takes no calls of.
pub(super) fn observe_apps(board: &Board, apps: &[App], paused: &[Paused], now: Timestamp) {
    for app in apps {
        let paused = paused.iter().find(|it| it.app == app.name);
        let subject = Subject::App(app.name.clone());
        board.set(&subject, &OF_APPS, paused.map(app_paused), now);
    }
}

fn keep(times: &mut BTreeMap<String, Timestamp>, queue: &str, holds: bool, now: Timestamp) {
    if holds {
        times.entry(queue.to_owned()).or_insert(now);
    } else {
        times.remove(queue);
    }
}

fn missing_inbox(queue: &str, since: Timestamp) -> Fault {
    Fault {
        code: "INBOX_MISSING",
        effect: Effect::Nothing,
        since,
        sentence: format!("The inbox {queue} does not exist at the broker."),
        fix: "Declare the queue, or take it out of broker.inboxes.".to_owned(),
        fix_url: String::new(),
    }
}

fn unread_inbox(queue: &str, since: Timestamp) -> Fault {
    Fault {
        code: "INBOX_UNREAD",
        effect: Effect::Nothing,
        since,
        sentence: format!("Nobody has read the inbox {queue} for five minutes or more."),
        fix: "Start the consumer of the helpdesk core, and see its log.".to_owned(),
        fix_url: String::new(),
    }
}

fn revoked(account: &Account, since: Timestamp) -> Trouble {
    Trouble {
        code: "TOKEN_REVOKED",
        effect: Effect::StopsBoth,
        since: Some(since),
        sentence: format!(
            "X no longer accepts the credential of @{}.",
            account.username
        ),
        fix: "Link the account again; younger commands go by themselves then.".to_owned(),
        fix_url: String::new(),
    }
}

fn no_credential(account: &Account) -> Trouble {
    Trouble {
        code: "CREDENTIAL_MISSING",
        effect: Effect::StopsSending,
        since: None,
        sentence: format!(
            "@{} is declared without a credential: nothing can be sent for it.",
            account.username
        ),
        fix: "Give it access_token and access_token_secret, or an oauth2_refresh_token; or take \
              it out of the configuration and link it in the console."
            .to_owned(),
        fix_url: String::new(),
    }
}

fn silent(account: &Account, silence: Silence) -> Trouble {
    Trouble {
        code: "SILENT",
        effect: Effect::Nothing,
        since: None,
        sentence: format!(
            "X has delivered nothing for @{} for {} hours; in the two weeks before that it was never \
             quiet for longer than {}.",
            account.username, silence.hours, silence.usual
        ),
        fix: "Write to the account from another one. If nothing arrives, validate the app's \
              webhook and see its subscriptions."
            .to_owned(),
        fix_url: String::new(),
    }
}

fn app_paused(paused: &Paused) -> Trouble {
    let app = &paused.app;
    let (code, effect, sentence, fix) = match paused.code {
        FailureCode::CreditsDepleted => (
            "CREDITS_DEPLETED",
            // What X's webhooks do meanwhile is not documented: expect silence.
            Effect::StopsBoth,
            format!("The credits of the app {app} at X are used up; its calls wait."),
            "Top up the credits in X's developer console. Calls are tried again by themselves.",
        ),
        _ => (
            "X_UNAVAILABLE",
            Effect::StopsSending,
            format!("X does not answer the app {app}, or with faults of its own; its calls wait."),
            "See X's status page and the network. Calls are tried again by themselves.",
        ),
    };
    Trouble {
        code,
        effect,
        since: None,
        sentence,
        fix: fix.to_owned(),
        fix_url: String::new(),
    }
}

/// At 80 % a warning; at 100 % optional reads stop, replies never.
fn over_budget(standing: &Standing<'_>) -> Option<Trouble> {
    let account = standing.account;
    let budget = account.monthly_budget?;
    let spent = standing.spent;
    let reaches = |percent: u64| spent.times(100) >= budget.times(percent);
    let (code, fix) = match (reaches(USED), reaches(LOW)) {
        (true, _) => (
            "BUDGET_USED",
            "Optional reads have stopped; answers go on. Raise monthly_budget_usd to resume them.",
        ),
        (false, true) => (
            "BUDGET_LOW",
            "At the budget optional reads stop; answers go on. Raise monthly_budget_usd if need be.",
        ),
        (false, false) => return None,
    };
    Some(Trouble {
        code,
        effect: Effect::Nothing,
        since: None,
        sentence: format!(
            "@{} has cost {} % or more of its budget of {budget} USD for this month.",
            account.username,
            if reaches(USED) { USED } else { LOW }
        ),
        fix: fix.to_owned(),
        fix_url: String::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::inbox::InboxDepth;

    fn inbox(consumers: Option<u32>) -> [InboxState; 1] {
        [InboxState {
            queue: "tickets".to_owned(),
            seen: consumers.map(|consumers| InboxDepth {
                messages: 1,
                consumers,
            }),
        }]
    }

    fn minute(minute: i64) -> Timestamp {
        Timestamp::from_second(minute * 60).unwrap()
    }

    fn codes(faults: &Faults, at: i64) -> Vec<&'static str> {
        faults
            .list(minute(at))
            .iter()
            .map(|fault| fault.code)
            .collect()
    }

    #[test]
    fn an_inbox_without_a_reader_is_a_fault_after_five_minutes() {
        let mut faults = Faults::default();
        faults.observe_inboxes(&inbox(Some(0)), minute(0));
        assert!(codes(&faults, 4).is_empty());
        faults.observe_inboxes(&inbox(Some(0)), minute(5));
        assert_eq!(codes(&faults, 5), ["INBOX_UNREAD"]);
        faults.observe_inboxes(&inbox(Some(1)), minute(6));
        assert!(codes(&faults, 60).is_empty());
    }

    #[test]
    fn an_inbox_missing_for_a_minute_is_a_fault() {
        let mut faults = Faults::default();
        faults.observe_inboxes(&inbox(None), minute(0));
        assert!(codes(&faults, 0).is_empty());
        assert_eq!(codes(&faults, 1), ["INBOX_MISSING"]);
    }

    #[test]
    fn health_events_that_nobody_bound_are_no_fault() {
        let mut faults = Faults::default();
        faults.observe_unrouted(vec![("account.health.account.1".to_owned(), 3)], minute(0));
        assert!(codes(&faults, 0).is_empty());
        faults.observe_unrouted(vec![("message.received.post.1".to_owned(), 1)], minute(1));
        assert_eq!(codes(&faults, 1), ["EVENTS_UNROUTED"]);
        faults.observe_unrouted(vec![], minute(2));
        assert!(codes(&faults, 2).is_empty());
    }

    #[test]
    fn a_fault_that_lasts_stays_the_same() {
        let mut faults = Faults::default();
        faults.observe_unrouted(vec![("message.received.post.1".to_owned(), 1)], minute(1));
        let first = faults.list(minute(1));
        faults.observe_unrouted(vec![("message.received.post.1".to_owned(), 9)], minute(2));
        assert_eq!(faults.list(minute(2)), first);
    }
}
