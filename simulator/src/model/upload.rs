//! Media that apps upload before they use it.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::ids::{MediaId, UserId};
use super::media::{Media, MediaKind};

/// What an upload is for, by X's words; a wrong one fails when it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Category {
    TweetImage,
    TweetGif,
    TweetVideo,
    AmplifyVideo,
    DmImage,
    DmGif,
    DmVideo,
    Subtitles,
}

impl Category {
    pub(crate) fn kind(self) -> Option<MediaKind> {
        match self {
            Self::TweetImage | Self::DmImage => Some(MediaKind::Photo),
            Self::TweetGif | Self::DmGif => Some(MediaKind::AnimatedGif),
            Self::TweetVideo | Self::AmplifyVideo | Self::DmVideo => Some(MediaKind::Video),
            Self::Subtitles => None,
        }
    }

    pub(crate) fn is_for_messages(self) -> bool {
        matches!(self, Self::DmImage | Self::DmGif | Self::DmVideo)
    }

    /// In bytes.
    pub(crate) fn max_size(self) -> usize {
        const MB: usize = 1 << 20;
        match self.kind() {
            Some(MediaKind::Photo) => 5 * MB,
            Some(MediaKind::AnimatedGif) => 15 * MB,
            Some(MediaKind::Video) => 512 * MB,
            None => MB,
        }
    }
}

/// How far X is with an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Processing {
    /// Chunks are still coming.
    Uploading,
    /// So many looks at it until it is done.
    Running { looks_left: u32, looks: u32 },
    /// It can be used.
    Done,
    /// X cannot read it.
    Failed,
}

/// One upload.
#[derive(Clone, Debug)]
pub(crate) struct Upload {
    pub(crate) id: MediaId,
    pub(crate) owner: UserId,
    /// Others who may use it.
    pub(crate) other_owners: Vec<UserId>,
    pub(crate) category: Category,
    /// As the app declared it.
    pub(crate) media_type: String,
    /// As declared; of a one-shot upload its size.
    pub(crate) total_bytes: usize,
    /// The chunks by their index.
    pub(crate) chunks: std::collections::BTreeMap<u16, Bytes>,
    /// All of it, once it is complete.
    pub(crate) content: Bytes,
    pub(crate) alt_text: String,
    /// Pixels across and down, as far as the content says so.
    pub(crate) size: Option<(u32, u32)>,
    /// Milliseconds since 1970.
    pub(crate) expires_at_ms: i64,
    pub(crate) processing: Processing,
}

impl Upload {
    pub(crate) fn is_owned_by(&self, user: UserId) -> bool {
        self.owner == user || self.other_owners.contains(&user)
    }

    /// As part of a post or message; nothing where it is none.
    pub(crate) fn medium(&self) -> Option<Media> {
        let kind = self.category.kind()?;
        let mut medium = Media::of_kind(self.id, kind, self.alt_text.clone());
        if let Some((width, height)) = self.size {
            (medium.width, medium.height) = (width, height);
        }
        Some(medium)
    }

    /// X's v2 name of it.
    pub(crate) fn key(&self) -> String {
        let prefix = self.category.kind().map_or(13, MediaKind::key_prefix);
        format!("{prefix}_{}", self.id)
    }
}
