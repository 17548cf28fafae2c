//! What has been found in a delivery so far.

use super::fields::{Unreadable, at, list_of};
use crate::domain::activity::{Activity, Normalized, Via};
use crate::x::wire::Raw;

pub(super) struct Findings(Normalized);

impl Findings {
    pub(super) fn new(via: Option<Via>) -> Self {
        Self(Normalized {
            via,
            activities: Vec::new(),
            rejected: Vec::new(),
            ignored: Vec::new(),
        })
    }

    /// Takes what one event became.
    pub(super) fn add(&mut self, event: Result<Activity, Unreadable>) {
        match event {
            Ok(activity) => self.0.activities.push(activity),
            Err(error) => self.reject(error),
        }
    }

    /// Reads and takes each event of a list; `place` says where the list stands.
    pub(super) fn add_each<'a>(
        &mut self,
        place: &str,
        list: Raw<'a>,
        read: impl Fn(Raw<'a>) -> Result<Activity, Unreadable>,
    ) {
        match list_of(list) {
            Ok(events) => {
                for (index, event) in events.iter().enumerate() {
                    self.add(read(event).map_err(|error| error.inside(&at(place, index))));
                }
            }
            Err(error) => self.reject(error.inside(place)),
        }
    }

    /// Counts each event of the list `name`, which is not for a helpdesk.
    pub(super) fn ignore_each(&mut self, name: &str, list: Raw<'_>) {
        let count = list_of(list).map_or(1, |events| events.len());
        self.0.ignored.extend(vec![name.to_owned(); count]);
    }

    /// Counts an event that is not for a helpdesk.
    pub(super) fn ignore(&mut self, name: &str) {
        self.0.ignored.push(name.to_owned());
    }

    pub(super) fn reject(&mut self, error: Unreadable) {
        self.0.rejected.push(error.into());
    }

    pub(super) fn into_normalized(self) -> Normalized {
        self.0
    }
}
