//! Databases of PostgreSQL, one for each run.

use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Context;
use tokio_postgres::NoTls;

/// A server, as `scripts/postgres` starts it.
pub(crate) struct Server {
    /// Of a superuser.
    pub(crate) url: String,
    /// Its first process.
    pub(crate) pid: u32,
}

/// An empty database.
pub(crate) struct Database {
    server: String,
    name: String,
    url: String,
}

impl Database {
    pub(crate) async fn create(server: &Server) -> anyhow::Result<Self> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("bench_{}_{number}", std::process::id());
        run(&server.url, &format!("CREATE DATABASE {name}")).await?;
        let (host, _) = server.url.rsplit_once('/').context("no database")?;
        Ok(Self {
            server: server.url.clone(),
            url: format!("{host}/{name}"),
            name,
        })
    }

    /// For `store.url`.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) async fn drop(self) -> anyhow::Result<()> {
        let sql = format!("DROP DATABASE {} WITH (FORCE)", self.name);
        run(&self.server, &sql).await
    }
}

async fn run(url: &str, sql: &str) -> anyhow::Result<()> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    let work = async {
        let done = client.batch_execute(sql).await;
        // The connection ends with it.
        drop(client);
        done
    };
    let (done, ended) = tokio::join!(work, connection);
    Ok(done.and(ended)?)
}
