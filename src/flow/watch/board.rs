//! What the parts of the service have found wrong, as they last saw it.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::sync::Notify;

use crate::domain::account::Account;
use crate::domain::event::{Effect, Fault};
use crate::domain::ids::AccountId;

/// What a fault concerns.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// Every account.
    Service,
    /// Every account of the app.
    App(String),
    Account(AccountId),
}

impl Subject {
    fn concerns(&self, account: &Account) -> bool {
        match self {
            Self::Service => true,
            Self::App(app) => *app == account.app,
            Self::Account(id) => *id == account.id,
        }
    }
}

/// Something that is wrong now.
#[derive(Clone, Debug, PartialEq)]
pub struct Trouble {
    /// As in `account.health`; one of each code for a subject.
    pub code: &'static str,
    pub effect: Effect,
    /// When it began, where that is known better than by when it was seen.
    pub since: Option<Timestamp>,
    /// What is wrong, for an administrator.
    pub sentence: String,
    /// What mends it.
    pub fix: String,
    /// Where to mend it; may be empty.
    pub fix_url: String,
}

#[derive(Default)]
struct Content {
    faults: BTreeMap<(Subject, &'static str), Fault>,
    verified: HashMap<Subject, Timestamp>,
}

/// Where faults are put up and taken down; cheap to clone.
#[derive(Clone, Default)]
pub struct Board {
    content: Arc<Mutex<Content>>,
    changed: Arc<Notify>,
}

impl Board {
    /// Tells what is wrong with a subject as far as these codes go: those not among `found` are
    /// over. A fault that lasts keeps its beginning and its words.
    pub fn set(
        &self,
        subject: &Subject,
        codes: &[&'static str],
        found: impl IntoIterator<Item = Trouble>,
        now: Timestamp,
    ) {
        let found: Vec<_> = found.into_iter().collect();
        let mut content = self.lock();
        let before = content.faults.len();
        content.faults.retain(|(of, code), _| {
            of != subject || !codes.contains(code) || found.iter().any(|it| it.code == *code)
        });
        let mut changed = content.faults.len() != before;
        for trouble in found {
            let key = (subject.clone(), trouble.code);
            content.faults.entry(key).or_insert_with(|| {
                changed = true;
                trouble.fault(now)
            });
        }
        drop(content);
        if changed {
            self.changed.notify_one();
        }
    }

    /// Takes down everything.
    pub(super) fn clear(&self) {
        *self.lock() = Content::default();
    }

    /// Takes down all that concerns accounts and apps which are not there any more.
    pub(super) fn keep_only(&self, there: impl Fn(&Subject) -> bool) {
        let mut content = self.lock();
        content.faults.retain(|(subject, _), _| there(subject));
        content.verified.retain(|subject, _| there(subject));
    }

    /// Notes that until `at` all that X had for the subject was asked for and could come.
    pub fn verified(&self, subject: Subject, at: Timestamp) {
        self.lock().verified.insert(subject, at);
    }

    /// When that was noted last for an account and its app; `None` where one of them never was.
    pub(super) fn verified_at(&self, account: &Account) -> Option<Timestamp> {
        let content = self.lock();
        let app = content.verified.get(&Subject::App(account.app.clone()))?;
        let own = content.verified.get(&Subject::Account(account.id))?;
        Some(*app.min(own))
    }

    /// What concerns an account.
    pub fn of(&self, account: &Account) -> Vec<Fault> {
        let content = self.lock();
        let own = content.faults.iter();
        let own = own.filter(|((subject, _), _)| subject.concerns(account));
        own.map(|(_, fault)| fault.clone()).collect()
    }

    /// Everything, with what it concerns.
    pub fn all(&self) -> Vec<(Subject, Fault)> {
        let content = self.lock();
        let all = content.faults.iter();
        all.map(|((subject, _), fault)| (subject.clone(), fault.clone()))
            .collect()
    }

    /// Fires after each change.
    pub(super) fn changed(&self) -> &Notify {
        &self.changed
    }

    fn lock(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Trouble {
    fn fault(self, seen: Timestamp) -> Fault {
        Fault {
            code: self.code,
            effect: self.effect,
            since: self.since.unwrap_or(seen),
            sentence: self.sentence,
            fix: self.fix,
            fix_url: self.fix_url,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODES: [&str; 2] = ["WEBHOOK_INVALID", "WEBHOOK_MISSING"];

    fn second(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn trouble(code: &'static str, sentence: &str) -> Trouble {
        Trouble {
            code,
            effect: Effect::StopsReceiving,
            since: None,
            sentence: sentence.to_owned(),
            fix: String::new(),
            fix_url: String::new(),
        }
    }

    fn app() -> Subject {
        Subject::App("acme".to_owned())
    }

    #[test]
    fn a_fault_that_lasts_keeps_its_beginning_and_its_words() {
        let board = Board::default();
        board.set(
            &app(),
            &CODES,
            [trouble("WEBHOOK_INVALID", "first")],
            second(1),
        );
        board.set(
            &app(),
            &CODES,
            [trouble("WEBHOOK_INVALID", "later")],
            second(9),
        );
        let [(_, fault)] = &board.all()[..] else {
            panic!("one fault")
        };
        assert_eq!((fault.since, &*fault.sentence), (second(1), "first"));
    }

    #[test]
    fn only_the_codes_that_were_looked_at_are_taken_down() {
        let board = Board::default();
        board.set(&app(), &CODES, [trouble("WEBHOOK_INVALID", "")], second(1));
        board.set(&app(), &["SILENT"], [trouble("SILENT", "")], second(1));
        board.set(&app(), &CODES, [], second(2));
        let codes: Vec<_> = board.all().iter().map(|(_, fault)| fault.code).collect();
        assert_eq!(codes, ["SILENT"]);
    }

    #[test]
    fn what_is_gone_leaves_nothing_behind() {
        let board = Board::default();
        board.set(&app(), &CODES, [trouble("WEBHOOK_INVALID", "")], second(1));
        board.keep_only(|subject| *subject == Subject::Service);
        assert!(board.all().is_empty());
    }
}
