//! What the image is built from, told without building it: `make image` takes long, and sees the rest.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::address::free_address;

fn read(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap()
}

#[test]
fn dependencies_are_built_from_the_manifest_of_every_member() {
    let dockerfile = read("Dockerfile");
    let manifest = read("Cargo.toml");
    let members = manifest
        .lines()
        .find_map(|line| line.strip_prefix("members = "))
        .unwrap();
    let members: Vec<String> = serde_json::from_str(members).unwrap();
    assert!(members.len() > 1, "{members:?}");
    for member in members.iter().filter(|member| *member != ".") {
        let copied = format!("\nCOPY {member}/Cargo.toml {member}/\n");
        assert!(dockerfile.contains(&copied), "{member}");
    }
}

#[test]
fn the_image_is_built_by_the_compiler_that_is_tested() {
    let toolchain = read("rust-toolchain.toml");
    let tested = toolchain
        .lines()
        .find_map(|line| line.strip_prefix("channel = "))
        .unwrap()
        .trim_matches('"');
    let dockerfile = read("Dockerfile");
    let named = dockerfile
        .lines()
        .find_map(|line| line.strip_prefix("ARG BUILD_IMAGE=docker.io/library/rust:"))
        .unwrap();
    let (version, _) = named.split_once('-').unwrap();
    assert!(
        tested == version || tested.starts_with(&format!("{version}.")),
        "{named} is not {tested}"
    );
}

/// It has the container's environment, and not the arguments of `serve`.
#[test]
fn the_health_check_asks_where_a_settings_file_of_the_environment_moved_the_listener() {
    let (folder, moved) = (tempfile::tempdir().unwrap(), free_address());
    let file = folder.path().join("settings.toml");
    let settings = format!("private.listen = \"{moved}\"\nprivate.token = \"of-a-test\"\n");
    std::fs::write(&file, settings).unwrap();
    let mut probe = Command::new(env!("CARGO_BIN_EXE_twitter-channel"));
    let probed = probe
        .arg("probe")
        .env("TWITTER_CHANNEL_CONFIG", &file)
        .output();
    let said = String::from_utf8(probed.unwrap().stderr).unwrap();
    assert!(said.contains(&format!("{moved} cannot be asked")), "{said}");
}
