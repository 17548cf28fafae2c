//! When checks begin and how they end; what is wrong with them.

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

use super::CheckSettings;
use crate::domain::event::Effect;
use crate::flow::watch::Trouble;
use crate::store::{CheckRow, ComplianceRow, StoreError, Tx};

/// The fault of checks that fail.
pub(super) const FAILS: &str = "COMPLIANCE_FAILS";
/// From one check to the next at least.
const APART: SignedDuration = SignedDuration::from_hours(1);
/// So long checks may fail, or one may last, before it is a fault.
const PATIENCE: SignedDuration = SignedDuration::from_hours(48);
const DAY: i64 = 24 * 3600;

/// What became of a request for a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requested {
    /// It begins within seconds, where the service runs.
    Begins,
    /// One is under way since then.
    UnderWay(Timestamp),
}

/// Has the running service check an app's posts now.
///
/// # Errors
/// When the store cannot be written.
pub fn request(tx: &Tx<'_>, app: &str, now: Timestamp) -> Result<Requested, StoreError> {
    let known = tx.compliance_of(app)?;
    let mut row = known.unwrap_or_else(|| new(app, now));
    if let Some(check) = &row.check {
        return Ok(Requested::UnderWay(check.started));
    }
    row.requested = true;
    tx.put_compliance(&row)?;
    Ok(Requested::Begins)
}

/// An app that was never checked.
pub(super) fn new(app: &str, now: Timestamp) -> ComplianceRow {
    ComplianceRow {
        app: app.to_owned(),
        due: next(app, now),
        requested: false,
        last_done: None,
        failing_since: None,
        refused: false,
        problem: String::new(),
        check: None,
    }
}

/// The app's time of day, which comes from its name so that not all ask at once; an hour from now
/// at the earliest.
fn next(app: &str, now: Timestamp) -> Timestamp {
    let hash = Sha256::digest(app);
    let number = hash
        .iter()
        .take(8)
        .fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
    let of_day = (number % DAY.cast_unsigned()).cast_signed();
    let earliest = now.saturating_add(APART).unwrap_or(now).as_second();
    let wait = (of_day - earliest).rem_euclid(DAY);
    Timestamp::from_second(earliest + wait).unwrap_or(Timestamp::MAX)
}

pub(super) fn is_due(row: &ComplianceRow, auto: bool, now: Timestamp) -> bool {
    row.requested || (auto && row.due <= now)
}

/// A check begins. Its name finds its job again when X's answer is lost.
pub(super) fn begun(row: &ComplianceRow, now: Timestamp) -> ComplianceRow {
    let number: u32 = rand::random();
    ComplianceRow {
        requested: false,
        check: Some(CheckRow {
            name: format!("twitter-channel {now:.0} {number:08x}"),
            started: now,
            job: None,
            uploaded: false,
            look_up: None,
        }),
        ..row.clone()
    }
}

pub(super) fn done(row: &mut ComplianceRow, now: Timestamp) {
    *row = ComplianceRow {
        requested: row.requested,
        last_done: Some(now),
        ..new(&row.app, now)
    };
}

/// The check goes on, but does not get on.
pub(super) fn failing(row: &mut ComplianceRow, problem: String, now: Timestamp) {
    row.failing_since.get_or_insert(now);
    row.problem = problem;
}

/// The check is over; there is another one soon.
pub(super) fn failed(row: &mut ComplianceRow, problem: String, now: Timestamp) {
    failing(row, problem, now);
    row.check = None;
    row.due = now.saturating_add(APART).unwrap_or(now);
}

/// The check is over; X is asked again whether the app may in a day.
pub(super) fn refused(row: &mut ComplianceRow, problem: String, now: Timestamp) {
    failing(row, problem, now);
    row.refused = true;
    row.check = None;
    row.due = next(&row.app, now);
}

