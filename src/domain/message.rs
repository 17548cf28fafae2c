//! What people say at X, in one shape whatever form it came in.

use jiff::Timestamp;

use super::ids::{MessageId, TweetId, UserId};

/// A person or brand as X showed them with the message. Texts are empty where X left them out.
#[derive(Clone, Debug, PartialEq)]
pub struct Person {
    pub id: UserId,
    /// Handle without `@`; up to 15 characters today, do not rely on it.
    pub username: String,
    pub name: String,
    pub avatar_url: String,
    pub location: String,
    pub description: String,
    /// The profile's link, expanded where X gave the expansion.
    pub url: String,
    /// `None` where the delivery has no profile: unknown is not zero.
    pub followers_count: Option<u32>,
    pub verified: Option<bool>,
    pub protected: bool,
    pub created_at: Option<Timestamp>,
}

impl Person {
    /// Somebody of whom only the id is known.
    pub fn unknown(id: UserId) -> Self {
        Self {
            id,
            username: String::new(),
            name: String::new(),
            avatar_url: String::new(),
            location: String::new(),
            description: String::new(),
            url: String::new(),
            followers_count: None,
            verified: None,
            protected: false,
            created_at: None,
        }
    }
}

/// The three kinds of message; also the second word of routing keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MessageKind {
    Post,
    DirectMessage,
    EncryptedMessage,
}

impl MessageKind {
    /// As in routing keys and metrics: `post`, `direct_message`, `encrypted_message`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Post => "post",
            Self::DirectMessage => "direct_message",
            Self::EncryptedMessage => "encrypted_message",
        }
    }
}

/// Somebody named in a post.
#[derive(Clone, Debug, PartialEq)]
pub struct Mention {
    pub id: Option<UserId>,
    pub username: String,
    pub name: String,
    /// False for a mention that a reply inherited: X puts those before the start of
    /// `display_text_range`.
    pub explicit: bool,
}

/// A link in the text.
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    /// The t.co form.
    pub url: String,
    pub expanded_url: String,
    pub display_url: String,
}

/// What an attachment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttachmentKind {
    Photo,
    Video,
    AnimatedGif,
}

impl AttachmentKind {
    /// As in an empty message's summary: `[photo]`, `[video]`, `[GIF]`.
    pub fn label(self) -> &'static str {
        match self {
            Self::Photo => "photo",
            Self::Video => "video",
            Self::AnimatedGif => "GIF",
        }
    }
}

/// A photo, video or GIF of a message; the best variant X offers.
#[derive(Clone, Debug, PartialEq)]
pub struct Attachment {
    /// X's media id or media key.
    pub id: String,
    pub kind: AttachmentKind,
    pub url: String,
    pub preview_url: String,
    /// Empty where it cannot be told.
    pub content_type: String,
    pub filename: String,
    /// Pixels; 0 where unknown.
    pub width: u32,
    pub height: u32,
    /// 0 where X does not say.
    pub size_bytes: u64,
    pub duration_ms: u32,
    pub alt_text: String,
    /// True for direct messages: X serves the file to a participant's credential only.
    pub requires_auth: bool,
}

/// A message of any kind. Times of posts are cut to the second (X's forms differ below it).
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    pub id: MessageId,
    pub created_at: Timestamp,
    pub author: Person,
    /// Whole, t.co links expanded, HTML entities decoded once. Empty for encrypted messages.
    pub text: String,
    /// BCP 47, empty where X did not detect it (`und`).
    pub lang: String,
    pub mentions: Vec<Mention>,
    /// Without `#`.
    pub hashtags: Vec<String>,
    pub links: Vec<Link>,
    pub attachments: Vec<Attachment>,
    pub possibly_sensitive: bool,
    /// Name of the app it was written with, where X says (v1.1, direct messages).
    pub source_app: String,
}

impl Message {
    /// Post, direct message or encrypted message.
    pub fn kind(&self) -> MessageKind {
        self.id.kind()
    }
}

impl MessageId {
    /// Post, direct message or encrypted message.
    pub fn kind(&self) -> MessageKind {
        match self {
            Self::Post(_) => MessageKind::Post,
            Self::DirectMessage(_) => MessageKind::DirectMessage,
            Self::Encrypted(_) => MessageKind::EncryptedMessage,
        }
    }
}

/// Another post that a post points to, and what tells whose it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Reference {
    pub id: TweetId,
    /// Its author, where the delivery says.
    pub author_id: Option<UserId>,
    /// The handle in the link to it (`x.com/<handle>/status/<id>`), where the delivery has one.
    pub link_username: Option<String>,
    /// X's event kind says that it is a post of the receiving account (`post.reply.create`, ...).
    pub of_account: bool,
}

/// The post that a post quotes.
#[derive(Clone, Debug, PartialEq)]
pub struct Quoted {
    pub reference: Reference,
    /// Empty where the delivery does not carry the quoted post.
    pub text: String,
    pub author: Option<Person>,
}

/// Who may reply to a post; X's values, compared loosely, the unknown taken for restricted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplySettings {
    Everyone,
    Restricted,
    /// The delivery does not say (v1.1 forms).
    Unknown,
}

/// A post with what only posts have.
#[derive(Clone, Debug, PartialEq)]
pub struct Post {
    pub id: TweetId,
    pub message: Message,
    /// X's `conversation_id`: the root of the thread; `None` in v1.1 forms.
    pub root: Option<TweetId>,
    pub replied_to: Option<Reference>,
    pub quoted: Option<Quoted>,
    /// Set when this is a repost; `message` then carries the text of the reposted one.
    pub reposted: Option<Reference>,
    /// Versions, oldest first, this one included; just this one where X says nothing.
    pub edit_history: Vec<TweetId>,
    pub reply_settings: ReplySettings,
    /// The receiving account blocks the author (`user_has_blocked`).
    pub author_blocked: bool,
}

impl Post {
    /// Id of the first version: what a core knows the post by.
    pub fn original_id(&self) -> TweetId {
        self.edit_history.first().copied().unwrap_or(self.id)
    }

    /// Whether it tells of a person: wrote it, is named in it, answered, quoted or reposted by it.
    pub fn names(&self, person: UserId) -> bool {
        let quoted = self.quoted.as_ref().map(|quoted| &quoted.reference);
        let references = [self.replied_to.as_ref(), self.reposted.as_ref(), quoted];
        let mut mentions = self.message.mentions.iter();
        self.message.author.id == person
            || mentions.any(|it| it.id == Some(person))
            || references
                .into_iter()
                .flatten()
                .any(|it| it.author_id == Some(person))
    }
}

#[cfg(test)]
impl Message {
    /// A post with this text and nothing else.
    pub(crate) fn saying(text: &str) -> Self {
        Self {
            id: MessageId::Post("7".parse().unwrap()),
            created_at: Timestamp::UNIX_EPOCH,
            author: Person::unknown("9".parse().unwrap()),
            text: text.to_owned(),
            lang: String::new(),
            mentions: vec![],
            hashtags: vec![],
            links: vec![],
            attachments: vec![],
            possibly_sensitive: false,
            source_app: String::new(),
        }
    }
}
