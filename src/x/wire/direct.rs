//! Legacy direct messages, alike in Account Activity and X Activity.

use serde::Deserialize;

use super::v1::{Entities, Media};
use super::{Lenient, Raw, Text};

#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct DirectMessageEvent<'a> {
    #[serde(rename = "type")]
    pub(crate) kind: Text<'a>,
    pub(crate) id: Option<Raw<'a>>,
    pub(crate) created_timestamp: Option<Raw<'a>>,
    /// No form brings it today; groups could not be told otherwise.
    pub(crate) conversation_id: Text<'a>,
    pub(crate) message_create: Option<Raw<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct MessageCreate<'a> {
    pub(crate) target: Lenient<Target<'a>>,
    pub(crate) sender_id: Option<Raw<'a>>,
    pub(crate) source_app_id: Text<'a>,
    pub(crate) message_data: Option<Raw<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct Target<'a> {
    pub(crate) recipient_id: Option<Raw<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct MessageData<'a> {
    pub(crate) text: Text<'a>,
    pub(crate) entities: Lenient<Entities<'a>>,
    pub(crate) attachment: Lenient<MessageAttachment<'a>>,
    pub(crate) quick_reply_response: Lenient<QuickReplyResponse<'a>>,
}

/// `media`, or a location, of which nothing is taken.
#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct MessageAttachment<'a> {
    pub(crate) media: Lenient<Media<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct QuickReplyResponse<'a> {
    pub(crate) metadata: Text<'a>,
}

/// Somebody types, or has read.
#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct Indication<'a> {
    pub(crate) created_timestamp: Option<Raw<'a>>,
    pub(crate) sender_id: Option<Raw<'a>>,
    pub(crate) target: Lenient<Target<'a>>,
    pub(crate) last_read_event_id: Option<Raw<'a>>,
}

/// An app that messages were written with.
#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct App<'a> {
    pub(crate) name: Text<'a>,
}
