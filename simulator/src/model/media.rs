//! Photos, videos and GIFs, and where they lie.

use serde::Deserialize;

use super::ids::{MediaId, MessageId};

/// What kind of picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MediaKind {
    /// A still picture.
    Photo,
    /// A film with sound, in several qualities.
    Video,
    /// A film without sound that repeats.
    AnimatedGif,
}

impl MediaKind {
    /// X's word for it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Photo => "photo",
            Self::Video => "video",
            Self::AnimatedGif => "animated_gif",
        }
    }

    /// The number before the underscore of a v2 media key.
    pub(crate) fn key_prefix(self) -> u8 {
        match self {
            Self::Photo => 3,
            Self::Video => 7,
            Self::AnimatedGif => 16,
        }
    }
}

/// A photo, video or GIF to be attached.
#[derive(Clone, Debug)]
pub struct NewMedia {
    /// What it is.
    pub kind: MediaKind,
    /// Its description for those who cannot see it; empty when not given.
    pub alt_text: String,
}

impl NewMedia {
    /// One of that kind, without a description.
    pub fn of(kind: MediaKind) -> Self {
        Self {
            kind,
            alt_text: String::new(),
        }
    }

    /// A photo without a description.
    pub fn photo() -> Self {
        Self::of(MediaKind::Photo)
    }
}

/// A photo, video or GIF of a post or message.
#[derive(Clone, Debug)]
pub(crate) struct Media {
    /// Its id.
    pub(crate) id: MediaId,
    /// What it is.
    pub(crate) kind: MediaKind,
    /// Its description.
    pub(crate) alt_text: String,
    /// Pixels across.
    pub(crate) width: u32,
    /// Pixels down.
    pub(crate) height: u32,
    /// How long it plays; 0 for photos.
    pub(crate) duration_ms: u64,
}

impl Media {
    pub(crate) fn new(id: MediaId, new: NewMedia) -> Self {
        Self::of_kind(id, new.kind, new.alt_text)
    }

    pub(crate) fn of_kind(id: MediaId, kind: MediaKind, alt_text: String) -> Self {
        let (width, height, duration_ms) = match kind {
            MediaKind::Photo => (1200, 900, 0),
            MediaKind::Video => (1280, 720, 34_875),
            MediaKind::AnimatedGif => (350, 262, 0),
        };
        Self {
            id,
            kind,
            alt_text,
            width,
            height,
            duration_ms,
        }
    }

    /// X's v2 name of it.
    pub(crate) fn key(&self) -> String {
        format!("{}_{}", self.kind.key_prefix(), self.id)
    }
}

/// One file of a video: its bit rate (absent for playlists), type and address.
pub(crate) struct Variant {
    pub(crate) bit_rate: Option<u32>,
    pub(crate) content_type: &'static str,
    pub(crate) url: String,
}

/// The hosts that media addresses begin with.
#[derive(Clone, Debug)]
pub(crate) struct MediaHosts {
    /// Pictures.
    pub(crate) images: String,
    /// Films.
    pub(crate) videos: String,
    /// What belongs to direct messages, and needs authorisation at X.
    pub(crate) messages: String,
}

impl MediaHosts {
    /// As X has them.
    pub(crate) fn of_x() -> Self {
        Self {
            images: "https://pbs.twimg.com".into(),
            videos: "https://video.twimg.com".into(),
            messages: "https://ton.twitter.com".into(),
        }
    }

    /// X's paths, all below one address.
    pub(crate) fn all_at(base: &str) -> Self {
        let base = base.trim_end_matches('/').to_owned();
        Self {
            images: base.clone(),
            videos: base.clone(),
            messages: base,
        }
    }

    /// The still picture: the photo itself, or what a film shows before it plays.
    pub(crate) fn still(&self, media: &Media) -> String {
        let folder = match media.kind {
            MediaKind::Photo => "media",
            MediaKind::Video => "ext_tw_video_thumb",
            MediaKind::AnimatedGif => "tweet_video_thumb",
        };
        format!("{}/{folder}/{}.png", self.images, media.id)
    }

    /// The picture of a direct message.
    pub(crate) fn message_still(&self, message: MessageId, media: &Media) -> String {
        let (base, id) = (&self.messages, media.id);
        format!("{base}/1.1/ton/data/dm/{message}/{id}/{id}.png")
    }

    /// The files of a film; none for a photo.
    pub(crate) fn variants(&self, media: &Media) -> Vec<Variant> {
        let (base, id) = (&self.videos, media.id);
        let mp4 = |bit_rate, path: String| Variant {
            bit_rate: Some(bit_rate),
            content_type: "video/mp4",
            url: format!("{base}/{path}"),
        };
        match media.kind {
            MediaKind::Photo => Vec::new(),
            MediaKind::AnimatedGif => vec![mp4(0, format!("tweet_video/{id}.mp4"))],
            MediaKind::Video => vec![
                mp4(
                    256_000,
                    format!("ext_tw_video/{id}/pu/vid/480x270/{id}.mp4?tag=10"),
                ),
                Variant {
                    bit_rate: None,
                    content_type: "application/x-mpegURL",
                    url: format!("{base}/ext_tw_video/{id}/pu/pl/{id}.m3u8?tag=10"),
                },
                mp4(
                    2_176_000,
                    format!("ext_tw_video/{id}/pu/vid/1280x720/{id}.mp4?tag=10"),
                ),
            ],
        }
    }
}
