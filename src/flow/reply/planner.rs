//! Which command goes next. Pure: the ledger's rows and the time come in, the next steps come out.
//!
//! Commands of one conversation go in order: only the first of each is looked at. Those whose time
//! has come queue up for each account and call, so that conversations take turns, and go while X's
//! rate windows are open and the app is not paused.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::windows::Windows;
use crate::domain::command::FailureCode;
use crate::domain::ids::AccountId;
use crate::store::{CommandState, Hold, Waiting};
use crate::x::client::{Call, LimitScope, Limits};

/// Most steps at a time, so that an X that has gone silent does not take all memory.
const RUNNING: usize = 256;
/// Failures in a row, without a success between, that make an outage of X.
const OUTAGE_AFTER: u32 = 3;
/// First and longest pause of an app; each probe that fails doubles it.
const PAUSE: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(300));
/// A wait is told once it has lasted this long.
const TELL_AFTER: SignedDuration = SignedDuration::from_secs(10);
/// A wait is told again when its end moves by more.
const MOVES_BY: SignedDuration = SignedDuration::from_mins(10);

/// What a conversation's order is kept in.
type Lane = (AccountId, String);
/// What takes turns at the same windows.
type Queue = (AccountId, Call);

struct Item {
    row: Waiting,
    account: AccountId,
    app: String,
    call: Call,
    /// The reasons that the core has heard, each with the end it heard of; the newest last.
    told: Vec<(FailureCode, Option<Timestamp>)>,
    /// Why its last attempt came to nothing.
    why: Option<FailureCode>,
    /// Its time has come, and it waits for its turn.
    queued: bool,
}

impl Item {
    /// A command of no conversation is one of its own.
    fn lane(&self) -> Lane {
        let conversation = match self.row.conversation.as_str() {
            "" => self.row.sequence.to_string(),
            conversation => conversation.to_owned(),
        };
        (self.account, conversation)
    }
}

/// A call that was begun.
struct Step {
    account: AccountId,
    app: String,
    call: Call,
}

/// An app that X takes no calls of for now.
#[derive(Clone, Debug)]
struct Pause {
    code: FailureCode,
    until: Timestamp,
    length: Duration,
    /// The one call that finds out whether it is over.
    probe: Option<u64>,
}

/// What a step was about and how it ended, as far as others are concerned.
#[derive(Clone, Debug)]
pub(super) struct Ended {
    pub sequence: u64,
    /// Windows as X told of them; `None` where no call was made.
    pub limits: Option<Limits>,
    pub effect: Effect,
    /// `None`: it has its outcome.
    pub row: Option<Waiting>,
    /// Why it came to nothing this time.
    pub why: Option<FailureCode>,
}

/// What the end of a call tells of the calls to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// X works.
    Works,
    /// X did not answer, or with a fault of its own.
    Fails,
    /// No credit.
    NoCredit,
    /// A limit is used up.
    Limited(LimitScope, Option<Timestamp>),
    /// Nothing.
    None,
}

/// A wait that the core has to hear of.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Notice {
    pub sequence: u64,
    pub code: FailureCode,
    /// `None`: a person is needed.
    pub until: Option<Timestamp>,
}

/// The commands without an outcome, and what they wait for.
#[derive(Default)]
pub(super) struct Planner {
    items: HashMap<u64, Item>,
    lanes: HashMap<Lane, BTreeSet<u64>>,
    /// First commands of their conversations whose time has not come.
    timers: BTreeSet<(Timestamp, u64)>,
    /// Those whose time has come. In order of names, so that no queue is left to chance.
    ready: BTreeMap<(AccountId, &'static str), (Queue, VecDeque<u64>)>,
    expiries: BTreeSet<(Timestamp, u64)>,
    /// Steps under way, whatever becomes of their commands meanwhile.
    running: HashMap<u64, Step>,
    pub(super) windows: Windows,
    failures: HashMap<String, u32>,
    pauses: HashMap<String, Pause>,
}

impl Planner {
    /// Takes a row of the ledger as it is now.
    pub(super) fn upsert(&mut self, row: Waiting, app: &str) {
        let sequence = row.sequence;
        let known = self.take_out(sequence);
        let told = row.told.as_ref();
        let told = told.and_then(|told| Some((FailureCode::from_name(&told.code)?, told.until)));
        let told = match &known {
            Some(known) => known.told.clone(),
            None => told.into_iter().collect(),
        };
        let open = row.state.is_open();
        match (call_named(&row.call), row.account) {
            (Some(call), Some(account)) if open => self.put_in(Item {
                row,
                account,
                app: app.to_owned(),
                call,
                told,
                why: None,
                queued: false,
            }),
            (call, _) => {
                if open && call.is_none() {
                    tracing::error!(call = row.call, "the ledger holds a call that nobody knows");
                }
                if let Some(known) = known {
                    self.arm(&known.lane());
                }
            }
        }
    }

