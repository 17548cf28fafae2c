//! Posts and their entities in the v1.1 form, which Account Activity carries in both its versions
//! and X Activity in direct messages.

use serde::Deserialize;

use super::{Flag, Lenient, List, Raw, Text};
use crate::domain::ids::UserId;

/// `id` is left out on purpose: as a JSON number it has lost digits.
#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct Post<'a> {
    pub(crate) id_str: Option<Raw<'a>>,
    pub(crate) created_at: Text<'a>,
    /// Cut at 140 characters where `extended_tweet` is there.
    pub(crate) text: Text<'a>,
    pub(crate) display_text_range: Lenient<(usize, usize)>,
    pub(crate) entities: Lenient<Entities<'a>>,
    pub(crate) extended_entities: Lenient<Entities<'a>>,
    pub(crate) extended_tweet: Lenient<ExtendedTweet<'a>>,
    pub(crate) user: Option<Raw<'a>>,
    pub(crate) in_reply_to_status_id_str: Option<Raw<'a>>,
    pub(crate) in_reply_to_user_id_str: Option<Raw<'a>>,
    pub(crate) retweeted_status: Option<Raw<'a>>,
    pub(crate) quoted_status_id_str: Option<Raw<'a>>,
    pub(crate) quoted_status: Option<Raw<'a>>,
    pub(crate) quoted_status_permalink: Lenient<Permalink<'a>>,
    pub(crate) edit_history: Lenient<EditHistory<'a>>,
    pub(crate) possibly_sensitive: Lenient<bool>,
    pub(crate) lang: Text<'a>,
    /// An HTML link to the app.
    pub(crate) source: Text<'a>,
    /// On mentions: the subscribed user blocks the author. X's table has the other name.
    pub(crate) user_has_blocked: Flag,
    pub(crate) is_blocked_by: Flag,
}

/// The whole of a post over 140 characters, with entities of its own.
#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct ExtendedTweet<'a> {
    pub(crate) full_text: Text<'a>,
    pub(crate) display_text_range: Lenient<(usize, usize)>,
    pub(crate) entities: Lenient<Entities<'a>>,
    pub(crate) extended_entities: Lenient<Entities<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct Entities<'a> {
    pub(crate) urls: List<Url<'a>>,
    pub(crate) user_mentions: List<Mention<'a>>,
    pub(crate) hashtags: List<Hashtag<'a>>,
    pub(crate) media: List<Media<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct Url<'a> {
    pub(crate) url: Text<'a>,
    pub(crate) expanded_url: Text<'a>,
    pub(crate) display_url: Text<'a>,
    pub(crate) indices: Lenient<(usize, usize)>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct Mention<'a> {
    pub(crate) id_str: Lenient<UserId>,
    pub(crate) screen_name: Text<'a>,
    pub(crate) name: Text<'a>,
    pub(crate) indices: Lenient<(usize, usize)>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct Hashtag<'a> {
    pub(crate) text: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct Media<'a> {
    pub(crate) id_str: Text<'a>,
    #[serde(rename = "type")]
    pub(crate) kind: Text<'a>,
    /// The t.co link in the text.
    pub(crate) url: Text<'a>,
    pub(crate) indices: Lenient<(usize, usize)>,
    pub(crate) expanded_url: Text<'a>,
    pub(crate) media_url_https: Text<'a>,
    pub(crate) original_info: Lenient<OriginalInfo>,
    pub(crate) sizes: Lenient<Sizes>,
    pub(crate) video_info: Lenient<VideoInfo<'a>>,
    pub(crate) ext_alt_text: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct OriginalInfo {
    pub(crate) width: Lenient<u32>,
    pub(crate) height: Lenient<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Sizes {
    pub(crate) large: Lenient<Size>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Size {
    pub(crate) w: Lenient<u32>,
    pub(crate) h: Lenient<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct VideoInfo<'a> {
    pub(crate) duration_millis: Lenient<u32>,
    pub(crate) variants: List<Variant<'a>>,
}

/// One file of a video; v2 has the same with `bit_rate`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct Variant<'a> {
    pub(crate) bitrate: Lenient<u64>,
    pub(crate) bit_rate: Lenient<u64>,
    pub(crate) content_type: Text<'a>,
    pub(crate) url: Text<'a>,
}

/// The link to the quoted post.
#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct Permalink<'a> {
    pub(crate) url: Text<'a>,
    pub(crate) expanded: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct EditHistory<'a> {
    pub(crate) edit_tweet_ids: Option<Raw<'a>>,
}

/// What a deletion names.
#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct Deletion<'a> {
    pub(crate) status: Option<Raw<'a>>,
    pub(crate) timestamp_ms: Option<Raw<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct DeletedStatus<'a> {
    pub(crate) id: Option<Raw<'a>>,
    pub(crate) user_id: Option<Raw<'a>>,
}

/// `user_event.revoke`: the user removed the app.
#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct Revocation<'a> {
    pub(crate) date_time: Text<'a>,
    pub(crate) source: Option<Raw<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct RevocationSource<'a> {
    pub(crate) user_id: Option<Raw<'a>>,
}

/// The end of a replay job.
#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct ReplayJobStatus<'a> {
    pub(crate) job_id: Text<'a>,
    pub(crate) job_state: Text<'a>,
    pub(crate) job_state_description: Text<'a>,
}
