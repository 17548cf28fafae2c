//! Files of direct messages.

use std::time::Duration;

use futures_util::TryStreamExt;
use url::Url;

use crate::domain::account::Account;
use crate::x::client::testing::{Act, Bench};
use crate::x::client::{ByteRange, MediaError, MediaFile};

const V1: &str = "1.1/ton/data/dm/12/34/aB.jpg?name=large%20one";

fn at(bench: &Bench, path: &str) -> Url {
    bench.x.url.join(path).unwrap()
}

async fn fetch(bench: &Bench, url: &Url, range: Option<&str>) -> Result<MediaFile, MediaError> {
    let range = range.map(|header| ByteRange::parse(header).unwrap());
    let (app, account) = (&bench.app, &bench.account);
    bench.client.dm_media(app, account, url, range).await
}

fn file(status: &str, headers: &str, body: &str) -> Act {
    let length = body.len();
    Act::Raw(
        format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n{headers}\r\n{body}")
            .into_bytes(),
    )
}

async fn content(file: MediaFile) -> Vec<u8> {
    let pieces: Vec<_> = file.body.into_stream().try_collect().await.unwrap();
    pieces.concat()
}

#[tokio::test]
async fn a_file_is_fetched_in_the_accounts_name_with_what_x_says_of_it() {
    let act = file("200 OK", "content-type: image/jpeg\r\n", "picture");
    let bench = Bench::new([act]).await;
    let file = fetch(&bench, &at(&bench, V1), None).await.unwrap();
    assert_eq!((file.is_partial, file.length), (false, Some(7)));
    assert_eq!(
        (&*file.content_type, &*file.content_range),
        ("image/jpeg", "")
    );
    assert_eq!(content(file).await, b"picture");
    let asked = bench.x.only();
    assert_eq!(asked.line(), "GET /1.1/ton/data/dm/12/34/aB.jpg");
    assert_eq!(asked.raw_query, "name=large%20one");
    let authorization = asked.header("authorization");
    assert!(authorization.starts_with("OAuth oauth_consumer_key=\"the-key\""));
    assert_eq!(asked.header("accept-encoding"), "identity");
    assert_eq!(asked.header("range"), "");
}

#[tokio::test]
async fn a_part_of_a_file_is_told_from_all_of_it() {
    let bench = Bench::new([
        file(
            "206 Partial Content",
            "content-range: bytes 2-4/7\r\n",
            "ctu",
        ),
        file("200 OK", "", "picture"),
        file(
            "416 Range Not Satisfiable",
            "content-range: bytes */7\r\n",
            "",
        ),
    ])
    .await;
    let url = at(&bench, V1);
    let part = fetch(&bench, &url, Some("bytes=2-4")).await.unwrap();
    assert!(part.is_partial);
    assert_eq!(part.content_range, "bytes 2-4/7");
    assert_eq!(content(part).await, b"ctu");
    let all = fetch(&bench, &url, Some("bytes=2-4")).await.unwrap();
    assert!(!all.is_partial);
    let none = fetch(&bench, &url, Some("bytes=9-")).await.unwrap_err();
    let content_range = "bytes */7".to_owned();
    assert_eq!(none, MediaError::NoSuchRange { content_range });
    let ranges: Vec<_> = bench
        .x
        .recorded()
        .iter()
        .map(|it| it.header("range").to_owned())
        .collect();
    assert_eq!(ranges, ["bytes=2-4", "bytes=2-4", "bytes=9-"]);
}

#[tokio::test]
async fn what_does_not_come_says_whether_it_ever_will() {
    let limited =
        "x-rate-limit-limit: 15\r\nx-rate-limit-remaining: 0\r\nx-rate-limit-reset: 1788264900\r\n";
    let until = Some("2026-09-01T12:15:00Z".parse().unwrap());
    for (act, expected) in [
        (
            file("404 Not Found", "", "<html>"),
            MediaError::Gone { status: 404 },
        ),
        (file("410 Gone", "", ""), MediaError::Gone { status: 410 }),
        (
            file("403 Forbidden", "", ""),
            MediaError::Refused { status: 403 },
        ),
        (
            file("401 Unauthorized", "", ""),
            MediaError::Refused { status: 401 },
        ),
        (
            file("429 Too Many", "", ""),
            MediaError::RateLimited { until: None },
        ),
        (
            file("429 Too Many", limited, ""),
            MediaError::RateLimited { until },
        ),
        (
            file("503 Busy", "", ""),
            MediaError::Unavailable("X answers 503".to_owned()),
        ),
        (
            file("302 Found", "location: http://127.0.0.1:1/inside\r\n", ""),
            MediaError::Unavailable("X redirects (302)".to_owned()),
        ),
    ] {
        let bench = Bench::new([act]).await;
        let error = fetch(&bench, &at(&bench, V1), None).await.unwrap_err();
        assert_eq!(error, expected);
        assert_eq!(bench.x.recorded().len(), 1);
    }
}

