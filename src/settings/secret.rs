//! Secrets that are looked at again: whoever rotates one changes its file and restarts nothing.

use std::io;
use std::path::{Path, PathBuf};

use secrecy::SecretString;

/// A secret as it stands in the settings, or the file that holds it.
#[derive(Clone, Debug)]
pub enum FollowedSecret {
    /// In the settings themselves: it never changes.
    Given {
        /// Path of its key, such as `broker.url`.
        key: String,
        /// The secret.
        value: SecretString,
    },
    /// In a file, which may change at any time.
    File {
        /// Path of its key, such as `broker.url_file`.
        key: String,
        /// The file.
        path: PathBuf,
    },
}

/// Why the file of a secret is of no use now.
#[derive(Debug, thiserror::Error)]
pub enum SecretFileError {
    /// It cannot be read.
    #[error("{key} = {path:?} cannot be read")]
    Unreadable {
        /// Path of the key.
        key: String,
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// It holds nothing.
    #[error("{key} = {path:?} is empty")]
    Empty {
        /// Path of the key.
        key: String,
        /// The file.
        path: PathBuf,
    },
}

impl FollowedSecret {
    /// A secret of the settings under this key.
    pub fn given(key: &str, value: SecretString) -> Self {
        let key = key.to_owned();
        Self::Given { key, value }
    }

    /// Path of the key by which it was given.
    pub fn key(&self) -> &str {
        match self {
            Self::Given { key, .. } | Self::File { key, .. } => key,
        }
    }

    /// Whether it may change.
    pub fn is_file(&self) -> bool {
        matches!(self, Self::File { .. })
    }

    /// The secret of this moment, without the line end behind it.
    ///
    /// # Errors
    /// When its file cannot be read or holds nothing.
    pub async fn read(&self) -> Result<SecretString, SecretFileError> {
        match self {
            Self::Given { value, .. } => Ok(value.clone()),
            Self::File { key, path } => read_file(key, path).await,
        }
    }
}

async fn read_file(key: &str, path: &Path) -> Result<SecretString, SecretFileError> {
    let (key, path) = (key.to_owned(), path.to_owned());
    match tokio::fs::read_to_string(&path).await {
        Ok(content) if content.trim().is_empty() => Err(SecretFileError::Empty { key, path }),
        Ok(content) => Ok(without_line_end(&content).into()),
        Err(source) => Err(SecretFileError::Unreadable { key, path, source }),
    }
}

/// A secret as an editor or `echo` leaves it in a file.
pub(super) fn without_line_end(content: &str) -> &str {
    content.trim_end_matches(['\r', '\n'])
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[tokio::test]
    async fn a_changed_file_gives_the_new_secret() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        let secret = FollowedSecret::File {
            key: "broker.password_file".to_owned(),
            path: path.clone(),
        };
        let missing = secret.read().await.unwrap_err().to_string();
        assert!(missing.starts_with("broker.password_file = "), "{missing}");
        for text in ["one", "two"] {
            std::fs::write(&path, format!("{text}\r\n")).unwrap();
            assert_eq!(secret.read().await.unwrap().expose_secret(), text);
        }
        std::fs::write(&path, "\n").unwrap();
        let empty = secret.read().await.unwrap_err().to_string();
        assert!(empty.ends_with("is empty"), "{empty}");
    }
}
