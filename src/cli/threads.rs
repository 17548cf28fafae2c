//! `threads`: conversations that began with another channel.

use std::fs::File;
use std::path::PathBuf;

use anyhow::Context;
use clap::Subcommand;
use jiff::Timestamp;
use twitter_channel::domain::registry::Registry;
use twitter_channel::flow::thread_import::{self, Imported};
use twitter_channel::store::Store;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Have conversations of another channel go on here: a reply to one of their posts comes with
    /// the old conversation's id. All of the file or nothing; again does no harm.
    Import {
        /// CSV with a header: account,conversation,post,author,customer,group,received_at and, if it
        /// likes, ticket; see docs/migrate-zammad.md.
        file: PathBuf,
    },
}

impl Command {
    /// Does it; gives what to print.
    pub(super) async fn run(self, store: &Store, registry: &Registry) -> anyhow::Result<String> {
        let Self::Import { file } = self;
        let open = File::open(&file).with_context(|| file.display().to_string())?;
        let now = Timestamp::now();
        let messages = thread_import::read(open, registry, now)?;
        let Imported {
            lines,
            posts,
            conversations,
        } = thread_import::enter(store, messages, now).await?;
        Ok(format!(
            "{lines} lines; new: {posts} posts, {conversations} conversations\n"
        ))
    }
}
