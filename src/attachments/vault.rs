//! Keeps files sealed on the disk from the command to its outcome.
//!
//! A file is `<folder>/<name>`: the header of [`Sealer::seal_chunks`], then chunks of 1 MiB, each
//! sealed. It is sealed for its name, so one file cannot stand in for another.

use std::collections::HashSet;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::try_unfold;
use rand::RngCore;
use serde::{Deserialize, Serialize};
use tokio::fs::{self, File};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::sealing::{CHUNK_OVERHEAD, ChunkOpener, ChunkSealer, STREAM_HEADER, Sealer};

/// Bytes of one chunk, the last excepted. X's own guide uploads in pieces of this size.
pub const CHUNK: usize = 1024 * 1024;
const NAME_BYTES: usize = 16;

/// What a caller can do about a failed vault.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// No room: try again when there is.
    #[error("the disk is full, attachments cannot be kept in {folder}")]
    Full {
        folder: PathBuf,
        #[source]
        source: io::Error,
    },
    /// Try again later.
    #[error("attachments in {folder} cannot be reached: {source}")]
    Io { folder: PathBuf, source: io::Error },
    /// It was removed: fetch it again.
    #[error("the attachment {0} is not there any more")]
    Missing(FileName),
    /// Changed on the disk, or sealed with a key that is no longer ours: fetch it again.
    #[error("the attachment {0} was sealed with another key, or is damaged")]
    Damaged(FileName),
}

/// Name of a file in the vault: random, so it tells nothing.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FileName(String);

/// A text that is no [`FileName`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no name of a kept file")]
pub struct InvalidFileName(String);

impl FileName {
    fn random() -> Self {
        let mut bytes = [0; NAME_BYTES];
        rand::rng().fill_bytes(&mut bytes);
        Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    fn purpose(&self) -> String {
        format!("attachment:{self}")
    }
}

impl FromStr for FileName {
    type Err = InvalidFileName;

    fn from_str(raw: &str) -> Result<Self, InvalidFileName> {
        let is_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if raw.len() == NAME_BYTES * 2 && raw.bytes().all(is_hex) {
            Ok(Self(raw.to_owned()))
        } else {
            Err(InvalidFileName(raw.to_owned()))
        }
    }
}

impl TryFrom<String> for FileName {
    type Error = InvalidFileName;

    fn try_from(raw: String) -> Result<Self, InvalidFileName> {
        raw.parse()
    }
}

impl From<FileName> for String {
    fn from(name: FileName) -> Self {
        name.0
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A kept file, as the ledger remembers it. It has no digest: the seal shows every change, and a
/// digest would tell whoever reads the ledger which known file it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRef {
    pub name: FileName,
    /// Bytes before sealing.
    pub size: u64,
}

/// The folder of kept files; cheap to clone.
#[derive(Clone)]
pub struct Vault {
    folder: Arc<Path>,
    sealer: Sealer,
}

impl Vault {
    /// Opens the folder, made for this user only when it is not there.
    ///
    /// # Errors
    /// [`VaultError::Io`], [`VaultError::Full`].
    pub async fn open(folder: &Path, sealer: Sealer) -> Result<Self, VaultError> {
        let vault = Self::at(folder, sealer);
        let made = match fs::DirBuilder::new().mode(0o700).create(folder).await {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => fs::read_dir(folder).await.map(|_entries| ()),
        };
        made.map_err(|source| vault.fault(source))?;
        Ok(vault)
    }

    /// Files in a folder that may not be there yet.
    pub(crate) fn at(folder: &Path, sealer: Sealer) -> Self {
        Self {
            folder: folder.into(),
            sealer,
        }
    }

