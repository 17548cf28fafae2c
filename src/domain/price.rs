//! What X charges; the figures come from the configuration, dated and with their source.

use jiff::civil::Date;

use super::activity::Via;
use super::message::MessageKind;
use super::money::Usd;

/// What X charges, and since when and where that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prices {
    pub as_of: Date,
    pub source: String,
    pub events: EventPrices,
    pub calls: CallPrices,
}

/// USD for each event that X delivers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventPrices {
    /// Any event of Account Activity, whatever it is about.
    pub account_activity: Usd,
    /// Posts of every relation, by X Activity or filtered stream.
    pub post: Usd,
    pub post_deleted: Usd,
    pub direct_message_received: Usd,
    pub direct_message_sent: Usd,
    pub encrypted_message_received: Usd,
    pub encrypted_message_sent: Usd,
    pub read: Usd,
    pub typing: Usd,
}

/// USD for each request, reads for each item returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallPrices {
    pub post: Usd,
    pub post_with_url: Usd,
    /// A reply to somebody who named or quoted us.
    pub summoned_reply: Usd,
    pub direct_message: Usd,
    pub delete: Usd,
    pub hide_reply: Usd,
    pub media_metadata: Usd,
    pub post_read: Usd,
    pub user_read: Usd,
    pub direct_message_read: Usd,
    /// Mentions and posts of the account that owns the app.
    pub owned_read: Usd,
}

impl Prices {
    /// What one message cost that came by `via`; `own`: the receiving account wrote it.
    pub fn of_message(&self, via: Via, kind: MessageKind, own: bool) -> Usd {
        match (via.is_read(), kind) {
            (false, _) => self.events.of_message(via, kind, own),
            (true, MessageKind::Post) => self.calls.post_read,
            (true, MessageKind::DirectMessage | MessageKind::EncryptedMessage) => {
                self.calls.direct_message_read
            }
        }
    }
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
