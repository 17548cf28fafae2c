//! X's price list.

use jiff::civil::Date;

use super::reader::Reader;
use super::value;
use crate::domain::money::Usd;

/// What X charges, and since when and where that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prices {
    pub as_of: Date,
    pub source: String,
    pub events: EventPrices,
    pub calls: CallPrices,
}

/// A struct of prices, each read from the key of its name.
macro_rules! price_list {
    ($(#[$doc:meta])* $name:ident, $read:ident { $($(#[$field_doc:meta])* $field:ident),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: Usd,)*
        }

        fn $read(r: &mut Reader<'_>) -> Option<$name> {
            $(let $field = r.required(stringify!($field), value::usd);)*
            Some($name { $($field: $field?,)* })
        }
    };
}

price_list! {
    /// For each event that X delivers.
    EventPrices, events {
        /// Any event of Account Activity, whatever it is about.
        account_activity,
        /// Posts of every relation, by X Activity or filtered stream.
        post,
        post_deleted,
        direct_message_received,
        direct_message_sent,
        encrypted_message_received,
        encrypted_message_sent,
        read,
        typing,
    }
}

price_list! {
    /// For each request, reads for each item returned.
    CallPrices, calls {
        post,
        post_with_url,
        summoned_reply,
        direct_message,
        delete,
        hide_reply,
        media_metadata,
        post_read,
        user_read,
        direct_message_read,
        /// Mentions and posts of the account that owns the app.
        owned_read,
    }
}

pub(super) fn prices(r: &mut Reader<'_>) -> Option<Prices> {
    let as_of = r.required("as_of", value::date);
    let source = r.required("source", value::text);
    let events = r.section("events", events);
    let calls = r.section("calls", calls);
    Some(Prices {
        as_of: as_of?,
        source: source?,
        events: events?,
        calls: calls?,
    })
}