#[tokio::test]
async fn nobody_but_x_gets_to_see_the_accounts_signature() {
    let (bench, elsewhere) = (Bench::new([]).await, Bench::new([]).await);
    for url in [
        at(&elsewhere, V1),
        "https://ton.twitter.com/1.1/ton/data/dm/12/34/aB.jpg"
            .parse()
            .unwrap(),
        "https://evil.example/1.1/ton/data/dm/12/34/aB.jpg"
            .parse()
            .unwrap(),
        format!(
            "http://user:secret@127.0.0.1:{}/a",
            bench.x.url.port().unwrap()
        )
        .parse()
        .unwrap(),
    ] {
        let error = fetch(&bench, &url, None).await.unwrap_err();
        assert!(matches!(error, MediaError::NotAllowed { .. }), "{url}");
        assert!(!error.to_string().contains("secret") && !error.to_string().contains("34"));
    }
    assert!(bench.x.recorded().is_empty() && elsewhere.x.recorded().is_empty());
}

#[tokio::test]
async fn what_xs_api_has_beside_files_is_not_fetched() {
    let https: Url = "https://api.x.com".parse().unwrap();
    let bench = Bench::new([]).await;
    let Ok(client) = bench.client_at(&https) else {
        println!("skipped: this machine has no root certificates");
        return;
    };
    for path in ["2/dm_events", "1.1/account/settings.json", "a.jpg"] {
        let url = https.join(path).unwrap();
        let fetched = client.dm_media(&bench.app, &bench.account, &url, None);
        let error = fetched.await.unwrap_err();
        assert!(matches!(error, MediaError::NotAllowed { .. }), "{path}");
    }
}

#[tokio::test]
async fn without_oauth_1_the_same_file_is_asked_of_v2() {
    let mut bench = Bench::new([file("200 OK", "", "one"), file("200 OK", "", "two")]).await;
    let (older, newer) = (
        at(&bench, V1),
        at(&bench, "2/dm_conversations/media/12/34/aB.jpg"),
    );
    bench.use_oauth2();
    for url in [&older, &newer] {
        assert!(fetch(&bench, url, None).await.is_ok());
    }
    for asked in bench.x.recorded() {
        assert_eq!(asked.line(), "GET /2/dm_conversations/media/12/34/aB.jpg");
        assert_eq!(asked.header("authorization"), "Bearer access-1");
    }
    let video = at(&bench, "dm_video/1.mp4");
    let error = fetch(&bench, &video, None).await.unwrap_err();
    assert!(matches!(error, MediaError::NoCredential(_)), "{error:?}");
    assert_eq!(bench.x.recorded().len(), 2);
}

#[tokio::test]
async fn an_account_without_any_token_asks_nothing() {
    let mut bench = Bench::new([]).await;
    bench.account = Account {
        access_token: None,
        oauth2_refresh_token: None,
        ..bench.account
    };
    let error = fetch(&bench, &at(&bench, V1), None).await.unwrap_err();
    assert!(matches!(error, MediaError::NoCredential(_)), "{error:?}");
    assert!(bench.x.recorded().is_empty());
}

#[tokio::test]
async fn a_file_that_breaks_off_is_no_whole_file() {
    let cut = Act::Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\npict".to_vec());
    let bench = Bench::new([cut]).await;
    let file = fetch(&bench, &at(&bench, V1), None).await.unwrap();
    let pieces: Result<Vec<_>, _> = file.body.into_stream().try_collect().await;
    assert!(pieces.is_err());
}

#[tokio::test]
async fn a_long_file_may_take_longer_than_a_call_but_not_pause_that_long() {
    let (call, pause) = (Duration::from_millis(1_000), Duration::from_millis(150));
    let pieces = [&b"piece"[..]; 8];
    let bench = Bench::with_timeout([Act::held(&pieces, pause)], call).await;
    let mut file = fetch(&bench, &at(&bench, V1), None).await.unwrap();
    for _ in pieces {
        assert_eq!(file.body.chunk().await.unwrap().unwrap(), "piece");
    }
    assert!(file.body.chunk().await.is_err());
}

#[tokio::test]
async fn a_file_beyond_the_largest_is_not_begun() {
    let huge = b"HTTP/1.1 200 OK\r\ncontent-length: 999999999999\r\n\r\n".to_vec();
    let bench = Bench::new([Act::Raw(huge)]).await;
    let error = fetch(&bench, &at(&bench, V1), None).await.unwrap_err();
    assert!(matches!(error, MediaError::TooLarge { .. }), "{error:?}");
}
