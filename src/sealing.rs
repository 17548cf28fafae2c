//! Encryption of what must not lie open on the disk: credentials, attachments. No I/O.
//!
//! XChaCha20-Poly1305, a key for each purpose, a fresh nonce for each text. What was sealed for one
//! purpose opens for no other, so a row or file that is put in another's place is noticed.

use std::sync::Arc;

use aead_stream::{DecryptorBE32, EncryptorBE32};
use chacha20poly1305::XChaCha20Poly1305;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use hkdf::Hkdf;
use rand::RngCore;
use secrecy::{ExposeSecret, SecretBox, SecretSlice};
use sha2::Sha256;

/// First byte of everything sealed, and authenticated with it.
const VERSION: u8 = 1;
const NONCE: usize = 24;
/// The construction keeps 5 of the nonce's bytes for its counter and its mark of the last chunk.
const STREAM_NONCE: usize = NONCE - 5;

/// Bytes in front of the first chunk.
pub const STREAM_HEADER: usize = 1 + STREAM_NONCE;
/// Bytes that each chunk grows by.
pub const CHUNK_OVERHEAD: usize = 16;

/// What is sealed is longer than the cipher takes (256 GiB, or 2^32 chunks).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("longer than can be sealed")]
pub struct TooLong;

/// It was sealed with another key or for another purpose, or has been changed since.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("sealed with another key, or damaged")]
pub struct WrongKeyOrDamaged;

/// Seals and opens with one key; cheap to clone.
#[derive(Clone, Debug)]
pub struct Sealer {
    key: Arc<SecretBox<[u8; 32]>>,
}

impl Sealer {
    /// `key` is random, not a password.
    pub fn new(key: SecretBox<[u8; 32]>) -> Self {
        Self { key: Arc::new(key) }
    }

    /// Seals a text. `purpose` says what it is and whose (`oauth2:2975699229`); it is not secret and
    /// is needed again to open.
    ///
    /// # Errors
    /// [`TooLong`] beyond 256 GiB.
    pub fn seal(&self, purpose: &str, plain: &[u8]) -> Result<Vec<u8>, TooLong> {
        let nonce: [u8; NONCE] = random();
        let payload = Payload {
            msg: plain,
            aad: &[VERSION],
        };
        let Ok(sealed) = self.cipher(purpose).encrypt((&nonce).into(), payload) else {
            return Err(TooLong);
        };
        Ok([&[VERSION], nonce.as_slice(), &sealed].concat())
    }

    /// Opens what [`Sealer::seal`] made for the same purpose.
    ///
    /// # Errors
    /// [`WrongKeyOrDamaged`]: the two cannot be told apart.
    pub fn open(&self, purpose: &str, sealed: &[u8]) -> Result<SecretSlice<u8>, WrongKeyOrDamaged> {
        let body = of_our_version(sealed)?;
        let (nonce, msg) = body.split_first_chunk().ok_or(WrongKeyOrDamaged)?;
        let nonce: &[u8; NONCE] = nonce;
        let aad = &[VERSION];
        let opened = self
            .cipher(purpose)
            .decrypt(nonce.into(), Payload { msg, aad });
        opened.map_or(Err(WrongKeyOrDamaged), |plain| Ok(plain.into()))
    }

    /// Seals what does not fit into memory, in chunks whose order and end are sealed too (STREAM).
    /// The header goes in front of the first chunk.
    pub fn seal_chunks(&self, purpose: &str) -> ([u8; STREAM_HEADER], ChunkSealer) {
        let nonce: [u8; STREAM_NONCE] = random();
        let mut header = [VERSION; STREAM_HEADER];
        for (to, from) in header.iter_mut().skip(1).zip(nonce) {
            *to = from;
        }
        let stream = EncryptorBE32::from_aead(self.cipher(purpose), (&nonce).into());
        (header, ChunkSealer(stream))
    }

