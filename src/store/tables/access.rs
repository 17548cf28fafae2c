//! Tokens of the API and logins at the console. Both are kept as hashes: who reads the store cannot
//! use them.

use jiff::Timestamp;

use super::tx::{Tx, millis, timestamp};
use crate::domain::access::{Role, TokenName};
use crate::store::StoreError;
use crate::store::sql::{self, Row, params};

/// SHA-256 of a secret.
pub type SecretHash = [u8; 32];

/// A token of the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiToken {
    pub name: TokenName,
    pub role: Role,
    pub hash: SecretHash,
    pub created_at: Timestamp,
}

/// A login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiSession {
    /// Of the token that it was opened with.
    pub token_hash: SecretHash,
    pub expires_at: Timestamp,
}

fn parsed<T: std::str::FromStr>(row: &Row<'_>, column: usize) -> sql::Result<T>
where
    T::Err: std::fmt::Display,
{
    let raw: String = row.get(column)?;
    raw.parse().map_err(|error: T::Err| StoreError::Corrupt {
        what: "token of the API",
        value: error.to_string(),
    })
}

fn read_token(row: &Row<'_>) -> sql::Result<ApiToken> {
    Ok(ApiToken {
        name: parsed(row, 0)?,
        role: parsed(row, 1)?,
        hash: row.get(2)?,
        created_at: timestamp(row.get(3)?),
    })
}

impl Tx<'_> {
    /// Adds a token; false when the name is taken.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn insert_api_token(&self, token: &ApiToken) -> Result<bool, StoreError> {
        let added = self.execute(
            "INSERT INTO api_tokens (name, role, hash, created_at) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (name) DO NOTHING",
            params![
                token.name.as_str(),
                token.role.name(),
                token.hash,
                millis(token.created_at)
            ],
        )?;
        Ok(added > 0)
    }

    /// Every token, by name.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn api_tokens(&self) -> Result<Vec<ApiToken>, StoreError> {
        self.rows(
            "SELECT name, role, hash, created_at FROM api_tokens ORDER BY name",
            [],
            read_token,
        )
    }

    /// The token with this hash.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn api_token(&self, hash: &SecretHash) -> Result<Option<ApiToken>, StoreError> {
        self.row(
            "SELECT name, role, hash, created_at FROM api_tokens WHERE hash = ?1",
            [hash],
            read_token,
        )
    }

    /// Removes a token and the logins that were opened with it; false when there is none.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn remove_api_token(&self, name: &TokenName) -> Result<bool, StoreError> {
        self.run(
            "DELETE FROM api_sessions
             WHERE token_hash IN (SELECT hash FROM api_tokens WHERE name = ?1)",
            [name.as_str()],
        )?;
        let removed = self.execute("DELETE FROM api_tokens WHERE name = ?1", [name.as_str()])?;
        Ok(removed > 0)
    }

    /// Opens a login, and forgets those that have ended.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn insert_api_session(
        &self,
        hash: &SecretHash,
        session: &ApiSession,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        self.run(
            "DELETE FROM api_sessions WHERE expires_at <= ?1",
            [millis(at)],
        )?;
        self.run(
            "INSERT INTO api_sessions (hash, token_hash, expires_at) VALUES (?1, ?2, ?3)",
            params![hash, session.token_hash, millis(session.expires_at)],
        )
    }

    /// The login with this hash, unless it has ended.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn api_session(
        &self,
        hash: &SecretHash,
        at: Timestamp,
    ) -> Result<Option<ApiSession>, StoreError> {
        self.row(
            "SELECT token_hash, expires_at FROM api_sessions
             WHERE hash = ?1 AND expires_at > ?2",
            params![hash, millis(at)],
            |row| {
                Ok(ApiSession {
                    token_hash: row.get(0)?,
                    expires_at: timestamp(row.get(1)?),
                })
            },
        )
    }

    /// Ends a login; false when there is none.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn remove_api_session(&self, hash: &SecretHash) -> Result<bool, StoreError> {
        let removed = self.execute("DELETE FROM api_sessions WHERE hash = ?1", [hash])?;
        Ok(removed > 0)
    }
}
