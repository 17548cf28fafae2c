//! `store`: what ops do with the store beside the running service.

use std::fmt::Write as _;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use jiff::Timestamp;
use twitter_channel::app::backup::{Backup, backup, prune};
use twitter_channel::config::Settings;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Copy the store into a new file, while the service runs.
    ///
    /// The copy is consistent: all that was committed when it began. Attachments that open commands
    /// need go into FILE.files beside it. `secrets.key` (or the file `<store>.key`) is NOT in it,
    /// and without it the copy's credentials and attachments cannot be read: keep it elsewhere.
    /// Restore: with the service stopped, put FILE in the place of the store (and FILE.files in the
    /// place of <store>.files), remove <store>-wal and <store>-shm, start with `serve --restored`.
    Backup {
        /// Must not exist yet.
        file: PathBuf,
        /// Afterwards remove all but the N newest backups of FILE's folder: files of FILE's extension
        /// that a mark in them tells for backups. All stay without this option.
        #[arg(long, value_name = "N")]
        keep: Option<NonZeroUsize>,
    },
}

impl Command {
    pub(crate) async fn run(self, settings: Settings) -> anyhow::Result<String> {
        match self {
            Self::Backup { file, keep } => {
                let made = tokio::task::spawn_blocking(move || {
                    let made = backup(&settings, &file, Timestamp::now())?;
                    let removed =
                        keep.map_or(Ok(Vec::new()), |keep| prune(&settings, &file, keep))?;
                    anyhow::Ok(told(&made, &file, &removed))
                });
                made.await?
            }
        }
    }
}

fn told(made: &Backup, file: &Path, removed: &[PathBuf]) -> String {
    let database = &made.database;
    let mut said = format!(
        "{}: {} bytes, as of {}\n{} events, {} of them not published yet; {} open commands\n",
        file.display(),
        database.bytes,
        database.made,
        database.events,
        database.unpublished,
        database.open_commands
    );
    if let Some(folder) = &made.folder {
        // A String takes whatever is written to it.
        let _ = writeln!(said, "{}: {} attachments", folder.display(), made.files);
    }
    said += "not in it: secrets.key (or <store>.key), without which its credentials and attachments \
             cannot be read\n";
    for path in removed {
        let _ = writeln!(said, "removed: {}", path.display());
    }
    said
}
