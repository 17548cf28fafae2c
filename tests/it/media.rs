//! Files of direct messages: whoever holds the link of an event gets them, as long as X has them.

use reqwest::header::HeaderMap;
use reqwest::{Method, Response};
use simulator::{MessageId, NewMessage, UserId};

use crate::support::broker::client;
use crate::support::service::{ACME, Setup, TestService};

const CONTENT: &[u8] = b"\xff\xd8\xff 0123456789";
const SHOP: UserId = UserId(77);

struct Scene {
    service: TestService,
    message: MessageId,
    /// Of the link in the event.
    path: String,
}

impl Scene {
    async fn new(setup: Setup) -> Self {
        Self::with(setup, ACME, CONTENT.to_vec()).await
    }

    /// A message with a file to one of our accounts has come.
    async fn with(setup: Setup, to: UserId, content: Vec<u8>) -> Self {
        let service = TestService::start(setup.files_within_reach()).await;
        service.settled().await;
        let ann = service.user("ann");
        let message = NewMessage::between(ann, to, "see");
        let simulator = &service.simulator;
        let message = simulator.direct_message_with(message, "image/jpeg", content);
        let message = message.unwrap();
        let event = service.only_event().await;
        let attachment = event.at("/message/attachments/0");
        assert_eq!(attachment["requires_auth"], true);
        let url = attachment["url"].as_str().unwrap();
        let path = url.strip_prefix("http://127.0.0.1:0").unwrap().to_owned();
        assert!(path.starts_with("/media/"), "{url}");
        Self {
            service,
            message,
            path,
        }
    }

