//! What reading the messages of some days would cost.
//!
//! X does not say how many there are before they are read and paid for. So what is told is the price
//! of each, what the first pages cost at most (all that is spent before anybody can look at the bill),
//! and, where the account has been here for a day or more, what its own traffic of late makes of it.

use jiff::{SignedDuration, Timestamp};

use crate::domain::ids::AccountId;
use crate::domain::money::Usd;
use crate::domain::price::CallPrices;
use crate::store::{StoreError, Traffic, Tx, hour_of};

/// Items of a page of X's lists.
const PAGE: u64 = 100;
/// Posts that X's lists show at most: 800 mentions and 3,200 of the account's own.
const MOST_POSTS: u64 = 800 + 3_200;
/// From so many hours of traffic on it tells what is usual.
const ENOUGH: i64 = 24;
/// Traffic that is looked at.
const LOOKED_AT: i64 = 14 * 24;

/// What filling a gap costs, in USD.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Estimate {
    pub per_post: Usd,
    pub per_direct_message: Usd,
    /// The first page of mentions, of the account's own posts and of its direct messages, all full.
    pub first_pages: Usd,
    /// What X shows of posts at most; direct messages have no such bound, and terms none either.
    pub posts_at_most: Usd,
    /// By the account's traffic of the last two weeks, each message as dear as the dearer kind;
    /// `None` where that is not known.
    pub expected: Option<Usd>,
}

/// What reading the messages of an account over a time would cost.
///
/// # Errors
/// When the store cannot be read.
pub fn estimate(
    tx: &Tx<'_>,
    prices: &CallPrices,
    account: AccountId,
    (from, until): (Timestamp, Timestamp),
    now: Timestamp,
) -> Result<Estimate, StoreError> {
    let traffic = tx.traffic_since(hour_of(now) - LOOKED_AT)?;
    let own = traffic.into_iter().filter(|(id, _, _)| *id == account);
    let hours: Vec<_> = own.map(|(_, hour, traffic)| (hour, traffic)).collect();
    let span = until.duration_since(from);
    Ok(by_traffic(prices, &hours, hour_of(now), span))
}

fn by_traffic(
    prices: &CallPrices,
    hours: &[(i64, Traffic)],
    now: i64,
    span: SignedDuration,
) -> Estimate {
    let (post, direct) = (prices.post_read, prices.direct_message_read);
    let first = hours.iter().map(|(hour, _)| *hour).min();
    let known = first.map(|first| now - first).filter(|it| *it >= ENOUGH);
    let messages: u64 = hours.iter().map(|(_, it)| it.received + it.sent).sum();
    let expected = known.and_then(|known| {
        let wanted = u64::try_from(span.as_hours().max(1)).ok()?;
        let known = u64::try_from(known).ok()?;
        let count = messages.saturating_mul(wanted).div_ceil(known);
        Some(post.max(direct).times(count))
    });
    Estimate {
        per_post: post,
        per_direct_message: direct,
        first_pages: post.times(2 * PAGE) + direct.times(PAGE),
        posts_at_most: post.times(MOST_POSTS),
        expected,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::rules::testing::rules_of;

    fn prices() -> CallPrices {
        CallPrices {
            post_read: Usd::from_micros(5_000),
            direct_message_read: Usd::from_micros(10_000),
            ..rules_of(Default::default()).prices.calls
        }
    }

    fn traffic(received: u64, sent: u64) -> Traffic {
        Traffic {
            heard: 99,
            received,
            sent,
        }
    }

    #[test]
    fn of_an_account_without_traffic_only_bounds_are_known() {
        let day = SignedDuration::from_hours(24);
        let estimate = by_traffic(&prices(), &[(1000, traffic(5, 5))], 1010, day);
        assert_eq!(estimate.expected, None);
        assert_eq!(estimate.first_pages, Usd::from_micros(2_000_000));
        assert_eq!(estimate.posts_at_most, Usd::from_micros(20_000_000));
    }

    #[test]
    fn traffic_of_late_tells_what_to_expect() {
        let hours = [(1000, traffic(30, 10)), (1047, traffic(56, 0))];
        let week = SignedDuration::from_hours(7 * 24);
        // 96 messages in 48 hours are two an hour.
        let estimate = by_traffic(&prices(), &hours, 1048, week);
        assert_eq!(estimate.expected, Some(Usd::from_micros(336 * 10_000)));
    }
}
