//! What the container of a video (MP4, MOV: ISO/IEC 14496-12) says, without decoding.
//!
//! Only plain contradictions to X's limits are refused; what the container leaves out X will tell.

use super::Unfit;

const SECONDS: (f64, f64) = (0.5, 140.0);
const LONG_SIDE: u16 = 1280;
const SHORT_SIDE: u16 = 1024;
const LEAST_SIDE: u16 = 32;
const RATIO: u32 = 3;
/// Averages of real recordings lie a little above what they were made with.
const FRAME_RATE: f64 = 60.5;
/// Of the index. Two minutes take some hundred KiB.
const MOOV_BYTES: u64 = 16 * 1024 * 1024;

fn damaged(why: &'static str) -> Unfit {
    Unfit::Damaged { what: "video", why }
}

/// Walks the boxes of a file as it comes in, and keeps the index (`moov`) only.
#[derive(Default)]
pub(super) struct Container {
    header: Vec<u8>,
    /// Bytes of the current box still to come.
    left: u64,
    /// The current box is the index.
    in_moov: bool,
    moov: Option<Vec<u8>>,
    /// What follows reaches to the end of the file, however long that is.
    to_the_end: bool,
}

impl Container {
    pub(super) fn push(&mut self, mut bytes: &[u8]) -> Result<(), Unfit> {
        while !bytes.is_empty() {
            let taken = match self.left {
                0 if !self.to_the_end => self.take_header(bytes)?,
                _ => self.take_content(bytes),
            };
            bytes = bytes.get(taken..).unwrap_or_default();
        }
        Ok(())
    }

    fn take_header(&mut self, bytes: &[u8]) -> Result<usize, Unfit> {
        let wanted = match be32(&self.header, 0) {
            // The length did not fit and follows as 64 bits.
            Some(1) => 16,
            _ => 8,
        };
        let missing = bytes.iter().take(wanted - self.header.len());
        let taken = missing.len();
        self.header.extend(missing);
        let complete = match (self.header.len(), be32(&self.header, 0)) {
            (16, _) => true,
            (8, length) => length != Some(1),
            _ => false,
        };
        if complete {
            self.enter_box()?;
        }
        Ok(taken)
    }

    fn enter_box(&mut self) -> Result<(), Unfit> {
        let header = std::mem::take(&mut self.header);
        let length = match be32(&header, 0) {
            Some(1) => be64(&header, 8),
            length => length.map(u64::from),
        };
        let content = length.and_then(|length| length.checked_sub(header.len() as u64));
        self.in_moov = self.moov.is_none() && header.get(4..8) == Some(b"moov");
        match (length, content) {
            (_, Some(content)) => self.left = content,
            (Some(0), None) => self.to_the_end = true,
            // Players ignore what trails behind the index.
            _ if self.moov.is_some() => self.to_the_end = true,
            _ => return Err(damaged("a part of it has no length")),
        }
        if self.in_moov {
            if self.left > MOOV_BYTES {
                return Err(damaged("its index is too long"));
            }
            self.moov = Some(Vec::new());
        }
        Ok(())
    }

    fn take_content(&mut self, bytes: &[u8]) -> usize {
        let taken = match self.to_the_end {
            true => bytes.len(),
            false => usize::try_from(self.left).map_or(bytes.len(), |left| left.min(bytes.len())),
        };
        self.left = self.left.saturating_sub(taken as u64);
        if self.in_moov
            && let Some(moov) = &mut self.moov
        {
            let room = (MOOV_BYTES as usize).saturating_sub(moov.len());
            moov.extend(bytes.iter().take(taken.min(room)));
        }
        taken
    }

    /// Checks what the index says.
    pub(super) fn finish(self) -> Result<(), Unfit> {
        if self.left > 0 {
            return Err(damaged("it ends early"));
        }
        let moov = self.moov.ok_or(damaged("it has no index"))?;
        check_index(&moov)
    }
}

fn check_index(moov: &[u8]) -> Result<(), Unfit> {
    if let Some(seconds) = child(moov, b"mvhd").and_then(seconds) {
        check_seconds(seconds)?;
    }
    let tracks = || boxes(moov).filter_map(|(name, trak)| (name == b"trak").then_some(trak));
    let video = tracks().find(|trak| handler(trak) == Some(b"vide"));
    let video = video.ok_or(damaged("it has no pictures"))?;
    check_dimensions(video)?;
    check_frame_rate(video)?;
    check_codec(video, "picture", "H.264", &[b"avc1", b"avc3"])?;
    tracks()
        .filter(|trak| handler(trak) == Some(b"soun"))
        .try_for_each(|sound| check_codec(sound, "sound", "AAC", &[b"mp4a"]))
}

