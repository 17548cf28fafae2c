//! Links to files that X shows to a participant only: `/media/{signed}` on our private listener.
//! The signature is the capability for one file; nothing else has to be stored.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use secrecy::{ExposeSecret, SecretSlice};
use sha2::Sha256;

use crate::domain::ids::AccountId;

/// Makes the links of one deployment.
pub struct MediaLinks {
    base: String,
    key: SecretSlice<u8>,
}

impl MediaLinks {
    /// `private_url` is how the core reaches the private listener; `key` signs.
    pub fn new(private_url: &str, key: SecretSlice<u8>) -> Self {
        Self {
            base: format!("{}/media/", private_url.trim_end_matches('/')),
            key,
        }
    }

    /// The link under which `account`'s credential fetches `url` from X. Always the same for the
    /// same file.
    pub fn link(&self, account: AccountId, url: &str) -> String {
        let what = URL_SAFE_NO_PAD.encode(format!("{account} {url}"));
        format!("{}{what}.{}", self.base, self.signature(&what))
    }

    fn signature(&self, what: &str) -> String {
        let mac = Hmac::<Sha256>::new_from_slice(self.key.expose_secret())
            .map(|mac| mac.chain_update(what).finalize().into_bytes());
        // HMAC takes keys of any length, so there always is one.
        mac.map(|bytes| URL_SAFE_NO_PAD.encode(bytes))
            .unwrap_or_default()
    }
}