    /// Opens the chunks behind such a header.
    ///
    /// # Errors
    /// [`WrongKeyOrDamaged`] when the header is of no version this program knows.
    pub fn open_chunks(
        &self,
        purpose: &str,
        header: &[u8; STREAM_HEADER],
    ) -> Result<ChunkOpener, WrongKeyOrDamaged> {
        let nonce = of_our_version(header)?.first_chunk();
        let nonce: &[u8; STREAM_NONCE] = nonce.ok_or(WrongKeyOrDamaged)?;
        let stream = DecryptorBE32::from_aead(self.cipher(purpose), nonce.into());
        Ok(ChunkOpener(stream))
    }

    /// A key of its own for another use of this deployment: signatures, keyed hashes. The same for
    /// the same purpose.
    pub fn subkey(&self, purpose: &str) -> SecretBox<[u8; 32]> {
        let key = self.key.expose_secret();
        let (subkey, _) = Hkdf::<Sha256>::extract(Some(key), purpose.as_bytes());
        SecretBox::new(Box::new(subkey.into()))
    }

    /// The purpose's own key: HMAC-SHA256 of the purpose, which is what HKDF's first step computes
    /// for keys and texts of any length.
    fn cipher(&self, purpose: &str) -> XChaCha20Poly1305 {
        let subkey = self.subkey(purpose);
        XChaCha20Poly1305::new(subkey.expose_secret().into())
    }
}

/// Seals chunk after chunk.
pub struct ChunkSealer(EncryptorBE32<XChaCha20Poly1305>);

impl ChunkSealer {
    /// Seals a chunk that others follow; it grows by [`CHUNK_OVERHEAD`].
    ///
    /// # Errors
    /// [`TooLong`] after 2^32 chunks.
    pub fn seal(&mut self, chunk: &mut Vec<u8>) -> Result<(), TooLong> {
        let sealed = self.0.encrypt_next_in_place(&[VERSION], chunk);
        sealed.or(Err(TooLong))
    }

    /// Seals the last chunk, which may be empty.
    ///
    /// # Errors
    /// [`TooLong`] as for one text.
    pub fn seal_last(self, chunk: &mut Vec<u8>) -> Result<(), TooLong> {
        let sealed = self.0.encrypt_last_in_place(&[VERSION], chunk);
        sealed.or(Err(TooLong))
    }
}

/// Opens chunk after chunk.
pub struct ChunkOpener(DecryptorBE32<XChaCha20Poly1305>);

impl ChunkOpener {
    /// Opens a chunk that others follow.
    ///
    /// # Errors
    /// [`WrongKeyOrDamaged`] also when it is not the next, or the last.
    pub fn open(&mut self, chunk: &mut Vec<u8>) -> Result<(), WrongKeyOrDamaged> {
        let opened = self.0.decrypt_next_in_place(&[VERSION], chunk);
        opened.or(Err(WrongKeyOrDamaged))
    }

    /// Opens the last chunk.
    ///
    /// # Errors
    /// [`WrongKeyOrDamaged`] also when others followed it as it was sealed.
    pub fn open_last(self, chunk: &mut Vec<u8>) -> Result<(), WrongKeyOrDamaged> {
        let opened = self.0.decrypt_last_in_place(&[VERSION], chunk);
        opened.or(Err(WrongKeyOrDamaged))
    }
}