    /// Begins a file. It is there once [`Deposit::finish`] has answered; dropped before, nothing is
    /// left of it.
    ///
    /// # Errors
    /// [`VaultError::Io`], [`VaultError::Full`].
    pub async fn create(&self) -> Result<Deposit, VaultError> {
        let name = FileName::random();
        let path = self.folder.join(&name.0);
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        let file = options.open(&path).await;
        let (header, sealer) = self.sealer.seal_chunks(&name.purpose());
        let mut deposit = Deposit {
            file: file.map_err(|source| self.fault(source))?,
            leftover: Leftover(Some(path)),
            vault: self.clone(),
            name,
            sealer,
            chunk: Vec::with_capacity(CHUNK + CHUNK_OVERHEAD),
            size: 0,
        };
        let written = deposit.file.write_all(&header).await;
        written.map_err(|source| self.fault(source))?;
        Ok(deposit)
    }

    /// Keeps bytes that are in memory.
    ///
    /// # Errors
    /// [`VaultError::Io`], [`VaultError::Full`].
    pub async fn put(&self, bytes: &[u8]) -> Result<FileRef, VaultError> {
        let mut deposit = self.create().await?;
        deposit.write(bytes).await?;
        deposit.finish().await
    }

    /// Opens a file to be read from its beginning.
    ///
    /// # Errors
    /// [`VaultError::Missing`], [`VaultError::Damaged`], [`VaultError::Io`].
    pub async fn read(&self, file: &FileRef) -> Result<Withdrawal, VaultError> {
        let damaged = || VaultError::Damaged(file.name.clone());
        let fault = |source| self.fault_of(&file.name, source);
        let mut sealed = File::open(self.folder.join(&file.name.0))
            .await
            .map_err(fault)?;
        let length = sealed.metadata().await.map_err(fault)?.len();
        if length != sealed_length(file.size) {
            return Err(damaged());
        }
        let mut header = [0; STREAM_HEADER];
        sealed.read_exact(&mut header).await.map_err(fault)?;
        let purpose = file.name.purpose();
        let opener = self.sealer.open_chunks(&purpose, &header);
        Ok(Withdrawal {
            file: sealed,
            vault: self.clone(),
            name: file.name.clone(),
            left: file.size,
            opener: Some(opener.or(Err(damaged()))?),
        })
    }

    /// Removes a file; one that is not there is as good.
    ///
    /// # Errors
    /// [`VaultError::Io`].
    pub async fn remove(&self, name: &FileName) -> Result<(), VaultError> {
        match fs::remove_file(self.folder.join(&name.0)).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.fault(error)),
            _ => Ok(()),
        }
    }

    /// Removes what no command refers to: a crash leaves such files. At start only, before new ones
    /// are made. Answers how many there were.
    ///
    /// # Errors
    /// [`VaultError::Io`].
    pub async fn sweep(&self, keep: &HashSet<FileName>) -> Result<usize, VaultError> {
        let fault = |source| self.fault(source);
        let mut entries = fs::read_dir(&self.folder).await.map_err(fault)?;
        let mut removed = 0;
        while let Some(entry) = entries.next_entry().await.map_err(fault)? {
            let name = entry.file_name().to_string_lossy().parse();
            // What is not named by us is not ours to remove.
            if let Ok(name) = name
                && !keep.contains(&name)
            {
                self.remove(&name).await?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    fn fault(&self, source: io::Error) -> VaultError {
        let folder = self.folder.to_path_buf();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                VaultError::Full { folder, source }
            }
            _ => VaultError::Io { folder, source },
        }
    }

    /// Of a file that should be there, whole.
    fn fault_of(&self, name: &FileName, source: io::Error) -> VaultError {
        match source.kind() {
            io::ErrorKind::NotFound => VaultError::Missing(name.clone()),
            io::ErrorKind::UnexpectedEof => VaultError::Damaged(name.clone()),
            _ => self.fault(source),
        }
    }
}

/// Bytes on the disk of a file of so many.
fn sealed_length(size: u64) -> u64 {
    let chunks = size.div_ceil(CHUNK as u64).max(1);
    STREAM_HEADER as u64 + size + chunks * CHUNK_OVERHEAD as u64
}

/// A file that is being written. Holds one chunk in memory.
pub struct Deposit {
    file: File,
    leftover: Leftover,
    vault: Vault,
    name: FileName,
    sealer: ChunkSealer,
    chunk: Vec<u8>,
    size: u64,
}

impl Deposit {
    /// The next bytes.
    ///
    /// # Errors
    /// [`VaultError::Io`], [`VaultError::Full`].
    pub async fn write(&mut self, mut bytes: &[u8]) -> Result<(), VaultError> {
        self.size += bytes.len() as u64;
        while !bytes.is_empty() {
            // A full chunk waits until it is known not to be the last.
            if self.chunk.len() == CHUNK {
                self.write_chunk().await?;
            }
            let room = bytes.len().min(CHUNK - self.chunk.len());
            let (now, later) = bytes.split_at_checked(room).unwrap_or((bytes, &[]));
            self.chunk.extend_from_slice(now);
            bytes = later;
        }
        Ok(())
    }

