//! Keyed hashes in the place of ids of erased people: they tell nobody who it was, but that it is the
//! same again.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use rand::RngCore;
use secrecy::{ExposeSecret, SecretSlice};
use sha2::Sha256;

use crate::domain::ids::{EventId, UserId};
use crate::sealing::{Sealer, WrongKeyOrDamaged};
use crate::store::{Store, StoreError};

/// Where the key of the hashes lies, sealed: whoever changes `secrets.key` seals it anew.
pub const KEY: &str = "pseudonym_key";
/// What it is sealed for.
pub const PURPOSE: &str = "pseudonyms";

/// Why there are no keyed hashes.
#[derive(Debug, thiserror::Error)]
pub enum PseudonymError {
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What was erased would not be recognised.
    #[error("the key of what was erased was {0}; restore secrets.key or the key file")]
    Sealed(#[from] WrongKeyOrDamaged),
}

/// Makes the keyed hashes of one deployment; cheap to clone.
#[derive(Clone, Debug)]
pub struct Pseudonyms {
    key: Arc<SecretSlice<u8>>,
}

impl Pseudonyms {
    /// `key` is random.
    pub fn new(key: SecretSlice<u8>) -> Self {
        Self { key: Arc::new(key) }
    }

    /// Those of this store; a key is made at first.
    ///
    /// # Errors
    /// When the store cannot be used, or the key was sealed by another sealer.
    pub async fn load(store: &Store, sealer: &Sealer) -> Result<Self, PseudonymError> {
        let kept = store.read(|tx| tx.meta(KEY)).await?;
        let kept = match kept {
            Some(kept) => kept,
            None => {
                let fresh = STANDARD.encode(fresh(sealer));
                store
                    .write(move |tx| match tx.meta(KEY)? {
                        Some(kept) => Ok(kept),
                        None => tx.set_meta(KEY, &fresh).map(|()| fresh),
                    })
                    .await?
            }
        };
        let sealed = STANDARD.decode(kept).or(Err(WrongKeyOrDamaged))?;
        Ok(Self::new(sealer.open(PURPOSE, &sealed)?))
    }

    /// In the place of a person's id.
    pub fn person(&self, id: UserId) -> [u8; 32] {
        self.hash(&format!("person:{id}"))
    }

    /// In the place of an event's id, which tells a message's.
    pub fn event(&self, id: EventId) -> EventId {
        let hash = self.hash(&format!("event:{id}"));
        let mut short = [0; 16];
        for (to, from) in short.iter_mut().zip(hash) {
            *to = from;
        }
        EventId(short)
    }

    fn hash(&self, what: &str) -> [u8; 32] {
        let mac = Hmac::<Sha256>::new_from_slice(self.key.expose_secret())
            .map(|mac| mac.chain_update(what).finalize().into_bytes().into());
        // HMAC takes keys of any length, so there always is one.
        mac.unwrap_or_default()
    }
}

/// A fresh key, sealed.
fn fresh(sealer: &Sealer) -> Vec<u8> {
    let mut key = [0; 32];
    rand::rng().fill_bytes(&mut key);
    // So short a text can always be sealed; an empty one would not open.
    sealer.seal(PURPOSE, &key).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pseudonyms(key: u8) -> Pseudonyms {
        Pseudonyms::new(vec![key; 32].into())
    }

    #[test]
    fn a_hash_is_the_same_again_and_of_its_key_only() {
        let id: UserId = "5".parse().unwrap();
        assert_eq!(pseudonyms(1).person(id), pseudonyms(1).person(id));
        assert_ne!(pseudonyms(1).person(id), pseudonyms(2).person(id));
        let event = EventId([7; 16]);
        assert_eq!(pseudonyms(1).event(event), pseudonyms(1).event(event));
        assert_ne!(pseudonyms(1).event(event), event);
    }
}
