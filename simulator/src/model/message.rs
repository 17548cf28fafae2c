//! Direct messages, and encrypted ones.

use super::ids::{MessageId, PostId, UserId};
use super::media::{Media, NewMedia};

/// A direct message to be written.
#[derive(Clone, Debug, Default)]
pub struct NewMessage {
    /// Who writes it.
    pub sender: UserId,
    /// Who gets it.
    pub recipient: UserId,
    /// As typed.
    pub text: String,
    /// One photo, video or GIF.
    pub media: Option<NewMedia>,
    /// Id of a photo, video or GIF that the sender's app uploaded, in place of `media`.
    pub upload: Option<u64>,
    /// What the button meant with which the sender answered.
    pub quick_reply: Option<String>,
    /// The post with the "send a message" button that the sender pressed.
    pub initiated_via: Option<PostId>,
    /// The app that sent it, by name; the sender's own device when absent.
    pub source_app: Option<String>,
}

impl NewMessage {
    /// A message of text alone.
    pub fn between(sender: UserId, recipient: UserId, text: &str) -> Self {
        Self {
            sender,
            recipient,
            text: text.to_owned(),
            ..Self::default()
        }
    }

    /// The same with a photo, video or GIF.
    #[must_use]
    pub fn with_media(mut self, media: NewMedia) -> Self {
        self.media = Some(media);
        self
    }
}

/// A direct message between two people.
#[derive(Clone, Debug)]
pub(crate) struct DirectMessage {
    /// Its id, which carries its time.
    pub(crate) id: MessageId,
    /// Who wrote it.
    pub(crate) sender: UserId,
    /// Who got it.
    pub(crate) recipient: UserId,
    /// As typed.
    pub(crate) text: String,
    /// Milliseconds since 1970.
    pub(crate) created_at_ms: i64,
    /// What hangs on it.
    pub(crate) media: Option<Media>,
    /// What the pressed button meant.
    pub(crate) quick_reply: Option<String>,
    /// The post whose button was pressed.
    pub(crate) initiated_via: Option<PostId>,
    /// The app that sent it, by name.
    pub(crate) source_app: Option<String>,
}

/// A message of X Chat. Nobody but the two can read it, so there is no text.
#[derive(Clone, Debug)]
pub(crate) struct ChatMessage {
    /// Its id, a UUID.
    pub(crate) id: String,
    /// Who wrote it.
    pub(crate) sender: UserId,
    /// Who got it.
    pub(crate) recipient: UserId,
    /// Milliseconds since 1970.
    pub(crate) created_at_ms: i64,
}
