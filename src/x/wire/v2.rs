//! Posts, media and inclusions in the v2 form, which X Activity and filtered streams carry. X is
//! renaming "tweet" to "post" in field names: both are read.

use serde::Deserialize;

use super::v1::Variant;
use super::{Lenient, List, Raw, Text, User};
use crate::domain::ids::UserId;

#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct Post<'a> {
    pub(crate) id: Option<Raw<'a>>,
    pub(crate) created_at: Text<'a>,
    pub(crate) author_id: Option<Raw<'a>>,
    pub(crate) conversation_id: Option<Raw<'a>>,
    pub(crate) in_reply_to_user_id: Option<Raw<'a>>,
    pub(crate) in_reply_to_tweet_id: Option<Raw<'a>>,
    pub(crate) referenced_tweets: Option<Raw<'a>>,
    pub(crate) referenced_posts: Option<Raw<'a>>,
    pub(crate) edit_history_tweet_ids: Option<Raw<'a>>,
    pub(crate) edit_history_post_ids: Option<Raw<'a>>,
    /// The short form where a note is there.
    pub(crate) text: Text<'a>,
    pub(crate) entities: Lenient<Entities<'a>>,
    pub(crate) note_tweet: Lenient<Note<'a>>,
    pub(crate) note_post: Lenient<Note<'a>>,
    pub(crate) display_text_range: Lenient<(usize, usize)>,
    pub(crate) attachments: Lenient<Attachments<'a>>,
    pub(crate) possibly_sensitive: Lenient<bool>,
    pub(crate) reply_settings: Text<'a>,
    pub(crate) lang: Text<'a>,
    pub(crate) source: Text<'a>,
}

impl<'a> Post<'a> {
    /// The whole text of a post over 280 characters.
    pub(crate) fn note(&self) -> Option<&Note<'a>> {
        self.note_tweet.as_ref().or(self.note_post.as_ref())
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct Note<'a> {
    pub(crate) text: Text<'a>,
    pub(crate) entities: Lenient<Entities<'a>>,
}

/// One of `referenced_tweets`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct ReferencedPost<'a> {
    /// `replied_to`, `quoted` or `retweeted`.
    #[serde(rename = "type")]
    pub(crate) kind: Text<'a>,
    pub(crate) id: Option<Raw<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct Entities<'a> {
    pub(crate) urls: List<Url<'a>>,
    pub(crate) mentions: List<Mention<'a>>,
    pub(crate) hashtags: List<Hashtag<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct Url<'a> {
    pub(crate) start: Lenient<usize>,
    pub(crate) end: Lenient<usize>,
    pub(crate) url: Text<'a>,
    pub(crate) expanded_url: Text<'a>,
    pub(crate) display_url: Text<'a>,
    /// Set on the link to the post's own media.
    pub(crate) media_key: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct Mention<'a> {
    pub(crate) start: Lenient<usize>,
    pub(crate) username: Text<'a>,
    pub(crate) id: Lenient<UserId>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct Hashtag<'a> {
    pub(crate) tag: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct Attachments<'a> {
    pub(crate) media_keys: List<Text<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct Media<'a> {
    pub(crate) media_key: Text<'a>,
    #[serde(rename = "type")]
    pub(crate) kind: Text<'a>,
    pub(crate) url: Text<'a>,
    pub(crate) preview_image_url: Text<'a>,
    pub(crate) width: Lenient<u32>,
    pub(crate) height: Lenient<u32>,
    pub(crate) duration_ms: Lenient<u32>,
    pub(crate) alt_text: Text<'a>,
    pub(crate) variants: List<Variant<'a>>,
}

/// What posts refer to, beside them. Posts stay raw: X Activity repeats the very post here, and
/// most deliveries need none of them.
#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct Includes<'a> {
    pub(crate) users: List<User<'a>>,
    pub(crate) media: List<Media<'a>>,
    pub(crate) tweets: Option<Raw<'a>>,
    pub(crate) posts: Option<Raw<'a>>,
}

/// One event of X Activity: everything under `data`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct ActivityEvent<'a> {
    pub(crate) event_type: Text<'a>,
    pub(crate) filter: Lenient<ActivityFilter<'a>>,
    pub(crate) payload: Option<Raw<'a>>,
    pub(crate) includes: Lenient<Includes<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct ActivityFilter<'a> {
    pub(crate) user_id: Option<Raw<'a>>,
}

/// `post.delete`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct Deletion<'a> {
    pub(crate) id: Option<Raw<'a>>,
    pub(crate) author_id: Option<Raw<'a>>,
}

/// `oauth.revoke`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct Revocation<'a> {
    pub(crate) date_time: Text<'a>,
    pub(crate) user_id: Option<Raw<'a>>,
}

/// `chat.received` and `chat.sent`: what can be read without keys. `conversation_token` is a
/// credential and never read.
#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct ChatMessage<'a> {
    pub(crate) id: Text<'a>,
    pub(crate) conversation_id: Text<'a>,
    pub(crate) sender_id: Option<Raw<'a>>,
    pub(crate) created_at_msec: Option<Raw<'a>>,
}
