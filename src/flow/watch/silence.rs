//! Whether an account has been quiet for longer than it usually is.

/// Hours looked back on: two weeks, so that nights and weekends count as usual.
pub(super) const LOOKED_AT: i64 = 14 * 24;
/// Fewer hours with messages than this tell nothing of what is usual.
const LEAST_HOURS: usize = 20;
/// Nobody is called for less than this, hours.
const LEAST_QUIET: i64 = 3;

/// An account that is quieter than it ever was in the last two weeks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Silence {
    /// Whole hours without a message.
    pub hours: i64,
    /// The longest time without one before that, hours.
    pub usual: i64,
}

/// `heard` are the hours (since 1970) in which something came, in order; `now` is the present one.
/// Half as long again as the longest quiet time before is unusual.
pub(super) fn silence(heard: &[i64], now: i64) -> Option<Silence> {
    let heard: Vec<_> = heard.iter().filter(|hour| **hour <= now).collect();
    if heard.len() < LEAST_HOURS {
        return None;
    }
    let between = heard.iter().zip(heard.iter().skip(1));
    let usual = between.map(|(one, next)| *next - *one - 1).max()?;
    let hours = now - **heard.last()? - 1;
    let unusual = (usual + usual / 2).max(LEAST_QUIET);
    (hours > unusual).then_some(Silence { hours, usual })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Office hours, five days a week, for two weeks.
    fn office() -> Vec<i64> {
        let days = (0..14).filter(|day| day % 7 < 5);
        days.flat_map(|day| (9..17).map(move |hour| day * 24 + hour))
            .collect()
    }

    #[test]
    fn nights_and_weekends_are_usual() {
        let heard = office();
        let last = heard[heard.len() - 1];
        assert_eq!(silence(&heard, last + 60), None);
    }

    #[test]
    fn half_as_long_again_as_ever_before_is_silence() {
        let heard = office();
        let last = heard[heard.len() - 1];
        let found = silence(&heard, last + 1 + 97).unwrap();
        assert_eq!((found.usual, found.hours), (64, 97));
    }

    #[test]
    fn a_busy_account_is_missed_after_a_few_hours() {
        let heard: Vec<_> = (0..100).collect();
        assert_eq!(silence(&heard, 103), None);
        assert_eq!(silence(&heard, 104).unwrap().hours, 4);
    }

    #[test]
    fn an_account_that_is_seldom_written_to_is_never_silent() {
        assert_eq!(silence(&[1, 2, 3], 1_000), None);
    }

    #[test]
    fn hours_to_come_do_not_count() {
        let heard: Vec<_> = (0..100).collect();
        assert_eq!(silence(&heard, 50), None);
    }
}
