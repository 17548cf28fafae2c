//! How long to wait before connecting again. Source: X's "Handling disconnections".

use std::time::Duration;

use jiff::Timestamp;

use super::Disconnect;
use crate::x::client::error::{CallError, NotSent, UncertainBecause};

const NETWORK_STEP: Duration = Duration::from_millis(250);
const NETWORK_MOST: Duration = Duration::from_secs(16);
const HTTP_FIRST: Duration = Duration::from_secs(5);
const HTTP_MOST: Duration = Duration::from_secs(320);
const LIMITED_FIRST: Duration = Duration::from_secs(60);
/// X names no most: by then its window of 15 minutes is another one.
const LIMITED_MOST: Duration = Duration::from_secs(15 * 60);

/// What kept the stream from being connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// No connection, or one that was lost.
    Network,
    /// X answers, but not with a stream.
    Http,
    /// 429: too many connections at once, or too many tries.
    Limited {
        /// When X takes tries again; `None` where it does not say.
        until: Option<Timestamp>,
    },
}

impl From<&CallError> for Trouble {
    fn from(error: &CallError) -> Self {
        use UncertainBecause::{AnswerCut, ConnectionLost, TimedOut};
        match error {
            CallError::NotSent {
                reason: NotSent::NoConnection(_),
            }
            | CallError::Uncertain {
                reason: TimedOut | ConnectionLost | AnswerCut,
                ..
            } => Self::Network,
            CallError::RateLimited { until, .. } => Self::Limited { until: *until },
            CallError::NotSent { .. }
            | CallError::Uncertain { .. }
            | CallError::CreditsDepleted { .. }
            | CallError::Unauthorized { .. }
            | CallError::Unavailable { .. }
            | CallError::Refused(_) => Self::Http,
        }
    }
}

impl From<&Disconnect> for Trouble {
    fn from(disconnect: &Disconnect) -> Self {
        match disconnect {
            Disconnect::Silent(_) | Disconnect::Ended | Disconnect::Lost(_) => Self::Network,
            Disconnect::ByX(upstream) if upstream.problem() == "streaming-connection" => {
                Self::Limited { until: None }
            }
            Disconnect::ByX(_) => Self::Network,
            Disconnect::LineTooLong(_) | Disconnect::Unreadable => Self::Http,
        }
    }
}

/// Counts failures in a row, each kind by itself. Pure: whoever connects waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backoff {
    /// The stream has brought something since the last failure.
    established: bool,
    network: u32,
    http: u32,
    limited: u32,
}

impl Backoff {
    /// To be told of each delivery and heartbeat, not of errors: only a stream that works is
    /// established, lest connecting again at once turns into a storm.
    pub fn established(&mut self) {
        *self = Self {
            established: true,
            ..Self::default()
        };
    }

    /// The wait after one more failure. A stream that was established and is lost is connected again
    /// at once, as X asks.
    pub fn after(&mut self, trouble: Trouble, now: Timestamp) -> Duration {
        let lost = std::mem::take(&mut self.established);
        match trouble {
            Trouble::Network if lost => Duration::ZERO,
            Trouble::Network => {
                self.network = self.network.saturating_add(1);
                NETWORK_STEP.saturating_mul(self.network).min(NETWORK_MOST)
            }
            Trouble::Http => doubled(&mut self.http, HTTP_FIRST).min(HTTP_MOST),
            Trouble::Limited { until } => {
                let own = doubled(&mut self.limited, LIMITED_FIRST).min(LIMITED_MOST);
                own.max(until.map_or(Duration::ZERO, |until| wait(now, until)))
            }
        }
    }
}

/// The first wait, twice as long with each failure before.
fn doubled(failures: &mut u32, first: Duration) -> Duration {
    let times = 2_u32.saturating_pow(*failures);
    *failures = failures.saturating_add(1);
    first.saturating_mul(times)
}

