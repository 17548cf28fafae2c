//! X's price list.

use crate::domain::price::{CallPrices, EventPrices, Prices};
use crate::settings::reader::Reader;
use crate::settings::value;

/// A reader of a section whose keys are the fields of a struct of prices.
macro_rules! price_list {
    ($list:ident, $read:ident { $($field:ident),* $(,)? }) => {
        fn $read(r: &mut Reader<'_>) -> Option<$list> {
            $(let $field = r.required(stringify!($field), value::usd);)*
            Some($list { $($field: $field?,)* })
        }
    };
}

price_list! {
    EventPrices, events {
        account_activity,
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
