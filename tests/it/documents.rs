//! What the documents name is there: files, symbols beside them, targets of the Makefile, and what links lead to.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use rstest::rstest;

/// Where what is read is not ours.
const NOT_OURS: [&str; 5] = ["target", "node_modules", ".git", ".run", ".venv"];
/// What a path of ours begins with.
const FOLDERS: [&str; 12] = [
    "src",
    "tests",
    "docs",
    "scripts",
    "config",
    "proto",
    "simulator",
    "benches",
    "helm",
    "examples",
    "templates",
    "fuzz",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn documents() -> Vec<PathBuf> {
    let mut found = Vec::new();
    gather(root(), &mut found);
    found.sort();
    found
}

fn gather(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && !path.is_symlink() && !NOT_OURS.contains(&name.as_str()) {
            gather(&path, found);
        } else if name.ends_with(".md") {
            found.push(path);
        }
    }
}

fn name(document: &Path) -> String {
    let name = document.strip_prefix(root()).unwrap_or(document);
    name.display().to_string()
}

/// What is wrong in all documents, by a check of one.
fn all(check: impl Fn(&Path, &str) -> Vec<String>) -> Vec<String> {
    let documents = documents();
    assert!(documents.len() > 10, "{documents:?}");
    let faults = documents.iter().flat_map(|document| {
        let text = fs::read_to_string(document).unwrap();
        let found = check(document, &text);
        let found = found.into_iter();
        found.map(|fault| format!("{}: {fault}", name(document)))
    });
    faults.collect()
}

#[test]
fn links_lead_to_something() {
    assert_eq!(all(dead_links), Vec::<String>::new());
}

#[test]
fn files_and_symbols_are_there() {
    assert_eq!(all(|_, text| missing(text)), Vec::<String>::new());
}

#[test]
fn targets_are_in_the_makefile() {
    let makefile = fs::read_to_string(root().join("Makefile")).unwrap();
    let targets: BTreeSet<_> = makefile
        .lines()
        .filter_map(|line| Some(line.split_once(':')?.0))
        .collect();
    let unknown = all(|_, text| {
        let named = targets_in(text).into_iter();
        named
            .filter(|target| !targets.contains(target.as_str()))
            .collect()
    });
    assert_eq!(unknown, Vec::<String>::new());
}

#[test]
fn every_step_of_the_architecture_names_a_symbol() {
    let text = fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    let symbols = spans(&text).into_iter().filter_map(symbol).count();
    assert!(symbols > 50, "{symbols} were read");
}

#[rstest]
#[case("`src/lib.rs` and `src/app.rs`, `App::start()`", &[])]
#[case("`src/gone.rs`", &["src/gone.rs is not there"])]
#[case("`src/app.rs`, `App::vanish()`", &["src/app.rs has no vanish()"])]
#[case("`src/app.rs`, `Ghost::start()`", &["src/app.rs has no Ghost"])]
#[case("`start()`", &["start() follows no file"])]
fn what_is_missing_is_named(#[case] text: &str, #[case] faults: &[&str]) {
    assert_eq!(missing(text), faults);
}

#[rstest]
#[case("[a](gone.md)", &["gone.md"])]
#[case("[a](docs/contract.md#no-such-part)", &["docs/contract.md#no-such-part"])]
#[case("[a](docs/contract.md#replicas) [b](#here) [c](https://x.com)\n# Here", &[])]
fn dead_links_are_named(#[case] text: &str, #[case] dead: &[&str]) {
    assert_eq!(dead_links(&root().join("README.md"), text), dead);
}

#[rstest]
#[case("Run `make demo`, then `SMOKE=1 make demo`.", &["demo", "demo"])]
#[case("x\n\n    make test     # all tests\n", &["test"])]
#[case("these\nmake clear what `cmake x` does", &[])]
fn targets_are_found(#[case] text: &str, #[case] targets: &[&str]) {
    assert_eq!(targets_in(text), targets);
}

/// Links that lead nowhere; those to other hosts are left alone.
fn dead_links(document: &Path, text: &str) -> Vec<String> {
    let folder = document.parent().unwrap();
    let links = text
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next());
    let local = links.filter(|link| !link.contains("://") && !link.contains(' '));
    let dead = local.filter(|link| {
        let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
        match path {
            "" => !anchors(text).contains(anchor),
            path => match fs::read_to_string(folder.join(path)) {
                Ok(other) => !anchor.is_empty() && !anchors(&other).contains(anchor),
                Err(_) => !folder.join(path).exists(),
            },
        }
    });
    dead.map(str::to_owned).collect()
}

/// As GitHub makes them of headings.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let anchor = |line: &str| {
        let words = line.trim_start_matches('#').trim().to_lowercase();
        let kept = words
            .chars()
            .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(anchor).collect()
}

/// What stands in backticks, outside of blocks of code.
fn spans(text: &str) -> Vec<&str> {
    let blocks = text.split("```").step_by(2);
    blocks
        .flat_map(|prose| prose.split('`').skip(1).step_by(2))
        .collect()
}

/// Files that are not there, and symbols that the file named before them does not define.
fn missing(text: &str) -> Vec<String> {
    let (mut faults, mut file) = (Vec::new(), None);
    for span in spans(text) {
        if is_path(span) {
            if !root().join(span).exists() {
                faults.push(format!("{span} is not there"));
            }
            file = Some(span);
        } else if let Some((owner, function)) = symbol(span) {
            let Some(file) = file else {
                faults.push(format!("{span} follows no file"));
                continue;
            };
            // Of a file that is missing it was said.
            let Ok(source) = fs::read_to_string(root().join(file)) else {
                continue;
            };
            if !source.contains(&format!("fn {function}")) {
                faults.push(format!("{file} has no {function}()"));
            } else if !source.contains(owner) {
                faults.push(format!("{file} has no {owner}"));
            }
        }
    }
    faults
}

/// `src/app.rs`, but no pattern (`*`), no placeholder and nothing that is only made (`.run/...`).
fn is_path(span: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    let folder = span.split('/').next().unwrap_or_default();
    span.contains('/') && span.chars().all(plain) && FOLDERS.contains(&folder)
}

/// `Type::function()` and `function()`.
fn symbol(span: &str) -> Option<(&str, &str)> {
    let path = span.strip_suffix("()")?;
    let (owner, function) = path.rsplit_once("::").unwrap_or(("", path));
    let plain = |name: &str| name.chars().all(|c| c.is_alphanumeric() || c == '_');
    (plain(owner) && plain(function)).then_some((owner, function))
}

/// Targets of every `make` command: quoted, or the first word of an indented line.
fn targets_in(text: &str) -> Vec<String> {
    let commands = text.match_indices("make ").filter(|(at, _)| {
        let before = &text[..*at];
        before.ends_with('`') || before.ends_with("    ") || before.ends_with("=1 ")
    });
    let target = |rest: &str| rest.chars().take_while(char::is_ascii_lowercase).collect();
    commands
        .map(|(at, command)| target(&text[at + command.len()..]))
        .collect()
}