/// Nothing where the time has passed.
fn wait(now: Timestamp, until: Timestamp) -> Duration {
    Duration::try_from(until.duration_since(now)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::x::client::Upstream;
    use crate::x::client::error_of;

    fn now() -> Timestamp {
        "2026-09-01T12:00:00Z".parse().unwrap()
    }

    fn waits(backoff: &mut Backoff, trouble: Trouble, count: usize) -> Vec<Duration> {
        (0..count).map(|_| backoff.after(trouble, now())).collect()
    }

    fn millis(waits: &[Duration]) -> Vec<u128> {
        waits.iter().map(Duration::as_millis).collect()
    }

    #[test]
    fn network_failures_wait_longer_in_steps_to_sixteen_seconds() {
        let waits = waits(&mut Backoff::default(), Trouble::Network, 70);
        assert_eq!(millis(&waits[..3]), [250, 500, 750]);
        assert_eq!(millis(&waits[62..66]), [15_750, 16_000, 16_000, 16_000]);
    }

    #[test]
    fn http_failures_double_from_five_seconds_to_320() {
        let waits = waits(&mut Backoff::default(), Trouble::Http, 40);
        let seconds: Vec<_> = waits.iter().map(Duration::as_secs).collect();
        assert_eq!(&seconds[..8], [5, 10, 20, 40, 80, 160, 320, 320]);
        assert_eq!(seconds[39], 320);
    }

    #[test]
    fn limits_double_from_a_minute_and_wait_for_the_reset_x_names() {
        let mut backoff = Backoff::default();
        let silent = Trouble::Limited { until: None };
        let seconds: Vec<_> = waits(&mut backoff, silent, 6)
            .iter()
            .map(Duration::as_secs)
            .collect();
        assert_eq!(seconds, [60, 120, 240, 480, 900, 900]);
        let named = |seconds| Trouble::Limited {
            until: Some(now() + SignedDuration::from_secs(seconds)),
        };
        let mut fresh = Backoff::default();
        assert_eq!(fresh.after(named(700), now()).as_secs(), 700);
        assert_eq!(fresh.after(named(30), now()).as_secs(), 120);
        assert_eq!(fresh.after(named(-30), now()).as_secs(), 240);
    }

    #[test]
    fn a_stream_that_brought_something_is_connected_again_at_once_and_then_as_ever() {
        let mut backoff = Backoff::default();
        waits(&mut backoff, Trouble::Network, 5);
        waits(&mut backoff, Trouble::Http, 5);
        backoff.established();
        let again = waits(&mut backoff, Trouble::Network, 3);
        assert_eq!(millis(&again), [0, 250, 500]);
        backoff.established();
        assert_eq!(backoff.after(Trouble::Http, now()).as_secs(), 5);
        assert_eq!(backoff.after(Trouble::Network, now()).as_millis(), 250);
    }

    #[test]
    fn what_x_answers_decides_how_long_is_waited() {
        let trouble = |status, body| Trouble::from(&error_of(status, body));
        let problem = r#"{"title": "x"}"#;
        for status in [401, 402, 403, 409, 500, 503] {
            assert_eq!(trouble(status, problem), Trouble::Http, "{status}");
        }
        assert_eq!(trouble(429, problem), Trouble::Limited { until: None });
        let unconnected = CallError::from(NotSent::NoConnection("refused".to_owned()));
        assert_eq!(Trouble::from(&unconnected), Trouble::Network);
        let late = CallError::uncertain(UncertainBecause::TimedOut);
        assert_eq!(Trouble::from(&late), Trouble::Network);
    }

    #[test]
    fn how_a_stream_ended_decides_how_long_is_waited() {
        let by_x = |problem: &str| {
            let upstream = Upstream {
                type_: format!("https://api.x.com/2/problems/{problem}"),
                ..Upstream::default()
            };
            Trouble::from(&Disconnect::ByX(Box::new(upstream)))
        };
        let limited = Trouble::Limited { until: None };
        assert_eq!(by_x("streaming-connection"), limited);
        assert_eq!(by_x("operational-disconnect"), Trouble::Network);
        assert_eq!(Trouble::from(&Disconnect::Unreadable), Trouble::Http);
        assert_eq!(Trouble::from(&Disconnect::Ended), Trouble::Network);
    }
}