fn of_our_version(sealed: &[u8]) -> Result<&[u8], WrongKeyOrDamaged> {
    match sealed.split_first() {
        Some((&VERSION, body)) => Ok(body),
        _ => Err(WrongKeyOrDamaged),
    }
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::rng().fill_bytes(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &[u8] = b"1//refresh-token-of-acme";
    const PURPOSE: &str = "oauth2:2975699229";

    fn sealer(key: u8) -> Sealer {
        Sealer::new(SecretBox::new(Box::new([key; 32])))
    }

    #[test]
    fn what_was_sealed_opens() {
        for plain in [PLAIN, b""] {
            let sealed = sealer(1).seal(PURPOSE, plain).unwrap();
            let opened = sealer(1).open(PURPOSE, &sealed).unwrap();
            assert_eq!(opened.expose_secret(), plain);
        }
    }

    #[test]
    fn the_sealed_form_never_shows_the_text_and_is_different_each_time() {
        let sealed = [(); 2].map(|()| sealer(1).seal(PURPOSE, PLAIN).unwrap());
        assert_ne!(sealed[0], sealed[1]);
        for sealed in sealed {
            assert!(PLAIN.windows(4).all(|part| !contains(&sealed, part)));
        }
    }

    fn contains(whole: &[u8], part: &[u8]) -> bool {
        whole.windows(part.len()).any(|window| window == part)
    }

    #[test]
    fn any_flipped_bit_is_noticed() {
        let sealed = sealer(1).seal(PURPOSE, PLAIN).unwrap();
        for bit in 0..sealed.len() * 8 {
            let mut changed = sealed.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(sealer(1).open(PURPOSE, &changed).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_cut_text_is_noticed() {
        let sealed = sealer(1).seal(PURPOSE, PLAIN).unwrap();
        for end in 0..sealed.len() {
            assert!(sealer(1).open(PURPOSE, &sealed[..end]).is_err(), "{end}");
        }
    }

    #[test]
    fn another_key_or_purpose_opens_nothing() {
        let sealed = sealer(1).seal(PURPOSE, PLAIN).unwrap();
        assert!(sealer(2).open(PURPOSE, &sealed).is_err());
        assert!(sealer(1).open("oauth2:1", &sealed).is_err());
    }

    #[test]
    fn a_sealer_does_not_print_its_key() {
        let shown = format!("{:?}", Sealer::new(SecretBox::new(Box::new([77; 32]))));
        assert!(!shown.contains("77"), "{shown}");
    }

    fn sealed_chunks(chunks: &[&[u8]]) -> ([u8; STREAM_HEADER], Vec<Vec<u8>>) {
        let (header, mut stream) = sealer(1).seal_chunks("file");
        let mut sealed: Vec<Vec<u8>> = chunks.iter().map(|chunk| chunk.to_vec()).collect();
        let mut last = sealed.pop().unwrap();
        for chunk in &mut sealed {
            stream.seal(chunk).unwrap();
        }
        stream.seal_last(&mut last).unwrap();
        sealed.push(last);
        (header, sealed)
    }

    fn opened_chunks(
        sealer: &Sealer,
        purpose: &str,
        header: &[u8; STREAM_HEADER],
        mut chunks: Vec<Vec<u8>>,
    ) -> Result<Vec<u8>, WrongKeyOrDamaged> {
        let mut stream = sealer.open_chunks(purpose, header)?;
        let mut last = chunks.pop().unwrap();
        for chunk in &mut chunks {
            stream.open(chunk)?;
        }
        stream.open_last(&mut last)?;
        Ok([chunks.concat(), last].concat())
    }

    #[test]
    fn chunks_open_in_their_order_only() {
        let (header, chunks) = sealed_chunks(&[b"one", b"two", b"three"]);
        let open = |chunks| opened_chunks(&sealer(1), "file", &header, chunks);
        assert_eq!(open(chunks.clone()).unwrap(), b"onetwothree");
        let [one, two, three] = <[Vec<u8>; 3]>::try_from(chunks).unwrap();
        assert_eq!(
            open(vec![two.clone(), one.clone(), three.clone()]),
            Err(WrongKeyOrDamaged)
        );
        assert_eq!(
            open(vec![one.clone(), two.clone()]),
            Err(WrongKeyOrDamaged),
            "cut at a chunk's end"
        );
        assert_eq!(open(vec![one, three]), Err(WrongKeyOrDamaged));
    }

    #[test]
    fn chunks_open_with_their_key_purpose_and_header_only() {
        let (mut header, chunks) = sealed_chunks(&[b"one", b""]);
        assert!(opened_chunks(&sealer(1), "file", &header, chunks.clone()).is_ok());
        assert!(opened_chunks(&sealer(2), "file", &header, chunks.clone()).is_err());
        assert!(opened_chunks(&sealer(1), "else", &header, chunks.clone()).is_err());
        header[STREAM_HEADER - 1] ^= 1;
        assert!(opened_chunks(&sealer(1), "file", &header, chunks).is_err());
    }
}
