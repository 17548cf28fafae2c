//! The API keeps to its own description: schemathesis asks the running service whatever the
//! description allows, and what it does not allow.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::json;
use simulator::NewPost;
use tokio::process::Command;

use crate::support::broker::client;
use crate::support::service::{ACME, Setup, TestService};

const TOKEN: &str = "let-me-in-0123456789";

/// A program that scripts/bootstrap has installed.
fn tool(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(".run/tools/python/bin");
    let path = folder.join(name);
    assert!(
        path.exists(),
        "{} is missing: run scripts/bootstrap tests",
        path.display()
    );
    path
}

/// Runs it to its good end, where it may leave what it likes.
async fn run(name: &str, folder: &Path, arguments: &[&str]) {
    let mut command = Command::new(tool(name));
    command
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null());
    let output = command.kill_on_drop(true).output().await.unwrap();
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{name}: {}\n{}",
        said(&output.stdout),
        said(&output.stderr)
    );
}

/// A service in whose store there is something of everything.
async fn start() -> TestService {
    let setup = Setup::new()
        .set("PRIVATE__TOKEN", TOKEN)
        .set("PUBLIC__URL", "https://channel.example")
        .set("PRIVATE__URL", "http://127.0.0.1:8081");
    let service = TestService::start(setup).await;
    service.settled().await;
    let ann = service.user("ann");
    service.post(NewPost::by(ann, "@acme my parcel is late"));
    let mut command = service.next_event().await.at("/reply/command").clone();
    command["command_id"] = json!("c1");
    command["send_post"]["text"] = json!("It leaves today.");
    service.command(&command).await;
    service.outcome("c1", &mut Vec::new()).await;
    command["account_id"] = json!("1");
    command["command_id"] = json!("c2");
    service.command(&command).await;
    service.outcome("c2", &mut Vec::new()).await;
    service
        .take(&json!({"for_user_id": ACME.to_string(), "news_events": [{}]}))
        .await;
    service.wait_for_quarantine(1).await;
    service
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_description_is_openapi_and_the_service_keeps_to_it() {
    let service = start().await;
    let url = format!("{}/api/v1/openapi.json", service.private_url());
    let document = client().get(&url).bearer_auth(TOKEN).send().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("openapi.json");
    std::fs::write(&path, document.bytes().await.unwrap()).unwrap();
    let path = path.to_str().unwrap();
    run("openapi-spec-validator", folder.path(), &[path]).await;
    let base = format!("{}/api/v1", service.private_url());
    let header = format!("Authorization: Bearer {TOKEN}");
    let settings = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/schemathesis.toml");
    let arguments = [
        "--config-file",
        settings,
        "run",
        path,
        "--url",
        &base,
        "--header",
        &header,
    ];
    run("schemathesis", folder.path(), &arguments).await;
}
