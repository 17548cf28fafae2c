//! Programs that can be killed: the service's own binary, and a RabbitMQ beside the shared one.

use std::fs::{self, File, Permissions};
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::thread;

use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::address::own_address;
use super::broker::{client, eventually};
use super::fresh::FreshDatabase;
use super::service::{APP, Place, Setup, file_variables};

/// The service as a process of its own, on an address and a store that it keeps over restarts.
///
/// Nothing else has its store open: what a crash leaves is what the next start finds.
pub(crate) struct ServiceProcess {
    folder: Place,
    variables: Vec<(String, String)>,
    address: Ipv4Addr,
    program: PathBuf,
    child: Option<Child>,
}

impl ServiceProcess {
    /// Starts it, with its store in a folder of its own.
    pub(crate) async fn start(setup: &Setup, broker_url: &str) -> Self {
        let mut service = Self::stopped(setup, broker_url, None);
        service.start_again().await;
        service
    }

    /// Not running yet, with its store in this folder or else in one of its own.
    pub(crate) fn stopped(setup: &Setup, broker_url: &str, store: Option<&Path>) -> Self {
        let folder = match store {
            Some(_) => Place::of_files(),
            None => Place::new(setup),
        };
        fs::write(folder.path().join("settings.toml"), setup.file()).unwrap();
        let store = store.map_or_else(|| folder.variables(), file_variables);
        let address = own_address();
        let variables = [
            ("PUBLIC__LISTEN", format!("{address}:8080")),
            ("PUBLIC__WORKERS", "2".to_owned()),
            ("PRIVATE__LISTEN", format!("{address}:8081")),
            ("BROKER__URL", broker_url.to_owned()),
            ("LOG__FORMAT", "text".to_owned()),
            // Nobody is there: a setup with an X names it.
            ("X_API__BASE_URL", "http://127.0.0.1:9".to_owned()),
        ];
        let variables = variables.map(|(key, value)| (format!("TWITTER_CHANNEL__{key}"), value));
        Self {
            variables: variables
                .into_iter()
                .chain(store)
                .chain(setup.variables.clone())
                .collect(),
            folder,
            address,
            program: env!("CARGO_BIN_EXE_twitter-channel").into(),
            child: None,
        }
    }

    /// Another binary of the service, such as that of an earlier version, from its next start.
    pub(crate) fn run_by(&mut self, program: &Path) {
        program.clone_into(&mut self.program);
    }

    /// Sets a key of its configuration, for its next start.
    pub(crate) fn set(&mut self, key: &str, value: &str) {
        let name = format!("TWITTER_CHANNEL__{key}");
        self.variables.retain(|(known, _)| *known != name);
        self.variables.push((name, value.to_owned()));
    }

    /// The same with browsers and X told where both listeners are.
    #[must_use]
    pub(crate) fn with_urls(mut self) -> Self {
        let urls = [
            ("PUBLIC__URL", self.public("")),
            ("PRIVATE__URL", self.private("")),
        ];
        let urls = urls.map(|(key, value)| (format!("TWITTER_CHANNEL__{key}"), value));
        self.variables.extend(urls);
        self
    }

    /// Starts it (again) and waits until it is ready.
    pub(crate) async fn start_again(&mut self) {
        let log = File::options().create(true).append(true).open(self.log());
        let log = log.unwrap();
        let (output, errors) = (log.try_clone().unwrap(), log);
        self.spawn(&["serve"], output.into(), errors.into()).await;
    }

    /// The same with options of `serve`.
    pub(crate) async fn start_with(&mut self, options: &[&str]) {
        let log = File::options().create(true).append(true).open(self.log());
        let log = log.unwrap();
        let arguments: Vec<_> = ["serve"].iter().chain(options).copied().collect();
        let (output, errors) = (log.try_clone().unwrap(), log);
        self.spawn(&arguments, output.into(), errors.into()).await;
    }

