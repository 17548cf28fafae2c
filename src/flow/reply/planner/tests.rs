use std::collections::HashMap;

use super::*;
use crate::domain::ids::UserId;
use crate::store::Told;
use crate::x::client::Window;

const APP: &str = "acme";
const MESSAGE: Call = Call::SendDirectMessageToPerson;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn account(id: u64) -> AccountId {
    AccountId(UserId::from_number(id).unwrap())
}

fn row(sequence: u64, conversation: &str, call: Call) -> Waiting {
    Waiting {
        sequence,
        account: Some(account(1)),
        conversation: conversation.to_owned(),
        call: call.name().to_owned(),
        state: CommandState::Pending,
        hold: Hold::None,
        received_at: at(0),
        expires_at: at(1_000_000),
        next_attempt_at: at(0),
        changed: sequence,
        told: None,
    }
}

fn planner(rows: impl IntoIterator<Item = Waiting>) -> Planner {
    let mut planner = Planner::default();
    for row in rows {
        planner.upsert(row, APP);
    }
    planner
}

fn all(planner: &mut Planner, now: i64) -> Vec<u64> {
    std::iter::from_fn(|| planner.next(at(now))).collect()
}

fn end(planner: &mut Planner, sequence: u64, effect: Effect, row: Option<Waiting>, now: i64) {
    let why = row.as_ref().map(|_| FailureCode::XUnavailable);
    let ended = Ended {
        sequence,
        limits: None,
        effect,
        row,
        why,
    };
    planner.ended(ended, at(now));
}

#[test]
fn a_conversation_goes_in_order_and_others_beside_it() {
    let mut planner = planner([
        row(1, "a", Call::CreatePost),
        row(2, "a", Call::CreatePost),
        row(3, "b", Call::CreatePost),
        row(4, "", Call::CreatePost),
        row(5, "", Call::CreatePost),
    ]);
    assert_eq!(all(&mut planner, 0), [1, 3, 4, 5]);
    end(&mut planner, 1, Effect::Works, None, 0);
    assert_eq!(all(&mut planner, 0), [2]);
}

#[test]
fn a_command_that_waits_holds_those_behind_it() {
    let mut planner = planner([row(1, "a", MESSAGE), row(2, "a", MESSAGE)]);
    assert_eq!(all(&mut planner, 0), [1]);
    let later = Waiting {
        next_attempt_at: at(60),
        ..row(1, "a", MESSAGE)
    };
    end(&mut planner, 1, Effect::None, Some(later), 0);
    assert!(all(&mut planner, 59).is_empty());
    assert_eq!(planner.wakes_at(at(1)), Some(at(60)));
    assert_eq!(all(&mut planner, 60), [1]);
}

#[test]
fn a_held_command_holds_its_conversation_only() {
    let held = Waiting {
        hold: Hold::Stopped,
        ..row(1, "a", MESSAGE)
    };
    let mut planner = planner([held, row(2, "a", MESSAGE), row(3, "b", MESSAGE)]);
    assert_eq!(all(&mut planner, 0), [3]);
    planner.upsert(row(1, "a", MESSAGE), APP);
    assert_eq!(all(&mut planner, 0), [1]);
}

#[test]
fn what_has_its_outcome_lets_the_next_one_go() {
    let mut planner = planner([row(1, "a", MESSAGE), row(2, "a", MESSAGE)]);
    let cancelled = Waiting {
        state: CommandState::Failed,
        ..row(1, "a", MESSAGE)
    };
    planner.upsert(cancelled, APP);
    assert_eq!(all(&mut planner, 0), [2]);
}

#[test]
fn waiting_commands_expire_and_those_under_way_do_not() {
    let short = |sequence| Waiting {
        expires_at: at(10),
        ..row(sequence, "a", MESSAGE)
    };
    let mut planner = planner([short(1), short(2)]);
    assert_eq!(all(&mut planner, 0), [1]);
    assert!(planner.expired(at(9)).is_empty());
    assert_eq!(planner.expired(at(10)), [2]);
}

