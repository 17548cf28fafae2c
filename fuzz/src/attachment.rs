//! Files that a command brings along.

use twitter_channel::domain::attachment::{Inspector, Unfit, inspect};

/// A file: judged the same in one piece and in many, and by its content whatever it is said to be.
pub(crate) fn inspected(bytes: &[u8]) {
    let whole = inspect(bytes, "");
    for piece in [1, 7, 4096] {
        assert_eq!(whole, in_pieces(bytes, piece), "in pieces of {piece}");
    }
    if let Ok(found) = whole {
        assert_eq!(found.size, bytes.len() as u64, "its size");
        assert_eq!(
            inspect(bytes, found.media_type.as_str()).as_ref(),
            Ok(&found),
            "declared"
        );
    }
}

fn in_pieces(
    bytes: &[u8],
    piece: usize,
) -> Result<twitter_channel::domain::attachment::Inspected, Unfit> {
    let mut inspector = Inspector::new("");
    bytes
        .chunks(piece)
        .try_for_each(|piece| inspector.push(piece))?;
    inspector.finish()
}
