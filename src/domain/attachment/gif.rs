//! What a GIF says of itself, without decoding its frames.

use gif::{DecodeOptions, DecodingError};

use super::Unfit;

const WIDTH: u16 = 1280;
const HEIGHT: u16 = 1080;
const FRAMES: u64 = 350;
const PIXELS: u64 = 300_000_000;

/// Whether it is animated. The limits of animated ones are checked; a still one has none but its
/// size.
pub(super) fn is_animated(bytes: &[u8]) -> Result<bool, Unfit> {
    let read = canvas_and_frames(bytes).ok();
    let (width, height, frames) = read.filter(|read| read.2 > 0).ok_or(Unfit::Damaged {
        what: "GIF",
        why: "it is damaged, empty or ends early",
    })?;
    let pixels = u64::from(width) * u64::from(height) * frames;
    match frames {
        1 => Ok(false),
        _ if width > WIDTH || height > HEIGHT => Err(Unfit::GifDimensions { width, height }),
        _ if frames > FRAMES => Err(Unfit::GifFrames),
        _ if pixels > PIXELS => Err(Unfit::GifPixels(pixels.div_ceil(1_000_000))),
        _ => Ok(true),
    }
}

fn canvas_and_frames(bytes: &[u8]) -> Result<(u16, u16, u64), DecodingError> {
    let mut options = DecodeOptions::new();
    options.skip_frame_decoding(true);
    let mut decoder = options.read_info(bytes)?;
    let mut frames = 0;
    // More than too many need not be counted.
    while frames <= FRAMES && decoder.next_frame_info()?.is_some() {
        frames += 1;
    }
    Ok((decoder.width(), decoder.height(), frames))
}
