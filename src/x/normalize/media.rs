//! Photos, videos and GIFs.

use crate::domain::message::{Attachment, AttachmentKind};
use crate::x::wire::v1::Variant;
use crate::x::wire::{v1, v2};

/// A v1.1 media object; `requires_auth` for those of direct messages.
pub(super) fn from_v1(media: &v1::Media<'_>, requires_auth: bool) -> Attachment {
    let video = media.video_info.as_ref();
    let variants = video.map_or(&[][..], |video| &video.variants);
    let (width, height) = size(media);
    Attachment {
        id: media.id_str.to_string(),
        width,
        height,
        duration_ms: video.and_then(|video| *video.duration_millis).unwrap_or(0),
        alt_text: media.ext_alt_text.to_string(),
        requires_auth,
        ..file(
            &media.kind,
            &media.media_url_https,
            &media.media_url_https,
            variants,
        )
    }
}

fn size(media: &v1::Media<'_>) -> (u32, u32) {
    let large = media.sizes.as_ref().and_then(|sizes| sizes.large.as_ref());
    let original = media.original_info.as_ref();
    let sides = original
        .map(|info| (*info.width, *info.height))
        .or_else(|| large.map(|size| (*size.w, *size.h)));
    sides.map_or((0, 0), |(width, height)| {
        (width.unwrap_or(0), height.unwrap_or(0))
    })
}

/// A v2 media object.
pub(super) fn from_v2(media: &v2::Media<'_>) -> Attachment {
    Attachment {
        id: media.media_key.to_string(),
        width: media.width.unwrap_or(0),
        height: media.height.unwrap_or(0),
        duration_ms: media.duration_ms.unwrap_or(0),
        alt_text: media.alt_text.to_string(),
        ..file(
            &media.kind,
            &media.url,
            &media.preview_image_url,
            &media.variants,
        )
    }
}

/// The best file: of a photo the picture, of anything that plays the variant with most bits.
fn file(kind: &str, picture: &str, preview: &str, variants: &[Variant<'_>]) -> Attachment {
    let kind = kind_of(kind, variants);
    let (url, content_type, preview_url) = match kind {
        AttachmentKind::Photo => (picture, photo_type(picture), ""),
        AttachmentKind::Video | AttachmentKind::AnimatedGif => {
            let (url, content_type) = best(variants).unwrap_or_default();
            (url, content_type, preview)
        }
    };
    Attachment {
        id: String::new(),
        kind,
        url: url.to_owned(),
        preview_url: preview_url.to_owned(),
        content_type: content_type.to_owned(),
        filename: filename(url),
        width: 0,
        height: 0,
        size_bytes: 0,
        duration_ms: 0,
        alt_text: String::new(),
        requires_auth: false,
    }
}

/// X may name further kinds at any time; what has variants plays.
fn kind_of(name: &str, variants: &[Variant<'_>]) -> AttachmentKind {
    match name {
        "animated_gif" => AttachmentKind::AnimatedGif,
        "video" => AttachmentKind::Video,
        "photo" => AttachmentKind::Photo,
        _ if variants.is_empty() => AttachmentKind::Photo,
        _ => AttachmentKind::Video,
    }
}

/// The MP4 with the highest bit rate, else whatever variant there is: URL and content type.
fn best<'a>(variants: &'a [Variant<'_>]) -> Option<(&'a str, &'a str)> {
    let quality = |variant: &&Variant<'_>| {
        let is_mp4 = &*variant.content_type == "video/mp4";
        (is_mp4, variant.bitrate.or(*variant.bit_rate).unwrap_or(0))
    };
    let best = variants.iter().max_by_key(quality)?;
    Some((&best.url, &best.content_type))
}

fn photo_type(url: &str) -> &'static str {
    match extension(url) {
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("png") => "image/png",
        Some("gif") => "image/gif",
        Some("webp") => "image/webp",
        _ => "",
    }
}

