//! Why X would not take a file, in words for an agent.

use super::{MIB, Target};

/// Which failure code of the contract it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnfitCode {
    /// `MEDIA_TOO_LARGE`
    TooLarge,
    /// `MEDIA_UNSUPPORTED`
    Unsupported,
}

/// X would not take the file, or not these files together.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Unfit {
    #[error("the file is empty")]
    Empty,
    /// By its content it is something else.
    #[error("{}", nothing_x_takes(declared.as_deref(), *found))]
    NoMedia {
        /// As the command says.
        declared: Option<String>,
        found: Option<&'static str>,
    },
    #[error("the file is said to be {declared}, but by its content it is {found}")]
    Contradiction {
        declared: String,
        found: &'static str,
    },
    #[error("the {what} has more than {} MB, the most X takes", limit / MIB)]
    Bytes { what: &'static str, limit: u64 },
    #[error("the {what} cannot be read: {why}")]
    Damaged {
        what: &'static str,
        why: &'static str,
    },
    #[error("the animated GIF is {width}x{height}, X takes at most 1280x1080")]
    GifDimensions { width: u16, height: u16 },
    #[error("the animated GIF has more than 350 frames, the most X takes")]
    GifFrames,
    #[error("the animated GIF has {0} million pixels over all frames, X takes at most 300 million")]
    GifPixels(u64),
    #[error("the video lasts {0:.1} s, X takes at most 140 s")]
    VideoTooLong(f64),
    #[error("the video lasts {0:.1} s, X takes none below 0.5 s")]
    VideoTooShort(f64),
    #[error("the video is {width}x{height}, X takes at most 1280x1024 (or 1024x1280)")]
    VideoTooWide { width: u16, height: u16 },
    #[error("the video is {width}x{height}, X takes none below 32x32")]
    VideoTooNarrow { width: u16, height: u16 },
    #[error("the video is {width}x{height}, X takes ratios from 1:3 to 3:1")]
    VideoRatio { width: u16, height: u16 },
    #[error("the video has {0:.0} frames each second, X takes at most 60")]
    VideoFrameRate(f64),
    #[error("the {stream} of the video is coded as {found}, X takes {wanted}")]
    VideoCodec {
        stream: &'static str,
        found: String,
        wanted: &'static str,
    },
    #[error("{count} attachments are more than the {most} that a {} takes", noun(*target))]
    TooMany {
        target: Target,
        count: usize,
        most: usize,
    },
    #[error("a post takes up to four photos, or one animated GIF, or one video, not several kinds")]
    Mixed,
}

impl Unfit {
    /// The failure code it has in an outcome.
    pub fn code(&self) -> UnfitCode {
        match self {
            Self::Bytes { .. }
            | Self::GifDimensions { .. }
            | Self::GifFrames
            | Self::GifPixels(_)
            | Self::VideoTooLong(_)
            | Self::VideoTooWide { .. } => UnfitCode::TooLarge,
            Self::Empty
            | Self::NoMedia { .. }
            | Self::Contradiction { .. }
            | Self::Damaged { .. }
            | Self::VideoTooShort(_)
            | Self::VideoTooNarrow { .. }
            | Self::VideoRatio { .. }
            | Self::VideoFrameRate(_)
            | Self::VideoCodec { .. }
            | Self::TooMany { .. }
            | Self::Mixed => UnfitCode::Unsupported,
        }
    }

    /// What an agent can do about it.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Empty | Self::Damaged { .. } => "Attach the file again; it arrived broken.",
            Self::NoMedia { .. } => {
                "Attach a photo (JPG, PNG, GIF, WEBP), an animated GIF or a video (MP4, MOV)."
            }
            Self::Contradiction { .. } => "Attach the file again, or name its type as it is.",
            Self::Bytes { .. }
            | Self::GifDimensions { .. }
            | Self::GifFrames
            | Self::GifPixels(_)
            | Self::VideoTooWide { .. } => "Make the file smaller and send the answer again.",
            Self::VideoTooLong(_) | Self::VideoTooShort(_) => {
                "Cut the video to a length of 0.5 to 140 seconds."
            }
            Self::VideoTooNarrow { .. }
            | Self::VideoRatio { .. }
            | Self::VideoFrameRate(_)
            | Self::VideoCodec { .. } => {
                "Export the video again, as MP4 with H.264 and AAC, 720p, 30 frames each second."
            }
            Self::TooMany { .. } | Self::Mixed => {
                "Leave some attachments out, or spread them over several answers."
            }
        }
    }
}

fn nothing_x_takes(declared: Option<&str>, found: Option<&str>) -> String {
    let found = found.unwrap_or("of no known type");
    let takes = "X takes JPG, PNG, GIF, WEBP, MP4 and MOV";
    match declared {
        Some(declared) => {
            format!("the file is said to be {declared}, but by its content it is {found}; {takes}")
        }
        None => format!("by its content the file is {found}; {takes}"),
    }
}

fn noun(target: Target) -> &'static str {
    match target {
        Target::Post => "post",
        Target::DirectMessage => "direct message",
    }
}
