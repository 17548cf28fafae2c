//! `secrets`: the key that credentials are sealed with.

use std::path::PathBuf;

use clap::Subcommand;
use twitter_channel::app::key_file;
use twitter_channel::config::Settings;

use super::open_store;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Seal the store with another key. The service may run meanwhile, and needs the new key as
    /// secrets.key from its next start on.
    Rotate {
        /// File with the new key: 32 bytes in base64 (openssl rand -base64 32).
        #[arg(long, value_name = "FILE")]
        new_key_file: PathBuf,
    },
}

impl Command {
    pub(super) async fn run(self, settings: &Settings) -> anyhow::Result<String> {
        let Self::Rotate { new_key_file } = self;
        let key = key_file::read_key(&new_key_file)?;
        key_file::rotate(settings, &open_store(settings)?, key).await?;
        Ok(format!(
            "the store is sealed with the key in {}: set it as secrets.key (or put the file in the \
             place of <store>.key) before the service starts again.\nIf the old key may have been \
             seen together with the database, link the accounts again and change the apps' keys.\n",
            new_key_file.display()
        ))
    }
}