#[test]
fn an_outage_pauses_the_app_and_one_call_finds_out_when_it_is_over() {
    let mut planner = planner((1..=10).map(|n| row(n, "", Call::CreatePost)));
    assert_eq!(all(&mut planner, 0).len(), 10);
    for sequence in 1..=10 {
        let again = Some(row(sequence, "", Call::CreatePost));
        end(&mut planner, sequence, Effect::Fails, again, 0);
    }
    assert_eq!(planner.paused().count(), 1);
    assert!(all(&mut planner, 4).is_empty());
    assert_eq!(planner.wakes_at(at(1)), Some(at(5)));
    let probe = all(&mut planner, 5);
    assert_eq!(probe.len(), 1);
    let again = Some(row(probe[0], "", Call::CreatePost));
    end(&mut planner, probe[0], Effect::Fails, again, 5);
    // Twice as long this time.
    assert!(all(&mut planner, 14).is_empty());
    let probe = all(&mut planner, 15);
    assert_eq!(probe.len(), 1);
    end(&mut planner, probe[0], Effect::Works, None, 15);
    assert_eq!(planner.paused().count(), 0);
    assert_eq!(all(&mut planner, 15).len(), 9);
}

#[test]
fn without_credit_the_app_waits_at_once() {
    let mut planner = planner((1..=2).map(|n| row(n, "", Call::CreatePost)));
    let first = planner.next(at(0)).unwrap();
    let again = Some(row(first, "", Call::CreatePost));
    end(&mut planner, first, Effect::NoCredit, again, 0);
    assert!(planner.next(at(0)).is_none());
    let (_, code, until) = planner.paused().next().unwrap();
    assert_eq!((code, until), (FailureCode::CreditsDepleted, at(5)));
}

#[test]
fn a_wait_is_told_once_for_each_reason_and_again_when_it_moves() {
    let mut planner = planner([row(1, "a", MESSAGE), row(2, "a", MESSAGE)]);
    let first = planner.next(at(0)).unwrap();
    let later = Waiting {
        next_attempt_at: at(60),
        ..row(1, "a", MESSAGE)
    };
    end(&mut planner, first, Effect::None, Some(later.clone()), 0);
    let told: Vec<_> = planner
        .notices(at(0))
        .iter()
        .map(|it| it.sequence)
        .collect();
    assert_eq!(told, [1, 2]);
    assert!(planner.notices(at(20)).is_empty());
    assert_eq!(planner.next(at(60)), Some(1));
    let much_later = Waiting {
        next_attempt_at: at(700),
        ..later
    };
    end(&mut planner, 1, Effect::None, Some(much_later), 60);
    assert_eq!(planner.notices(at(61)).len(), 2);
}

/// Waits once for this reason and is asked what is to be told at these times.
fn told_at(
    planner: &mut Planner,
    why: FailureCode,
    until: i64,
    times: [i64; 2],
) -> [Vec<FailureCode>; 2] {
    let sequence = planner.next(at(times[0])).unwrap();
    let waiting = Waiting {
        next_attempt_at: at(until),
        ..row(sequence, "a", MESSAGE)
    };
    let ended = Ended {
        sequence,
        limits: None,
        effect: Effect::None,
        row: Some(waiting),
        why: Some(why),
    };
    planner.ended(ended, at(times[0]));
    times.map(|time| planner.notices(at(time)).iter().map(|it| it.code).collect())
}

#[test]
fn what_may_be_short_is_told_after_ten_seconds() {
    use FailureCode::{Unauthorized, Uncertain, XUnavailable};
    for (why, until, told) in [
        (XUnavailable, 8, [vec![], vec![XUnavailable]]),
        (Unauthorized, 60, [vec![Unauthorized], vec![]]),
        // An echo may settle it before it is looked up.
        (Uncertain, 40, [vec![], vec![Uncertain]]),
    ] {
        let mut planner = planner([row(1, "a", MESSAGE)]);
        assert_eq!(told_at(&mut planner, why, until, [0, 10]), told);
    }
}

