//! The last day as a plot: bars that the stylesheet colours, so it follows light and dark.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::store::Traffic;

/// Hours shown.
const HOURS: i64 = 24;
/// Inner height, in units of the drawing.
const HEIGHT: u64 = 120;
/// Width of an hour.
const WIDTH: i64 = 28;

/// What was received and sent in each hour.
#[derive(Clone, Debug)]
pub(super) struct Plot {
    pub bars: Vec<Bar>,
    /// The most of an hour: the top of the drawing.
    pub most: u64,
    pub received: u64,
    pub sent: u64,
}

/// One hour.
#[derive(Clone, Debug)]
pub(super) struct Bar {
    /// `14:00`, UTC.
    pub label: String,
    pub received: u64,
    pub sent: u64,
    /// Left edges.
    pub x: i64,
    pub x_sent: i64,
    pub received_y: u64,
    pub received_height: u64,
    pub sent_y: u64,
    pub sent_height: u64,
    /// Whether its label is written: not each has room.
    pub labelled: bool,
}

impl Plot {
    /// Of the hours up to this one, of all accounts together.
    pub(super) fn new(hour: i64, traffic: impl Iterator<Item = (i64, Traffic)>) -> Self {
        let mut hours: BTreeMap<i64, (u64, u64)> = BTreeMap::new();
        for (at, counts) in traffic {
            let (received, sent) = hours.entry(at).or_default();
            *received += counts.received;
            *sent += counts.sent;
        }
        let counts = |at| hours.get(&at).copied().unwrap_or_default();
        let first = hour - HOURS + 1;
        let all = (first..=hour).map(counts);
        let most = all.clone().flat_map(|(a, b)| [a, b]).max().unwrap_or(0);
        Self {
            bars: (0..HOURS)
                .map(|n| bar(n, first + n, counts(first + n), most))
                .collect(),
            most,
            received: all.clone().map(|(received, _)| received).sum(),
            sent: all.map(|(_, sent)| sent).sum(),
        }
    }
}

fn bar(place: i64, hour: i64, (received, sent): (u64, u64), most: u64) -> Bar {
    let height = |count: u64| match (count, most) {
        (0, _) | (_, 0) => 0,
        // One message is seen beside a thousand.
        _ => (count * HEIGHT / most).max(2),
    };
    let at = Timestamp::from_second(hour * 3600).unwrap_or(Timestamp::UNIX_EPOCH);
    Bar {
        label: TimeZone::UTC.to_datetime(at).strftime("%H:00").to_string(),
        received,
        sent,
        x: place * WIDTH + 3,
        x_sent: place * WIDTH + 14,
        received_height: height(received),
        received_y: HEIGHT - height(received),
        sent_height: height(sent),
        sent_y: HEIGHT - height(sent),
        labelled: place % 4 == 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_hour_fills_the_height_and_one_message_is_seen() {
        let counts = |received, sent| Traffic {
            heard: 0,
            received,
            sent,
        };
        let traffic = [
            (100, counts(1000, 1)),
            (99, counts(10, 0)),
            (99, counts(5, 0)),
        ];
        let plot = Plot::new(100, traffic.into_iter());
        assert_eq!(
            (plot.bars.len(), plot.most, plot.received, plot.sent),
            (24, 1000, 1015, 1)
        );
        let last = plot.bars.last().unwrap();
        assert_eq!(
            (last.received_height, last.received_y, last.sent_height),
            (120, 0, 2)
        );
        assert_eq!(plot.bars[0].received_height, 0);
        assert_eq!(last.label, "04:00");
    }

    #[test]
    fn a_day_without_anything_has_no_height() {
        let plot = Plot::new(100, std::iter::empty());
        assert!(plot.bars.iter().all(|bar| bar.received_height == 0));
    }
}