    /// What it has said since its first start.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(self.log()).unwrap()
    }

    /// Its database.
    pub(crate) fn database(&self) -> PathBuf {
        self.folder.path().join("channel.db")
    }

    /// Runs another command beside it: its exit status and what it says on stderr.
    pub(crate) async fn run_in_vain(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let output = self.command(arguments).output().await.unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        (output.status.code(), said)
    }

    /// Sends it SIGTERM, and goes on at once.
    pub(crate) async fn signal_end(&self) {
        let pid = self.child.as_ref().unwrap().id().unwrap().to_string();
        run("kill", &["-TERM", &pid]).await;
    }

    /// Waits until it has ended; its exit status.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let mut child = self.child.take().unwrap();
        let patience = std::time::Duration::from_secs(40);
        let ended = tokio::time::timeout(patience, child.wait()).await;
        ended.expect("SIGTERM ends the service").unwrap()
    }

    /// The same with nobody who reads what it says.
    pub(crate) async fn start_unheard(&mut self) {
        let pipe = || Stdio::from(std::io::pipe().unwrap().1);
        self.spawn(&["serve"], pipe(), pipe()).await;
    }

    async fn spawn(&mut self, arguments: &[&str], output: Stdio, errors: Stdio) {
        let mut command = self.command(arguments);
        let child = command.stdout(output).stderr(errors).spawn();
        self.child = Some(child.unwrap());
        let http = client();
        let ready = async || {
            let answer = http.get(self.private("/readyz")).send().await.ok()?;
            answer.status().is_success().then_some(())
        };
        eventually("the service is ready", ready).await;
    }

    /// Starts it expecting that it gives up by itself.
    pub(crate) async fn start_in_vain(&mut self) -> ExitStatus {
        self.command(&["serve"]).status().await.unwrap()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        // Where the size of files is limited, a write beyond it is an error then, not the end.
        let mut command = Command::new("env");
        command
            .arg("--ignore-signal=XFSZ")
            .arg(&self.program)
            .args(arguments)
            .arg("--config")
            .arg(self.folder.path().join("settings.toml"))
            .envs(self.variables.clone())
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    /// The database of a store on a server.
    pub(crate) fn server(&self) -> &FreshDatabase {
        self.folder.server.as_ref().unwrap()
    }

    /// Where its store and its log lie.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Runs another command beside it, to its good end; what it prints.
    pub(crate) async fn run(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().await.unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Ends it with SIGKILL.
    pub(crate) async fn kill(&mut self) {
        self.child.take().unwrap().kill().await.unwrap();
    }

    /// Kills it and starts it again.
    pub(crate) async fn crash(&mut self) {
        self.kill().await;
        self.start_again().await;
    }

    /// Ends it with SIGTERM; its exit status.
    pub(crate) async fn terminate(&mut self) -> ExitStatus {
        let mut child = self.child.take().unwrap();
        let pid = child.id().unwrap().to_string();
        run("kill", &["-TERM", &pid]).await;
        let (ended, patience) = (child.wait(), std::time::Duration::from_secs(20));
        let ended = tokio::time::timeout(patience, ended).await;
        ended.expect("SIGTERM ends the service").unwrap()
    }

    /// Sends it a signal, by its name.
    pub(crate) async fn signal(&self, name: &str) {
        let pid = self.child.as_ref().unwrap().id().unwrap().to_string();
        run("kill", &[&format!("-{name}"), &pid]).await;
    }

    /// Lets every write to its files fail, or succeed again; reads go on.
    pub(crate) async fn set_writable(&self, writable: bool) {
        let pid = self.child.as_ref().unwrap().id().unwrap().to_string();
        let limit = if writable { "unlimited" } else { "0" };
        let limit = format!("--fsize={limit}:");
        run("prlimit", &["--pid", &pid, &limit]).await;
    }

    /// The most memory it has had resident at once, KiB.
    pub(crate) fn peak_memory(&self) -> u64 {
        let pid = self.child.as_ref().unwrap().id().unwrap();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let mut lines = status.lines();
        let peak = lines.find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = peak.unwrap().trim().trim_end_matches("kB");
        peak.trim().parse().unwrap()
    }

    /// Where X delivers.
    pub(crate) fn webhook(&self) -> String {
        self.webhook_of(APP)
    }

    /// Where X delivers to an app.
    pub(crate) fn webhook_of(&self, app: &str) -> String {
        self.public(&format!("/webhooks/twitter/{app}"))
    }

    /// A page of the public listener.
    pub(crate) fn public(&self, path: &str) -> String {
        format!("http://{}:8080{path}", self.address)
    }

    /// A page of the private listener.
    pub(crate) fn private(&self, path: &str) -> String {
        format!("http://{}:8081{path}", self.address)
    }

    /// Checks that a challenge of X is answered.
    pub(crate) async fn answers_challenges(&self) {
        let url = format!("{}?crc_token=challenge", self.webhook());
        let answer = client().get(url).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        assert!(answer.text().await.unwrap().contains("sha256="));
    }

    /// What it says of its parts: a line for each, `part: state`.
    pub(crate) async fn parts(&self) -> String {
        let url = self.private("/readyz?verbose");
        let answer = client().get(url).send().await.unwrap();
        answer.text().await.unwrap()
    }

    /// Waits until one of its parts is in this state.
    pub(crate) async fn wait_for_part(&self, line: &str) {
        let shown = async || self.parts().await.lines().any(|l| l == line).then_some(());
        eventually(line, shown).await;
    }

    /// Whether it knows of a gap of our app for this reason.
    pub(crate) async fn has_gap(&self, reason: &str) -> bool {
        let (begin, end) = (format!("gap: {APP} "), format!("({reason})"));
        let parts = self.parts().await;
        let mut lines = parts.lines();
        lines.any(|line| line.starts_with(&begin) && line.ends_with(&end))
    }

    /// A sample of its metrics.
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        let answer = client().get(self.private("/metrics")).send().await.unwrap();
        let page = answer.text().await.unwrap();
        let mut lines = page.lines();
        let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.map_or(0.0, |value| value.parse().unwrap())
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }
}

