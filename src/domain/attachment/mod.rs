//! What X takes as an attachment, and for what.
//!
//! Limits: X's "Media" introduction and "Media best practices", as of 2026-08-22. X names sizes in
//! MB without saying which; the larger reading is taken, X has the last word.

mod gif;
mod inspect;
mod unfit;
mod video;

use serde::{Deserialize, Serialize};

pub use inspect::{Inspector, inspect};
pub use unfit::{Unfit, UnfitCode};

pub use super::message::AttachmentKind;

const MIB: u64 = 1024 * 1024;
/// Most bytes of a photo, a GIF that stands still among them.
pub const PHOTO_BYTES: u64 = 5 * MIB;
/// Most bytes of an animated GIF.
pub const GIF_BYTES: u64 = 15 * MIB;
/// Most bytes of a video.
pub const VIDEO_BYTES: u64 = 512 * MIB;
/// Most bytes of anything: nothing longer needs to be read.
pub const LARGEST_BYTES: u64 = VIDEO_BYTES;
/// Most photos of one post.
pub const POST_PHOTOS: usize = 4;
/// Longest alt text, characters.
const ALT_TEXT: usize = 1_000;

/// What an attachment goes with: X uploads the two apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    Post,
    DirectMessage,
}

/// The types of file that X takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MediaType {
    #[serde(rename = "image/jpeg")]
    Jpeg,
    #[serde(rename = "image/png")]
    Png,
    #[serde(rename = "image/webp")]
    Webp,
    #[serde(rename = "image/gif")]
    Gif,
    #[serde(rename = "video/mp4")]
    Mp4,
    #[serde(rename = "video/quicktime")]
    QuickTime,
}

impl MediaType {
    /// As in a `Content-Type` header and in X's `media_type`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::Webp => "image/webp",
            Self::Gif => "image/gif",
            Self::Mp4 => "video/mp4",
            Self::QuickTime => "video/quicktime",
        }
    }
}

/// A file that X takes, as its content tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inspected {
    pub media_type: MediaType,
    /// A GIF of more than one frame.
    pub animated: bool,
    /// Bytes.
    pub size: u64,
}

impl Inspected {
    /// A GIF that stands still is a photo.
    pub fn kind(&self) -> AttachmentKind {
        match self.media_type {
            MediaType::Mp4 | MediaType::QuickTime => AttachmentKind::Video,
            MediaType::Gif if self.animated => AttachmentKind::AnimatedGif,
            MediaType::Jpeg | MediaType::Png | MediaType::Webp | MediaType::Gif => {
                AttachmentKind::Photo
            }
        }
    }
}

/// X's `media_category`; a wrong one fails only when the media is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaCategory {
    TweetImage,
    TweetGif,
    TweetVideo,
    DmImage,
    DmGif,
    DmVideo,
}

impl MediaCategory {
    /// The category of a kind of file for what it goes with.
    pub fn of(kind: AttachmentKind, target: Target) -> Self {
        match (target, kind) {
            (Target::Post, AttachmentKind::Photo) => Self::TweetImage,
            (Target::Post, AttachmentKind::AnimatedGif) => Self::TweetGif,
            (Target::Post, AttachmentKind::Video) => Self::TweetVideo,
            (Target::DirectMessage, AttachmentKind::Photo) => Self::DmImage,
            (Target::DirectMessage, AttachmentKind::AnimatedGif) => Self::DmGif,
            (Target::DirectMessage, AttachmentKind::Video) => Self::DmVideo,
        }
    }

    /// As X spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TweetImage => "tweet_image",
            Self::TweetGif => "tweet_gif",
            Self::TweetVideo => "tweet_video",
            Self::DmImage => "dm_image",
            Self::DmGif => "dm_gif",
            Self::DmVideo => "dm_video",
        }
    }

    /// Photos, which X takes in one piece.
    pub fn is_photo(self) -> bool {
        matches!(self, Self::TweetImage | Self::DmImage)
    }
}

/// What can be said before anything was fetched: a post has at most four attachments, a direct
/// message one.
///
/// # Errors
/// [`Unfit::TooMany`].
pub fn check_count(target: Target, count: usize) -> Result<(), Unfit> {
    let most = match target {
        Target::Post => POST_PHOTOS,
        Target::DirectMessage => 1,
    };
    if count > most {
        return Err(Unfit::TooMany {
            target,
            count,
            most,
        });
    }
    Ok(())
}

/// The rule for all attachments together: up to four photos, or one GIF, or one video; one of
/// whatever kind for a direct message.
///
/// # Errors
/// [`Unfit::TooMany`], [`Unfit::Mixed`].
pub fn check_set(target: Target, kinds: &[AttachmentKind]) -> Result<(), Unfit> {
    check_count(target, kinds.len())?;
    let all_photos = kinds.iter().all(|kind| *kind == AttachmentKind::Photo);
    if kinds.len() > 1 && !all_photos {
        return Err(Unfit::Mixed);
    }
    Ok(())
}

