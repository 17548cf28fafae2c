//! `quarantine`: deliveries that were kept.

use anyhow::ensure;
use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use twitter_channel::domain::access::Actor;
use twitter_channel::flow::admin;
use twitter_channel::store::{Quarantined, Store, StoreError, Tx};

use super::{as_text, line, rows};

/// Deliveries read at a time: each may be as large as a body may be.
const PAGE: usize = 20;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List what is kept, oldest first: id, time, app, reason, account, size, detail.
    List {
        /// One JSON object per line.
        #[arg(long)]
        json: bool,
    },
    /// Have the running service process kept deliveries again.
    Retry(Retry),
}

#[derive(Debug, Args)]
pub(super) struct Retry {
    /// The deliveries with these ids.
    #[arg(value_name = "ID", required_unless_present = "all")]
    ids: Vec<u64>,
    /// All that are kept.
    #[arg(long, conflicts_with = "ids")]
    all: bool,
}

impl Command {
    /// Does it; gives what to print.
    pub(super) async fn run(self, store: &Store) -> anyhow::Result<String> {
        match self {
            Self::List { json } => list(store, json).await,
            Self::Retry(retry) => retry.run(store).await,
        }
    }
}

/// A line of the list.
#[derive(Debug, Serialize)]
struct Listed {
    id: u64,
    #[serde(serialize_with = "as_text")]
    time: Timestamp,
    app: String,
    reason: String,
    /// The account it waits for.
    account: Option<String>,
    bytes: usize,
    detail: String,
}

impl From<Quarantined> for Listed {
    fn from(kept: Quarantined) -> Self {
        Self {
            id: kept.id,
            time: kept.at,
            app: kept.app,
            reason: kept.reason,
            account: kept.account.map(|id| id.to_string()),
            bytes: kept.body.len(),
            detail: kept.detail,
        }
    }
}

impl Listed {
    fn line(&self) -> String {
        line(&[
            format!("{:>6}", self.id),
            format!("{:.0}", self.time),
            self.app.clone(),
            format!("{:<18}", self.reason),
            format!("{:>19}", self.account.as_deref().unwrap_or("-")),
            format!("{:>7}", self.bytes),
            self.detail.clone(),
        ])
    }
}

async fn list(store: &Store, json: bool) -> anyhow::Result<String> {
    let listed = store.read(kept).await?;
    rows(&listed, json, Listed::line)
}

fn kept(tx: &Tx<'_>) -> Result<Vec<Listed>, StoreError> {
    let mut listed: Vec<Listed> = Vec::new();
    loop {
        let last = listed.last().map_or(0, |listed| listed.id);
        let page = tx.quarantined(last, PAGE)?;
        if page.is_empty() {
            return Ok(listed);
        }
        listed.extend(page.into_iter().map(Listed::from));
    }
}

impl Retry {
    async fn run(self, store: &Store) -> anyhow::Result<String> {
        let count = if self.all {
            admin::quarantine::retry_all(store, Actor::CommandLine, Timestamp::now()).await?
        } else {
            request(store, self.ids).await?
        };
        Ok(format!(
            "{count} deliveries will be processed again by the running service\n"
        ))
    }
}

async fn request(store: &Store, ids: Vec<u64>) -> anyhow::Result<usize> {
    let count = ids.len();
    let mark = move |tx: &mut Tx<'_>| {
        let mut missing = Vec::new();
        for id in ids {
            let object = id.to_string();
            if tx.request_retry(id)? {
                let (who, now) = (Actor::CommandLine, Timestamp::now());
                tx.audit(&who, "quarantine.retry", &object, &Value::Null, now)?;
            } else {
                missing.push(object);
            }
        }
        Ok(missing)
    };
    let missing = store.write(mark).await?.join(", ");
    ensure!(
        missing.is_empty(),
        "not in quarantine: {missing}; the others will be processed"
    );
    Ok(count)
}

#[cfg(test)]
mod tests {
    use twitter_channel::domain::ids::AccountId;
    use twitter_channel::store::{NewQuarantined, QuarantineReason};

    use super::*;
    use crate::cli::tests::{TestStore, at};

    const DELIVERIES: usize = PAGE + 1;

    /// More than a page of deliveries, the first for an account that is not linked.
    async fn store() -> TestStore {
        let store = TestStore::open();
        let fill = |tx: &mut Tx<'_>| {
            for number in 1..=DELIVERIES {
                let unlinked = number == 1;
                let kept = NewQuarantined {
                    app: "acme".to_owned(),
                    reason: match unlinked {
                        true => QuarantineReason::AccountNotLinked,
                        false => QuarantineReason::UnknownShape,
                    },
                    detail: "top level: surprise".to_owned(),
                    account: unlinked.then(|| AccountId("77".parse().unwrap())),
                    body: format!("{{\"n\":{number:02}}}").into_bytes(),
                };
                tx.quarantine(&kept, at(5))?;
            }
            Ok(())
        };
        store.write(fill).await.unwrap();
        store
    }

    async fn to_retry(store: &Store) -> Vec<u64> {
        let rows = store.read(|tx| tx.retry_requested(100)).await.unwrap();
        rows.iter().map(|kept| kept.id).collect()
    }

    fn retry(ids: &[u64], all: bool) -> Retry {
        Retry {
            ids: ids.to_vec(),
            all,
        }
    }

    #[tokio::test]
    async fn every_kept_delivery_is_a_line() {
        let text = list(&*store().await, false).await.unwrap();
        assert_eq!(text.lines().count(), DELIVERIES);
        let first: Vec<_> = text.lines().next().unwrap().split_whitespace().collect();
        let expected = "1 1970-01-01T00:00:05Z acme account_not_linked 77 8 top level: surprise";
        assert_eq!(first.join(" "), expected);
        let json = list(&*store().await, true).await.unwrap();
        assert!(json.contains(r#""account":"77","bytes":8"#), "{json}");
    }

    #[tokio::test]
    async fn deliveries_asked_for_are_marked() {
        let store = store().await;
        assert!(retry(&[2, 3], false).run(&store).await.is_ok());
        assert_eq!(to_retry(&store).await, [2, 3]);
        retry(&[], true).run(&store).await.unwrap();
        assert_eq!(to_retry(&store).await.len(), DELIVERIES);
    }

    #[tokio::test]
    async fn an_unknown_delivery_is_named_and_holds_up_no_other() {
        let store = store().await;
        let error = retry(&[1, 900], false).run(&store).await;
        assert!(error.unwrap_err().to_string().contains(": 900;"));
        assert_eq!(to_retry(&store).await, [1]);
    }
}