impl Drop for ServiceProcess {
    fn drop(&mut self) {
        if thread::panicking() {
            let log = fs::read_to_string(self.log()).unwrap_or_default();
            let lines: Vec<_> = log.lines().collect();
            let newest = lines.len().saturating_sub(60);
            eprintln!("the service said last:\n{}", lines[newest..].join("\n"));
        }
    }
}

async fn run(program: &str, arguments: &[&str]) {
    let status = Command::new(program).args(arguments).status().await;
    assert!(status.unwrap().success(), "{program} {arguments:?}");
}

/// A broker of the test's own, killed with the value.
pub(crate) struct PrivateBroker {
    folder: TempDir,
}

impl PrivateBroker {
    /// Starts one.
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let broker = Self { folder };
        broker.start_again().await;
        broker
    }

    /// The same with settings and plugins beside those of `scripts/broker`, and files for them.
    pub(crate) async fn start_with(settings: &str, plugins: &str, folder: TempDir) -> Self {
        fs::write(folder.path().join("extra.conf"), settings).unwrap();
        fs::write(folder.path().join("extra_plugins"), plugins).unwrap();
        let broker = Self { folder };
        broker.start_again().await;
        broker
    }

    /// Where its data and files lie.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts it again, with the data and ports it had.
    pub(crate) async fn start_again(&self) {
        self.script("start").await;
    }

    /// Ends it with SIGKILL.
    pub(crate) async fn kill(&self) {
        self.script("kill").await;
    }

    /// Runs rabbitmqctl on it.
    pub(crate) async fn ctl(&self, arguments: &[&str]) {
        let folder = self.folder.path().display().to_string();
        run(SCRIPT, &[&["ctl", &folder], arguments].concat()).await;
    }

    async fn script(&self, command: &str) {
        let folder = self.folder.path().display().to_string();
        run(SCRIPT, &[command, &folder]).await;
    }

    /// Its AMQP URL.
    pub(crate) fn url(&self) -> String {
        self.variable("TWITTER_CHANNEL__BROKER__URL")
    }

    /// The URL of its HTTP API.
    pub(crate) fn management(&self) -> String {
        self.variable("BROKER_MANAGEMENT_URL")
    }

    fn variable(&self, name: &str) -> String {
        variable(self.folder.path(), name)
    }
}