/// What stands for a photo where it cannot be seen: 1 to 1,000 characters.
/// Source: X's "Media metadata"; only photos have one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AltText(String);

impl AltText {
    /// # Errors
    /// [`InvalidAltText::TooLong`], [`InvalidAltText::Empty`].
    pub fn parse(raw: &str) -> Result<Self, InvalidAltText> {
        match raw.chars().count() {
            0 => Err(InvalidAltText::Empty),
            length if length > ALT_TEXT => Err(InvalidAltText::TooLong(length)),
            _ => Ok(Self(raw.to_owned())),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// # Errors
    /// [`InvalidAltText::NoPhoto`].
    pub fn check_kind(&self, kind: AttachmentKind) -> Result<(), InvalidAltText> {
        match kind {
            AttachmentKind::Photo => Ok(()),
            AttachmentKind::AnimatedGif | AttachmentKind::Video => {
                Err(InvalidAltText::NoPhoto(kind.label()))
            }
        }
    }
}

impl TryFrom<String> for AltText {
    type Error = InvalidAltText;

    fn try_from(raw: String) -> Result<Self, InvalidAltText> {
        Self::parse(&raw)
    }
}

impl From<AltText> for String {
    fn from(text: AltText) -> Self {
        text.0
    }
}

/// Why a text cannot be an alt text, or not of this file: `INVALID`, field `alt_text`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAltText {
    #[error("the alt text has {0} characters, X takes at most {ALT_TEXT}")]
    TooLong(usize),
    #[error("the alt text is empty")]
    Empty,
    #[error("X takes an alt text for photos only, and this file is a {0}")]
    NoPhoto(&'static str),
}

#[cfg(test)]
mod tests {
    use AttachmentKind::{AnimatedGif, Photo, Video};
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::no_attachment(Target::Post, &[])]
    #[case::four_photos(Target::Post, &[Photo; 4])]
    #[case::one_gif(Target::Post, &[AnimatedGif])]
    #[case::one_video(Target::Post, &[Video])]
    #[case::one_in_a_message(Target::DirectMessage, &[Video])]
    fn what_x_takes_together_is_let_through(
        #[case] target: Target,
        #[case] kinds: &[AttachmentKind],
    ) {
        assert_eq!(check_set(target, kinds), Ok(()));
    }

    #[rstest]
    #[case::five_photos(Target::Post, &[Photo; 5], "5")]
    #[case::two_gifs(Target::Post, &[AnimatedGif; 2], "one animated GIF")]
    #[case::photo_and_video(Target::Post, &[Photo, Video], "one video")]
    #[case::two_in_a_message(Target::DirectMessage, &[Photo; 2], "direct message")]
    fn what_x_does_not_take_together_is_refused(
        #[case] target: Target,
        #[case] kinds: &[AttachmentKind],
        #[case] says: &str,
    ) {
        let unfit = check_set(target, kinds).unwrap_err();
        assert!(unfit.to_string().contains(says), "{unfit}");
        assert_eq!(unfit.code(), UnfitCode::Unsupported);
    }

    #[rstest]
    #[case(Photo, "tweet_image", "dm_image")]
    #[case(AnimatedGif, "tweet_gif", "dm_gif")]
    #[case(Video, "tweet_video", "dm_video")]
    fn each_kind_has_a_category_for_posts_and_for_messages(
        #[case] kind: AttachmentKind,
        #[case] post: &str,
        #[case] direct: &str,
    ) {
        let category = |target| MediaCategory::of(kind, target).as_str();
        assert_eq!(category(Target::Post), post);
        assert_eq!(category(Target::DirectMessage), direct);
    }

    #[test]
    fn an_alt_text_has_at_most_1000_characters() {
        assert!(AltText::parse(&"ü".repeat(1_000)).is_ok());
        assert_eq!(
            AltText::parse(&"ü".repeat(1_001)),
            Err(InvalidAltText::TooLong(1_001))
        );
        assert_eq!(AltText::parse(""), Err(InvalidAltText::Empty));
    }

    #[test]
    fn only_photos_have_an_alt_text() {
        let text = AltText::parse("a kettle").unwrap();
        assert_eq!(text.check_kind(Photo), Ok(()));
        assert!(text.check_kind(AnimatedGif).is_err());
        assert!(text.check_kind(Video).is_err());
    }

    #[test]
    fn what_was_found_survives_being_written_down() {
        let found = Inspected {
            media_type: MediaType::Gif,
            animated: true,
            size: 7,
        };
        let written = serde_json::to_string(&found).unwrap();
        assert!(written.contains("image/gif"), "{written}");
        assert_eq!(serde_json::from_str::<Inspected>(&written).unwrap(), found);
    }
}