    fn put_in(&mut self, item: Item) {
        let (sequence, lane) = (item.row.sequence, item.lane());
        // What may be at X is looked up to the end, and settled there.
        if item.row.state == CommandState::Pending {
            self.expiries.insert((item.row.expires_at, sequence));
        }
        self.items.insert(sequence, item);
        self.lanes.entry(lane.clone()).or_default().insert(sequence);
        self.arm(&lane);
    }

    fn take_out(&mut self, sequence: u64) -> Option<Item> {
        let mut item = self.items.remove(&sequence)?;
        self.expiries.remove(&(item.row.expires_at, sequence));
        self.timers.remove(&(item.row.next_attempt_at, sequence));
        if item.queued
            && let Some((_, queue)) = self.ready.get_mut(&(item.account, item.call.name()))
        {
            queue.retain(|other| *other != sequence);
        }
        item.queued = false;
        let lane = item.lane();
        if let Some(others) = self.lanes.get_mut(&lane) {
            others.remove(&sequence);
            if others.is_empty() {
                self.lanes.remove(&lane);
            }
        }
        Some(item)
    }

    /// Sets the timer of a conversation's first command.
    fn arm(&mut self, lane: &Lane) {
        let head = self.lanes.get(lane).and_then(|lane| lane.first());
        let Some(item) = head.and_then(|head| self.items.get(head)) else {
            return;
        };
        let sequence = item.row.sequence;
        if item.row.hold == Hold::None && !self.running.contains_key(&sequence) {
            self.timers.insert((item.row.next_attempt_at, sequence));
        }
    }

    /// The next command that may take a step; it counts as running from now on.
    pub(super) fn next(&mut self, now: Timestamp) -> Option<u64> {
        self.queue_up(now);
        if self.running.len() >= RUNNING {
            return None;
        }
        let queues: Vec<_> = self.ready.keys().copied().collect();
        queues.into_iter().find_map(|key| self.next_of(key, now))
    }

    fn queue_up(&mut self, now: Timestamp) {
        while let Some((due, sequence)) = self.timers.first().copied()
            && due <= now
        {
            self.timers.pop_first();
            let Some(item) = self.items.get_mut(&sequence).filter(|item| !item.queued) else {
                continue;
            };
            item.queued = true;
            let queue = (item.account, item.call);
            let (_, waiting) = self
                .ready
                .entry((queue.0, queue.1.name()))
                .or_insert_with(|| (queue, VecDeque::new()));
            waiting.push_back(sequence);
        }
    }

