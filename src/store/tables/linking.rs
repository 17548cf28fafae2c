//! Linkings under way: the pages at which they begin, and the browsers that were sent to X. Tokens,
//! states and cookies are kept as hashes: who reads the store cannot use them.

use jiff::Timestamp;

use super::access::SecretHash;
use super::tx::{Tx, millis, timestamp};
use crate::domain::access::Actor;
use crate::store::StoreError;
use crate::store::sql::{self, Row, params};

/// A page at which an account is linked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkOffer {
    /// Of the token in its address.
    pub hash: SecretHash,
    /// Name of the app.
    pub app: String,
    /// By OAuth 2.0; else by OAuth 1.0a.
    pub oauth2: bool,
    /// The account that is expected, without `@`; `None`: any.
    pub username: Option<String>,
    /// For another person than who made it.
    pub invited: bool,
    pub made_by: Actor,
    /// Path below `private.url` to go to afterwards.
    pub back: Option<String>,
    pub made_at: Timestamp,
    pub expires_at: Timestamp,
    /// When an account was linked by it.
    pub used_at: Option<Timestamp>,
}

/// A browser that was sent to X.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Linking {
    /// Of what comes back: the state of OAuth 2.0, the request token of OAuth 1.0a.
    pub state: SecretHash,
    /// Of its cookie.
    pub browser: SecretHash,
    /// The page it began at.
    pub offer: SecretHash,
    /// What proves to X that we began it.
    pub sealed: Vec<u8>,
    pub expires_at: Timestamp,
    /// When it came back.
    pub used_at: Option<Timestamp>,
}

fn offer(row: &Row<'_>) -> sql::Result<LinkOffer> {
    let made_by: String = row.get(5)?;
    let unreadable = |_unknown| StoreError::Corrupt {
        what: "maker of a page",
        value: made_by.clone(),
    };
    Ok(LinkOffer {
        hash: row.get(0)?,
        app: row.get(1)?,
        oauth2: row.get(2)?,
        username: row.get(3)?,
        invited: row.get(4)?,
        made_by: made_by.parse().map_err(unreadable)?,
        back: row.get(6)?,
        made_at: timestamp(row.get(7)?),
        expires_at: timestamp(row.get(8)?),
        used_at: row.get::<Option<i64>>(9)?.map(timestamp),
    })
}

fn linking(row: &Row<'_>) -> sql::Result<Linking> {
    Ok(Linking {
        state: row.get(0)?,
        browser: row.get(1)?,
        offer: row.get(2)?,
        sealed: row.get(3)?,
        expires_at: timestamp(row.get(4)?),
        used_at: row.get::<Option<i64>>(5)?.map(timestamp),
    })
}

impl Tx<'_> {
    /// Keeps a new page.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn add_link_offer(&self, offer: &LinkOffer) -> Result<(), StoreError> {
        self.run(
            "INSERT INTO link_offers (hash, app, oauth2, username, invited, made_by, back,
                                      made_at, expires_at, used_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            params![
                offer.hash,
                offer.app,
                offer.oauth2,
                offer.username,
                offer.invited,
                offer.made_by.to_string(),
                offer.back,
                millis(offer.made_at),
                millis(offer.expires_at),
                offer.used_at.map(millis),
            ],
        )
    }

    /// The page of this address.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn link_offer(&self, hash: &SecretHash) -> Result<Option<LinkOffer>, StoreError> {
        let sql = "SELECT hash, app, oauth2, username, invited, made_by, back, made_at,
                          expires_at, used_at FROM link_offers WHERE hash = ?1";
        self.row(sql, [hash], offer)
    }

    /// Spends a page; whether it was not spent yet.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn use_link_offer(&self, hash: &SecretHash, at: Timestamp) -> Result<bool, StoreError> {
        let sql = "UPDATE link_offers SET used_at = ?2 WHERE hash = ?1 AND used_at IS NULL";
        Ok(self.execute(sql, params![hash, millis(at)])? > 0)
    }

    /// Lets a page be used again.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn free_link_offer(&self, hash: &SecretHash) -> Result<(), StoreError> {
        let sql = "UPDATE link_offers SET used_at = NULL WHERE hash = ?1";
        self.run(sql, [hash])
    }

    /// Keeps a linking that has begun.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn add_linking(&self, linking: &Linking) -> Result<(), StoreError> {
        self.run(
            "INSERT INTO linkings (state, browser, offer, sealed, expires_at, used_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                linking.state,
                linking.browser,
                linking.offer,
                linking.sealed,
                millis(linking.expires_at),
                linking.used_at.map(millis),
            ],
        )
    }

    /// The linking of this state.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn linking(&self, state: &SecretHash) -> Result<Option<Linking>, StoreError> {
        let sql = "SELECT state, browser, offer, sealed, expires_at, used_at
                   FROM linkings WHERE state = ?1";
        self.row(sql, [state], linking)
    }

    /// Notes that a linking came back; what it was proved by is forgotten.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn use_linking(&self, state: &SecretHash, at: Timestamp) -> Result<(), StoreError> {
        let sql = "UPDATE linkings SET used_at = ?2, sealed = ?3 WHERE state = ?1";
        self.run(sql, params![state, millis(at), [0u8; 0]])
    }

    /// Forgets pages and linkings that ended before `before`.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn prune_linkings(&self, before: Timestamp) -> Result<(), StoreError> {
        let before = millis(before);
        self.run("DELETE FROM linkings WHERE expires_at < ?1", [before])?;
        self.run("DELETE FROM link_offers WHERE expires_at < ?1", [before])?;
        Ok(())
    }
}