/// The last part of the path, with the extension where only `?format=` tells it.
fn filename(url: &str) -> String {
    let name = last_segment(url);
    match extension(url) {
        Some(extension) if !name.contains('.') => format!("{name}.{extension}"),
        _ => name.to_owned(),
    }
}

fn extension(url: &str) -> Option<&str> {
    let by_name = last_segment(url).rsplit_once('.').map(|(_, end)| end);
    by_name.or_else(|| {
        let (_, query) = url.split_once('?')?;
        let format = query
            .split('&')
            .find_map(|part| part.strip_prefix("format="));
        format.filter(|format| format.bytes().all(|byte| byte.is_ascii_alphanumeric()))
    })
}

fn last_segment(url: &str) -> &str {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    path.rsplit('/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_video_is_its_best_mp4() {
        let media = serde_json::from_str(
            r#"{"id_str":"1","type":"video","media_url_https":"https://p.example/t.jpg","ext_alt_text":"a cat",
                "sizes":{"large":{"w":1280,"h":720},"thumb":{"w":150,"h":150}},
                "video_info":{"duration_millis":34875,"variants":[
                  {"content_type":"application/x-mpegURL","url":"https://v.example/pl.m3u8"},
                  {"bitrate":2176000,"content_type":"video/mp4","url":"https://v.example/high.mp4?tag=10"},
                  {"bitrate":256000,"content_type":"video/mp4","url":"https://v.example/low.mp4"}]}}"#,
        )
        .unwrap();
        let video = from_v1(&media, false);
        assert_eq!(video.kind, AttachmentKind::Video);
        assert_eq!(video.url, "https://v.example/high.mp4?tag=10");
        assert_eq!(video.preview_url, "https://p.example/t.jpg");
        assert_eq!(
            (&*video.content_type, &*video.filename),
            ("video/mp4", "high.mp4")
        );
        assert_eq!(
            (video.width, video.height, video.duration_ms),
            (1280, 720, 34875)
        );
        assert_eq!(video.alt_text, "a cat");
    }

    #[test]
    fn a_v2_gif_has_its_variant_and_preview() {
        let media = serde_json::from_str(
            r#"{"media_key":"16_1","type":"animated_gif","preview_image_url":"https://p.example/t.jpg",
                "width":350,"height":262,"variants":[{"bit_rate":0,"content_type":"video/mp4","url":"https://v.example/g.mp4"}]}"#,
        )
        .unwrap();
        let gif = from_v2(&media);
        assert_eq!(
            (gif.kind, &*gif.url),
            (AttachmentKind::AnimatedGif, "https://v.example/g.mp4")
        );
        assert_eq!(
            (&*gif.id, &*gif.preview_url),
            ("16_1", "https://p.example/t.jpg")
        );
    }

    #[test]
    fn a_photo_has_its_own_size_and_type() {
        let media = serde_json::from_str(
            r#"{"id_str":"1","type":"photo","media_url_https":"https://p.example/abc?format=png&name=large",
                "original_info":{"width":4000,"height":3000},"sizes":{"large":{"w":2048,"h":1536}}}"#,
        )
        .unwrap();
        let photo = from_v1(&media, true);
        assert_eq!(
            (&*photo.content_type, &*photo.filename),
            ("image/png", "abc.png")
        );
        assert_eq!((photo.width, photo.height), (4000, 3000));
        assert!(photo.requires_auth && photo.preview_url.is_empty());
    }

    #[test]
    fn a_kind_that_nobody_knows_plays_if_it_has_variants() {
        let read = |json: &str| from_v2(&serde_json::from_str(json).unwrap());
        assert_eq!(read(r#"{"type":"hologram"}"#).kind, AttachmentKind::Photo);
        let audio = read(
            r#"{"type":"audio","variants":[{"content_type":"audio/mp4","url":"https://v.example/a"}]}"#,
        );
        assert_eq!(
            (audio.kind, &*audio.content_type),
            (AttachmentKind::Video, "audio/mp4")
        );
    }
}
