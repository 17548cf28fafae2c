//! Who may use the API and the console: the token of the settings, named tokens, and logins that
//! were opened with one of them.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use rand::RngCore;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::domain::access::{Actor, Role, TokenName};
use crate::store::{ApiSession, ApiToken, SecretHash, Store, StoreError};

/// How long a login lasts.
pub const SESSION_LASTS: SignedDuration = SignedDuration::from_hours(12);
/// Marks our tokens, so that scanners for leaked secrets can find them.
const TOKEN_PREFIX: &str = "tc_";
/// A change not on disk by then is answered as such.
const COMMIT_WITHIN: Duration = Duration::from_millis(2500);

/// Whoever has shown a credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    pub name: TokenName,
    pub role: Role,
    /// Set for a login at the console.
    pub session: Option<Session>,
    token_hash: SecretHash,
}

impl Principal {
    /// As the audit names it.
    pub fn actor(&self) -> Actor {
        match self.session {
            Some(_) => Actor::Session(self.name.clone()),
            None => Actor::Token(self.name.clone()),
        }
    }
}

/// A login that is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    pub expires_at: Timestamp,
    /// What a form has to send along.
    pub csrf: String,
    hash: SecretHash,
}

impl Session {
    /// Whether a form came from a page of this login; in constant time.
    pub fn is_from_own_page(&self, csrf: &str) -> bool {
        self.csrf.as_bytes().ct_eq(csrf.as_bytes()).into()
    }
}

/// A login just opened.
#[derive(Debug)]
pub struct Login {
    /// For the cookie; it is not kept here.
    pub secret: SecretString,
    pub session: Session,
}

/// Looks credentials up.
#[derive(Clone)]
pub struct Access {
    store: Store,
    /// Of `private.token`.
    of_settings: Option<SecretHash>,
}

impl Access {
    /// `token` is `private.token`, whose role is admin. An empty one opens nothing.
    pub fn new(store: Store, token: Option<&SecretString>) -> Self {
        let token = token.map(|token| token.expose_secret());
        Self {
            store,
            of_settings: token.filter(|token| !token.is_empty()).map(hash),
        }
    }

    /// Whether `private.token` is set: without it the console stays closed.
    pub fn is_set_up(&self) -> bool {
        self.of_settings.is_some()
    }

    /// Whose token this is; nobody's where it is wrong.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn by_token(&self, token: &str) -> Result<Option<Principal>, StoreError> {
        self.holder(hash(token), None).await
    }

    /// Whose login this is, by what its cookie holds; nobody's where it has ended.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn by_session(
        &self,
        secret: &str,
        now: Timestamp,
    ) -> Result<Option<Principal>, StoreError> {
        let hash = hash(secret);
        let found = self.store.read(move |tx| tx.api_session(&hash, now));
        let Some(found) = found.await? else {
            return Ok(None);
        };
        let session = Session {
            expires_at: found.expires_at,
            csrf: csrf(secret),
            hash,
        };
        self.holder(found.token_hash, Some(session)).await
    }

    /// Whoever has the token with this hash: one that was revoked opens nothing any more, nor do
    /// the logins that it opened.
    async fn holder(
        &self,
        token_hash: SecretHash,
        session: Option<Session>,
    ) -> Result<Option<Principal>, StoreError> {
        let is_of_settings = |own: &SecretHash| bool::from(own.ct_eq(&token_hash));
        let (name, role) = if self.of_settings.as_ref().is_some_and(is_of_settings) {
            (TokenName::of_settings(), Role::Admin)
        } else {
            let found = self.store.read(move |tx| tx.api_token(&token_hash)).await?;
            let same = |token: &ApiToken| bool::from(token.hash.ct_eq(&token_hash));
            match found.filter(same) {
                Some(token) => (token.name, token.role),
                None => return Ok(None),
            }
        };
        Ok(Some(Principal {
            name,
            role,
            session,
            token_hash,
        }))
    }

    /// Opens a login for the holder of a token.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn log_in(&self, holder: &Principal, now: Timestamp) -> Result<Login, StoreError> {
        let secret = random();
        let session = Session {
            expires_at: now.checked_add(SESSION_LASTS).unwrap_or(Timestamp::MAX),
            csrf: csrf(&secret),
            hash: hash(&secret),
        };
        let row = ApiSession {
            token_hash: holder.token_hash,
            expires_at: session.expires_at,
        };
        let (hash, who) = (session.hash, holder.actor());
        let object = holder.name.to_string();
        self.store
            .write_within(COMMIT_WITHIN, move |tx| {
                tx.insert_api_session(&hash, &row, now)?;
                tx.audit(&who, "session.open", &object, &json!({}), now)
            })
            .await?;
        Ok(Login {
            secret: secret.into(),
            session,
        })
    }

    /// Ends a login; does nothing to a token.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn log_out(&self, holder: &Principal, now: Timestamp) -> Result<(), StoreError> {
        let Some(session) = &holder.session else {
            return Ok(());
        };
        let (hash, who, object) = (session.hash, holder.actor(), holder.name.to_string());
        self.store
            .write_within(COMMIT_WITHIN, move |tx| {
                if tx.remove_api_session(&hash)? {
                    tx.audit(&who, "session.close", &object, &json!({}), now)?;
                }
                Ok(())
            })
            .await
    }
}

/// Makes a token with this name; the token itself, which is kept nowhere. `None`: the name is taken.
///
/// # Errors
/// When the store cannot be written.
pub async fn create_token(
    store: &Store,
    name: TokenName,
    role: Role,
    who: Actor,
    now: Timestamp,
) -> Result<Option<SecretString>, StoreError> {
    let secret = TOKEN_PREFIX.to_owned() + &random();
    let token = ApiToken {
        hash: hash(&secret),
        name,
        role,
        created_at: now,
    };
    let added = store
        .write_within(COMMIT_WITHIN, move |tx| {
            let added = tx.insert_api_token(&token)?;
            if added {
                let detail = json!({"role": role.name()});
                tx.audit(&who, "token.create", token.name.as_str(), &detail, now)?;
            }
            Ok(added)
        })
        .await?;
    Ok(added.then(|| secret.into()))
}

