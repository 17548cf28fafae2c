//! The direction of imports: `src/` is tiers, and each may use only those below it.
//!
//! Reads text, not syntax: every `crate::...` path counts, in tests and in macros too. Comments do not.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rstest::rstest;

/// From top to bottom. Neighbours in one tier do not know each other.
const TIERS: [&[&str]; 9] = [
    &["main", "lib"],
    &["cli"],
    &["app"],
    &["config"],
    &["http", "broker::consumer"],
    &["flow"],
    &["store", "x", "broker", "attachments"],
    &["telemetry", "sealing", "settings"],
    &["domain"],
];

/// Crates that do I/O, or belong to one adapter.
const NOT_IN_DOMAIN: [&str; 10] = [
    "actix_web",
    "config",
    "lapin",
    "metrics",
    "reqwest",
    "rusqlite",
    "sqlx",
    "tokio",
    "tokio_postgres",
    "tracing",
];

/// The same in the standard library.
const NOT_IN_DOMAIN_STD: [&str; 4] = ["env", "fs", "net", "process"];

/// Time is an argument.
const CLOCKS: [&str; 4] = [
    "Instant::now",
    "SystemTime::now",
    "Timestamp::now",
    "Zoned::now",
];

#[test]
fn imports_run_downward_only() -> io::Result<()> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    for file in rust_files(&src)? {
        let name = file.strip_prefix(&src).unwrap_or(&file);
        found.extend(faults(name, &fs::read_to_string(&file)?));
    }
    assert!(found.is_empty(), "\n{}", found.join("\n"));
    Ok(())
}

#[test]
fn every_file_of_the_tree_is_read() -> io::Result<()> {
    let files = rust_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"))?;
    for wanted in [
        "src/main.rs",
        "src/domain/ids.rs",
        "src/store/sqlite/mod.rs",
    ] {
        assert!(
            files.iter().any(|file| file.ends_with(wanted)),
            "{wanted} was not read"
        );
    }
    Ok(())
}

#[rstest]
#[case::adapter_to_adapter(
    "x/client/mod.rs",
    "use crate::store::Store;",
    "src/x/client/mod.rs:1: x must not import store, which is not below it"
)]
#[case::upward(
    "store/mod.rs",
    "\nfn f() { crate::flow::go() }",
    "src/store/mod.rs:2: store must not import flow, which is not below it"
)]
#[case::in_a_group(
    "flow/relay.rs",
    "use crate::{\n    broker::{messages, consumer::Consumer},\n    domain,\n};",
    "src/flow/relay.rs:1: flow must not import broker::consumer, which is not below it"
)]
#[case::settings_are_handed_down(
    "broker/mod.rs",
    "use crate::config::Broker;",
    "src/broker/mod.rs:1: broker must not import config, which is not below it"
)]
#[case::domain_logs_nothing(
    "domain/text.rs",
    "use crate::telemetry;",
    "src/domain/text.rs:1: domain must not import telemetry, which is not below it"
)]
#[case::unknown_target(
    "flow/mod.rs",
    "use crate::utils::x;",
    "src/flow/mod.rs:1: utils has no tier in tests/it/layers.rs"
)]
#[case::unknown_source(
    "utils.rs",
    "",
    "src/utils.rs:1: utils has no tier in tests/it/layers.rs"
)]
#[case::runtime_in_domain(
    "domain/text.rs",
    "use tokio::time;",
    "src/domain/text.rs:1: domain must not use tokio"
)]
#[case::environment_in_domain(
    "domain/a.rs",
    "use std::{env, fmt};",
    "src/domain/a.rs:1: domain must not use std::env"
)]
#[case::clock_in_domain(
    "domain/a.rs",
    "let now = jiff::Timestamp::now();",
    "src/domain/a.rs:1: domain must not use Timestamp::now"
)]
fn a_wrong_import_is_named(#[case] file: &str, #[case] source: &str, #[case] fault: &str) {
    assert_eq!(faults(Path::new(file), source), [fault]);
}

#[rstest]
#[case::downward(
    "broker/consumer.rs",
    "use crate::flow::reply;\nuse crate::broker::topology;"
)]
#[case::own_tier("x/client/mod.rs", "use crate::x::{wire, signature::Signature};")]
#[case::comments(
    "domain/ids.rs",
    "/// Made by [`crate::flow::ingest`], not with tokio::time."
)]
#[case::longer_names("domain/ids.rs", "use my_tokio::x; use other_crate::flow;")]
#[case::pure_std("domain/ids.rs", "use std::{fmt, num::NonZeroU64};")]
#[case::clock_elsewhere("flow/relay.rs", "use std::env; let now = Timestamp::now();")]
fn a_right_import_is_let_through(#[case] file: &str, #[case] source: &str) {
    assert_eq!(faults(Path::new(file), source), Vec::<String>::new());
}

