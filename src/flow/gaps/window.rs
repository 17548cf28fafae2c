//! Which span of a gap X is to replay next, and when. Pure.
//!
//! Source of the bounds: X's Account Activity quickstart. The span lies within the last 24 hours, its
//! beginning is at least 31 minutes ago and its end at least 10; two hours are advised for one job.

use jiff::{SignedDuration, Timestamp};

use super::{after, before};

const LONGEST: SignedDuration = SignedDuration::from_hours(2);
const YOUNGEST_FROM: SignedDuration = SignedDuration::from_mins(31);
/// X's ten minutes, and one because times are asked for in whole minutes, outwards.
const YOUNGEST_UNTIL: SignedDuration = SignedDuration::from_mins(11);
/// X's day less what may pass until the order is with it.
const OLDEST: SignedDuration = SignedDuration::from_mins(24 * 60 - 3);
/// By which spans overlap: X counts the last minute or does not.
const OVERLAP: SignedDuration = SignedDuration::from_mins(1);

/// What is to be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Have this span replayed.
    Order { from: Timestamp, until: Timestamp },
    /// X does not take it before then.
    Wait(Timestamp),
    /// What lies before this time is too old for X's replay.
    TooOld(Timestamp),
    /// Everything up to the end was replayed.
    Complete,
}

/// What comes next of a gap from `from` to `until` that was replayed up to `filled`.
pub(super) fn next(
    (from, until): (Timestamp, Timestamp),
    filled: Option<Timestamp>,
    now: Timestamp,
) -> Next {
    if filled.is_some_and(|filled| filled >= until) {
        return Next::Complete;
    }
    let from = filled.map_or(from, |filled| before(filled, OVERLAP));
    let oldest = before(now, OLDEST);
    if from < oldest {
        return Next::TooOld(oldest.min(until));
    }
    let until = until.min(after(from, LONGEST));
    let allowed = after(from, YOUNGEST_FROM).max(after(until, YOUNGEST_UNTIL));
    match allowed <= now {
        true => Next::Order { from, until },
        false => Next::Wait(allowed),
    }
}

/// Whether X may still have the end of a gap for a replay.
pub(super) fn is_within_reach(until: Timestamp, now: Timestamp) -> bool {
    until > before(now, OLDEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A time of the day; 24:00 and more are on the day after.
    fn at(time: &str) -> Timestamp {
        let (hour, minute) = time.split_once(':').unwrap();
        let minutes = hour.parse::<i64>().unwrap() * 60 + minute.parse::<i64>().unwrap();
        let day: Timestamp = "2026-09-01T00:00:00Z".parse().unwrap();
        day + SignedDuration::from_mins(minutes)
    }

    fn plan(gap: (&str, &str), filled: Option<&str>, now: &str) -> Next {
        next((at(gap.0), at(gap.1)), filled.map(at), at(now))
    }

    fn order(from: &str, until: &str) -> Next {
        Next::Order {
            from: at(from),
            until: at(until),
        }
    }

    #[test]
    fn a_short_gap_is_one_job_once_x_takes_it() {
        let gap = ("10:00", "10:05");
        assert_eq!(plan(gap, None, "10:06"), Next::Wait(at("10:31")));
        assert_eq!(plan(gap, None, "10:31"), order("10:00", "10:05"));
        assert_eq!(plan(gap, Some("10:05"), "10:40"), Next::Complete);
    }

    #[test]
    fn the_end_has_to_be_old_enough_too() {
        let gap = ("10:00", "10:30");
        assert_eq!(plan(gap, None, "10:35"), Next::Wait(at("10:41")));
        assert_eq!(plan(gap, None, "10:41"), order("10:00", "10:30"));
    }

    #[test]
    fn a_long_gap_is_cut_into_spans_of_two_hours_that_overlap() {
        let gap = ("10:00", "15:00");
        assert_eq!(plan(gap, None, "15:01"), order("10:00", "12:00"));
        assert_eq!(plan(gap, Some("12:00"), "15:02"), order("11:59", "13:59"));
        let last = order("13:58", "15:00");
        assert_eq!(plan(gap, Some("13:59"), "15:03"), Next::Wait(at("15:11")));
        assert_eq!(plan(gap, Some("13:59"), "15:11"), last);
    }

    #[test]
    fn what_is_older_than_a_day_is_left_to_reads() {
        let gap = ("10:00", "15:00");
        assert_eq!(plan(gap, None, "33:57"), order("10:00", "12:00"));
        assert_eq!(plan(gap, None, "35:57"), Next::TooOld(at("12:00")));
        assert_eq!(plan(gap, None, "50:00"), Next::TooOld(at("15:00")));
        assert!(is_within_reach(at("15:00"), at("38:00")));
        assert!(!is_within_reach(at("15:00"), at("39:00")));
    }

    #[test]
    fn whatever_is_ordered_is_what_x_takes() {
        let minutes = |count| SignedDuration::from_mins(count);
        let now = at("48:00");
        for length in [1, 9, 29, 121, 700, 1439] {
            for ended in [0, 1, 10, 11, 31, 60, 800, 1500] {
                let until = now - minutes(ended);
                let found = next((until - minutes(length), until), None, now);
                if let Next::Order { from, until } = found {
                    assert!(from < until && until.duration_since(from) <= LONGEST);
                    assert!(from <= now - minutes(31) && from >= now - minutes(24 * 60));
                    assert!(until <= now - minutes(10));
                }
            }
        }
    }
}
