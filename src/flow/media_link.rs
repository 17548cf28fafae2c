//! Links to files that X shows to a participant only: `/media/{signed}` on our private listener.
//! The signature is the capability for one file; nothing else has to be stored.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use secrecy::{ExposeSecret, SecretSlice};
use sha2::Sha256;
use url::Url;

use crate::domain::ids::AccountId;
use crate::store::FileMark;

/// The file behind a link.
#[derive(Clone, Debug)]
pub struct LinkedFile {
    /// By whose credential it is fetched.
    pub account: AccountId,
    pub url: Url,
    /// Stands for both where they are not to be told.
    pub mark: FileMark,
}

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

    /// What the last part of a link stands for; `None` for what no link of ours is. The signature is
    /// compared in constant time.
    pub fn read(&self, signed: &str) -> Option<LinkedFile> {
        let (what, signature) = signed.rsplit_once('.')?;
        let mark = URL_SAFE_NO_PAD.decode(signature).ok()?;
        self.mac(what)?.verify_slice(&mark).ok()?;
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(what).ok()?).ok()?;
        let (account, url) = text.split_once(' ')?;
        Some(LinkedFile {
            account: AccountId(account.parse().ok()?),
            url: url.parse().ok()?,
            mark: FileMark(mark.try_into().ok()?),
        })
    }

    fn signature(&self, what: &str) -> String {
        let mac = self.mac(what).map(|mac| mac.finalize().into_bytes());
        // HMAC takes keys of any length, so there always is one.
        mac.map(|bytes| URL_SAFE_NO_PAD.encode(bytes))
            .unwrap_or_default()
    }

    fn mac(&self, what: &str) -> Option<Hmac<Sha256>> {
        let mac = Hmac::<Sha256>::new_from_slice(self.key.expose_secret());
        mac.ok().map(|mac| mac.chain_update(what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::UserId;

    const FILE: &str = "https://ton.twitter.com/1.1/ton/data/dm/1/2/a.jpg";

    fn links(key: &[u8]) -> MediaLinks {
        MediaLinks::new("https://desk.example/", key.to_vec().into())
    }

    fn account() -> AccountId {
        AccountId(UserId::from_number(7).unwrap())
    }

    fn signed(key: &[u8]) -> String {
        let link = links(key).link(account(), FILE);
        let signed = link.strip_prefix("https://desk.example/media/");
        signed.unwrap().to_owned()
    }

    #[test]
    fn a_link_is_read_as_it_was_made() {
        let read = links(b"key").read(&signed(b"key")).unwrap();
        assert_eq!((read.account, read.url.as_str()), (account(), FILE));
    }

    #[test]
    fn no_sign_of_a_link_can_be_changed() {
        let signed = signed(b"key");
        for at in 0..signed.len() {
            let mut changed = signed.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(links(b"key").read(&changed).is_none(), "{changed}");
            assert!(links(b"key").read(&signed[..at]).is_none(), "{at}");
        }
        assert!(links(b"another").read(&signed).is_none());
        assert!(links(b"key").read(&format!("{signed}A")).is_none());
    }
}
