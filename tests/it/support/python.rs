//! Python programs of `examples/`, in the environments that `scripts/bootstrap examples` makes.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread;

use tempfile::TempDir;
use tokio::process::{Child, Command};

/// An example's folder, its interpreter, and a folder of the test's own for what it writes.
pub(crate) struct Example {
    name: &'static str,
    variables: Vec<(&'static str, String)>,
    folder: TempDir,
}

/// A program that runs until this is dropped.
pub(crate) struct Program {
    _child: Child,
    log: PathBuf,
}

impl Example {
    /// The example of this name; its programs get these variables.
    pub(crate) fn named(name: &'static str) -> Self {
        Self {
            name,
            variables: Vec::new(),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// Sets a variable for its programs.
    #[must_use]
    pub(crate) fn set(mut self, variable: &'static str, value: impl Into<String>) -> Self {
        self.variables.push((variable, value.into()));
        self
    }

    /// Where the test's own files lie.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let python = root.join(".run/tools").join(self.name).join("bin/python");
        assert!(
            python.exists(),
            "{} is missing: run scripts/bootstrap examples",
            python.display()
        );
        let mut command = Command::new(python);
        command
            .args(arguments)
            .current_dir(root.join("examples").join(self.name))
            .env("PYTHONUNBUFFERED", "1")
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .envs(self.variables.clone())
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    /// Runs a program to its good end.
    pub(crate) async fn run(&self, arguments: &[&str]) {
        let output = self.command(arguments).output().await.unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
    }

    /// Starts a program.
    pub(crate) fn start(&self, arguments: &[&str]) -> Program {
        let log = self.folder.path().join(arguments.join("-") + ".log");
        let log = log.with_file_name(log.file_name().unwrap().to_str().unwrap().replace('/', "-"));
        let output = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .unwrap();
        let errors = output.try_clone().unwrap();
        let child = self
            .command(arguments)
            .stdout(output)
            .stderr(errors)
            .spawn();
        Program {
            _child: child.unwrap(),
            log,
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if thread::panicking() {
            let log = std::fs::read_to_string(&self.log).unwrap_or_default();
            let lines: Vec<_> = log.lines().collect();
            let newest = lines.len().saturating_sub(60);
            let name = self.log.file_name().unwrap().display();
            eprintln!("{name} ends:\n{}", lines[newest..].join("\n"));
        }
    }
}
