//! The programs that are measured, each as a process of its own.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use crate::deliveries::{ACCOUNT, APP, SECRET, USERNAME};
use crate::http::{Client, request};

/// How long a program may take to start.
const PATIENCE: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(1);
/// Threads that serve requests, of either program.
const WORKERS: usize = 2;

/// A running program; killed when this is dropped.
pub(crate) struct Subject {
    process: Child,
    /// Where it takes deliveries.
    pub(crate) address: SocketAddr,
    /// Where it tells of itself.
    private: SocketAddr,
    /// From its start to its first good answer to `/readyz`.
    pub(crate) ready_after: Duration,
}

impl Subject {
    /// The least service.
    pub(crate) async fn bare(broker: &str) -> anyhow::Result<Self> {
        let address = free_address()?;
        let mut command = Command::new(beside_me("bare")?);
        command
            .args(["--listen", &address.to_string(), "--broker", broker])
            .args(["--secret", SECRET, "--workers", &WORKERS.to_string()]);
        Self::start(command, address, address).await
    }

    /// The service, on the journal in `folder`: a new one where there is none.
    pub(crate) async fn service(
        broker: &str,
        folder: &Path,
        setup: Setup<'_>,
    ) -> anyhow::Result<Self> {
        let (public, private) = (free_address()?, free_address()?);
        let settings = folder.join("service.toml");
        let written = self::settings(public, private, folder, setup);
        std::fs::write(&settings, written)?;
        let mut command = Command::new(beside_me("twitter-channel")?);
        command
            .args(["serve", "--config"])
            .arg(settings)
            .env("TWITTER_CHANNEL__BROKER__URL", broker)
            // As in the image.
            .env("MALLOC_ARENA_MAX", "2")
            .stdout(File::create(folder.join("service.log"))?);
        Self::start(command, public, private).await
    }

    /// The same in Node.
    pub(crate) async fn node(broker: &str) -> anyhow::Result<Self> {
        let mut command = Command::new("node");
        command
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/node/service.js"))
            .env("NODE_PATH", tool("bench-node/node_modules")?)
            .env("NODE_ENV", "production");
        Self::peer(command, broker).await
    }

    /// The same in Python.
    pub(crate) async fn python(broker: &str) -> anyhow::Result<Self> {
        let mut command = Command::new(tool("bench-python/bin/python")?);
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/python/service.py"));
        Self::peer(command, broker).await
    }

    async fn peer(mut command: Command, broker: &str) -> anyhow::Result<Self> {
        let address = free_address()?;
        command
            .env("LISTEN", address.to_string())
            .env("AMQP_URL", broker)
            .env("SECRET", SECRET)
            .env("WORKERS", WORKERS.to_string());
        Self::start(command, address, address).await
    }

    async fn start(
        mut command: Command,
        address: SocketAddr,
        private: SocketAddr,
    ) -> anyhow::Result<Self> {
        let began = Instant::now();
        let process = command.kill_on_drop(true).spawn()?;
        let probe = request("GET", "/readyz", "");
        while !is_ready(private, &probe).await {
            ensure!(began.elapsed() < PATIENCE, "{command:?} does not start");
            sleep(LOOK).await;
        }
        Ok(Self {
            process,
            address,
            private,
            ready_after: began.elapsed(),
        })
    }

    /// Most memory it ever had resident, bytes.
    pub(crate) fn peak_memory(&self) -> anyhow::Result<u64> {
        self.status("VmHWM:")
    }

    /// Memory it has resident, bytes.
    pub(crate) fn memory(&self) -> anyhow::Result<u64> {
        self.status("VmRSS:")
    }

    fn status(&self, name: &str) -> anyhow::Result<u64> {
        let pid = self.process.id().context("it has ended")?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
        Ok(kilobytes.context("no such line")?.parse::<u64>()? * 1024)
    }

    /// A figure of its `/metrics`; `None` while it has not been set.
    pub(crate) async fn gauge(&self, name: &str) -> anyhow::Result<Option<usize>> {
        let mut client = Client::connect(self.private).await?;
        let metrics = client.read(&request("GET", "/metrics", "")).await?;
        let values = metrics.lines().filter(|line| !line.starts_with('#'));
        let mut values = values.filter_map(|line| line.split_once(' '));
        let value = values.find(|(metric, _)| metric.ends_with(name));
        Ok(value.map(|(_, value)| value.parse()).transpose()?)
    }

    /// Processor time it has used, with its children.
    pub(crate) fn processor_time(&self) -> anyhow::Result<Duration> {
        processor_of(self.process.id().context("it has ended")?)
    }

    /// Processor time of its present threads by their names.
    pub(crate) fn threads(&self) -> anyhow::Result<BTreeMap<String, Duration>> {
        let pid = self.process.id().context("it has ended")?;
        let mut times = BTreeMap::new();
        for thread in std::fs::read_dir(format!("/proc/{pid}/task"))? {
            let thread = thread?.path();
            let name = std::fs::read_to_string(thread.join("comm"))?;
            // The first of three numbers: nanoseconds on a processor.
            let stat = std::fs::read_to_string(thread.join("schedstat"))?;
            let time = stat.split(' ').next().context("no time")?.parse()?;
            *times.entry(name.trim().to_owned()).or_default() += Duration::from_nanos(time);
        }
        Ok(times)
    }

