//! What X charges; the figures come from the configuration, dated and with their source.

use super::activity::Via;
use super::message::MessageKind;
use super::money::Usd;

/// Prices by kind of event and call, in USD each.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Prices {
    pub events: EventPrices,
    pub calls: CallPrices,
}

/// For each event delivered.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EventPrices {
    /// Any event of Account Activity.
    pub account_activity: Usd,
    pub post: Usd,
    pub direct_message_received: Usd,
    pub direct_message_sent: Usd,
    pub encrypted_message_received: Usd,
    pub encrypted_message_sent: Usd,
}

/// For each call.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CallPrices {
    pub post: Usd,
    /// A reply to somebody who named or quoted us.
    pub summoned_reply: Usd,
    pub direct_message: Usd,
}

impl EventPrices {
    /// What one delivered message cost; `own`: the receiving account wrote it.
    pub fn of_message(&self, via: Via, kind: MessageKind, own: bool) -> Usd {
        match (via, kind, own) {
            (Via::AccountActivity, _, _) => self.account_activity,
            (_, MessageKind::Post, _) => self.post,
            (_, MessageKind::DirectMessage, false) => self.direct_message_received,
            (_, MessageKind::DirectMessage, true) => self.direct_message_sent,
            (_, MessageKind::EncryptedMessage, false) => self.encrypted_message_received,
            (_, MessageKind::EncryptedMessage, true) => self.encrypted_message_sent,
        }
    }
}
