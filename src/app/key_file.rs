//! The key that seals what lies beside the database: `secrets.key`, or one that we make.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rand::RngCore;
use secrecy::{ExposeSecret, SecretBox, SecretString};

use crate::config::{SecretKey, Settings};
use crate::sealing::{Sealer, TooLong};
use crate::store::{Store, StoreError, beside};

/// The key file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    #[error("the key file {path} cannot be read or made: {source}")]
    Io { path: PathBuf, source: io::Error },
    /// Nothing is written over it: what it sealed would be lost.
    #[error("the key file {0} does not hold 32 bytes in base64; restore it, or set secrets.key")]
    Invalid(PathBuf),
    /// Nothing that was sealed could be read.
    #[error(
        "secrets.key (or the file <store>.key) is not the key that this store was sealed with: \
         restore that key, or start with an empty store and link the accounts again"
    )]
    Wrong,
    #[error(transparent)]
    TooLong(#[from] TooLong),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl KeyFileError {
    fn of(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::InvalidData => Self::Invalid(path),
            _ => Self::Io { path, source },
        }
    }
}

/// Where the store keeps the sealed key, and what it is sealed for.
const DATA_KEY: &str = "data_key";

/// The sealer of this deployment. What it seals with is made at random at the first start and kept
/// in the store, sealed by the master key: so that one can be exchanged without touching what is
/// sealed. Without `secrets.key` the master key lies in `<store path>.key`, made at the first start.
///
/// # Errors
/// [`KeyFileError`]; [`KeyFileError::Wrong`] where the store was sealed with another key.
pub async fn sealer(settings: &Settings, store: &Store) -> Result<Sealer, KeyFileError> {
    let master = Sealer::new(master(settings)?);
    let fresh = random_key();
    let sealed = master.seal(DATA_KEY, fresh.expose_secret())?;
    let fresh = STANDARD.encode(sealed);
    let kept = store
        .write(move |tx| match tx.meta(DATA_KEY)? {
            Some(kept) => Ok(kept),
            None => tx.set_meta(DATA_KEY, &fresh).map(|()| fresh),
        })
        .await?;
    open(&master, &kept).ok_or(KeyFileError::Wrong)
}

/// Seals the store's key with another master key. The service may run meanwhile; it needs the new
/// one from its next start on.
///
/// # Errors
/// [`KeyFileError`]; nothing has changed then.
pub async fn rotate(
    settings: &Settings,
    store: &Store,
    new: SecretKey,
) -> Result<(), KeyFileError> {
    let (old, new) = (Sealer::new(master(settings)?), Sealer::new(new));
    let kept = store.read(|tx| tx.meta(DATA_KEY)).await?;
    let kept = kept.and_then(|kept| STANDARD.decode(kept).ok());
    let key = kept.and_then(|kept| old.open(DATA_KEY, &kept).ok());
    let key = key.ok_or(KeyFileError::Wrong)?;
    let sealed = STANDARD.encode(new.seal(DATA_KEY, key.expose_secret())?);
    store
        .write(move |tx| tx.set_meta(DATA_KEY, &sealed))
        .await?;
    Ok(())
}

/// Reads a key from a file: 32 bytes in base64.
///
/// # Errors
/// [`KeyFileError::Io`] and [`KeyFileError::Invalid`].
pub fn read_key(path: &Path) -> Result<SecretKey, KeyFileError> {
    read(path).map_err(|source| KeyFileError::of(path, source))
}

fn open(master: &Sealer, kept: &str) -> Option<Sealer> {
    let opened = master.open(DATA_KEY, &STANDARD.decode(kept).ok()?).ok()?;
    let key: [u8; 32] = opened.expose_secret().try_into().ok()?;
    Some(Sealer::new(SecretBox::new(Box::new(key))))
}

fn master(settings: &Settings) -> Result<SecretKey, KeyFileError> {
    if let Some(key) = &settings.secrets.key {
        return Ok(SecretBox::new(Box::new(*key.expose_secret())));
    }
    let path = beside_store(settings, ".key");
    let key = kept_or_made(&path).map_err(|source| KeyFileError::of(&path, source))?;
    tracing::warn!(
        path = %path.display(),
        "secrets.key is not set: credentials and attachments are sealed with this file. Back it up, \
         apart from the database: without it they are lost, together with it they lie open"
    );
    Ok(key)
}

fn random_key() -> SecretKey {
    let mut key = Box::new([0; 32]);
    rand::rng().fill_bytes(key.as_mut_slice());
    SecretBox::new(key)
}

/// Where attachments are kept.
pub fn attachments_folder(settings: &Settings) -> PathBuf {
    match &settings.attachments.folder {
        Some(folder) => folder.clone(),
        None => beside_store(settings, ".files"),
    }
}

/// Beside the database file; in the working folder, where a server has the database.
fn beside_store(settings: &Settings, suffix: &str) -> PathBuf {
    let file = settings.store.place.file();
    beside(file.unwrap_or(Path::new("twitter-channel.db")), suffix)
}

fn kept_or_made(path: &Path) -> io::Result<SecretKey> {
    match read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make(path)?;
            // Of two that made one, both read the one that is there.
            read(path)
        }
        read => read,
    }
}