    async fn write_chunk(&mut self) -> Result<(), VaultError> {
        let sealed = self.sealer.seal(&mut self.chunk);
        sealed.map_err(|error| self.vault.fault(io::Error::other(error)))?;
        let written = self.file.write_all(&self.chunk).await;
        self.chunk.clear();
        written.map_err(|source| self.vault.fault(source))
    }

    /// Writes the end, and answers once all of it is on the disk.
    ///
    /// # Errors
    /// [`VaultError::Io`], [`VaultError::Full`].
    pub async fn finish(self) -> Result<FileRef, VaultError> {
        let Self {
            file,
            mut leftover,
            vault,
            name,
            sealer,
            mut chunk,
            size,
        } = self;
        let written = match sealer.seal_last(&mut chunk) {
            Ok(()) => persist(file, &chunk, &vault.folder).await,
            Err(error) => Err(io::Error::other(error)),
        };
        written.map_err(|source| vault.fault(source))?;
        leftover.0 = None;
        Ok(FileRef { name, size })
    }
}

async fn persist(mut file: File, last: &[u8], folder: &Path) -> io::Result<()> {
    file.write_all(last).await?;
    file.flush().await?;
    file.sync_all().await?;
    // The name too.
    File::open(folder).await?.sync_all().await
}

/// An unfinished file, removed when nobody goes on with it.
struct Leftover(Option<PathBuf>);

impl Drop for Leftover {
    fn drop(&mut self) {
        let Some(path) = &self.0 else {
            return;
        };
        // No await here, and one unlink is short. What stays is swept at the next start.
        if let Err(error) = std::fs::remove_file(path) {
            tracing::warn!(%error, path = %path.display(), "an unfinished attachment is left behind");
        }
    }
}

/// A file that is being read. Holds one chunk in memory.
pub struct Withdrawal {
    file: File,
    vault: Vault,
    name: FileName,
    left: u64,
    /// `None` at the end.
    opener: Option<ChunkOpener>,
}

impl Withdrawal {
    /// The next chunk: [`CHUNK`] bytes, the last excepted; `None` at the end.
    ///
    /// # Errors
    /// [`VaultError::Damaged`], [`VaultError::Io`].
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, VaultError> {
        let Some(mut opener) = self.opener.take() else {
            return Ok(None);
        };
        let length = usize::try_from(self.left).map_or(CHUNK, |left| left.min(CHUNK));
        let mut chunk = vec![0; length + CHUNK_OVERHEAD];
        let read = self.file.read_exact(&mut chunk).await;
        read.map_err(|source| self.vault.fault_of(&self.name, source))?;
        self.left -= length as u64;
        let opened = if self.left == 0 {
            opener.open_last(&mut chunk)
        } else {
            let opened = opener.open(&mut chunk);
            self.opener = Some(opener);
            opened
        };
        match opened {
            Ok(()) => Ok(Some(chunk.into())),
            Err(_wrong_key) => Err(VaultError::Damaged(self.name.clone())),
        }
    }

    /// All of it, chunk by chunk.
    pub fn into_chunks(self) -> impl Stream<Item = Result<Bytes, VaultError>> {
        try_unfold(self, |mut file| async move {
            let chunk = file.chunk().await?;
            Ok(chunk.map(|chunk| (chunk, file)))
        })
    }
}

#[cfg(test)]
mod tests;
