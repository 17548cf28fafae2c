//! Databases of PostgreSQL for tests, one for each.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use tokio::process::Command;
use tokio::runtime::Handle;
use tokio_postgres::{Client, NoTls};

/// Set by `scripts/postgres`.
const SERVER: &str = "TWITTER_CHANNEL_TEST_POSTGRES";
/// The same: where the server's programs are.
const PROGRAMS: &str = "POSTGRES_BIN";

/// An empty database, removed with the value.
pub(crate) struct FreshDatabase {
    server: String,
    name: String,
}

impl FreshDatabase {
    /// # Panics
    /// Where there is no server: a test over both stores must not pass over one.
    pub(crate) fn new() -> Self {
        Self::on(server())
    }

    /// The same on another server, by the URL of a superuser.
    pub(crate) fn on(server: String) -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("test_{}_{number}", std::process::id());
        // Of a process of this id before, which was killed.
        on_server(
            &server,
            &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"),
        );
        on_server(&server, &format!("CREATE DATABASE {name}"));
        Self { server, name }
    }

    /// A copy of it as it is; who is connected is thrown out.
    pub(crate) fn copy(&self) -> Self {
        self.cut();
        let name = format!("{}_copy", self.name);
        let server = self.server.clone();
        on_server(
            &server,
            &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"),
        );
        let copy = format!("CREATE DATABASE {name} TEMPLATE {}", self.name);
        on_server(&server, &copy);
        Self { server, name }
    }

    /// Writes it into a file by `pg_dump`, while others use it.
    pub(crate) async fn dump(&self, to: &Path) {
        let url = self.url();
        let options = ["--format=custom", "--dbname", &url, "--file"].map(OsStr::new);
        run("pg_dump", &[&options[..], &[to.as_os_str()]].concat()).await;
    }

    /// A database beside it, made of such a file.
    pub(crate) async fn of_dump(file: &Path) -> Self {
        let database = Self::new();
        let url = database.url();
        let options = ["--exit-on-error", "--dbname", &url].map(OsStr::new);
        run("pg_restore", &[&options[..], &[file.as_os_str()]].concat()).await;
        database
    }

    /// Runs a statement in it; how many rows it changed, or why it was refused.
    pub(crate) fn execute(&self, sql: &str) -> Result<u64, String> {
        let changed = with(&self.url(), async |client| client.execute(sql, &[]).await);
        changed.map_err(|error| format!("{error}: {:?}", error.as_db_error()))
    }

    /// A column of bytes.
    pub(crate) fn bytes(&self, sql: &str) -> Vec<Vec<u8>> {
        let rows = with(&self.url(), async |client| client.query(sql, &[]).await);
        rows.unwrap().iter().map(|row| row.get(0)).collect()
    }

    /// A number, of 64 bits.
    pub(crate) fn number(&self, sql: &str) -> i64 {
        let row = with(&self.url(), async |client| client.query_one(sql, &[]).await);
        row.unwrap().get(0)
    }

    /// Throws all connections to it out.
    pub(crate) fn cut(&self) {
        on_server(
            &self.server,
            &format!(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}'",
                self.name
            ),
        );
    }

    /// Lets nobody in any more, and throws out who is in.
    pub(crate) fn close(&self) {
        self.allow(false);
        self.cut();
    }

    /// The reverse of [`FreshDatabase::close`].
    pub(crate) fn reopen(&self) {
        self.allow(true);
    }

    fn allow(&self, connections: bool) {
        let sql = format!(
            "ALTER DATABASE {} WITH ALLOW_CONNECTIONS {connections}",
            self.name
        );
        on_server(&self.server, &sql);
    }

    /// For `store.url`.
    pub(crate) fn url(&self) -> String {
        let (server, _) = self.server.rsplit_once('/').unwrap();
        format!("{server}/{}", self.name)
    }
}

impl Drop for FreshDatabase {
    fn drop(&mut self) {
        on_server(
            &self.server,
            &format!("DROP DATABASE {} WITH (FORCE)", self.name),
        );
    }
}

fn server() -> String {
    let server = std::env::var_os(SERVER).and_then(|url| url.into_string().ok());
    server.unwrap_or_else(|| {
        panic!("{SERVER} is not set: run this by `scripts/postgres run DIR -- COMMAND`")
    })
}

/// Runs a program of PostgreSQL to its good end.
async fn run(program: &str, arguments: &[&OsStr]) {
    let folder = std::env::var_os(PROGRAMS).unwrap_or_default();
    let status = Command::new(PathBuf::from(folder).join(program))
        .args(arguments)
        .status();
    assert!(status.await.unwrap().success(), "{program} {arguments:?}");
}

fn on_server(url: &str, sql: &str) {
    with(url, async |client| client.batch_execute(sql).await).unwrap();
}

/// On a thread that may wait, wherever the test runs.
fn with<T: Send>(url: &str, work: impl AsyncFnOnce(Client) -> T + Send) -> T {
    let run = || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
            drop(Handle::current().spawn(connection));
            work(client).await
        })
    };
    thread::scope(|scope| scope.spawn(run).join().unwrap())
}