/// All `.rs` files below a folder.
fn rust_files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(rust_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// What is wrong in one file, each as `file:line: rule`; `file` is its place below `src/`.
fn faults(file: &Path, source: &str) -> Vec<String> {
    let source = without_comments(source);
    let at = |line: usize, rule: String| format!("src/{}:{line}: {rule}", file.display());
    let own = module_of_file(file);
    let Some((module, tier)) = place(&own) else {
        return vec![at(1, unplaced(&own))];
    };
    let mut faults: Vec<String> = paths(&source, "crate")
        .into_iter()
        .filter_map(|(line, path)| Some(at(line, wrong_import(module, tier, &path)?)))
        .collect();
    if module == "domain" {
        faults.extend(
            impurities(&source)
                .into_iter()
                .map(|(line, what)| at(line, format!("domain must not use {what}"))),
        );
    }
    faults
}

fn wrong_import(module: &str, tier: usize, path: &str) -> Option<String> {
    match place(path) {
        None => Some(unplaced(path)),
        Some((target, below)) if target == module || below > tier => None,
        Some((target, _)) => Some(format!(
            "{module} must not import {target}, which is not below it"
        )),
    }
}

fn unplaced(path: &str) -> String {
    let module = path.split("::").next().unwrap_or(path);
    format!("{module} has no tier in tests/it/layers.rs")
}

/// What the domain may not know, with the line where it does.
fn impurities(source: &str) -> Vec<(usize, String)> {
    let crates = NOT_IN_DOMAIN.iter().flat_map(|name| {
        paths(source, name)
            .into_iter()
            .map(|(line, _)| (line, (*name).to_owned()))
    });
    let std = paths(source, "std").into_iter().filter_map(|(line, path)| {
        let module = path.split("::").next()?;
        NOT_IN_DOMAIN_STD
            .contains(&module)
            .then(|| (line, format!("std::{module}")))
    });
    let clocks = CLOCKS.iter().flat_map(|clock| {
        source
            .match_indices(clock)
            .map(|(at, _)| (line_of(source, at), (*clock).to_owned()))
    });
    crates.chain(std).chain(clocks).collect()
}

/// The tiered module that a path (`broker::consumer::Consumer`) is in, and its tier from the top.
fn place(path: &str) -> Option<(&'static str, usize)> {
    let within = |module: &str| {
        path.strip_prefix(module)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    };
    let modules = TIERS
        .iter()
        .enumerate()
        .flat_map(|(tier, modules)| modules.iter().map(move |module| (*module, tier)));
    // The longest that fits: `broker::consumer` before `broker`.
    modules
        .filter(|(module, _)| within(module))
        .max_by_key(|(module, _)| module.len())
}

fn module_of_file(file: &Path) -> String {
    let names = file.with_extension("");
    let names = names.iter().map(|name| name.to_string_lossy());
    names.collect::<Vec<_>>().join("::")
}

/// Same lines, without what stands behind `//`.
fn without_comments(source: &str) -> String {
    let code = source
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default());
    code.collect::<Vec<_>>().join("\n")
}

/// Every path that starts with `root::`, without it, and the line it starts on. A `use` group gives one for each leaf.
fn paths(source: &str, root: &str) -> Vec<(usize, String)> {
    let start = format!("{root}::");
    let whole_word =
        |at: usize| !source[..at].ends_with(|before: char| is_word(before) || before == ':');
    let starts = source
        .match_indices(&start)
        .map(|(at, _)| at)
        .filter(|at| whole_word(*at));
    starts
        .flat_map(|at| {
            leaves(&source[at + start.len()..])
                .into_iter()
                .map(move |leaf| (line_of(source, at), leaf))
        })
        .collect()
}

/// `a::{b, c::d}, ...` to `a::b`, `a::c::d`.
fn leaves(tree: &str) -> Vec<String> {
    let tree = tree.trim_start();
    if let Some(group) = tree.strip_prefix('{') {
        return members(group).into_iter().flat_map(leaves).collect();
    }
    let (name, rest) = tree.split_at(tree.find(|next| !is_word(next)).unwrap_or(tree.len()));
    match rest.strip_prefix("::") {
        Some(below) => leaves(below)
            .into_iter()
            .map(|leaf| format!("{name}::{leaf}"))
            .collect(),
        None => vec![name.to_owned()],
    }
}

/// The comma-separated members of a group, up to the brace that closes it.
fn members(group: &str) -> Vec<&str> {
    let (mut depth, mut start, mut members) = (0, 0, Vec::new());
    for (at, sign) in group.char_indices() {
        match sign {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                members.push(&group[start..at]);
                start = at + 1;
                if sign == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    members.retain(|member| !member.trim().is_empty());
    members
}

fn is_word(sign: char) -> bool {
    sign.is_alphanumeric() || sign == '_'
}

fn line_of(source: &str, at: usize) -> usize {
    source[..at].matches('\n').count() + 1
}
