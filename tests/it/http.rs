//! What X, ops and strangers are answered on both listeners (contract 1 and 2).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use serde_json::Value;
use sha2::Sha256;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::service::{APP, Setup, TestService, secret_of};

const PRIVATE_TOKEN: &str = "let-me-in";
const LIMIT: usize = 1024 * 1024;
/// Signed and an object, but of no shape that anybody knows.
const BODY: &str = r#"{"surprise":[]}"#;

/// An answer as it came over the wire.
struct Answer {
    status: u16,
    head: String,
    body: String,
}

/// Sends a request byte by byte as told: clients of a library would not send half of these.
async fn send(url: &str, head: &str, body: &[u8]) -> Answer {
    let address = url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let (line, headers) = head.split_once('\n').unwrap_or((head, ""));
    let mut request = format!("{line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n");
    for header in headers.lines() {
        request.push_str(&format!("{}\r\n", header.trim()));
    }
    request.push_str("\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.write_all(body).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    Answer {
        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
        head: head.to_ascii_lowercase(),
        body: body.to_owned(),
    }
}

async fn get(url: &str, path: &str) -> Answer {
    send(url, &format!("GET {path}"), b"").await
}

fn hmac(signed: &str) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(secret_of(APP).as_bytes()).unwrap();
    let bytes = mac.chain_update(signed).finalize().into_bytes();
    format!("sha256={}", STANDARD.encode(bytes))
}

async fn start() -> TestService {
    TestService::start(Setup::new().set("PRIVATE__TOKEN", PRIVATE_TOKEN)).await
}

async fn deliver(app: &TestService, name: &str, body: &str, signature: &str) -> Answer {
    let head = format!(
        "POST /webhooks/twitter/{name}
         content-length: {}
         x-twitter-webhooks-signature: {signature}",
        body.len()
    );
    send(&app.public_url(), &head, body.as_bytes()).await
}

async fn challenge(app: &TestService, query: &str) -> Answer {
    get(
        &app.public_url(),
        &format!("/webhooks/twitter/{APP}?{query}"),
    )
    .await
}

#[tokio::test]
async fn a_challenge_is_answered_with_the_hmac_of_the_decoded_token() {
    let app = start().await;
    let answer = challenge(&app, "nonce=7&crc_token=a%2Bb%3D&x=y").await;
    assert_eq!(answer.status, 200);
    assert!(
        answer.head.contains("content-type: application/json"),
        "{}",
        answer.head
    );
    let body: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(body, serde_json::json!({"response_token": hmac("a+b=")}));
}

#[tokio::test]
async fn a_challenge_never_signs_what_could_be_a_delivery() {
    let app = start().await;
    let forged: String = BODY.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let long = "x".repeat(1025);
    for token in ["", "%20", "%0a", "%5b%5d", "%22", "%5c", &forged, &long] {
        let answer = challenge(&app, &format!("crc_token={token}")).await;
        assert_eq!(answer.status, 400, "{token}");
        assert!(!answer.body.contains("sha256="), "{token}");
    }
    assert_eq!(challenge(&app, "").await.status, 400);
    let unknown = get(&app.public_url(), "/webhooks/twitter/nobody?crc_token=x").await;
    assert_eq!(unknown.status, 404);
}

#[tokio::test]
async fn a_signed_object_is_taken_with_an_empty_answer() {
    let app = start().await;
    let answer = deliver(&app, APP, BODY, &hmac(BODY)).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, ""));
}

#[tokio::test]
async fn an_unsigned_delivery_is_refused() {
    let app = start().await;
    for signature in ["", "sha256=", "sha256=AAAA", &hmac("{}"), &hmac(BODY)[7..]] {
        let answer = deliver(&app, APP, BODY, signature).await;
        assert_eq!(answer.status, 401, "{signature}");
    }
    let head = format!(
        "POST /webhooks/twitter/{APP}\ncontent-length: {}",
        BODY.len()
    );
    let answer = send(&app.public_url(), &head, BODY.as_bytes()).await;
    assert_eq!(answer.status, 401);
}

