use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::sync::Mutex;
use std::time::Duration;

use rstest::rstest;

use super::super::testing::{Answer, Server, file, head, redirect, settings};
use super::*;

/// In these tests this address stands for the whole public network, and any other for ours.
const PUBLIC: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 1);
const PRIVATE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const PRETENDED: Network = Network {
    is_public: |address| address == IpAddr::V4(PUBLIC),
    scheme: "http",
};

/// Answers look-ups, whatever the name, with these addresses in turn; then none are left.
fn fetcher(settings: FetchSettings, lookups: &[&[Ipv4Addr]]) -> Fetcher {
    let lookups: VecDeque<Vec<IpAddr>> = lookups
        .iter()
        .map(|found| found.iter().copied().map(IpAddr::V4).collect())
        .collect();
    let lookups = Arc::new(Mutex::new(lookups));
    let lookup: resolver::Lookup = Arc::new(move |_name| {
        let found = lookups.lock().unwrap().pop_front();
        Box::pin(async move { found.ok_or_else(|| std::io::Error::other("no such name")) })
    });
    let resolver = PublicOnly::new(lookup, PRETENDED.is_public);
    Fetcher::build(settings, PRETENDED, resolver).unwrap()
}

/// Knows this network and the real look-ups.
fn real(sources: &[&str]) -> Fetcher {
    Fetcher::new(settings(sources)).unwrap()
}

async fn fetch(fetcher: &Fetcher, url: &str) -> Result<Vec<u8>, FetchError> {
    let mut body = fetcher.get(url).await?;
    let mut content = Vec::new();
    while let Some(chunk) = body.chunk().await? {
        content.extend(chunk);
    }
    Ok(content)
}

async fn fetch_error(fetcher: &Fetcher, url: &str) -> FetchError {
    fetch(fetcher, url).await.unwrap_err()
}

/// Two servers on one port of both addresses.
async fn neighbours(answer: impl Fn(&str, u16) -> Answer + Send + Sync + 'static) -> [Server; 2] {
    // The port of one may be taken at the other: then another port.
    loop {
        let public = std::net::TcpListener::bind((PUBLIC, 0)).unwrap();
        let port = public.local_addr().unwrap().port();
        if let Ok(private) = std::net::TcpListener::bind((PRIVATE, port)) {
            return [
                Server::listen(public, move |path| answer(path, port)),
                Server::listen(private, |_| file(b"secret")),
            ];
        }
    }
}

#[tokio::test]
async fn a_configured_host_is_asked_by_http_with_its_credential() {
    let server = Server::start("127.0.0.1:0", |_| file(b"content")).await;
    let fetcher = real(&[&server.address.to_string()]);
    let url = format!("http://{}/a.png?token=1", server.address);
    assert_eq!(fetch(&fetcher, &url).await.unwrap(), b"content");
    let requests = server.requests();
    assert!(requests[0].starts_with("get /a.png?token=1 http/1.1"));
    assert!(requests[0].contains("\r\nauthorization: bearer of-the-helpdesk\r\n"));
    assert!(requests[0].contains("\r\naccept-encoding: identity\r\n"));
}

#[rstest]
#[case::without_port("helpdesk.internal", "http://helpdesk.internal/a", true)]
#[case::without_port("helpdesk.internal", "https://HELPDESK.internal:443/a", true)]
#[case::another_port("helpdesk.internal", "http://helpdesk.internal:8080/a", false)]
#[case::with_port("helpdesk.internal:8080", "http://helpdesk.internal:8080/a", true)]
#[case::with_port("helpdesk.internal:8080", "https://helpdesk.internal:8080/a", true)]
#[case::another_port("helpdesk.internal:8080", "http://helpdesk.internal/a", false)]
#[case::usual_port("helpdesk.internal:443", "http://helpdesk.internal/a", false)]
#[case::longer_name("helpdesk.internal", "http://helpdesk.internal.example/a", false)]
#[case::name_below("helpdesk.internal", "http://a.helpdesk.internal/a", false)]
#[case::another_scheme("helpdesk.internal", "ftp://helpdesk.internal:80/a", false)]
#[case::number("10.0.0.7", "http://0x0a.7/a", true)]
#[case::ipv6("[fd00::7]:8080", "http://[fd00:0::7]:8080/a", true)]
fn a_source_is_its_host_and_port(#[case] host: &str, #[case] url: &str, #[case] serves: bool) {
    let source = AttachmentSource {
        host: host.to_owned(),
        authorization: None,
    };
    let url = Url::parse(url).unwrap();
    assert_eq!(Source::parse(&source).unwrap().serves(&url), serves);
}

