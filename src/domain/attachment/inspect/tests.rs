//! Files in miniature: real heads and containers, no pictures in them.

use proptest::prelude::*;
use rstest::rstest;

use super::super::{AttachmentKind, UnfitCode};
use super::*;

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
const JPEG: &[u8] = b"\xff\xd8\xff\xe0\0\x10JFIF\0";
const WEBP: &[u8] = b"RIFF\x24\0\0\0WEBPVP8 ";
const HTML: &[u8] = b"<!DOCTYPE html><html><body>Please log in</body></html>";

/// A GIF of so many one-pixel frames on a canvas.
fn gif(width: u16, height: u16, frames: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = ::gif::Encoder::new(&mut bytes, width, height, &[0, 0, 0, 255, 255, 255]);
    for _ in 0..frames {
        let frame = ::gif::Frame {
            width: 1,
            height: 1,
            buffer: vec![0].into(),
            ..Default::default()
        };
        encoder.as_mut().unwrap().write_frame(&frame).unwrap();
    }
    drop(encoder);
    bytes
}

fn atom(name: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let length = (content.len() as u32 + 8).to_be_bytes();
    [length.as_slice(), name, content].concat()
}

/// The facts of a video that its container tells.
#[derive(Clone)]
struct Clip {
    millis: u32,
    width: u16,
    height: u16,
    frames: u32,
    codec: &'static [u8; 4],
    sound: &'static [u8; 4],
}

const CLIP: Clip = Clip {
    millis: 10_000,
    width: 720,
    height: 1280,
    frames: 300,
    codec: b"avc1",
    sound: b"mp4a",
};

impl Clip {
    fn moov(&self) -> Vec<u8> {
        let mvhd = atom(b"mvhd", &self.times());
        let picture = self.trak(b"vide", self.codec, self.frames);
        let sound = self.trak(b"soun", self.sound, 1);
        atom(b"moov", &[mvhd, picture, sound].concat())
    }

    /// A `mvhd` or `mdhd` of version 0.
    fn times(&self) -> Vec<u8> {
        let mut content = vec![0; 12];
        content.extend(1_000_u32.to_be_bytes());
        content.extend(self.millis.to_be_bytes());
        content
    }

    fn trak(&self, handler: &[u8; 4], codec: &[u8; 4], samples: u32) -> Vec<u8> {
        let mut tkhd = vec![0; 76];
        for side in [self.width, self.height] {
            tkhd.extend((u32::from(side) << 16).to_be_bytes());
        }
        let mut hdlr = vec![0; 8];
        hdlr.extend(handler);
        let mut stsz = vec![0; 8];
        stsz.extend(samples.to_be_bytes());
        let stsd = [[0, 0, 0, 0, 0, 0, 0, 1].as_slice(), &atom(codec, &[])].concat();
        let stbl = [atom(b"stsd", &stsd), atom(b"stsz", &stsz)].concat();
        let minf = atom(b"minf", &atom(b"stbl", &stbl));
        let mdia = [atom(b"mdhd", &self.times()), atom(b"hdlr", &hdlr), minf].concat();
        atom(
            b"trak",
            &[atom(b"tkhd", &tkhd), atom(b"mdia", &mdia)].concat(),
        )
    }

    /// The index behind the pictures, as cameras write it.
    fn file(&self, brand: &[u8; 4]) -> Vec<u8> {
        let ftyp = atom(b"ftyp", &[brand.as_slice(), &[0; 4], brand].concat());
        [ftyp, atom(b"mdat", &[7; 5_000]), self.moov()].concat()
    }
}

#[rstest]
#[case::jpeg(JPEG.to_vec(), MediaType::Jpeg, AttachmentKind::Photo)]
#[case::png(PNG.to_vec(), MediaType::Png, AttachmentKind::Photo)]
#[case::webp(WEBP.to_vec(), MediaType::Webp, AttachmentKind::Photo)]
#[case::still_gif(gif(2_000, 2_000, 1), MediaType::Gif, AttachmentKind::Photo)]
#[case::animated_gif(gif(1280, 600, 350), MediaType::Gif, AttachmentKind::AnimatedGif)]
#[case::mp4(CLIP.file(b"isom"), MediaType::Mp4, AttachmentKind::Video)]
#[case::new_brand(CLIP.file(b"iso9"), MediaType::Mp4, AttachmentKind::Video)]
#[case::m4v(CLIP.file(b"M4V "), MediaType::Mp4, AttachmentKind::Video)]
#[case::mov(CLIP.file(b"qt  "), MediaType::QuickTime, AttachmentKind::Video)]
fn the_content_tells_the_type(
    #[case] bytes: Vec<u8>,
    #[case] media_type: MediaType,
    #[case] kind: AttachmentKind,
) {
    let found = inspect(&bytes, "").unwrap();
    assert_eq!((found.media_type, found.kind()), (media_type, kind));
    assert_eq!(found.size, bytes.len() as u64);
    assert_eq!(inspect(&bytes, media_type.as_str()), Ok(found));
}

