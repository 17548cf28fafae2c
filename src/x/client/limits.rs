//! X's rate-limit headers.

use jiff::Timestamp;
use reqwest::header::HeaderMap;

/// One window as X counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    pub limit: u32,
    /// Calls left.
    pub remaining: u32,
    pub reset: Timestamp,
}

impl Window {
    /// Whether X will refuse the next call.
    pub fn is_used_up(&self) -> bool {
        self.remaining == 0
    }
}

/// What the headers of an answer say; `None` for a window that they do not name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// `x-rate-limit-*`: 15 minutes, of the user or of the app, whoever the call was signed for.
    pub window: Option<Window>,
    /// `x-app-limit-24hour-*`, documented nowhere.
    pub app_day: Option<Window>,
    /// `x-user-limit-24hour-*`, documented nowhere.
    pub user_day: Option<Window>,
}

impl Limits {
    pub(super) fn read(headers: &HeaderMap) -> Self {
        Self {
            window: window(headers, "x-rate-limit"),
            app_day: window(headers, "x-app-limit-24hour"),
            user_day: window(headers, "x-user-limit-24hour"),
        }
    }
}

/// A window of which a part is missing or no number counts as not named.
fn window(headers: &HeaderMap, name: &str) -> Option<Window> {
    let number = |part: &str| -> Option<i64> {
        let value = headers.get(format!("{name}-{part}"))?;
        value.to_str().ok()?.trim().parse().ok()
    };
    Some(Window {
        limit: u32::try_from(number("limit")?).ok()?,
        remaining: u32::try_from(number("remaining")?.max(0)).ok()?,
        reset: Timestamp::from_second(number("reset")?).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderName, HeaderValue};

    use super::*;

    fn read(headers: &[(&'static str, &'static str)]) -> Limits {
        let headers = headers.iter().map(|(name, value)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        });
        Limits::read(&headers.collect())
    }

    #[test]
    fn all_three_windows_are_read() {
        let limits = read(&[
            ("x-rate-limit-limit", "100"),
            ("x-rate-limit-remaining", "99"),
            ("x-rate-limit-reset", "1700000000"),
            ("x-app-limit-24hour-limit", "10000"),
            ("x-app-limit-24hour-remaining", "7"),
            ("x-app-limit-24hour-reset", "1700080000"),
            ("x-user-limit-24hour-limit", "1440"),
            ("x-user-limit-24hour-remaining", "0"),
            ("x-user-limit-24hour-reset", "1700070000"),
        ]);
        let window = limits.window.unwrap();
        assert_eq!((window.limit, window.remaining), (100, 99));
        assert_eq!(window.reset.as_second(), 1_700_000_000);
        assert_eq!(limits.app_day.unwrap().remaining, 7);
        assert!(limits.user_day.unwrap().is_used_up());
    }

    #[test]
    fn a_window_that_is_not_whole_is_not_known() {
        for reset in ["soon", "", "9999999999999999999", "1e9"] {
            let limits = read(&[
                ("x-rate-limit-limit", "100"),
                ("x-rate-limit-remaining", "99"),
                ("x-rate-limit-reset", reset),
            ]);
            assert_eq!(limits, Limits::default(), "{reset}");
        }
        assert_eq!(
            read(&[("x-rate-limit-reset", "1700000000")]),
            Limits::default()
        );
    }
}