#[test]
fn who_waits_behind_a_held_one_waits_for_the_same_person() {
    let held = Waiting {
        hold: Hold::Person,
        told: Some(Told {
            code: "SENDING_STOPPED".to_owned(),
            until: None,
        }),
        ..row(1, "a", MESSAGE)
    };
    let mut planner = planner([held, row(2, "a", MESSAGE)]);
    let notices = planner.notices(at(0));
    assert_eq!(notices.len(), 1);
    let told = (notices[0].sequence, notices[0].code, notices[0].until);
    assert_eq!(told, (2, FailureCode::SendingStopped, None));
}

#[test]
fn a_reason_that_comes_back_is_not_told_again() {
    use FailureCode::{Uncertain, XUnavailable};
    let mut planner = planner([row(1, "a", MESSAGE)]);
    let first = told_at(&mut planner, XUnavailable, 20, [10, 11]);
    let second = told_at(&mut planner, Uncertain, 30, [20, 21]);
    let third = told_at(&mut planner, XUnavailable, 40, [30, 31]);
    assert_eq!(first, [vec![XUnavailable], vec![]]);
    assert_eq!(second, [vec![Uncertain], vec![]]);
    assert_eq!(third, [vec![], vec![]]);
}

/// X as its rate-limit page describes it: fixed windows of 15 minutes from the first call on.
#[derive(Default)]
struct Windowed {
    opened: i64,
    used: u32,
    refused: u32,
}

impl Windowed {
    const LIMIT: u32 = 15;
    const LENGTH: i64 = 900;

    fn call(&mut self, now: i64) -> Limits {
        if self.used == 0 || now >= self.opened + Self::LENGTH {
            (self.opened, self.used) = (now, 0);
        }
        self.used += 1;
        self.refused += u32::from(self.used > Self::LIMIT);
        Limits {
            window: Some(Window {
                limit: Self::LIMIT,
                remaining: Self::LIMIT.saturating_sub(self.used),
                reset: at(self.opened + Self::LENGTH),
            }),
            ..Limits::default()
        }
    }
}

#[test]
fn two_hundred_commands_keep_to_fifteen_in_fifteen_minutes_and_take_turns() {
    const CONVERSATIONS: u64 = 10;
    let conversation = |sequence: u64| format!("dm:1-{}", sequence % CONVERSATIONS + 2);
    let mut planner = planner((1..=200).map(|n| row(n, &conversation(n), MESSAGE)));
    let (mut x, mut now, mut sent) = (Windowed::default(), 0, HashMap::<String, u32>::new());
    let mut order = Vec::new();
    while order.len() < 200 {
        // Each call takes a second or two, and several are under way.
        let started = all(&mut planner, now);
        let limits: Vec<_> = started.iter().map(|_| x.call(now)).collect();
        now += 1;
        for (sequence, limits) in started.iter().zip(limits).rev() {
            let ended = Ended {
                sequence: *sequence,
                limits: Some(limits),
                effect: Effect::Works,
                row: None,
                why: None,
            };
            planner.ended(ended, at(now));
            *sent.entry(conversation(*sequence)).or_default() += 1;
            order.push(*sequence);
        }
        let counts = sent.values();
        let spread = counts.clone().max().unwrap() - counts.min().unwrap_or(&0);
        assert!(sent.len() < 10 || spread <= 2, "unfair: {sent:?}");
        if started.is_empty() {
            now = planner.wakes_at(at(now)).unwrap().as_second().max(now);
        }
    }
    println!("200 commands in {now} s of X's time, {} refused", x.refused);
    assert_eq!(x.refused, 0);
    // 14 windows, of which the last one need not end.
    assert!((13 * 900..14 * 900).contains(&now), "{now}");
    for conversation in 0..CONVERSATIONS {
        let mut own = order
            .iter()
            .filter(|it| *it % CONVERSATIONS == conversation);
        assert!(own.clone().is_sorted(), "out of order: {:?}", own.next());
    }
}
