//! X's ways to write a moment.

use jiff::Timestamp;
use jiff::fmt::strtime;

use super::fields::Unreadable;
use crate::domain::ids::{DirectMessageId, TweetId};
use crate::x::wire::{Raw, string};

/// Milliseconds between the Unix epoch and that of X's ids (2010-11-04T01:42:54.657Z).
const SNOWFLAKE_EPOCH_MS: u64 = 1_288_834_974_657;

/// When a post was made, cut to the second, below which X's forms differ. Without a readable time
/// the id tells it.
pub(super) fn of_post(created_at: &str, id: TweetId) -> Timestamp {
    let exact = parse(created_at).unwrap_or_else(|| of_id(id.get()));
    Timestamp::from_second(exact.as_second()).unwrap_or(exact)
}

/// When a direct message was sent; without a readable time the id tells it.
pub(super) fn of_direct_message(created: Option<Raw<'_>>, id: DirectMessageId) -> Timestamp {
    milliseconds(created).unwrap_or_else(|| of_id(id.get()))
}

/// The time in an id: its bits above the lowest 22 are milliseconds. Ids from before X counted
/// like this (November 2010) give the beginning of the count.
fn of_id(id: u64) -> Timestamp {
    let milliseconds = i64::try_from(SNOWFLAKE_EPOCH_MS + (id >> 22)).ok();
    milliseconds
        .and_then(|milliseconds| Timestamp::from_millisecond(milliseconds).ok())
        .unwrap_or(Timestamp::UNIX_EPOCH)
}

/// v1.1 (`Wed Oct 10 20:19:24 +0000 2018`) or ISO 8601 with whatever offset and fraction.
pub(super) fn parse(written: &str) -> Option<Timestamp> {
    if written.starts_with(|first: char| first.is_ascii_alphabetic()) {
        // The day of the week is skipped: it says nothing new, but might disagree.
        let (_, date) = written.split_once(' ')?;
        let date = strtime::parse("%b %d %H:%M:%S %z %Y", date).ok()?;
        date.to_timestamp().ok()
    } else {
        written.parse().ok()
    }
}

/// Milliseconds since 1970, as a string or a number.
pub(super) fn milliseconds(raw: Option<Raw<'_>>) -> Option<Timestamp> {
    let raw = raw?;
    let digits = string(raw);
    let milliseconds = digits.as_deref().unwrap_or(raw.get()).parse().ok()?;
    Timestamp::from_millisecond(milliseconds).ok()
}

/// Milliseconds that have to be there.
pub(super) fn required_milliseconds(
    name: &str,
    raw: Option<Raw<'_>>,
) -> Result<Timestamp, Unreadable> {
    let expected = "expected milliseconds since 1970";
    milliseconds(raw).ok_or_else(|| Unreadable::malformed(name, expected))
}

/// A date that has to be there.
pub(super) fn required_date(name: &str, written: &str) -> Result<Timestamp, Unreadable> {
    parse(written).ok_or_else(|| Unreadable::malformed(name, "expected a date"))
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;

    #[test]
    fn all_of_xs_spellings_are_read() {
        for (written, expected) in [
            ("Wed Oct 10 20:19:24 +0000 2018", "2018-10-10T20:19:24Z"),
            ("Mon Oct 10 22:19:24 +0200 2018", "2018-10-10T20:19:24Z"),
            ("2026-07-24T21:05:48.000Z", "2026-07-24T21:05:48Z"),
            ("2026-07-24T21:05:48Z", "2026-07-24T21:05:48Z"),
            ("2018-05-24T09:48:12+00:00", "2018-05-24T09:48:12Z"),
        ] {
            assert_eq!(parse(written).unwrap().to_string(), expected, "{written}");
        }
        for written in ["", "yesterday", "Wed Oct", "9999-99-99T00:00:00Z", "12"] {
            assert_eq!(parse(written), None, "{written}");
        }
    }

    #[test]
    fn posts_are_cut_to_the_second() {
        let id = "1".parse().unwrap();
        let cut = of_post("2026-07-24T21:05:48.999Z", id);
        assert_eq!(cut.to_string(), "2026-07-24T21:05:48Z");
    }

    #[test]
    fn without_a_time_the_id_tells_it() {
        let at = |id: &str| of_post("", id.parse().unwrap()).to_string();
        assert_eq!(at("1209097192914313216"), "2019-12-23T13:03:29Z");
        assert_eq!(at("20"), "2010-11-04T01:42:54Z");
        assert_eq!(at("9999999999999999999"), "2086-05-23T19:32:45Z");
    }

    #[test]
    fn milliseconds_come_as_string_and_as_number() {
        let at = |json: &str| {
            let raw: Box<RawValue> = serde_json::from_str(json).unwrap();
            milliseconds(Some(&raw)).map(|at| at.to_string())
        };
        let expected = Some("2018-01-19T23:12:40.557Z".to_owned());
        assert_eq!(at("\"1516403560557\""), expected);
        assert_eq!(at("1516403560557"), expected);
        for json in ["null", "\"\"", "1e400", "\"99999999999999999\"", "{}"] {
            assert_eq!(at(json), None, "{json}");
        }
    }
}
