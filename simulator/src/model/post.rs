//! Posts: what was written, and how one hangs on another.

use serde::{Deserialize, Serialize};

use super::ids::{PostId, UserId};
use super::media::{Media, NewMedia};

/// A post to be written.
#[derive(Clone, Debug, Default)]
pub struct NewPost {
    /// Who writes it.
    pub author: UserId,
    /// As typed: links in full, `&` as `&`; X adds the people of the parent itself.
    pub text: String,
    /// The post it replies to.
    pub in_reply_to: Option<PostId>,
    /// The post it quotes.
    pub quote: Option<PostId>,
    /// Up to four photos, or one video, or one GIF.
    pub media: Vec<NewMedia>,
    /// People of the parent whom the reply shall not mention.
    pub exclude_mentions: Vec<UserId>,
    /// The language X detects; `und` when empty.
    pub lang: String,
    /// Whether X hides its media behind a warning.
    pub possibly_sensitive: bool,
    /// Ids of media uploaded by the author's app, after those of `media`.
    pub uploads: Vec<u64>,
    /// Who may reply.
    pub reply_settings: ReplySettings,
    /// The address of a "send a message" button below the text.
    pub direct_message_link: Option<String>,
    /// The app that wrote it, by name; the author's own device when absent.
    pub source_app: Option<String>,
}

/// Who may reply to a post, by X's words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ReplySettings {
    /// Everybody.
    #[default]
    Everyone,
    /// Whom the post mentions.
    MentionedUsers,
    /// Whom the author follows, and whom the post mentions.
    Following,
    /// Who subscribes to the author, and whom the post mentions; nobody here subscribes.
    Subscribers,
    /// Who has a badge, and whom the post mentions.
    Verified,
}

impl NewPost {
    /// A post that stands alone.
    pub fn by(author: UserId, text: &str) -> Self {
        Self {
            author,
            text: text.to_owned(),
            ..Self::default()
        }
    }

    /// The same as a reply.
    #[must_use]
    pub fn replying_to(mut self, parent: PostId) -> Self {
        self.in_reply_to = Some(parent);
        self
    }

    /// The same with a quoted post.
    #[must_use]
    pub fn quoting(mut self, quoted: PostId) -> Self {
        self.quote = Some(quoted);
        self
    }

    /// The same with one more photo, video or GIF.
    #[must_use]
    pub fn with_media(mut self, media: NewMedia) -> Self {
        self.media.push(media);
        self
    }
}

/// A post, or one version of it.
#[derive(Clone, Debug)]
pub(crate) struct Post {
    /// Its id, which carries its time.
    pub(crate) id: PostId,
    /// Who wrote it.
    pub(crate) author: UserId,
    /// Milliseconds since 1970.
    pub(crate) created_at_ms: i64,
    /// As typed.
    pub(crate) text: String,
    /// The post it replies to.
    pub(crate) parent: Option<PostId>,
    /// The first post of its thread; its own id when it is the first.
    pub(crate) conversation: PostId,
    /// The post it quotes.
    pub(crate) quote: Option<PostId>,
    /// The post it reposts.
    pub(crate) repost_of: Option<PostId>,
    /// What hangs on it.
    pub(crate) media: Vec<Media>,
    /// Whom a reply mentions without having typed it, in order.
    pub(crate) inherited_mentions: Vec<UserId>,
    /// All versions up to this one, oldest first.
    pub(crate) history: Vec<PostId>,
    /// X's language code.
    pub(crate) lang: String,
    /// Whether X hides its media behind a warning.
    pub(crate) possibly_sensitive: bool,
    /// What others made of it.
    pub(crate) counts: Counts,
    /// Whether its author has removed it.
    pub(crate) deleted: bool,
    /// Whether the author of its thread has hidden it.
    pub(crate) hidden: bool,
    /// Who may reply.
    pub(crate) reply_settings: ReplySettings,
    /// The address of a "send a message" button below the text.
    pub(crate) direct_message_link: Option<String>,
    /// The app that wrote it, by name.
    pub(crate) source_app: Option<String>,
}

/// How often a post was answered, quoted, reposted and liked.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) replies: u64,
    pub(crate) quotes: u64,
    pub(crate) reposts: u64,
    pub(crate) likes: u64,
}

impl Post {
    /// Whether X still lets its author change it: replies and reposts never.
    pub(crate) fn is_editable(&self) -> bool {
        self.parent.is_none() && self.repost_of.is_none()
    }
}