#[test]
fn a_credential_that_no_header_can_hold_is_refused_without_being_shown() {
    let mut settings = settings(&["helpdesk.internal"]);
    settings.sources[0].authorization = Some("Bearer\nsecret".into());
    let error = Fetcher::new(settings).err().unwrap();
    assert!(error.to_string().contains("helpdesk.internal"), "{error}");
    assert!(!error.to_string().contains("secret"), "{error}");
}

#[rstest]
#[case::plain_http("http://example.com/a", "https only")]
#[case::ftp("ftp://example.com/a", "https only")]
#[case::file("file:///etc/passwd", "https only")]
#[case::data("data:image/png;base64,AAAA", "https only")]
#[case::user("https://user@example.com/a", "user name")]
#[case::password("https://:secret@example.com/a", "user name")]
#[case::loopback("https://127.0.0.1/a", "not a public address")]
#[case::short("https://127.1/a", "not a public address")]
#[case::decimal("https://2130706433/a", "not a public address")]
#[case::hexadecimal("https://0x7f000001/a", "not a public address")]
#[case::octal("https://0177.0.0.1/a", "not a public address")]
#[case::wide_digits("https://１２７.0.0.1/a", "not a public address")]
#[case::escaped("https://127.0.0.%31/a", "not a public address")]
#[case::trailing_dot("https://127.0.0.1./a", "not a public address")]
#[case::unspecified("https://0/a", "not a public address")]
#[case::metadata("https://169.254.169.254/latest/meta-data", "not a public address")]
#[case::ipv6_loopback("https://[::1]/a", "not a public address")]
#[case::mapped("https://[::ffff:10.0.0.1]/a", "not a public address")]
#[case::name_of_this_machine("https://localhost/a", "resolves to")]
#[tokio::test]
async fn a_url_that_leads_inside_is_not_allowed(#[case] url: &str, #[case] says: &str) {
    let error = fetch_error(&real(&[]), url).await;
    assert!(matches!(error, FetchError::NotAllowed { .. }), "{error:?}");
    assert!(error.to_string().contains(says), "{error}");
    assert!(!error.is_retryable());
}

#[tokio::test]
async fn a_private_host_that_is_not_configured_is_not_connected_to() {
    let server = Server::start("127.0.0.1:0", |_| file(b"secret")).await;
    let other = format!("127.0.0.1:{}", server.address.port() ^ 1);
    for scheme in ["http", "https"] {
        let url = format!("{scheme}://{}/a", server.address);
        let error = fetch_error(&real(&[&other]), &url).await;
        assert!(matches!(error, FetchError::NotAllowed { .. }), "{error:?}");
    }
    assert_eq!(server.requests(), Vec::<String>::new());
}

#[tokio::test]
async fn a_public_host_is_asked_without_credentials() {
    let server = Server::start("127.0.0.1:0", |_| file(b"content")).await;
    let fetcher = fetcher(settings(&["other.example"]), &[&[PUBLIC]]);
    let url = format!("http://files.example:{}/a", server.address.port());
    assert_eq!(fetch(&fetcher, &url).await.unwrap(), b"content");
    assert!(!server.requests()[0].contains("authorization"));
}