    fn next_of(&mut self, key: (AccountId, &'static str), now: Timestamp) -> Option<u64> {
        let ((account, call), waiting) = self.ready.get(&key)?;
        let (account, call) = (*account, *call);
        let Some(sequence) = waiting.front().copied() else {
            self.ready.remove(&key);
            return None;
        };
        let item = self.items.get(&sequence)?;
        let (app, expiry) = (item.app.clone(), (item.row.expires_at, sequence));
        if self.is_paused(&app, now) || self.windows.opens_at(account, &app, call, now).is_some() {
            return None;
        }
        if let Some((_, waiting)) = self.ready.get_mut(&key) {
            waiting.pop_front();
        }
        if let Some(pause) = self.pauses.get_mut(&app) {
            pause.probe = Some(sequence);
        }
        self.windows.take(account, &app, call, now);
        // What has begun in time goes on.
        self.expiries.remove(&expiry);
        if let Some(item) = self.items.get_mut(&sequence) {
            item.queued = false;
        }
        let step = Step { account, app, call };
        self.running.insert(sequence, step);
        Some(sequence)
    }

    fn is_paused(&self, app: &str, now: Timestamp) -> bool {
        let pause = self.pauses.get(app);
        pause.is_some_and(|pause| pause.until > now || pause.probe.is_some())
    }

    /// A step has ended.
    pub(super) fn ended(&mut self, ended: Ended, now: Timestamp) {
        let sequence = ended.sequence;
        if let Some(step) = self.running.remove(&sequence) {
            self.note_limits(&step, &ended, now);
            self.note_effect(&step.app, sequence, ended.effect, now);
        }
        let Some(mut item) = self.take_out(sequence) else {
            return;
        };
        let lane = item.lane();
        let call = ended.row.as_ref().and_then(|row| call_named(&row.call));
        match (ended.row, call) {
            (Some(row), Some(call)) if row.state.is_open() => {
                item.call = call;
                item.row = row;
                item.why = ended.why;
                self.put_in(item);
            }
            _ => self.arm(&lane),
        }
    }

    fn note_limits(&mut self, step: &Step, ended: &Ended, now: Timestamp) {
        let Step { account, app, call } = step;
        let limits = ended.limits.unwrap_or_default();
        self.windows.answered(*account, app, *call, &limits);
        if let Effect::Limited(scope, until) = ended.effect {
            self.windows
                .refused(*account, app, *call, (scope, until), now);
        }
    }

    fn note_effect(&mut self, app: &str, sequence: u64, effect: Effect, now: Timestamp) {
        let probed = self
            .pauses
            .get(app)
            .is_some_and(|pause| pause.probe == Some(sequence));
        match effect {
            Effect::Works | Effect::Limited(..) => {
                self.failures.remove(app);
                if probed {
                    self.pauses.remove(app);
                }
            }
            Effect::NoCredit => self.pause(app, FailureCode::CreditsDepleted, probed, now),
            Effect::Fails => {
                let failures = self.failures.entry(app.to_owned()).or_default();
                *failures += 1;
                if *failures >= OUTAGE_AFTER || probed {
                    self.pause(app, FailureCode::XUnavailable, probed, now);
                }
            }
            // It told nothing: the next one probes.
            Effect::None => {
                if let Some(pause) = self.pauses.get_mut(app).filter(|_| probed) {
                    pause.probe = None;
                }
            }
        }
    }

    fn pause(&mut self, app: &str, code: FailureCode, probed: bool, now: Timestamp) {
        let length = match self.pauses.get(app) {
            // Calls that were on their way when it began say nothing new.
            Some(_) if !probed => return,
            Some(pause) => (pause.length * 2).min(PAUSE.1),
            None => PAUSE.0,
        };
        let until = now.checked_add(length).unwrap_or(now);
        let pause = Pause {
            code,
            until,
            length,
            probe: None,
        };
        self.pauses.insert(app.to_owned(), pause);
    }

    /// Apps that are paused, with the reason and the time of the next try.
    pub(super) fn paused(&self) -> impl Iterator<Item = (&str, FailureCode, Timestamp)> {
        let pauses = self.pauses.iter();
        pauses.map(|(app, pause)| (app.as_str(), pause.code, pause.until))
    }

    /// When [`Planner::next`] may have something that it has not now, or a command expires.
    pub(super) fn wakes_at(&mut self, now: Timestamp) -> Option<Timestamp> {
        let timer = self.timers.first().map(|(due, _)| *due);
        let expiry = self.expiries.first().map(|(due, _)| *due);
        let heads: Vec<_> = self
            .ready
            .values()
            .filter_map(|((account, call), waiting)| {
                let app = self.items.get(waiting.front()?)?.app.clone();
                Some((*account, *call, app))
            })
            .collect();
        let opens = heads.into_iter().filter_map(|(account, call, app)| {
            let window = self.windows.opens_at(account, &app, call, now);
            let pause = self.pauses.get(&app);
            let pause = pause.filter(|pause| pause.probe.is_none());
            window.max(pause.map(|pause| pause.until))
        });
        opens.chain(timer).chain(expiry).min()
    }

    /// Commands whose time has run out before their next step.
    pub(super) fn expired(&self, now: Timestamp) -> Vec<u64> {
        let due = self.expiries.iter().take_while(|(at, _)| *at <= now);
        due.map(|(_, sequence)| *sequence).collect()
    }

    /// How many commands there are, and how many of them take a step.
    pub(super) fn len(&self) -> (usize, usize) {
        (self.items.len(), self.running.len())
    }

    /// Waits that the core has not heard of, or whose end has moved; told from now on.
    pub(super) fn notices(&mut self, now: Timestamp) -> Vec<Notice> {
        let mut notices: Vec<_> = self
            .items
            .iter()
            .filter(|(sequence, _)| !self.running.contains_key(sequence))
            .map(|(sequence, _)| *sequence)
            .collect();
        notices.sort_unstable();
        let mut places = HashMap::new();
        notices
            .into_iter()
            .filter_map(|sequence| self.notice(sequence, &mut places, now))
            .collect()
    }

    fn notice(
        &mut self,
        sequence: u64,
        places: &mut HashMap<Queue, u32>,
        now: Timestamp,
    ) -> Option<Notice> {
        let (code, until) = self.reason(sequence, places, now)?;
        let item = self.items.get_mut(&sequence)?;
        let told = item.told.iter().find(|(told, _)| *told == code);
        let is_news = match told {
            Some((_, told_until)) => moved(*told_until, until),
            None => lasts(item.row.received_at, code, until, now),
        };
        if !is_news {
            return None;
        }
        item.told.retain(|(told, _)| *told != code);
        item.told.push((code, until));
        Some(Notice {
            sequence,
            code,
            until,
        })
    }

    /// What a command waits for, and until when; `None` for what goes any moment.
    fn reason(
        &mut self,
        sequence: u64,
        places: &mut HashMap<Queue, u32>,
        now: Timestamp,
    ) -> Option<(FailureCode, Option<Timestamp>)> {
        let item = self.items.get(&sequence)?;
        match item.row.hold {
            Hold::Stopped | Hold::Restored => return Some((FailureCode::SendingStopped, None)),
            Hold::Revoked => return Some((FailureCode::Unauthorized, None)),
            Hold::Person => {
                return Some((
                    item.told
                        .last()
                        .map_or(FailureCode::SendingStopped, |it| it.0),
                    None,
                ));
            }
            Hold::Files => {
                return Some((
                    FailureCode::MediaUnreachable,
                    Some(item.row.next_attempt_at),
                ));
            }
            Hold::Erasing => return None,
            Hold::None => {}
        }
        let (account, call, app) = (item.account, item.call, item.app.clone());
        if let Some(pause) = self.pauses.get(&app) {
            return Some((pause.code, Some(pause.until.max(now))));
        }
        let own = item.row.next_attempt_at;
        let why = item.why;
        if let Some(opens) = self.windows.opens_at(account, &app, call, now) {
            let place = places.entry((account, call)).or_default();
            let windows = *place / self.windows.per_window(account, &app, call);
            *place += 1;
            let later = SignedDuration::from_mins(15).saturating_mul(windows.cast_signed());
            let until = opens.saturating_add(later).unwrap_or(opens);
            return Some((FailureCode::RateLimited, Some(until.max(own))));
        }
        match why {
            Some(why) => Some((why, Some(own.max(now)))),
            None => {
                let (why, until) = self.head_waits(sequence)?;
                Some((why, until.map(|until| until.max(own).max(now))))
            }
        }
    }

    /// Why the first command of its conversation waits and until when, if it is another one.
    fn head_waits(&self, sequence: u64) -> Option<(FailureCode, Option<Timestamp>)> {
        let item = self.items.get(&sequence)?;
        let head = self.lanes.get(&item.lane())?.first()?;
        let head = self.items.get(head).filter(|_| *head != sequence)?;
        let why = match (head.why, head.row.state) {
            (Some(why), _) => why,
            (None, CommandState::Uncertain) => FailureCode::Uncertain,
            (None, _) => head.told.last()?.0,
        };
        let until = match head.row.hold {
            Hold::Stopped | Hold::Revoked | Hold::Person | Hold::Restored => None,
            Hold::None | Hold::Files | Hold::Erasing => Some(head.row.next_attempt_at),
        };
        Some((why, until))
    }
}

/// Whether a wait has lasted long enough to be told, or is known to last that long.
fn lasts(
    received_at: Timestamp,
    code: FailureCode,
    until: Option<Timestamp>,
    now: Timestamp,
) -> bool {
    let end = match code {
        // X's own delivery may end it any moment.
        FailureCode::Uncertain => Some(now),
        _ => until.map(|until| until.max(now)),
    };
    end.is_none_or(|end| end.duration_since(received_at) >= TELL_AFTER)
}

fn moved(told: Option<Timestamp>, until: Option<Timestamp>) -> bool {
    match (told, until) {
        (Some(told), Some(until)) => until.duration_since(told).abs() > MOVES_BY,
        (told, until) => told != until,
    }
}

fn call_named(name: &str) -> Option<Call> {
    Call::ALL.into_iter().find(|call| call.name() == name)
}

#[cfg(test)]
mod tests;
