//! `token`: who may use the API.

use anyhow::{Context, ensure};
use clap::Subcommand;
use jiff::Timestamp;
use secrecy::ExposeSecret;
use twitter_channel::domain::access::{Actor, Role, TokenName};
use twitter_channel::flow::access;
use twitter_channel::store::Store;

use super::line;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make a token and print it, this once.
    Create {
        /// 1 to 64 letters, digits, `.`, `_` or `-`.
        #[arg(long)]
        name: TokenName,
        /// read: look; core: also check commands, test and republish events; admin: everything.
        #[arg(long)]
        role: Role,
    },
    /// List the tokens: name, role, when it was made.
    List,
    /// End a token, and the logins that were opened with it.
    Revoke { name: TokenName },
}

impl Command {
    /// Does it; gives what to print.
    pub(super) async fn run(self, store: &Store) -> anyhow::Result<String> {
        let now = Timestamp::now();
        match self {
            Self::Create { name, role } => create(store, name, role, now).await,
            Self::List => list(store).await,
            Self::Revoke { name } => revoke(store, name, now).await,
        }
    }
}

async fn create(
    store: &Store,
    name: TokenName,
    role: Role,
    now: Timestamp,
) -> anyhow::Result<String> {
    let taken = format!("there is a token {name} already; revoke it first");
    let made = access::create_token(store, name, role, Actor::CommandLine, now).await?;
    let token = made.context(taken)?;
    Ok(format!("{}\n", token.expose_secret()))
}

async fn list(store: &Store) -> anyhow::Result<String> {
    let tokens = access::tokens(store).await?.into_iter();
    let lines = tokens.map(|token| {
        line(&[
            format!("{:<24}", token.name.as_str()),
            format!("{:<5}", token.role.name()),
            format!("{:.0}", token.created_at),
        ])
    });
    Ok(lines.collect())
}

async fn revoke(store: &Store, name: TokenName, now: Timestamp) -> anyhow::Result<String> {
    let said = line(&[format!("{name} opens nothing any more")]);
    let missing = format!("there is no token {name}");
    let revoked = access::revoke_token(store, name, Actor::CommandLine, now).await?;
    ensure!(revoked, missing);
    Ok(said)
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use twitter_channel::flow::access::Access;

    use super::*;
    use crate::cli::tests::TestStore;

    #[derive(Debug, Parser)]
    struct Arguments {
        #[command(subcommand)]
        command: Command,
    }

    async fn run(store: &Store, line: &str) -> anyhow::Result<String> {
        let words = std::iter::once("token").chain(line.split(' '));
        let arguments = Arguments::try_parse_from(words)?;
        arguments.command.run(store).await
    }

    #[tokio::test]
    async fn a_token_is_printed_once_listed_without_itself_and_revoked() {
        let store = TestStore::open();
        let create = "create --name ops --role read";
        let token = run(&store, create).await.unwrap();
        let access = Access::new((*store).clone(), None);
        let holder = access.by_token(token.trim()).await.unwrap().unwrap();
        assert_eq!((holder.name.as_str(), holder.role), ("ops", Role::Read));
        let again = run(&store, create).await.unwrap_err().to_string();
        assert!(again.contains("already"), "{again}");
        let listed = run(&store, "list").await.unwrap();
        assert!(listed.starts_with("ops ") && !listed.contains(token.trim()));
        run(&store, "revoke ops").await.unwrap();
        assert_eq!(access.by_token(token.trim()).await.unwrap(), None);
        run(&store, "revoke ops").await.unwrap_err();
    }

    #[tokio::test]
    async fn what_is_no_role_or_name_is_refused() {
        let store = TestStore::open();
        for line in [
            "create --name ops --role boss",
            "create --name private.token --role read",
            "create --name ops",
            "revoke",
        ] {
            run(&store, line).await.expect_err(line);
        }
    }
}
