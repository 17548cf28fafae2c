//! Tells what a file is by its content, while it comes in.

use super::video::Container;
use super::{GIF_BYTES, Inspected, MediaType, PHOTO_BYTES, Unfit, VIDEO_BYTES, gif};

/// So many bytes tell the type.
const HEAD: usize = 512;
/// Of a declared type that is repeated in words; whatever is longer is none.
const DECLARED: usize = 100;

/// Looks at a file piece by piece; keeps of a photo its head, of a video its index, and of a GIF all.
pub struct Inspector {
    /// As the command says, if it says anything.
    declared: Option<String>,
    size: u64,
    state: State,
}

enum State {
    /// Too short yet to tell.
    Head(Vec<u8>),
    Photo(MediaType),
    Gif(Vec<u8>),
    Video(MediaType, Container),
}

/// As an [`Inspector`], for a file that is in memory.
///
/// # Errors
/// What [`Inspector::push`] and [`Inspector::finish`] say.
pub fn inspect(bytes: &[u8], declared: &str) -> Result<Inspected, Unfit> {
    let mut inspector = Inspector::new(declared);
    inspector.push(bytes)?;
    inspector.finish()
}

impl Inspector {
    /// `declared` is the command's `content_type`, empty when it says none. What a server says of
    /// its file is no part of it: many say nothing useful.
    pub fn new(declared: &str) -> Self {
        Self {
            declared: normalised(declared),
            size: 0,
            state: State::Head(Vec::new()),
        }
    }

    /// The next bytes of the file.
    ///
    /// # Errors
    /// [`Unfit`] as soon as it is certain; nothing more need be read then.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), Unfit> {
        self.size += bytes.len() as u64;
        match &mut self.state {
            State::Head(head) => {
                head.extend(bytes);
                if head.len() >= HEAD {
                    self.recognise()?;
                }
            }
            State::Photo(_) => {}
            State::Gif(whole) => whole.extend(bytes),
            State::Video(_, container) => container.push(bytes)?,
        }
        self.check_size()
    }

    /// # Errors
    /// [`Unfit`], when X would not take the file.
    pub fn finish(mut self) -> Result<Inspected, Unfit> {
        if self.size == 0 {
            return Err(Unfit::Empty);
        }
        if let State::Head(_) = self.state {
            self.recognise()?;
        }
        let (media_type, animated) = match self.state {
            State::Head(_) => return Err(self.no_media(None)),
            State::Photo(media_type) => (media_type, false),
            State::Gif(whole) => (MediaType::Gif, gif::is_animated(&whole)?),
            State::Video(media_type, container) => {
                container.finish()?;
                (media_type, false)
            }
        };
        if media_type == MediaType::Gif && !animated {
            check_bytes("photo", self.size, PHOTO_BYTES)?;
        }
        Ok(Inspected {
            media_type,
            animated,
            size: self.size,
        })
    }

    /// From the head to what it says.
    fn recognise(&mut self) -> Result<(), Unfit> {
        let State::Head(head) = &mut self.state else {
            return Ok(());
        };
        let head = std::mem::take(head);
        // No more than that, or it would depend on the pieces in which a file comes.
        let media_type = match recognised(head.get(..HEAD).unwrap_or(&head)) {
            Ok(media_type) => media_type,
            Err(found) => return Err(self.no_media(found)),
        };
        self.check_declared(media_type)?;
        self.state = match media_type {
            MediaType::Jpeg | MediaType::Png | MediaType::Webp => State::Photo(media_type),
            MediaType::Gif => State::Gif(head),
            MediaType::Mp4 | MediaType::QuickTime => {
                let mut container = Container::default();
                container.push(&head)?;
                State::Video(media_type, container)
            }
        };
        Ok(())
    }

    fn check_declared(&self, found: MediaType) -> Result<(), Unfit> {
        // One format under two names, and cameras mix them up.
        let is_video = |name: &str| matches!(name, "video/mp4" | "video/quicktime");
        match &self.declared {
            Some(declared)
                if declared != found.as_str()
                    && !(is_video(declared) && is_video(found.as_str())) =>
            {
                Err(Unfit::Contradiction {
                    declared: declared.clone(),
                    found: found.as_str(),
                })
            }
            _ => Ok(()),
        }
    }

    fn no_media(&self, found: Option<&'static str>) -> Unfit {
        Unfit::NoMedia {
            declared: self.declared.clone(),
            found,
        }
    }

    fn check_size(&self) -> Result<(), Unfit> {
        match self.state {
            State::Head(_) => Ok(()),
            State::Photo(_) => check_bytes("photo", self.size, PHOTO_BYTES),
            State::Gif(_) => check_bytes("GIF", self.size, GIF_BYTES),
            State::Video(..) => check_bytes("video", self.size, VIDEO_BYTES),
        }
    }
}

fn check_bytes(what: &'static str, size: u64, limit: u64) -> Result<(), Unfit> {
    if size > limit {
        return Err(Unfit::Bytes { what, limit });
    }
    Ok(())
}

/// The type, or the name of one that X does not take.
fn recognised(head: &[u8]) -> Result<MediaType, Option<&'static str>> {
    let found = infer::get(head).map(|found| found.mime_type());
    match found {
        Some("image/jpeg") => Ok(MediaType::Jpeg),
        Some("image/png") => Ok(MediaType::Png),
        Some("image/webp") => Ok(MediaType::Webp),
        Some("image/gif") => Ok(MediaType::Gif),
        Some("video/mp4" | "video/x-m4v") => Ok(MediaType::Mp4),
        Some("video/quicktime") => Ok(MediaType::QuickTime),
        Some(other) => Err(Some(other)),
        None => iso_media(head).ok_or(None)?,
    }
}

/// MP4 under a brand that is not in the library's list; there are new ones every year.
fn iso_media(head: &[u8]) -> Option<Result<MediaType, Option<&'static str>>> {
    if head.get(4..8)? != b"ftyp" {
        return None;
    }
    Some(match head.get(8..10)? {
        b"3g" => Err(Some("video/3gpp")),
        _ => Ok(MediaType::Mp4),
    })
}

/// Lower case, without parameters, one name for each type. `None` when it says nothing.
fn normalised(declared: &str) -> Option<String> {
    let name = declared.split(';').next().unwrap_or_default().trim();
    let name = name.to_ascii_lowercase();
    let name = match name.as_str() {
        "" | "application/octet-stream" | "binary/octet-stream" => return None,
        "image/jpg" | "image/pjpeg" => "image/jpeg",
        "image/x-png" => "image/png",
        "video/x-m4v" => "video/mp4",
        other => other,
    };
    Some(name.chars().take(DECLARED).collect())
}

#[cfg(test)]
mod tests;
