//! A backup of the store beside the running service: the database, and the attachments that open
//! commands still need, sealed as they lie. Not the key that opens them and the credentials.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::num::NonZeroUsize;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::key_file::attachments_folder;
use crate::config::Settings;
use crate::flow::reply::files::names;
use crate::store::{self, Copied, StoreError, beside, copy};

/// Why there is no backup (nothing is left of it), or why an older one is still there.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error("{0} is there already: a backup is never written over anything")]
    Exists(PathBuf),
    #[error(
        "store.url names PostgreSQL, which makes its own backups: pg_dump --format=custom \
         --file=FILE (docs/contract.md, Backup and restore)"
    )]
    OnServer,
    #[error("there is no store at {0}")]
    NoStore(PathBuf),
    #[error("the database cannot be copied: {0}")]
    Store(#[from] StoreError),
    #[error("cannot write {path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error("the backup is made, but {path}, an older one, cannot be removed: {source}")]
    Old { path: PathBuf, source: io::Error },
}

/// What was backed up.
#[derive(Clone, Debug, PartialEq)]
pub struct Backup {
    pub database: Copied,
    /// Attachments beside it, in `<file>.files`.
    pub files: usize,
    /// Where they are, if there are any.
    pub folder: Option<PathBuf>,
}

/// Writes a backup to `to`, whole or not at all. Blocks for as long as it takes to copy.
///
/// # Errors
/// [`BackupError`].
pub fn backup(settings: &Settings, to: &Path, now: Timestamp) -> Result<Backup, BackupError> {
    let store = settings.store.place.file().ok_or(BackupError::OnServer)?;
    let files = beside(to, ".files");
    if !store.exists() {
        return Err(BackupError::NoStore(store.to_owned()));
    }
    for path in [to, &files] {
        // Also a link to nowhere is there.
        if path.symlink_metadata().is_ok() {
            return Err(BackupError::Exists(path.to_owned()));
        }
    }
    let draft = beside(to, &format!(".draft-{}", std::process::id()));
    let made = make(
        store,
        &attachments_folder(settings),
        (to, &draft, &files),
        now,
    );
    if made.is_err() {
        // What is not there cannot be removed; the error that counts is the first.
        let _ = (fs::remove_file(&draft), fs::remove_dir_all(&files));
    }
    made
}

fn make(
    store: &Path,
    vault: &Path,
    (to, draft, files): (&Path, &Path, &Path),
    now: Timestamp,
) -> Result<Backup, BackupError> {
    let database = copy(store, draft, now)?;
    let kept = keep_files(&database, vault, files)?;
    publish(draft, to).map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => BackupError::Exists(to.to_owned()),
        _ => BackupError::Io {
            path: to.to_owned(),
            source,
        },
    })?;
    Ok(Backup {
        database,
        files: kept,
        folder: (kept > 0).then(|| files.to_owned()),
    })
}

/// Removes all but the `keep` newest backups of the folder of `newest`, which was just made: files
/// of the same extension with the mark of a backup in them, each with its attachments. Nothing else
/// in the folder is touched, nor is the store, which was a backup itself before its first start.
/// Blocks.
///
/// # Errors
/// [`BackupError::Old`] for the first one that stays.
pub fn prune(
    settings: &Settings,
    newest: &Path,
    keep: NonZeroUsize,
) -> Result<Vec<PathBuf>, BackupError> {
    let stays = [settings.store.place.file(), Some(newest)];
    let stays = stays.map(|path| path.and_then(|path| path.canonicalize().ok()));
    let mut older = Vec::new();
    for path in files_beside(newest).map_err(|source| old(folder_of(newest), source))? {
        let is_another = || !stays.contains(&path.canonicalize().ok());
        if path.extension() == newest.extension() && is_another() {
            older.extend(store::made(&path).map(|made| (made, path)));
        }
    }
    older.sort_unstable();
    older.truncate((older.len() + 1).saturating_sub(keep.get()));
    for (_, path) in &older {
        remove(path).map_err(|source| old(path, source))?;
    }
    Ok(older.into_iter().map(|(_, path)| path).collect())
}

fn files_beside(file: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder_of(file))? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            files.push(entry.path());
        }
    }
    Ok(files)
}

/// The attachments first: what is left of a backup that was removed in part is known for one.
fn remove(backup: &Path) -> io::Result<()> {
    match fs::remove_dir_all(beside(backup, ".files")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => fs::remove_file(backup),
    }
}

/// Copies the attachments that the copied commands need. One that is gone by now belongs to a command
/// that has ended since: after a restore it is fetched again, or looked up and found to be at X.
fn keep_files(database: &Copied, vault: &Path, to: &Path) -> Result<usize, BackupError> {
    let mut count = 0;
    for name in database.plans.iter().flat_map(|plan| names(plan)) {
        let name = name.to_string();
        if count == 0 {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(to);
            made.map_err(|source| fault(to, source))?;
        }
        let target = to.join(&name);
        match copy_file(&vault.join(&name), &target) {
            Ok(()) => count += 1,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(fault(&target, source)),
        }
    }
    if count > 0 {
        sync_folder(to).map_err(|source| fault(to, source))?;
    }
    Ok(count)
}

fn copy_file(from: &Path, to: &Path) -> io::Result<()> {
    let mut source = File::open(from)?;
    let mut options = OpenOptions::new();
    let mut target = options.write(true).create_new(true).mode(0o600).open(to)?;
    io::copy(&mut source, &mut target)?;
    target.sync_all()
}

/// Gives the draft its name, which must be free.
fn publish(draft: &Path, to: &Path) -> io::Result<()> {
    match fs::hard_link(draft, to) {
        Ok(()) => fs::remove_file(draft)?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(error),
        // Some shares know no links; their names were free a moment ago.
        Err(_) => fs::rename(draft, to)?,
    }
    sync_folder(folder_of(to))
}

fn folder_of(file: &Path) -> &Path {
    let folder = file.parent().filter(|folder| *folder != Path::new(""));
    folder.unwrap_or(Path::new("."))
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn old(path: &Path, source: io::Error) -> BackupError {
    BackupError::Old {
        path: path.to_owned(),
        source,
    }
}

fn fault(path: &Path, source: io::Error) -> BackupError {
    BackupError::Io {
        path: path.to_owned(),
        source,
    }
}