/// Three brokers that are one cluster, killed with the value.
pub(crate) struct Cluster {
    folder: TempDir,
}

impl Cluster {
    /// Names of the nodes.
    pub(crate) const NODES: [&str; 3] = ["node1", "node2", "node3"];

    /// Starts one.
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().display().to_string();
        let cluster = Self { folder };
        run(SCRIPT, &["start-cluster", &path]).await;
        cluster
    }

    /// Ends a node with SIGKILL.
    pub(crate) async fn kill(&self, node: &str) {
        run(SCRIPT, &["kill", &self.path(node)]).await;
    }

    /// Starts a killed node again.
    pub(crate) async fn start_again(&self, node: &str) {
        run(SCRIPT, &["start", &self.path(node)]).await;
    }

    /// AMQP URL of a node.
    pub(crate) fn url(&self, node: &str) -> String {
        variable(
            &self.folder.path().join(node),
            "TWITTER_CHANNEL__BROKER__URL",
        )
    }

    /// `host:port` of a node.
    pub(crate) fn address(&self, node: &str) -> String {
        let url = self.url(node);
        let (_, rest) = url.split_once('@').unwrap();
        rest.split_once('/').unwrap().0.to_owned()
    }

    /// The URL of a node's HTTP API.
    pub(crate) fn management(&self, node: &str) -> String {
        variable(&self.folder.path().join(node), "BROKER_MANAGEMENT_URL")
    }

    /// The node that Erlang calls so.
    pub(crate) fn node_of(&self, name: &str) -> &'static str {
        let port = |node| self.address(node).split_once(':').unwrap().1.to_owned();
        let mut nodes = Self::NODES.into_iter();
        let found = nodes.find(|node| name == format!("broker-{}@localhost", port(node)));
        found.unwrap_or_else(|| panic!("{name} is no node"))
    }

    fn path(&self, node: &str) -> String {
        self.folder.path().join(node).display().to_string()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let mut kill = std::process::Command::new(SCRIPT);
        let _killed = kill.arg("kill-cluster").arg(self.folder.path()).status();
    }
}

/// A PostgreSQL of the test's own, killed with the value. It waits for the disk, as in production.
pub(crate) struct PrivatePostgres {
    folder: TempDir,
}

impl PrivatePostgres {
    /// Starts one.
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // The server is another user where the test is root.
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        let postgres = Self { folder };
        postgres.start_again().await;
        postgres
    }

    /// Starts it again, with the data and the port it had.
    pub(crate) async fn start_again(&self) {
        self.script("start").await;
    }

    /// Stops it in good order; its clients are thrown out.
    pub(crate) async fn stop(&self) {
        self.script("stop").await;
    }

    /// URL of a superuser.
    pub(crate) fn url(&self) -> String {
        variable(self.folder.path(), "TWITTER_CHANNEL_TEST_POSTGRES")
    }

    async fn script(&self, command: &str) {
        let mut script = Command::new(POSTGRES);
        let script = script.arg(command).arg(self.folder.path());
        let status = script.env("POSTGRES_FSYNC", "on").status().await;
        assert!(status.unwrap().success(), "{POSTGRES} {command}");
    }
}

impl Drop for PrivatePostgres {
    fn drop(&mut self) {
        let mut kill = std::process::Command::new(POSTGRES);
        let _killed = kill.arg("kill").arg(self.folder.path()).status();
    }
}

const POSTGRES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/postgres");

/// A variable that `scripts/broker` or `scripts/postgres` left in this folder.
fn variable(folder: &Path, name: &str) -> String {
    let env = fs::read_to_string(folder.join("env")).unwrap();
    let mut lines = env.lines();
    let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    value.unwrap().to_owned()
}

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/broker");

impl Drop for PrivateBroker {
    fn drop(&mut self) {
        let mut kill = std::process::Command::new(SCRIPT);
        let _killed = kill.arg("kill").arg(self.folder.path()).status();
    }
}