fn read(path: &Path) -> io::Result<SecretKey> {
    let written = SecretString::from(fs::read_to_string(path)?);
    let bytes = STANDARD.decode(written.expose_secret().trim_end());
    let key: Option<[u8; 32]> = bytes.ok().and_then(|bytes| bytes.try_into().ok());
    let key = key.ok_or(io::ErrorKind::InvalidData)?;
    Ok(SecretBox::new(Box::new(key)))
}

/// Makes the file whole or not at all, and never in the place of another.
fn make(path: &Path) -> io::Result<()> {
    let key = STANDARD.encode(random_key().expose_secret());
    let mut draft = path.to_owned().into_os_string();
    draft.push(format!(".{}", std::process::id()));
    let draft = PathBuf::from(draft);
    let made = write(&draft, &key).and_then(|()| fs::hard_link(&draft, path));
    let removed = fs::remove_file(&draft);
    match made {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.exists() => {}
        made => made?,
    }
    removed?;
    let folder = path.parent().filter(|folder| folder != &Path::new(""));
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    writeln!(file, "{text}")?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use tempfile::TempDir;

    use super::*;

    fn settings(dir: &TempDir, key: &str) -> Settings {
        let config = dir.path().join("config.toml");
        let store = dir.path().join("channel.db");
        let toml = format!(
            "[store]\nurl = \"sqlite://{}\"\n[secrets]\nkey = \"{key}\"\n",
            store.display()
        );
        fs::write(&config, toml).unwrap();
        Settings::load(Some(&config), std::iter::empty()).unwrap()
    }

    fn store(settings: &Settings) -> Store {
        Store::open(settings.store.clone()).unwrap()
    }

    async fn seals(settings: &Settings) -> Vec<u8> {
        let sealer = sealer(settings, &store(settings)).await.unwrap();
        sealer.seal("p", b"x").unwrap()
    }

    async fn opens(settings: &Settings, sealed: &[u8]) -> bool {
        let sealer = sealer(settings, &store(settings)).await.unwrap();
        sealer.open("p", sealed).is_ok()
    }

    #[tokio::test]
    async fn without_a_key_one_is_made_once_and_kept() {
        let dir = TempDir::new().unwrap();
        let settings = settings(&dir, "");
        let sealed = seals(&settings).await;
        let file = dir.path().join("channel.db.key");
        let (written, mode) = (fs::read(&file).unwrap(), fs::metadata(&file).unwrap());
        assert_eq!(mode.permissions().mode() & 0o777, 0o600);
        assert!(opens(&settings, &sealed).await);
        assert_eq!(fs::read(&file).unwrap(), written);
    }

    #[tokio::test]
    async fn two_stores_have_two_keys_even_of_one_master_key() {
        let key = STANDARD.encode([7; 32]);
        let [one, two] = [(); 2].map(|()| TempDir::new().unwrap());
        let sealed = seals(&settings(&one, &key)).await;
        assert!(!opens(&settings(&two, &key), &sealed).await);
    }

    #[tokio::test]
    async fn with_a_key_no_file_is_made() {
        let dir = TempDir::new().unwrap();
        let settings = settings(&dir, &STANDARD.encode([7; 32]));
        let sealed = seals(&settings).await;
        assert!(opens(&settings, &sealed).await);
        assert!(!dir.path().join("channel.db.key").exists());
    }

    #[tokio::test]
    async fn a_broken_key_file_is_refused_and_left_as_it_is() {
        let dir = TempDir::new().unwrap();
        let file = dir.path().join("channel.db.key");
        let settings = settings(&dir, "");
        let store = store(&settings);
        for broken in ["", "c2hvcnQ=\n", "no base64"] {
            fs::write(&file, broken).unwrap();
            let refused = sealer(&settings, &store).await;
            assert!(matches!(refused, Err(KeyFileError::Invalid(path)) if path == file));
            assert_eq!(fs::read_to_string(&file).unwrap(), broken);
        }
    }

    #[tokio::test]
    async fn another_key_than_the_stores_is_refused_and_harms_nothing() {
        let dir = TempDir::new().unwrap();
        let [right, wrong] = [7, 8].map(|byte| settings(&dir, &STANDARD.encode([byte; 32])));
        let sealed = seals(&right).await;
        let refused = sealer(&wrong, &store(&wrong)).await;
        assert!(matches!(refused, Err(KeyFileError::Wrong)));
        assert!(opens(&right, &sealed).await);
    }

    #[tokio::test]
    async fn after_a_rotation_only_the_new_key_opens_all_that_was_sealed() {
        let dir = TempDir::new().unwrap();
        let [old, new] = [7, 8].map(|byte| settings(&dir, &STANDARD.encode([byte; 32])));
        let sealed = seals(&old).await;
        let key = SecretBox::new(Box::new([8; 32]));
        rotate(&old, &store(&old), key).await.unwrap();
        assert!(opens(&new, &sealed).await);
        assert!(matches!(
            sealer(&old, &store(&old)).await,
            Err(KeyFileError::Wrong)
        ));
    }

    #[test]
    fn a_key_that_is_there_is_never_written_over() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("channel.db.key");
        make(&path).unwrap();
        let first = fs::read(&path).unwrap();
        make(&path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), first);
    }
}
