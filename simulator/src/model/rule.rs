//! Rules of the filtered stream.

use super::query::{Query, Subject};

/// A rule and its label.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) id: u64,
    pub(crate) value: String,
    /// Empty when not given.
    pub(crate) tag: String,
    pub(crate) query: Query,
}

impl Rule {
    pub(crate) fn matches(&self, post: &Subject<'_>) -> bool {
        self.query.holds(post)
    }
}