    /// What its threads have used since `before`, for people: microseconds for each of `count`.
    pub(crate) fn threads_since(
        &self,
        before: &BTreeMap<String, Duration>,
        count: usize,
    ) -> anyhow::Result<String> {
        let each = |(thread, after): (String, Duration)| {
            let used = after.saturating_sub(before.get(&thread).copied().unwrap_or_default());
            (used.as_secs_f64() * 1e6 / count as f64, thread)
        };
        let mut threads: Vec<_> = self.threads()?.into_iter().map(each).collect();
        threads.retain(|(used, _)| *used >= 0.5);
        threads.sort_by(|(one, _), (other, _)| other.total_cmp(one));
        let threads = threads.iter();
        let threads: Vec<_> = threads
            .map(|(used, thread)| format!("{thread} {used:.0}"))
            .collect();
        Ok(threads.join(", "))
    }

    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        Ok(self.process.kill().await?)
    }
}

/// Processor time that a process and those it has started have used.
pub(crate) fn processor_of(pid: u32) -> anyhow::Result<Duration> {
    // USER_HZ, which is the same everywhere Linux runs.
    const TICK: Duration = Duration::from_millis(10);
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name before it may hold blanks.
    let (_, fields) = stat.rsplit_once(") ").context("no name")?;
    let times = fields.split(' ').skip(11).take(2);
    let ticks = times.map(str::parse::<u32>).sum::<Result<u32, _>>()?;
    let mut total = TICK * ticks;
    for thread in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let children = std::fs::read_to_string(thread?.path().join("children"))?;
        for child in children.split_whitespace() {
            // One that has ended meanwhile.
            total += processor_of(child.parse()?).unwrap_or_default();
        }
    }
    Ok(total)
}

/// What `scripts/bootstrap bench` has installed.
fn tool(path: &str) -> anyhow::Result<PathBuf> {
    let tool = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../.run/tools")
        .join(path);
    ensure!(
        tool.exists(),
        "run scripts/bootstrap bench: there is no {}",
        tool.display()
    );
    Ok(tool)
}

/// What is not as by default.
#[derive(Clone, Copy, Default)]
pub(crate) struct Setup<'a> {
    /// Where X is; without it no call is made.
    pub(crate) x: Option<SocketAddr>,
    /// The stop switch; empty as by default.
    pub(crate) sending: &'a str,
    /// The database of PostgreSQL; without it a file in the folder.
    pub(crate) store: Option<&'a str>,
}

impl Setup<'_> {
    /// Of the account.
    fn credential(&self) -> &'static str {
        match self.x {
            Some(_) => "access_token = \"bench-token\"\naccess_token_secret = \"bench-secret\"\n",
            None => "",
        }
    }

    fn others(&self) -> String {
        let mut settings = String::new();
        if self.store.is_some() {
            // The same for all replicas.
            let key = STANDARD.encode([7; 32]);
            settings += &format!("\n[secrets]\nkey = \"{key}\"\n");
        }
        if let Some(x) = self.x {
            settings += &format!("\n[x_api]\nbase_url = \"http://{x}\"\n");
        }
        if !self.sending.is_empty() {
            settings += &format!("\n[commands]\nsending = \"{}\"\n", self.sending);
        }
        settings
    }
}

async fn is_ready(address: SocketAddr, probe: &[u8]) -> bool {
    let Ok(mut client) = Client::connect(address).await else {
        return false;
    };
    matches!(client.exchange(probe).await, Ok(200))
}

/// A program of the same build.
fn beside_me(name: &str) -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe()?.with_file_name(name);
    ensure!(program.exists(), "{} is not built", program.display());
    Ok(program)
}

fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// All as by default, but for the room: nothing may be pruned meanwhile.
fn settings(public: SocketAddr, private: SocketAddr, folder: &Path, setup: Setup<'_>) -> String {
    let file = || format!("sqlite://{}", journal(folder).display());
    let store = setup.store.map_or_else(file, str::to_owned);
    let files = folder.join("files");
    let files = files.display();
    let (credential, others) = (setup.credential(), setup.others());
    format!(
        r#"
[public]
listen = "{public}"
workers = {WORKERS}

[private]
listen = "{private}"

[store]
url = "{store}"
max_bytes = "16GiB"

[attachments]
folder = "{files}"

[[apps]]
name = "{APP}"
consumer_key = "bench-consumer-key"
consumer_secret = "{SECRET}"
delivery = "account_activity"

[[accounts]]
app = "{APP}"
id = "{ACCOUNT}"
username = "{USERNAME}"
{credential}
[[filters]]
account = "{USERNAME}"
match = "mentions"
group = "support"
{others}"#
    )
}

/// The journal's file in a folder.
pub(crate) fn journal(folder: &Path) -> PathBuf {
    folder.join("journal.db")
}