fn check_seconds(seconds: f64) -> Result<(), Unfit> {
    match seconds {
        short if short < SECONDS.0 => Err(Unfit::VideoTooShort(short)),
        long if long > SECONDS.1 => Err(Unfit::VideoTooLong(long)),
        _ => Ok(()),
    }
}

/// Portrait is as good as landscape: X recommends 720x1280 too.
fn check_dimensions(trak: &[u8]) -> Result<(), Unfit> {
    let Some((width, height)) = child(trak, b"tkhd").and_then(dimensions) else {
        return Ok(());
    };
    let (long, short) = (width.max(height), width.min(height));
    if long > LONG_SIDE || short > SHORT_SIDE {
        return Err(Unfit::VideoTooWide { width, height });
    }
    if short < LEAST_SIDE {
        return Err(Unfit::VideoTooNarrow { width, height });
    }
    if u32::from(long) > u32::from(short) * RATIO {
        return Err(Unfit::VideoRatio { width, height });
    }
    Ok(())
}

fn check_frame_rate(trak: &[u8]) -> Result<(), Unfit> {
    let duration = descend(trak, &[b"mdia", b"mdhd"]).and_then(seconds);
    let samples = descend(trak, &[b"mdia", b"minf", b"stbl", b"stsz"]);
    let samples = samples.and_then(|stsz| be32(stsz, 8));
    match (samples, duration) {
        (Some(samples), Some(seconds)) if f64::from(samples) / seconds > FRAME_RATE => {
            Err(Unfit::VideoFrameRate(f64::from(samples) / seconds))
        }
        _ => Ok(()),
    }
}

fn check_codec(
    trak: &[u8],
    stream: &'static str,
    wanted: &'static str,
    codecs: &[&[u8; 4]],
) -> Result<(), Unfit> {
    let stsd = descend(trak, &[b"mdia", b"minf", b"stbl", b"stsd"]);
    // Version, flags and count, then the first entry: length and name.
    let codec = stsd.and_then(|stsd| stsd.get(12..16));
    match codec {
        Some(codec) if !codecs.iter().any(|known| known.as_slice() == codec) => {
            Err(Unfit::VideoCodec {
                stream,
                found: codec.escape_ascii().to_string(),
                wanted,
            })
        }
        _ => Ok(()),
    }
}

/// `vide`, `soun`, ...
fn handler(trak: &[u8]) -> Option<&[u8]> {
    descend(trak, &[b"mdia", b"hdlr"])?.get(8..12)
}

/// Of a `mvhd` or `mdhd`; `None` where it does not say (fragmented files say 0).
fn seconds(header: &[u8]) -> Option<f64> {
    let (scale, duration) = match header.first()? {
        0 => {
            let duration = be32(header, 16).filter(|duration| *duration != u32::MAX)?;
            (be32(header, 12)?, f64::from(duration))
        }
        _ => {
            let duration = be64(header, 24).filter(|duration| *duration != u64::MAX)?;
            (be32(header, 20)?, duration as f64)
        }
    };
    let seconds = duration / f64::from(scale);
    (seconds.is_finite() && seconds > 0.0).then_some(seconds)
}

/// Of a `tkhd`, whole pixels.
fn dimensions(tkhd: &[u8]) -> Option<(u16, u16)> {
    let at = if *tkhd.first()? == 0 { 76 } else { 88 };
    let pixels = |at| be32(tkhd, at).map(|fixed| (fixed >> 16) as u16);
    let (width, height) = (pixels(at)?, pixels(at + 4)?);
    (width > 0 && height > 0).then_some((width, height))
}

fn descend<'d>(data: &'d [u8], path: &[&[u8; 4]]) -> Option<&'d [u8]> {
    path.iter()
        .try_fold(data, |inside, name| child(inside, name))
}

fn child<'d>(data: &'d [u8], name: &[u8; 4]) -> Option<&'d [u8]> {
    boxes(data).find_map(|(found, content)| (found == name).then_some(content))
}

/// The boxes side by side in `data`, up to the first that does not fit.
fn boxes(mut data: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::try_from(be32(data, 0)?).ok()?;
        let (this, rest) = data.split_at_checked(length)?;
        data = rest;
        Some((this.get(4..8)?, this.get(8..)?))
    })
}

fn be32(data: &[u8], at: usize) -> Option<u32> {
    let bytes = data.get(at..)?.first_chunk()?;
    Some(u32::from_be_bytes(*bytes))
}

fn be64(data: &[u8], at: usize) -> Option<u64> {
    let bytes = data.get(at..)?.first_chunk()?;
    Some(u64::from_be_bytes(*bytes))
}
