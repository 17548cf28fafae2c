//! How deep a JSON text is nested, before anything parses it.

/// The deepest nesting that counts as JSON; the outermost object is 1.
pub(super) const MAX: usize = 128;

/// Whether containers are nested deeper than [`MAX`]. The text need not be valid JSON.
pub(super) fn is_exceeded(json: &str) -> bool {
    // Settles it for any delivery of ordinary size, at a fraction of the time.
    if openings(json) <= MAX {
        return false;
    }
    let mut depth = 0_usize;
    let mut bytes = json.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => skip_string(&mut bytes),
            b'{' | b'[' => {
                depth += 1;
                if depth > MAX {
                    return true;
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

/// How many containers open, those in strings included. Sums of bytes are what makes the compiler
/// take many at once.
fn openings(json: &str) -> usize {
    let is_opening = |byte: &u8| u8::from(matches!(byte, b'{' | b'['));
    let chunks = json.as_bytes().chunks(usize::from(u8::MAX));
    chunks
        .map(|chunk| usize::from(chunk.iter().map(is_opening).sum::<u8>()))
        .sum()
}

/// Moves past the closing quote.
fn skip_string(bytes: &mut std::str::Bytes<'_>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return,
            b'\\' => {
                bytes.next();
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_in_strings_do_not_count() {
        let open = "[".repeat(MAX);
        assert!(!is_exceeded(&format!("{open}\"[{{\\\"[\"")));
        assert!(is_exceeded(&format!("{open}\"\"[")));
    }

    #[test]
    fn what_is_closed_does_not_count() {
        assert!(!is_exceeded(&"[]".repeat(MAX * 2)));
        assert!(!is_exceeded(&"]".repeat(MAX)));
        assert!(!is_exceeded(&format!("{}\"\\", "[]".repeat(MAX))));
    }
}