#[rstest]
#[case("")]
#[case("image/png")]
#[case("IMAGE/PNG; charset=binary")]
#[case("image/x-png")]
#[case("application/octet-stream")]
fn a_declared_type_that_fits_or_says_nothing_is_taken(#[case] declared: &str) {
    assert!(inspect(PNG, declared).is_ok());
}

#[test]
fn mp4_and_mov_may_go_by_the_other_name() {
    assert!(inspect(&CLIP.file(b"qt  "), "video/mp4").is_ok());
    assert!(inspect(&CLIP.file(b"isom"), "video/quicktime").is_ok());
}

#[test]
fn a_declared_type_that_contradicts_the_content_is_refused_naming_both() {
    let unfit = inspect(PNG, "image/jpg").unwrap_err();
    assert_eq!(
        unfit.to_string(),
        "the file is said to be image/jpeg, but by its content it is image/png"
    );
    assert_eq!(unfit.code(), UnfitCode::Unsupported);
}

#[test]
fn a_file_is_judged_the_same_in_one_piece_and_in_many() {
    // A letter of Word, by what it has behind the bytes that tell the type.
    let entry = |name: &str, size: usize| {
        let mut header = b"PK\x03\x04".to_vec();
        header.resize(18, 0);
        header.extend([size as u32, size as u32].map(u32::to_le_bytes).concat());
        header.extend([name.len() as u16, 0].map(u16::to_le_bytes).concat());
        [header, name.into(), vec![b' '; size]].concat()
    };
    let letter = [
        entry("[Content_Types].xml", 600),
        entry("_rels/.rels", 40),
        entry("word/document.xml", 60),
    ]
    .concat();
    let whole = inspect(&letter, "");
    for piece in [1, HEAD, HEAD + 100] {
        let mut inspector = Inspector::new("");
        let pushed = letter.chunks(piece).try_for_each(|it| inspector.push(it));
        assert_eq!(pushed.and_then(|()| inspector.finish()), whole, "{piece}");
    }
}

#[test]
fn what_is_no_image_though_it_says_so_is_refused_naming_both() {
    let unfit = inspect(HTML, "image/png").unwrap_err();
    assert_eq!(
        unfit.to_string(),
        "the file is said to be image/png, but by its content it is text/html; \
         X takes JPG, PNG, GIF, WEBP, MP4 and MOV"
    );
    assert_eq!(unfit.code(), UnfitCode::Unsupported);
}

#[rstest]
#[case::nothing(b"", "the file is empty")]
#[case::noise(b"\x01\x02", "no known type")]
#[case::pdf(b"%PDF-1.7\n", "application/pdf")]
#[case::heic(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "image/heif")]
#[case::audio(b"\0\0\0\x18ftypM4A \0\0\0\0M4A isom", "audio/m4a")]
#[case::phone(b"\0\0\0\x18ftyp3gp4\0\0\0\x003gp4isom", "video/3gpp")]
#[case::no_frame(b"GIF89a\x01\0\x01\0\0\0\0;", "damaged, empty")]
#[case::cut_gif(b"GIF89a\x01\0", "ends early")]
#[case::no_index(b"\0\0\0\x10ftypisom\0\0\0\0", "no index")]
#[case::cut_video(b"\0\0\0\x10ftypisom\0\0\0\0\0\0\x10\0mdat..", "ends early")]
#[case::crooked(b"\0\0\0\x10ftypisom\0\0\0\0\0\0\0\x03mdat....", "no length")]
fn what_x_does_not_take_is_refused(#[case] bytes: &[u8], #[case] says: &str) {
    let unfit = inspect(bytes, "").unwrap_err();
    assert!(unfit.to_string().contains(says), "{unfit}");
    assert_eq!(unfit.code(), UnfitCode::Unsupported);
}

#[rstest]
#[case::photo(PNG, PHOTO_BYTES, "the photo has more than 5 MB")]
#[case::gif(b"GIF89a", GIF_BYTES, "the GIF has more than 15 MB")]
fn a_file_above_its_limit_is_refused_while_it_comes_in(
    #[case] head: &[u8],
    #[case] limit: u64,
    #[case] says: &str,
) {
    let mut inspector = Inspector::new("");
    let mut left = limit as usize - head.len();
    inspector.push(head).unwrap();
    while left > 0 {
        let piece = left.min(1 << 20);
        inspector.push(&vec![0; piece]).unwrap();
        left -= piece;
    }
    let unfit = inspector.push(&[0]).unwrap_err();
    assert!(unfit.to_string().contains(says), "{unfit}");
    assert_eq!(unfit.code(), UnfitCode::TooLarge);
}