#[tokio::test]
async fn a_name_that_resolves_to_a_private_address_at_the_second_look_up_is_refused() {
    let [public, private] = neighbours(|_, _| redirect("/again")).await;
    let fetcher = fetcher(settings(&[]), &[&[PUBLIC], &[PRIVATE]]);
    let url = format!("http://rebinding.example:{}/a", public.address.port());
    let error = fetch_error(&fetcher, &url).await;
    assert_eq!(
        error,
        FetchError::not_allowed(
            "rebinding.example",
            "it resolves to 127.0.0.2, which is not a public address, \
             and it is not in attachment_sources"
        )
    );
    assert_eq!(public.requests().len(), 1);
    assert_eq!(private.requests(), Vec::<String>::new());
}

#[tokio::test]
async fn a_second_fetch_looks_the_name_up_again() {
    let [public, private] = neighbours(|_, _| file(b"content")).await;
    let fetcher = fetcher(settings(&[]), &[&[PUBLIC], &[PRIVATE]]);
    let url = format!("http://rebinding.example:{}/a", public.address.port());
    assert_eq!(fetch(&fetcher, &url).await.unwrap(), b"content");
    let error = fetch_error(&fetcher, &url).await;
    assert!(matches!(error, FetchError::NotAllowed { .. }), "{error:?}");
    assert_eq!(private.requests(), Vec::<String>::new());
}

#[tokio::test]
async fn a_name_with_one_private_address_among_public_ones_is_refused() {
    let [public, private] = neighbours(|_, _| file(b"content")).await;
    for found in [[PUBLIC, PRIVATE], [PRIVATE, PUBLIC]] {
        let fetcher = fetcher(settings(&[]), &[&found]);
        let url = format!("http://mixed.example:{}/a", public.address.port());
        let error = fetch_error(&fetcher, &url).await;
        assert!(matches!(error, FetchError::NotAllowed { .. }), "{error:?}");
    }
    assert_eq!(public.requests(), Vec::<String>::new());
    assert_eq!(private.requests(), Vec::<String>::new());
}

#[rstest]
#[case::number("http://127.0.0.2:PORT/")]
#[case::decimal("http://2130706434:PORT/")]
#[case::hexadecimal("http://0x7f.2:PORT/")]
#[case::no_scheme("//127.0.0.2:PORT/")]
#[case::mapped("http://[::ffff:127.0.0.2]:PORT/")]
#[case::name("http://inside.example:PORT/")]
#[case::user("http://user:secret@files.example:PORT/")]
#[case::file("file:///etc/passwd")]
#[tokio::test]
async fn a_redirect_that_leads_inside_is_not_followed(#[case] to: &'static str) {
    let answer = move |_: &str, port: u16| redirect(&to.replace("PORT", &port.to_string()));
    let [public, private] = neighbours(answer).await;
    let fetcher = fetcher(settings(&[]), &[&[PUBLIC], &[PRIVATE]]);
    let url = format!("http://files.example:{}/a", public.address.port());
    let error = fetch_error(&fetcher, &url).await;
    assert!(matches!(error, FetchError::NotAllowed { .. }), "{error:?}");
    assert_eq!(public.requests().len(), 1);
    assert_eq!(private.requests(), Vec::<String>::new());
}

#[tokio::test]
async fn a_public_host_may_not_redirect_to_a_configured_one() {
    let answer = |_: &str, port: u16| redirect(&format!("http://127.0.0.2:{port}/export"));
    let [public, private] = neighbours(answer).await;
    let source = private.address.to_string();
    let fetcher = fetcher(settings(&[&source]), &[&[PUBLIC]]);
    let url = format!("http://files.example:{}/a", public.address.port());
    let error = fetch_error(&fetcher, &url).await;
    assert!(error.to_string().contains("may not redirect"), "{error}");
    assert_eq!(private.requests(), Vec::<String>::new());
    // Asked for by the helpdesk itself it is handed out.
    let url = format!("http://{source}/export");
    assert_eq!(fetch(&fetcher, &url).await.unwrap(), b"secret");
}