/// Every named token, by name.
///
/// # Errors
/// When the store cannot be read.
pub async fn tokens(store: &Store) -> Result<Vec<ApiToken>, StoreError> {
    store.read(|tx| tx.api_tokens()).await
}

/// Revokes a token, with the logins that it opened; false when there is none of this name.
///
/// # Errors
/// When the store cannot be written.
pub async fn revoke_token(
    store: &Store,
    name: TokenName,
    who: Actor,
    now: Timestamp,
) -> Result<bool, StoreError> {
    store
        .write_within(COMMIT_WITHIN, move |tx| {
            let removed = tx.remove_api_token(&name)?;
            if removed {
                tx.audit(&who, "token.revoke", name.as_str(), &json!({}), now)?;
            }
            Ok(removed)
        })
        .await
}

/// 32 random bytes, so a plain hash is enough: there is nothing to guess.
fn random() -> String {
    let mut bytes = [0; 32];
    rand::rng().fill_bytes(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}

fn hash(secret: &str) -> SecretHash {
    Sha256::digest(secret.as_bytes()).into()
}

/// Only who has the cookie can compute it, so nothing more need be kept.
fn csrf(secret: &str) -> String {
    let hash = Sha256::new()
        .chain_update("csrf:")
        .chain_update(secret)
        .finalize();
    URL_SAFE_NO_PAD.encode(hash)
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn store() -> (TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open_in(folder.path());
        (folder, store)
    }

    async fn token(store: &Store, name: &str, role: Role) -> SecretString {
        let made = create_token(
            store,
            name.parse().unwrap(),
            role,
            Actor::CommandLine,
            at(1),
        );
        made.await.unwrap().unwrap()
    }

    #[tokio::test]
    async fn without_any_token_nothing_opens() {
        let (_folder, store) = store();
        for setting in [None, Some(SecretString::from(""))] {
            let access = Access::new(store.clone(), setting.as_ref());
            assert_eq!(access.by_token("").await.unwrap(), None);
            assert_eq!(access.by_session("", at(1)).await.unwrap(), None);
        }
    }

    #[tokio::test]
    async fn the_token_of_the_settings_is_an_admin_and_others_have_their_role() {
        let (_folder, store) = store();
        let made = token(&store, "core", Role::Core).await;
        let access = Access::new(store, Some(&SecretString::from("s3cret")));
        let admin = access.by_token("s3cret").await.unwrap().unwrap();
        assert_eq!(
            (admin.name.as_str(), admin.role),
            ("private.token", Role::Admin)
        );
        let core = access
            .by_token(made.expose_secret())
            .await
            .unwrap()
            .unwrap();
        assert_eq!((core.name.as_str(), core.role), ("core", Role::Core));
        assert_eq!(access.by_token("s3cre").await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_login_ends_with_its_time_and_with_its_token() {
        let (_folder, store) = store();
        let made = token(&store, "ops", Role::Read).await;
        let access = Access::new(store.clone(), None);
        let holder = access
            .by_token(made.expose_secret())
            .await
            .unwrap()
            .unwrap();
        let login = access.log_in(&holder, at(10)).await.unwrap();
        let secret = login.secret.expose_secret();
        let ends = at(10 + 12 * 3600);
        let open = access.by_session(secret, at(11)).await.unwrap().unwrap();
        assert_eq!(open.actor().to_string(), "session:ops");
        assert!(open.session.unwrap().is_from_own_page(&login.session.csrf));
        assert_eq!(access.by_session(secret, ends).await.unwrap(), None);
        let name = holder.name.clone();
        revoke_token(&store, name, Actor::CommandLine, at(12))
            .await
            .unwrap();
        assert_eq!(access.by_session(secret, at(13)).await.unwrap(), None);
    }

    #[tokio::test]
    async fn another_token_in_the_settings_ends_the_logins_of_the_earlier_one() {
        let (_folder, store) = store();
        let access = Access::new(store.clone(), Some(&SecretString::from("old")));
        let holder = access.by_token("old").await.unwrap().unwrap();
        let login = access.log_in(&holder, at(10)).await.unwrap();
        let access = Access::new(store, Some(&SecretString::from("new")));
        let found = access
            .by_session(login.secret.expose_secret(), at(11))
            .await;
        assert_eq!(found.unwrap(), None);
    }

    #[tokio::test]
    async fn a_logout_ends_the_login_at_once() {
        let (_folder, store) = store();
        let access = Access::new(store, Some(&SecretString::from("s3cret")));
        let holder = access.by_token("s3cret").await.unwrap().unwrap();
        let login = access.log_in(&holder, at(10)).await.unwrap();
        let secret = login.secret.expose_secret();
        let open = access.by_session(secret, at(11)).await.unwrap().unwrap();
        access.log_out(&open, at(12)).await.unwrap();
        assert_eq!(access.by_session(secret, at(13)).await.unwrap(), None);
    }

    #[tokio::test]
    async fn no_secret_is_kept() {
        let (folder, store) = store();
        let made = token(&store, "core", Role::Core).await;
        drop(store);
        let marker = made.expose_secret().as_bytes();
        for entry in std::fs::read_dir(folder.path()).unwrap() {
            let bytes = std::fs::read(entry.unwrap().path()).unwrap();
            let held = bytes.windows(marker.len()).any(|window| window == marker);
            assert!(!held);
        }
    }
}
