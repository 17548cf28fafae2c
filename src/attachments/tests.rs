use std::time::Duration;

use rstest::rstest;
use secrecy::SecretBox;
use tempfile::TempDir;
use tokio_util::task::TaskTracker;

use super::testing::{Answer, Server, file, settings};
use super::*;
use crate::domain::attachment::{AttachmentKind, UnfitCode};
use crate::sealing::Sealer;

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";

fn of_16_mb(head: &[u8]) -> Vec<u8> {
    let mut bytes = head.to_vec();
    bytes.resize(16_000_000, 0);
    bytes
}

async fn attachments(server: &Server) -> (TempDir, Attachments) {
    within(server, settings(&[]).timeout).await
}

/// With so much time for a fetch.
async fn within(server: &Server, timeout: Duration) -> (TempDir, Attachments) {
    let dir = TempDir::new().unwrap();
    let sealer = Sealer::new(SecretBox::new(Box::new([1; 32])));
    let vault = Vault::open(&dir.path().join("db.files"), sealer).await;
    let mut settings = settings(&[&server.address.to_string()]);
    settings.timeout = timeout;
    let fetcher = Fetcher::new(settings).unwrap();
    (dir, Attachments::new(fetcher, vault.unwrap()))
}

fn kept_files(dir: &TempDir) -> usize {
    std::fs::read_dir(dir.path().join("db.files"))
        .unwrap()
        .count()
}

async fn serve(path: &str) -> Server {
    let path = path.to_owned();
    Server::start("127.0.0.1:0", move |_| match path.as_str() {
        "photo" => file(PNG),
        "page" => file(b"<html>Please log in</html>"),
        "16 MB photo" => file(&of_16_mb(PNG)),
        "16 MB GIF" => file(&of_16_mb(b"GIF89a")),
        // Never ends by itself.
        "drip" => Answer::Drip(
            b"HTTP/1.1 200 OK\r\n\r\n\x89PNG\r\n\x1a\n".to_vec(),
            Duration::from_millis(5),
        ),
        _ => testing::head("404 Not Found"),
    })
    .await
}

#[tokio::test]
async fn a_fetched_photo_is_kept_until_it_is_removed() {
    let server = serve("photo").await;
    let (dir, attachments) = attachments(&server).await;
    let url = format!("http://{}/a.png", server.address);
    // As the service does it, in a task of its own.
    let task = attachments.clone();
    let fetched = TaskTracker::new().spawn(async move { task.fetch(&url, "image/png").await });
    let kept = fetched.await.unwrap().unwrap();
    assert_eq!(kept.media.kind(), AttachmentKind::Photo);
    assert_eq!(kept.media.size, kept.file.size);
    let vault = attachments.vault();
    let mut withdrawal = vault.read(&kept.file).await.unwrap();
    assert_eq!(withdrawal.chunk().await.unwrap().unwrap(), PNG);
    vault.remove(&kept.file.name).await.unwrap();
    assert_eq!(kept_files(&dir), 0);
}

#[rstest]
#[case::no_image("page", "", UnfitCode::Unsupported, "text/html")]
#[case::no_image_though_it_says_so("page", "image/png", UnfitCode::Unsupported, "image/png")]
#[case::wrong_content_type("photo", "image/gif", UnfitCode::Unsupported, "image/gif")]
#[case::photo_of_16_mb("16 MB photo", "", UnfitCode::TooLarge, "5 MB")]
#[case::gif_of_16_mb("16 MB GIF", "", UnfitCode::TooLarge, "15 MB")]
#[tokio::test]
async fn what_x_would_not_take_is_refused_and_leaves_nothing(
    #[case] served: &str,
    #[case] declared: &str,
    #[case] code: UnfitCode,
    #[case] says: &str,
) {
    let server = serve(served).await;
    let (dir, attachments) = attachments(&server).await;
    let url = format!("http://{}/a", server.address);
    let error = attachments.fetch(&url, declared).await.unwrap_err();
    assert!(error.to_string().contains(says), "{error}");
    assert!(!error.is_retryable());
    assert!(matches!(error, TakeError::Unfit(unfit) if unfit.code() == code));
    assert_eq!(kept_files(&dir), 0);
}

#[rstest]
#[case::not_there("nothing", 40_000, false)]
#[case::slow_drip("drip", 500, true)]
#[tokio::test]
async fn what_cannot_be_fetched_leaves_nothing(
    #[case] served: &str,
    #[case] millis: u64,
    #[case] retryable: bool,
) {
    let server = serve(served).await;
    let (dir, attachments) = within(&server, Duration::from_millis(millis)).await;
    let url = format!("http://{}/a", server.address);
    let error = attachments.fetch(&url, "").await.unwrap_err();
    assert!(matches!(
        error,
        TakeError::Fetch(FetchError::Unreachable { .. })
    ));
    assert_eq!(error.is_retryable(), retryable);
    assert_eq!(kept_files(&dir), 0);
}

#[tokio::test]
async fn a_file_that_came_with_the_command_is_looked_at_as_well() {
    let server = serve("nothing").await;
    let (dir, attachments) = attachments(&server).await;
    let refused = attachments.keep(b"<html>", "image/png").await;
    assert!(matches!(refused, Err(TakeError::Unfit(_))));
    assert_eq!(kept_files(&dir), 0);
    let kept = attachments.keep(PNG, "").await.unwrap();
    assert_eq!(kept.file.size, PNG.len() as u64);
    let written = serde_json::to_string(&kept).unwrap();
    assert_eq!(serde_json::from_str::<Kept>(&written).unwrap(), kept);
}