#[test]
fn a_gif_that_stands_still_has_the_limit_of_a_photo() {
    let mut bytes = gif(10, 10, 1);
    bytes.resize(PHOTO_BYTES as usize + 1, 0);
    let unfit = inspect(&bytes, "image/gif").unwrap_err();
    assert_eq!(
        unfit,
        Unfit::Bytes {
            what: "photo",
            limit: PHOTO_BYTES
        }
    );
}

#[rstest]
#[case::wide(gif(1281, 10, 2), "1281x10")]
#[case::high(gif(10, 1081, 2), "10x1081")]
#[case::many_frames(gif(10, 10, 351), "350 frames")]
#[case::many_pixels(gif(1280, 1080, 218), "302 million")]
fn an_animated_gif_beyond_a_limit_is_too_large(#[case] bytes: Vec<u8>, #[case] says: &str) {
    let unfit = inspect(&bytes, "").unwrap_err();
    assert!(unfit.to_string().contains(says), "{unfit}");
    assert_eq!(unfit.code(), UnfitCode::TooLarge);
}

#[rstest]
#[case::long(Clip { millis: 140_100, ..CLIP }, "140.1 s", UnfitCode::TooLarge)]
#[case::short(Clip { millis: 400, frames: 12, ..CLIP }, "0.4 s", UnfitCode::Unsupported)]
#[case::wide(Clip { width: 1920, height: 1080, ..CLIP }, "1920x1080", UnfitCode::TooLarge)]
#[case::high(Clip { width: 1080, height: 1280, ..CLIP }, "1080x1280", UnfitCode::TooLarge)]
#[case::narrow(Clip { width: 64, height: 30, ..CLIP }, "64x30", UnfitCode::Unsupported)]
#[case::flat(Clip { width: 1280, height: 400, ..CLIP }, "1:3 to 3:1", UnfitCode::Unsupported)]
#[case::fast(Clip { frames: 1_200, ..CLIP }, "120 frames", UnfitCode::Unsupported)]
#[case::hevc(Clip { codec: b"hvc1", ..CLIP }, "picture of the video is coded as hvc1", UnfitCode::Unsupported)]
#[case::sound(Clip { sound: b"sowt", ..CLIP }, "sound of the video is coded as sowt", UnfitCode::Unsupported)]
fn a_video_beyond_a_limit_is_refused(
    #[case] clip: Clip,
    #[case] says: &str,
    #[case] code: UnfitCode,
) {
    let unfit = inspect(&clip.file(b"isom"), "").unwrap_err();
    assert!(unfit.to_string().contains(says), "{unfit}");
    assert_eq!(unfit.code(), code);
}

#[test]
fn what_a_container_leaves_out_is_left_to_x() {
    let silent = Clip {
        millis: 0,
        width: 0,
        height: 0,
        ..CLIP
    };
    assert!(inspect(&silent.file(b"isom"), "").is_ok());
}

#[test]
fn a_video_without_pictures_is_refused() {
    let moov = atom(b"moov", &CLIP.trak(b"soun", b"mp4a", 1));
    let file = [atom(b"ftyp", b"isom\0\0\0\0"), moov].concat();
    let unfit = inspect(&file, "").unwrap_err();
    assert!(unfit.to_string().contains("no pictures"), "{unfit}");
}

#[test]
fn long_boxes_and_boxes_up_to_the_end_are_understood() {
    let ftyp = atom(b"ftyp", b"isom\0\0\0\0");
    let long = [
        b"\0\0\0\x01mdat".as_slice(),
        &(16 + 3_u64).to_be_bytes(),
        b"abc",
    ]
    .concat();
    let open_end = b"\0\0\0\0mdatno end".to_vec();
    let file = [ftyp, long, CLIP.moov(), open_end].concat();
    assert!(inspect(&file, "").is_ok());
}

fn in_pieces(bytes: &[u8], piece: usize) -> Result<Inspected, Unfit> {
    let mut inspector = Inspector::new("");
    for piece in bytes.chunks(piece) {
        inspector.push(piece)?;
    }
    inspector.finish()
}

proptest! {
    #[test]
    fn the_size_of_the_pieces_makes_no_difference(piece in 1_usize..2_000) {
        for file in [PNG.to_vec(), HTML.to_vec(), gif(9, 9, 3), CLIP.file(b"isom")] {
            prop_assert_eq!(in_pieces(&file, piece), inspect(&file, ""));
        }
    }

    #[test]
    fn a_damaged_video_is_read_to_an_end(at in 0_usize..6_000, byte: u8, cut in 0_usize..6_000) {
        let mut file = CLIP.file(b"isom");
        file.truncate(cut.max(20));
        if let Some(place) = file.get_mut(at) {
            *place = byte;
        }
        // Neither panics nor hangs; what it says depends on the byte.
        let _said = in_pieces(&file, 100);
    }
}