#[tokio::test]
async fn a_credential_stays_with_its_host_when_that_redirects() {
    let public = Server::start("127.0.0.1:0", |_| file(b"content")).await;
    let to = format!("http://cdn.example:{}/a", public.address.port());
    let private = Server::start("127.0.0.2:0", move |path| match path {
        "/a" => redirect("/b"),
        _ => redirect(&to),
    })
    .await;
    let source = private.address.to_string();
    let fetcher = fetcher(settings(&[&source]), &[&[PUBLIC]]);
    let content = fetch(&fetcher, &format!("http://{source}/a")).await;
    assert_eq!(content.unwrap(), b"content");
    assert_eq!(private.requests().len(), 2);
    for request in private.requests() {
        assert!(request.contains("authorization: bearer of-the-helpdesk"));
    }
    assert!(!public.requests()[0].contains("authorization"));
}

#[tokio::test]
async fn five_redirects_are_followed_and_six_are_not() {
    let server = Server::start("127.0.0.1:0", |path| {
        match path.trim_start_matches('/').parse::<u32>() {
            Ok(0) => file(b"content"),
            Ok(left) => redirect(&(left - 1).to_string()),
            Err(error) => panic!("{error}: {path}"),
        }
    })
    .await;
    let fetcher = real(&[&server.address.to_string()]);
    let url = |left| format!("http://{}/{left}", server.address);
    assert_eq!(fetch(&fetcher, &url(5)).await.unwrap(), b"content");
    let error = fetch_error(&fetcher, &url(6)).await;
    assert!(error.to_string().contains("more than 5 times"), "{error}");
    assert!(!error.is_retryable());
}

#[rstest]
#[case("404 Not Found", false)]
#[case("403 Forbidden", false)]
#[case("410 Gone", false)]
#[case("204 No Content", false)]
#[case("206 Partial Content", false)]
#[case("304 Not Modified", false)]
#[case("302 Found", false)]
#[case("302 Found\r\nLocation: http://[", false)]
#[case("408 Request Timeout", true)]
#[case("429 Too Many Requests", true)]
#[case("500 Internal Server Error", true)]
#[case("503 Service Unavailable", true)]
#[tokio::test]
async fn an_answer_other_than_200_is_no_file(
    #[case] answer: &'static str,
    #[case] retryable: bool,
) {
    let server = Server::start("127.0.0.1:0", move |_| head(answer)).await;
    let fetcher = real(&[&server.address.to_string()]);
    let error = fetch_error(&fetcher, &format!("http://{}/a", server.address)).await;
    assert!(matches!(error, FetchError::Unreachable { .. }), "{error:?}");
    assert!(error.to_string().contains(&answer[..3]), "{error}");
    assert_eq!(error.is_retryable(), retryable);
}

#[tokio::test]
async fn a_length_over_the_limit_is_refused_before_anything_is_read() {
    let server = Server::start("127.0.0.1:0", |_| {
        Answer::Bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n".to_vec())
    })
    .await;
    let mut settings = settings(&[&server.address.to_string()]);
    settings.max_bytes = 100;
    let fetcher = Fetcher::new(settings).unwrap();
    let answer = fetcher.get(&format!("http://{}/a", server.address)).await;
    assert!(matches!(
        answer,
        Err(FetchError::TooLarge { limit: 100, .. })
    ));
}

#[tokio::test]
async fn a_file_that_does_not_end_is_read_to_the_limit_only() {
    let server = Server::start("127.0.0.1:0", |_| {
        Answer::Drip(b"HTTP/1.1 200 OK\r\n\r\n".repeat(1_000), Duration::ZERO)
    })
    .await;
    let mut settings = settings(&[&server.address.to_string()]);
    settings.max_bytes = 100_000;
    let fetcher = Fetcher::new(settings).unwrap();
    let error = fetch_error(&fetcher, &format!("http://{}/a", server.address)).await;
    assert!(matches!(error, FetchError::TooLarge { .. }), "{error:?}");
}

