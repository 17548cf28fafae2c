//! Strangers who want to keep X out: slow ones, many, large ones, loud ones.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::json;
use simulator::{SIGNATURE_HEADER, sign};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::broker::{TestBroker, client};
use crate::support::process::ServiceProcess;
use crate::support::service::{ACME, APP, Setup, secret_of};

/// What X waits by its older pages.
const IN_TIME: Duration = Duration::from_secs(3);
/// Connections of one slow stranger.
const MANY: usize = 10_000;
/// Files that the test and the service need beside these connections.
const SPARE: usize = 1_000;

struct Scene {
    service: ServiceProcess,
    _broker: TestBroker,
    http: reqwest::Client,
}

impl Scene {
    async fn start(setup: Setup) -> Self {
        let broker = TestBroker::vhost().await;
        Self {
            service: ServiceProcess::start(&setup, &broker.url()).await,
            _broker: broker,
            http: client(),
        }
    }

    fn address(&self) -> String {
        self.service
            .public("")
            .trim_start_matches("http://")
            .to_owned()
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address()).await.unwrap()
    }

    /// X delivers; how long until its 200.
    async fn deliver(&self, number: u64) -> Duration {
        let typing = json!({
            "for_user_id": ACME.to_string(),
            "direct_message_indicate_typing_events": [],
            "number": number,
        });
        let body = typing.to_string();
        let began = Instant::now();
        let answer = self
            .http
            .post(self.service.webhook())
            .header(SIGNATURE_HEADER, sign(&secret_of(APP), body.as_bytes()))
            .body(body)
            .send();
        assert_eq!(answer.await.unwrap().status(), 200);
        began.elapsed()
    }

    async fn refused(&self, signature: Option<&str>) -> u16 {
        let request = self.http.post(self.service.webhook()).body("{}");
        let request = match signature {
            Some(signature) => request.header(SIGNATURE_HEADER, signature),
            None => request,
        };
        request.send().await.unwrap().status().as_u16()
    }
}

/// What a connection still says, until its end.
async fn rest(stream: &mut TcpStream) -> String {
    let mut said = Vec::new();
    // A reset is an end, too.
    let _end = stream.read_to_end(&mut said).await;
    String::from_utf8_lossy(&said).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_strangers_are_shown_out() {
    let scene = Scene::start(Setup::new()).await;
    // A header a second, and none of them the last.
    let mut headers = scene.connect().await;
    headers
        .write_all(b"POST /webhooks/twitter/acme HTTP/1.1\r\nhost: x\r\n")
        .await
        .unwrap();
    // A body that never ends.
    let mut body = scene.connect().await;
    let head = "POST /webhooks/twitter/acme HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n{";
    body.write_all(head.as_bytes()).await.unwrap();
    // Nothing at all.
    let mut mute = scene.connect().await;
    let began = Instant::now();
    let drip = async {
        let mut answer = [0; 1024];
        loop {
            tokio::select! {
                read = headers.read(&mut answer) => {
                    let length = read.unwrap_or(0);
                    return String::from_utf8_lossy(&answer[..length]).into_owned();
                }
                () = tokio::time::sleep(Duration::from_millis(500)) => {
                    // It may be closed by now.
                    let _sent = headers.write_all(b"x-more: 1\r\n").await;
                }
            }
        }
    };
    let (dripped, body, _) = tokio::join!(drip, rest(&mut body), rest(&mut mute));
    assert!(
        dripped.is_empty() || dripped.starts_with("HTTP/1.1 408"),
        "{dripped}"
    );
    assert!(body.starts_with("HTTP/1.1 408"), "{body}");
    assert!(
        began.elapsed() < Duration::from_secs(20),
        "{:?}",
        began.elapsed()
    );
    assert!(scene.deliver(1).await < IN_TIME);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_header_of_20_mb_is_not_read() {
    let scene = Scene::start(Setup::new()).await;
    let before = scene.service.peak_memory();
    let mut stream = scene.connect().await;
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: x\r\nx-large: ")
        .await
        .unwrap();
    let piece = vec![b'a'; 1 << 20];
    let mut sent = 0;
    while sent < 20 && stream.write_all(&piece).await.is_ok() {
        sent += 1;
    }
    let answer = rest(&mut stream).await;
    assert!(
        sent < 20 || answer.starts_with("HTTP/1.1 4"),
        "{sent} MB: {answer}"
    );
    let grown = scene.service.peak_memory() - before;
    assert!(grown < 8 * 1024, "{grown} KiB more");
    assert!(scene.deliver(1).await < IN_TIME);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn x_gets_through_to_a_service_with_10_000_connections() {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let files = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"));
    let files = files.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok());
    let many = MANY.min(files.unwrap_or(MANY).saturating_sub(SPARE));
    if many < MANY {
        println!("only {many} connections: this machine allows no more files (ulimit -n)");
    }
    let scene = Scene::start(Setup::new()).await;
    let mut open = Vec::with_capacity(many);
    while open.len() < many {
        let next = (0..200.min(many - open.len())).map(|_| TcpStream::connect(scene.address()));
        open.extend(join_all(next).await.into_iter().filter_map(Result::ok));
    }
    let mut slowest = Duration::ZERO;
    for number in 0..50 {
        slowest = slowest.max(scene.deliver(number).await);
    }
    println!("{many} idle connections: the slowest of 50 deliveries took {slowest:?}");
    assert!(slowest < IN_TIME, "{slowest:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_that_x_did_not_sign_is_slowed_and_x_is_not() {
    let scene = Scene::start(Setup::new().set("PUBLIC__UNSIGNED_PER_MINUTE", "30")).await;
    for _ in 0..30 {
        assert_eq!(scene.refused(None).await, 401);
    }
    assert_eq!(scene.refused(None).await, 429);
    assert_eq!(scene.refused(Some("sha256=AAAA")).await, 429);
    // From the very same address.
    scene.service.answers_challenges().await;
    let flood = async {
        let forged = (0..2000).map(|_| scene.refused(Some("sha256=AAAA")));
        let mut answers = BTreeMap::new();
        for status in join_all(forged).await {
            *answers.entry(status).or_insert(0) += 1;
        }
        answers
    };
    let deliveries = async {
        let mut slowest = Duration::ZERO;
        for number in 0..100 {
            slowest = slowest.max(scene.deliver(number).await);
        }
        slowest
    };
    let (answers, slowest) = tokio::join!(flood, deliveries);
    println!(
        "beside 2,000 forged requests the slowest of 100 deliveries took {slowest:?}: {answers:?}"
    );
    let known = answers.keys().all(|status| [401, 429].contains(status));
    assert!(known, "{answers:?}");
    // The bucket fills again meanwhile, at one in two seconds.
    let looked_into = answers.get(&401).copied().unwrap_or(0);
    assert!(looked_into <= 30, "{answers:?}");
    assert!(slowest < IN_TIME, "{slowest:?}");
}
