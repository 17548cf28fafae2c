//! What was decided of a command when it was accepted, and what has come of it since: kept with the
//! command, so that a restart or another price list changes nothing.

use serde::{Deserialize, Serialize};

use crate::attachments::Kept;
use crate::domain::command::FailureCode;
use crate::domain::ids::{CommandId, TweetId, UserId};
use crate::domain::money::Usd;
use crate::telemetry::traces::SenderTrace;

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Plan {
    /// Texts, part by part; a single empty one where there are only files. None where the command
    /// writes nothing.
    pub parts: Vec<String>,
    /// What X charges for each part by the price list, millionths of a USD.
    pub prices: Vec<u64>,
    /// `conversation.id` on the outcome.
    pub conversation: Option<String>,
    pub customer: Option<PlannedCustomer>,
    /// In the order of the command's attachments.
    pub files: Vec<PlannedFile>,
    /// `delete_message`: it is a direct message.
    pub deletes_direct_message: bool,
    /// Where later parts go when X refuses replies to our own: the customer's post.
    pub fallback_parent: Option<TweetId>,
    /// A refusal that is looked into before it becomes the outcome.
    pub refused: Option<RefusedBefore>,
    /// When X first refused the credential, seconds since 1970.
    pub unauthorized_at: Option<i64>,
    /// The command that repeats this one, and has taken over what this one has at X.
    pub retried_by: Option<CommandId>,
    /// The trace of the core that the command came in.
    pub trace: Option<SenderTrace>,
}

/// The person on the other side.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct PlannedCustomer {
    pub id: UserId,
    pub username: String,
}

/// An attachment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct PlannedFile {
    /// `None` until it is fetched.
    pub kept: Option<Kept>,
    /// Fetches that came to nothing.
    pub tries: u32,
}

/// Why X refused a call that may repeat one which it had done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct RefusedBefore {
    pub code: FailureCode,
    pub detail: String,
    pub status: u16,
    pub problem: String,
    pub title: String,
}

impl Plan {
    pub(super) fn price_of(&self, part: u32) -> Usd {
        let index = usize::try_from(part.saturating_sub(1)).unwrap_or(usize::MAX);
        Usd::from_micros(self.prices.get(index).copied().unwrap_or(0))
    }

    /// How many messages the command makes.
    pub(super) fn part_count(&self) -> u32 {
        u32::try_from(self.parts.len()).unwrap_or(u32::MAX)
    }

    pub(super) fn lacks_files(&self) -> bool {
        self.files.iter().any(|file| file.kept.is_none())
    }

    pub(super) fn to_json(&self) -> String {
        // Nothing in it can fail to be written.
        serde_json::to_string(self).unwrap_or_default()
    }
}