#[rstest]
#[case::drip(Answer::Drip(b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), Duration::from_millis(5)), 20_000, 300)]
#[case::drip_of_headers(Answer::Drip(b"HTTP/1.1 200 OK\r\na: b\r\n".to_vec(), Duration::from_secs(60)), 20_000, 300)]
#[case::silence(Answer::Silence, 300, 40_000)]
#[case::silence_within(Answer::Drip(b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), Duration::from_secs(60)), 300, 40_000)]
#[tokio::test]
async fn a_slow_answer_ends_at_its_limit(
    #[case] answer: Answer,
    #[case] idle_millis: u64,
    #[case] total_millis: u64,
) {
    let answer = Mutex::new(Some(answer));
    let server = Server::start("127.0.0.1:0", move |_| {
        answer.lock().unwrap().take().unwrap()
    })
    .await;
    let mut settings = settings(&[&server.address.to_string()]);
    settings.idle_timeout = Duration::from_millis(idle_millis);
    settings.timeout = Duration::from_millis(total_millis);
    let fetcher = Fetcher::new(settings).unwrap();
    let error = fetch_error(&fetcher, &format!("http://{}/a", server.address)).await;
    assert!(error.is_retryable(), "{error:?}");
}

#[rstest]
#[case::cut(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort".to_vec())]
#[case::nothing(vec![])]
#[case::no_http(b"SSH-2.0-OpenSSH_9.6\r\n".to_vec())]
#[tokio::test]
async fn a_broken_answer_may_be_tried_again(#[case] answer: Vec<u8>) {
    let server = Server::start("127.0.0.1:0", move |_| Answer::Bytes(answer.clone())).await;
    let fetcher = real(&[&server.address.to_string()]);
    let error = fetch_error(&fetcher, &format!("http://{}/a", server.address)).await;
    assert!(matches!(error, FetchError::Unreachable { .. }), "{error:?}");
    assert!(error.is_retryable());
}

#[tokio::test]
async fn a_refused_connection_and_an_unknown_name_may_be_tried_again() {
    let nobody = "127.0.0.1:9";
    let refused = fetch_error(&real(&[nobody]), &format!("http://{nobody}/a")).await;
    let unknown = fetch_error(&fetcher(settings(&[]), &[]), "http://files.example/a").await;
    for (error, says) in [(refused, "refused"), (unknown, "no such name")] {
        assert!(error.to_string().contains(says), "{error}");
        assert!(error.is_retryable());
    }
}

#[tokio::test]
async fn a_file_sent_compressed_is_not_taken_for_what_it_is_not() {
    let server = Server::start("127.0.0.1:0", |_| head("200 OK\r\nContent-Encoding: gzip")).await;
    let fetcher = real(&[&server.address.to_string()]);
    let error = fetch_error(&fetcher, &format!("http://{}/a", server.address)).await;
    assert!(error.to_string().contains("compressed"), "{error}");
    assert!(!error.is_retryable());
}

#[tokio::test]
async fn errors_name_the_host_and_nothing_else_of_the_url() {
    let server = Server::start("127.0.0.1:0", |path| match path {
        path if path.contains("cut") => Answer::Bytes(b"HTTP/1.1 200".to_vec()),
        path if path.contains("away") => redirect("ftp://a.example/hidden?hidden"),
        _ => head("404 Not Found"),
    })
    .await;
    let fetcher = real(&[&server.address.to_string()]);
    let own = |path: &str| {
        format!(
            "http://{}/{path}/hidden?token=hidden#hidden",
            server.address
        )
    };
    for (url, host) in [
        (own("cut"), "127.0.0.1"),
        (own("away"), "a.example"),
        (own("lost"), "127.0.0.1"),
        (
            "http://files.example/hidden?hidden".to_owned(),
            "files.example",
        ),
        (
            "https://u:hidden@files.example/".to_owned(),
            "files.example",
        ),
        ("https://localhost/hidden?hidden".to_owned(), "localhost"),
        ("hidden".to_owned(), "the URL"),
    ] {
        let shown = fetch_error(&fetcher, &url).await.to_string();
        assert!(shown.contains(host) && !shown.contains("hidden"), "{shown}");
        assert!(!shown.contains("of-the-helpdesk"), "{shown}");
    }
}
