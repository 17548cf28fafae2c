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
use crate::sealing::Sealer;

/// The key file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    #[error("the key file {path} cannot be read or made: {source}")]
    Io { path: PathBuf, source: io::Error },
    /// Nothing is written over it: what it sealed would be lost.
    #[error("the key file {0} does not hold 32 bytes in base64; restore it, or set secrets.key")]
    Invalid(PathBuf),
}

/// The sealer of this deployment. Without `secrets.key` its key lies in `<store path>.key`, made at
/// the first start.
///
/// # Errors
/// [`KeyFileError`], when there is no `secrets.key`.
pub fn sealer(settings: &Settings) -> Result<Sealer, KeyFileError> {
    if let Some(key) = &settings.secrets.key {
        let key = Box::new(*key.expose_secret());
        return Ok(Sealer::new(SecretBox::new(key)));
    }
    let path = beside(&settings.store.path, ".key");
    let key = kept_or_made(&path).map_err(|source| match source.kind() {
        io::ErrorKind::InvalidData => KeyFileError::Invalid(path.clone()),
        _ => KeyFileError::Io {
            path: path.clone(),
            source,
        },
    })?;
    tracing::warn!(
        path = %path.display(),
        "secrets.key is not set: credentials and attachments are sealed with this file. Back it up, \
         apart from the database: without it they are lost, together with it they lie open"
    );
    Ok(Sealer::new(key))
}

/// Where attachments are kept.
pub fn attachments_folder(settings: &Settings) -> PathBuf {
    beside(&settings.store.path, ".files")
}

fn beside(store: &Path, suffix: &str) -> PathBuf {
    let mut path = store.to_owned().into_os_string();
    path.push(suffix);
    path.into()
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
    let mut key = [0; 32];
    rand::rng().fill_bytes(&mut key);
    let draft = beside(path, &format!(".{}", std::process::id()));
    let made = write(&draft, &STANDARD.encode(key)).and_then(|()| fs::hard_link(&draft, path));
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

    fn opens(settings: &Settings, sealed: &[u8]) -> bool {
        sealer(settings).unwrap().open("p", sealed).is_ok()
    }

    #[test]
    fn without_a_key_one_is_made_once_and_kept() {
        let dir = TempDir::new().unwrap();
        let settings = settings(&dir, "");
        let sealed = sealer(&settings).unwrap().seal("p", b"x").unwrap();
        let file = dir.path().join("channel.db.key");
        let (written, mode) = (fs::read(&file).unwrap(), fs::metadata(&file).unwrap());
        assert_eq!(mode.permissions().mode() & 0o777, 0o600);
        assert!(opens(&settings, &sealed));
        assert_eq!(fs::read(&file).unwrap(), written);
        let files = fs::read_dir(dir.path()).unwrap().count();
        assert_eq!(files, 2, "the configuration and the key");
    }

    #[test]
    fn two_stores_have_two_keys() {
        let [one, two] = [(); 2].map(|()| TempDir::new().unwrap());
        let sealed = sealer(&settings(&one, "")).unwrap().seal("p", b"x");
        assert!(!opens(&settings(&two, ""), &sealed.unwrap()));
    }

    #[test]
    fn with_a_key_no_file_is_made() {
        let dir = TempDir::new().unwrap();
        let key = STANDARD.encode([7; 32]);
        let sealed = sealer(&settings(&dir, &key)).unwrap().seal("p", b"x");
        let by_hand = Sealer::new(SecretBox::new(Box::new([7; 32])));
        assert!(by_hand.open("p", &sealed.unwrap()).is_ok());
        assert!(!dir.path().join("channel.db.key").exists());
    }

    #[test]
    fn a_broken_key_file_is_refused_and_left_as_it_is() {
        let dir = TempDir::new().unwrap();
        let file = dir.path().join("channel.db.key");
        for broken in ["", "c2hvcnQ=\n", "no base64"] {
            fs::write(&file, broken).unwrap();
            let refused = sealer(&settings(&dir, ""));
            assert!(matches!(refused, Err(KeyFileError::Invalid(path)) if path == file));
            assert_eq!(fs::read_to_string(&file).unwrap(), broken);
        }
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
