//! Keyed hashes in the place of ids of erased people: they tell nobody who it was, but that it is the
//! same again.

use std::sync::Arc;

use hmac::{Hmac, Mac};
use secrecy::{ExposeSecret, SecretBox};
use sha2::Sha256;

use crate::domain::ids::{EventId, UserId};
use crate::sealing::Sealer;

/// Makes the keyed hashes of one deployment; cheap to clone.
#[derive(Clone, Debug)]
pub struct Pseudonyms {
    key: Arc<SecretBox<[u8; 32]>>,
}

impl Pseudonyms {
    /// Those of the store that this sealer is of; another master key changes nothing.
    pub fn of(sealer: &Sealer) -> Self {
        Self {
            key: Arc::new(sealer.subkey("pseudonyms")),
        }
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
        let mac = Hmac::<Sha256>::new_from_slice(self.key.expose_secret().as_slice())
            .map(|mac| mac.chain_update(what).finalize().into_bytes().into());
        // HMAC takes keys of any length, so there always is one.
        mac.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pseudonyms(key: u8) -> Pseudonyms {
        Pseudonyms::of(&Sealer::new(SecretBox::new(Box::new([key; 32]))))
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
