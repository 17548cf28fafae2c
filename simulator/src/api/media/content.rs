//! What a file is, by its first bytes.

use crate::model::{Category, MediaKind};

/// What was found.
pub(super) struct Found {
    pub(super) media_type: &'static str,
    kind: MediaKind,
    /// Pixels across and down, where the head says so.
    pub(super) size: Option<(u32, u32)>,
}

/// A GIF may be a photo or animated; its category decides.
pub(super) fn look(content: &[u8]) -> Option<Found> {
    let found = |media_type, kind, size| {
        Some(Found {
            media_type,
            kind,
            size,
        })
    };
    if content.starts_with(b"\x89PNG\r\n\x1a\n") {
        return found("image/png", MediaKind::Photo, png_size(content));
    }
    if content.starts_with(b"\xff\xd8\xff") {
        return found("image/jpeg", MediaKind::Photo, None);
    }
    if content.starts_with(b"GIF87a") || content.starts_with(b"GIF89a") {
        return found("image/gif", MediaKind::AnimatedGif, gif_size(content));
    }
    if content.starts_with(b"RIFF") && content.get(8..12) == Some(b"WEBP") {
        return found("image/webp", MediaKind::Photo, None);
    }
    match content.get(4..12)? {
        b"ftypqt  " => found("video/quicktime", MediaKind::Video, None),
        brand if brand.starts_with(b"ftyp") => found("video/mp4", MediaKind::Video, None),
        _ => None,
    }
}

/// Whether the content is what the category is for.
pub(super) fn fits(category: Category, found: &Found) -> bool {
    const WIDEST: (u32, u32) = (1280, 1080);
    match category.kind() {
        Some(MediaKind::Photo) => found.kind != MediaKind::Video,
        Some(MediaKind::AnimatedGif) => {
            let small = found
                .size
                .is_some_and(|(x, y)| x <= WIDEST.0 && y <= WIDEST.1);
            found.kind == MediaKind::AnimatedGif && small
        }
        Some(MediaKind::Video) => found.kind == MediaKind::Video,
        None => false,
    }
}

/// Whether a declared type can go with the category.
pub(super) fn may_be(category: Category, media_type: &str) -> bool {
    match category.kind() {
        Some(MediaKind::Photo) => media_type.starts_with("image/"),
        Some(MediaKind::AnimatedGif) => media_type == "image/gif",
        Some(MediaKind::Video) => media_type.starts_with("video/"),
        None => media_type.starts_with("text/"),
    }
}

/// What X takes it for when no category is given.
pub(super) fn usual_category(media_type: &str) -> Category {
    match media_type {
        "image/gif" => Category::TweetGif,
        video if video.starts_with("video/") => Category::TweetVideo,
        _ => Category::TweetImage,
    }
}

fn png_size(content: &[u8]) -> Option<(u32, u32)> {
    let number = |at: usize| {
        let bytes: [u8; 4] = content.get(at..at + 4)?.try_into().ok()?;
        Some(u32::from_be_bytes(bytes))
    };
    Some((number(16)?, number(20)?))
}

fn gif_size(content: &[u8]) -> Option<(u32, u32)> {
    let number = |at: usize| {
        let bytes: [u8; 2] = content.get(at..at + 2)?.try_into().ok()?;
        Some(u32::from(u16::from_le_bytes(bytes)))
    };
    Some((number(6)?, number(8)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_tells_what_a_file_is() {
        let gif = b"GIF89a\x40\x01\xf0\x00rest";
        let found = look(gif).unwrap();
        assert_eq!(
            (found.media_type, found.size),
            ("image/gif", Some((320, 240)))
        );
        assert!(fits(Category::TweetGif, &found));
        assert!(fits(Category::TweetImage, &found));
        assert!(!fits(Category::DmVideo, &found));
        let video = look(b"\0\0\0\x18ftypmp42more").unwrap();
        assert_eq!(video.media_type, "video/mp4");
        assert!(look(b"<html>not a picture</html>").is_none());
        assert!(look(b"").is_none());
    }

    #[test]
    fn a_gif_of_too_many_pixels_is_refused() {
        let found = look(b"GIF89a\x01\x05\x10\x00").unwrap();
        assert_eq!(found.size, Some((1281, 16)));
        assert!(!fits(Category::TweetGif, &found));
    }
}