#[tokio::test]
async fn what_is_no_json_object_is_a_bad_request() {
    let app = start().await;
    let deep = format!("{}1{}", r#"{"a":"#.repeat(200), "}".repeat(200));
    for body in ["", "[]", "1", "null", "{", "{} {}", "\u{feff}{}", &deep] {
        let answer = deliver(&app, APP, body, &hmac(body)).await;
        assert_eq!(answer.status, 400, "{body}");
    }
}

#[tokio::test]
async fn an_unknown_app_is_not_found_whatever_is_sent() {
    let app = start().await;
    let large = " ".repeat(LIMIT + 1);
    for (body, signature) in [
        (BODY, hmac(BODY)),
        (BODY, String::new()),
        (&large, String::new()),
    ] {
        assert_eq!(deliver(&app, "nobody", body, &signature).await.status, 404);
    }
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_whoever_signed_it() {
    let app = start().await;
    let fits = format!("{}{BODY}", " ".repeat(LIMIT - BODY.len()));
    assert_eq!(deliver(&app, APP, &fits, &hmac(&fits)).await.status, 200);
    let large = format!(" {fits}");
    for signature in [hmac(&large), "sha256=AAAA".to_owned()] {
        assert_eq!(deliver(&app, APP, &large, &signature).await.status, 413);
    }
    let head = format!("POST /webhooks/twitter/{APP}\ntransfer-encoding: chunked");
    let chunked = format!("{:x}\r\n{large}\r\n0\r\n\r\n", large.len());
    let answer = send(&app.public_url(), &head, chunked.as_bytes()).await;
    assert_eq!(answer.status, 413);
}

#[tokio::test]
async fn other_methods_and_paths_are_refused_without_a_redirect() {
    let app = start().await;
    for (head, status) in [
        (format!("PUT /webhooks/twitter/{APP}"), 405),
        (format!("DELETE /webhooks/twitter/{APP}"), 405),
        (format!("GET /webhooks/twitter/{APP}/?crc_token=x"), 404),
        ("GET /webhooks/twitter/".to_owned(), 404),
        ("GET /".to_owned(), 404),
        ("GET /metrics".to_owned(), 404),
        ("GET /readyz".to_owned(), 404),
    ] {
        assert_eq!(
            send(&app.public_url(), &head, b"").await.status,
            status,
            "{head}"
        );
    }
}

#[tokio::test]
async fn probes_and_metrics_are_open_and_the_api_is_closed() {
    let app = start().await;
    let url = app.private_url();
    for path in ["/livez", "/readyz", "/readyz?verbose", "/metrics"] {
        assert_eq!(get(&url, path).await.status, 200, "{path}");
    }
    for path in ["/", "/api/v1/commands"] {
        let answer = get(&url, path).await;
        assert_eq!(answer.status, 401, "{path}");
        assert!(
            answer.head.contains("www-authenticate: bearer"),
            "{}",
            answer.head
        );
        let with_token = format!("GET {path}\nauthorization: Bearer {PRIVATE_TOKEN}");
        let status = send(&url, &with_token, b"").await.status;
        assert_eq!(status, 200, "{path}");
    }
}

#[tokio::test]
async fn deliveries_and_refusals_are_counted() {
    let app = start().await;
    deliver(&app, APP, BODY, &hmac(BODY)).await;
    deliver(&app, APP, BODY, "sha256=AAAA").await;
    let metrics = get(&app.private_url(), "/metrics").await.body;
    for series in [
        format!(r#"twitter_channel_deliveries_total{{app="{APP}",status="200"}} "#),
        format!(r#"twitter_channel_refusals_total{{app="{APP}",reason="bad_signature"}} "#),
    ] {
        assert!(metrics.contains(&series), "{series}\n{metrics}");
    }
}