    async fn ask(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> Response {
        let url = self.service.private_url() + path;
        let mut request = client().request(method, url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.unwrap()
    }

    async fn get(&self, headers: &[(&str, &str)]) -> Response {
        self.ask(Method::GET, &self.path, headers).await
    }

    fn asked_of_x(&self) -> usize {
        let calls = self.service.simulator.calls();
        let media = calls.iter().filter(|call| call.target.contains("/dm/"));
        media.count()
    }
}

fn header<'h>(headers: &'h HeaderMap, name: &str) -> &'h str {
    headers
        .get(name)
        .map_or("", |value| value.to_str().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_link_of_an_event_opens_its_file_without_a_credential() {
    let mut scene = Scene::new(Setup::new()).await;
    let whole = scene.get(&[]).await;
    assert_eq!(whole.status(), 200);
    let headers = whole.headers().clone();
    for (name, value) in [
        ("content-type", "image/jpeg"),
        ("content-length", "14"),
        ("accept-ranges", "bytes"),
        ("x-content-type-options", "nosniff"),
        ("cache-control", "private, max-age=3600"),
        ("referrer-policy", "no-referrer"),
        ("content-disposition", ""),
    ] {
        assert_eq!(header(&headers, name), value, "{name}");
    }
    assert!(header(&headers, "content-security-policy").starts_with("sandbox;"));
    assert_eq!(whole.bytes().await.unwrap(), CONTENT);

    let head = scene.ask(Method::HEAD, &scene.path, &[]).await;
    assert_eq!(head.status(), 200);
    assert_eq!(header(head.headers(), "content-length"), "14");
    assert_eq!(header(head.headers(), "content-type"), "image/jpeg");
    assert_eq!(scene.asked_of_x(), 2);
    scene.service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_of_a_file_is_had_by_its_range() {
    let mut scene = Scene::new(Setup::new()).await;
    let part = scene.get(&[("range", "bytes=4-6")]).await;
    assert_eq!(part.status(), 206);
    assert_eq!(header(part.headers(), "content-range"), "bytes 4-6/14");
    assert_eq!(header(part.headers(), "content-length"), "3");
    assert_eq!(part.bytes().await.unwrap(), &CONTENT[4..=6]);
    let end = scene.get(&[("range", "bytes=-2")]).await;
    assert_eq!(end.bytes().await.unwrap(), &CONTENT[12..]);
    let beyond = scene.get(&[("range", "bytes=100-")]).await;
    assert_eq!(beyond.status(), 416);
    assert_eq!(header(beyond.headers(), "content-range"), "bytes */14");
    // What is no range, or holds under a condition that we cannot know, is all of it.
    for headers in [
        &[("range", "lines=1-2")][..],
        &[("range", "bytes=4-6"), ("if-range", "\"tag\"")],
    ] {
        let whole = scene.get(headers).await;
        assert_eq!(whole.status(), 200, "{headers:?}");
        assert_eq!(whole.bytes().await.unwrap(), CONTENT);
    }
    scene.service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_was_changed_opens_nothing() {
    let mut scene = Scene::new(Setup::new()).await;
    let signed = scene.path.strip_prefix("/media/").unwrap();
    let (what, signature) = signed.split_once('.').unwrap();
    let middle = what.len() / 2;
    let other = if &what[middle..=middle] == "A" {
        "B"
    } else {
        "A"
    };
    for wrong in [
        format!(
            "{}{other}{}.{signature}",
            &what[..middle],
            &what[middle + 1..]
        ),
        format!("{what}.{}", &signature[1..]),
        format!("{what}."),
        what.to_owned(),
        format!("{signed}%00"),
        "..%2f..%2fmetrics".to_owned(),
    ] {
        let answer = scene
            .ask(Method::GET, &format!("/media/{wrong}"), &[])
            .await;
        assert_eq!(answer.status(), 404, "{wrong}");
    }
    let post = scene.ask(Method::POST, &scene.path, &[]).await;
    assert_eq!(post.status(), 405);
    assert_eq!(
        scene.asked_of_x(),
        0,
        "X was asked by a link that is not ours"
    );
    scene.service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_x_has_deleted_is_gone_and_x_is_not_asked_each_time() {
    let mut scene = Scene::new(Setup::new()).await;
    assert_eq!(scene.get(&[]).await.status(), 200);
    let simulator = &scene.service.simulator;
    simulator.delete_message_silently(scene.message).unwrap();
    assert_eq!(scene.get(&[]).await.status(), 410);
    let asked = scene.asked_of_x();
    let gone = scene.get(&[]).await;
    assert_eq!(gone.status(), 410);
    assert_eq!(header(gone.headers(), "cache-control"), "no-store");
    assert_eq!(scene.asked_of_x(), asked);
    scene.service.stop().await;
    scene.service.start_again(|setup| setup).await;
    assert_eq!(scene.get(&[]).await.status(), 410);
    assert_eq!(scene.asked_of_x(), asked);
    scene.service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_link_of_an_account_that_is_not_linked_any_more_opens_nothing() {
    let setup = Setup::new()
        .account("acme", SHOP, "shop", "")
        .filter("account = \"shop\"\nmatch = \"direct_messages\"\ngroup = \"shop\"");
    let mut scene = Scene::with(setup, SHOP, CONTENT.to_vec()).await;
    assert_eq!(scene.get(&[]).await.status(), 200);
    scene.service.stop().await;
    let without = |setup: Setup| setup.first_account_only().first_filters(4);
    scene.service.start_again(without).await;
    assert_eq!(scene.get(&[]).await.status(), 404);
    scene.service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_too_large_and_an_x_that_is_away_are_told_apart() {
    let mut scene = Scene::new(Setup::new().set("MEDIA__MAX_BYTES", "13")).await;
    for headers in [&[][..], &[("range", "bytes=0-1")]] {
        let refused = scene.get(headers).await;
        assert_eq!(refused.status(), 502, "{headers:?}");
        assert_eq!(header(refused.headers(), "retry-after"), "");
        assert!(refused.text().await.unwrap().contains("media.max_bytes"));
    }
    scene.service.simulator.stop().await;
    let away = scene.get(&[]).await;
    assert_eq!(away.status(), 502);
    assert_eq!(header(away.headers(), "retry-after"), "5");
    scene.service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_so_many_files_are_on_their_way_and_who_goes_away_makes_room() {
    // More than the sockets on the way take in.
    let content = vec![7; 24 << 20];
    let mut scene = Scene::with(Setup::new(), ACME, content).await;
    let mut unread = Vec::new();
    for _ in 0..8 {
        let begun = scene.get(&[]).await;
        assert_eq!(begun.status(), 200);
        unread.push(begun);
    }
    let refused = scene.get(&[]).await;
    assert_eq!(refused.status(), 503);
    assert_eq!(header(refused.headers(), "retry-after"), "5");
    assert_eq!(scene.asked_of_x(), 8);
    unread.clear();
    let whole = scene.get(&[]).await;
    assert_eq!(whole.status(), 200);
    assert_eq!(whole.bytes().await.unwrap().len(), 24 << 20);
    scene.service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_and_bytes_are_counted() {
    let mut scene = Scene::new(Setup::new()).await;
    let samples = async || {
        let service = &scene.service;
        let requests = "twitter_channel_media_requests_total{status=\"206\"}";
        let bytes = service.metric("twitter_channel_media_bytes_total").await;
        (service.metric(requests).await, bytes)
    };
    let before = samples().await;
    let part = scene.get(&[("range", "bytes=0-6")]).await;
    assert_eq!(part.bytes().await.unwrap().len(), 7);
    let after = samples().await;
    assert!(
        after.0 >= before.0 + 1.0 && after.1 >= before.1 + 7.0,
        "{before:?} {after:?}"
    );
    scene.service.stop().await;
}