pub(super) fn trouble(
    row: &ComplianceRow,
    settings: CheckSettings,
    now: Timestamp,
) -> Option<Trouble> {
    let is_old = |since: &Timestamp| now.duration_since(*since) >= PATIENCE;
    let app = &row.app;
    let slow = row.check.as_ref().map(|check| check.started).filter(is_old);
    let since = row
        .failing_since
        .filter(|since| row.refused || is_old(since))
        .or(slow)?;
    if !settings.auto {
        return None;
    }
    let (why, fix) = if row.refused {
        let fix = "Have X allow the app batch compliance jobs, or set compliance.look_up = true \
                   (X charges each look-up), or, if deletes are taken care of elsewhere, \
                   compliance.check = \"off\".";
        ("X does not allow it batch compliance jobs", fix)
    } else {
        let fix = "See what X says; it is tried again by itself.";
        ("its compliance checks fail", fix)
    };
    let said = match row.problem.as_str() {
        "" => "the job at X does not end",
        problem => problem,
    };
    Some(Trouble {
        code: FAILS,
        effect: Effect::Nothing,
        since: Some(since),
        sentence: format!(
            "What customers delete at X goes unnoticed for the app {app}: {why} ({said})."
        ),
        fix: fix.to_owned(),
        fix_url: String::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: CheckSettings = CheckSettings {
        auto: true,
        look_up: false,
    };

    fn hour(hour: i64) -> Timestamp {
        Timestamp::from_second(hour * 3600).unwrap()
    }

    #[test]
    fn an_app_has_a_time_of_day_and_others_have_another() {
        let first = next("acme", hour(1000));
        assert!(first >= hour(1001) && first < hour(1025), "{first}");
        let second = next("acme", first);
        assert_eq!(second.duration_since(first).as_hours(), 24);
        assert_ne!(next("beta", hour(1000)), first);
    }

    #[test]
    fn a_check_begins_when_it_is_due_or_wanted() {
        let mut row = new("acme", hour(0));
        assert!(!is_due(&row, true, hour(0)));
        assert!(is_due(&row, true, row.due));
        assert!(!is_due(&row, false, row.due), "off");
        row.requested = true;
        assert!(is_due(&row, false, hour(0)));
        let begun = begun(&row, hour(0));
        assert!(!begun.requested && begun.check.is_some());
    }

    #[test]
    fn two_days_of_failures_are_a_fault_and_success_ends_it() {
        let mut row = new("acme", hour(0));
        failed(&mut row, "X failed".to_owned(), hour(1));
        assert_eq!(row.due, hour(2));
        failed(&mut row, "X failed again".to_owned(), hour(30));
        assert_eq!(trouble(&row, BOTH, hour(48)), None);
        let found = trouble(&row, BOTH, hour(49)).unwrap();
        assert_eq!((found.code, found.since), (FAILS, Some(hour(1))));
        assert_eq!(found.effect, Effect::Nothing);
        assert!(found.sentence.contains("X failed again"), "{found:?}");
        done(&mut row, hour(50));
        assert_eq!(trouble(&row, BOTH, hour(200)), None);
        assert_eq!(row.last_done, Some(hour(50)));
    }

    #[test]
    fn a_job_that_does_not_end_is_a_fault() {
        let row = begun(&new("acme", hour(0)), hour(0));
        assert_eq!(trouble(&row, BOTH, hour(47)), None);
        assert!(trouble(&row, BOTH, hour(48)).is_some());
    }

    #[test]
    fn that_an_app_may_not_is_a_fault_at_once_unless_nobody_wants_checks() {
        let mut row = new("acme", hour(0));
        refused(&mut row, "403".to_owned(), hour(1));
        let found = trouble(&row, BOTH, hour(1)).unwrap();
        assert!(found.fix.contains("compliance.look_up"), "{found:?}");
        let off = CheckSettings {
            auto: false,
            ..BOTH
        };
        assert_eq!(trouble(&row, off, hour(1)), None);
    }
}
