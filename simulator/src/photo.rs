//! Pictures: a small square, coloured by its address.

use actix_web::HttpResponse;
use actix_web::web::{Data, Path};

use crate::model::MediaId;
use crate::simulator::Simulator;

const SIDE: u8 = 16;

/// The picture at any path that ends in `.png`: what was uploaded under that id, else a square.
pub(crate) async fn show(simulator: Data<Simulator>, path: Path<String>) -> HttpResponse {
    let name = path.rsplit('/').next().unwrap_or_default();
    let id = name.trim_end_matches(".png").parse().ok().map(MediaId);
    let world = simulator.world().lock();
    let upload = id.and_then(|id| world.upload(id));
    if let Some(upload) = upload.filter(|upload| upload.media_type.starts_with("image/")) {
        return HttpResponse::Ok()
            .content_type(upload.media_type.clone())
            .body(upload.content.clone());
    }
    HttpResponse::Ok()
        .content_type("image/png")
        .body(png(&path))
}

/// A square in one colour, as a PNG.
pub(crate) fn png(name: &str) -> Vec<u8> {
    let hash = crc32(name.as_bytes()).to_be_bytes();
    let [red, green, blue, _] = hash;
    let row: Vec<u8> = std::iter::once(0)
        .chain(
            [red, green, blue]
                .into_iter()
                .cycle()
                .take(usize::from(SIDE) * 3),
        )
        .collect();
    let pixels = row.repeat(usize::from(SIDE));
    let side = u32::from(SIDE).to_be_bytes();
    // 8 bits a channel, red-green-blue, nothing else special.
    let header = [side.as_slice(), &side, &[8, 2, 0, 0, 0]].concat();
    [
        b"\x89PNG\r\n\x1a\n".to_vec(),
        chunk(b"IHDR", &header),
        chunk(b"IDAT", &stored(&pixels)),
        chunk(b"IEND", &[]),
    ]
    .concat()
}

fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let length = u32::try_from(data.len()).unwrap_or(u32::MAX).to_be_bytes();
    let named = [kind.as_slice(), data].concat();
    [length.as_slice(), &named, &crc32(&named).to_be_bytes()].concat()
}

/// A zlib stream of one block that is not compressed; it holds up to 65,535 bytes.
fn stored(data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).unwrap_or(u16::MAX);
    [
        [0x78, 0x01, 0x01].as_slice(),
        &length.to_le_bytes(),
        &(!length).to_le_bytes(),
        data,
        &adler32(data).to_be_bytes(),
    ]
    .concat()
}

fn crc32(data: &[u8]) -> u32 {
    !data.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 }
        })
    })
}

fn adler32(data: &[u8]) -> u32 {
    let (a, b) = data.iter().fold((1, 0), |(a, b), byte| {
        let a = (a + u32::from(*byte)) % 65_521;
        (a, (b + a) % 65_521)
    });
    (b << 16) | a
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_sums_are_the_published_ones() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(adler32(b"Wikipedia"), 0x11e6_0398);
    }

    #[test]
    fn a_picture_has_a_header_and_three_chunks() {
        let picture = png("media/1.png");
        assert!(picture.starts_with(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"));
        assert!(picture.ends_with(b"\0\0\0\0IEND\xaeB`\x82"));
        assert_ne!(picture, png("media/2.png"));
    }
}
