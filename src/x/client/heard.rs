//! What X's headers say beside its limits: what a test of keys wants to know.

use jiff::fmt::rfc2822;
use jiff::{SignedDuration, Timestamp};
use reqwest::header::{DATE, HeaderMap};

/// What an app, or a token of OAuth 1.0a, may do; as X's console has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessLevel {
    Read,
    ReadWrite,
    /// What a helpdesk needs.
    ReadWriteDirectMessages,
    /// X's word for it.
    Other(String),
}

/// Headers of one answer; `None` for what they do not tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// What time it was at X, to the second.
    pub date: Option<Timestamp>,
    /// `x-access-level`, which X sends with answers to OAuth 1.0a.
    pub access_level: Option<AccessLevel>,
}

impl Heard {
    pub(super) fn read(headers: &HeaderMap) -> Self {
        let text = |name: &str| headers.get(name)?.to_str().ok();
        Self {
            date: text(DATE.as_str()).and_then(moment),
            access_level: text("x-access-level").map(level),
        }
    }

    /// How much later it is at X than here, where X says what time it is. `now` is when the
    /// answer came; X's time is cut to the second and as old as the way of the answer.
    pub fn clock_off(&self, now: Timestamp) -> Option<SignedDuration> {
        self.date.map(|date| date.duration_since(now))
    }
}

fn moment(written: &str) -> Option<Timestamp> {
    rfc2822::DateTimeParser::new().parse_timestamp(written).ok()
}

fn level(word: &str) -> AccessLevel {
    match word {
        "read" => AccessLevel::Read,
        "read-write" => AccessLevel::ReadWrite,
        "read-write-directmessages" => AccessLevel::ReadWriteDirectMessages,
        other => AccessLevel::Other(other.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    fn heard(name: &'static str, value: &'static str) -> Heard {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_static(value));
        Heard::read(&headers)
    }

    #[test]
    fn the_time_at_x_tells_how_far_our_clock_is_off() {
        let heard = heard("date", "Tue, 01 Sep 2026 12:10:00 GMT");
        let off = heard.clock_off("2026-09-01T12:00:00Z".parse().unwrap());
        assert_eq!(off, Some(SignedDuration::from_mins(10)));
    }

    #[test]
    fn what_is_no_date_tells_nothing() {
        for written in ["", "yesterday", "1788264000"] {
            assert_eq!(heard("date", written).date, None, "{written}");
        }
    }

    #[test]
    fn levels_are_those_of_xs_console() {
        for (word, level) in [
            ("read", AccessLevel::Read),
            ("read-write", AccessLevel::ReadWrite),
            (
                "read-write-directmessages",
                AccessLevel::ReadWriteDirectMessages,
            ),
            (
                "read-write-chat",
                AccessLevel::Other("read-write-chat".to_owned()),
            ),
        ] {
            assert_eq!(heard("x-access-level", word).access_level, Some(level));
        }
        assert_eq!(heard("date", "").access_level, None);
    }
}
