//! Attachments of commands, on their way from the core or a web server to X.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use simulator::{Endpoint, Fault, FaultKind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::listener::{Listener, message, post};
use super::{answer, mention, writes};
use crate::support::broker::eventually;
use crate::support::service::{ACME, APP, Setup, TestService};

const SECRET: &[u8] = b"a picture of a passport";

fn png(content: &[u8]) -> Vec<u8> {
    [b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".as_slice(), content].concat()
}

fn gif(frames: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let palette = [0, 0, 0, 255, 255, 255];
    let mut encoder = gif::Encoder::new(&mut bytes, 320, 240, &palette).unwrap();
    for _ in 0..frames {
        let frame = gif::Frame {
            width: 1,
            height: 1,
            buffer: vec![0].into(),
            ..Default::default()
        };
        encoder.write_frame(&frame).unwrap();
    }
    drop(encoder);
    bytes
}

fn atom(name: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let length = (content.len() as u32 + 8).to_be_bytes();
    [length.as_slice(), name, content].concat()
}

/// Ten seconds of a film as its container tells, with nothing in it.
fn video() -> Vec<u8> {
    let mut times = vec![0; 12];
    times.extend(1_000_u32.to_be_bytes());
    times.extend(10_000_u32.to_be_bytes());
    let mut tkhd = vec![0; 76];
    for side in [720_u32, 1280] {
        tkhd.extend((side << 16).to_be_bytes());
    }
    let hdlr = [[0; 8].as_slice(), b"vide"].concat();
    let stsz = [[0; 8].as_slice(), &300_u32.to_be_bytes()].concat();
    let stsd = [[0, 0, 0, 0, 0, 0, 0, 1].as_slice(), &atom(b"avc1", &[])].concat();
    let stbl = atom(
        b"stbl",
        &[atom(b"stsd", &stsd), atom(b"stsz", &stsz)].concat(),
    );
    let minf = atom(b"minf", &stbl);
    let mdia = [atom(b"mdhd", &times), atom(b"hdlr", &hdlr), minf].concat();
    let trak = [atom(b"tkhd", &tkhd), atom(b"mdia", &mdia)].concat();
    let moov = [atom(b"mvhd", &times), atom(b"trak", &trak)].concat();
    [
        atom(b"ftyp", b"isom\0\0\0\0isom"),
        atom(b"mdat", &[7; 5_000]),
        atom(b"moov", &moov),
    ]
    .concat()
}

/// A web server of files by path. `/drip` never ends, `/away` leads to another host.
struct Files {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    _serving: JoinSet<()>,
}

impl Files {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let mut serving = JoinSet::new();
        let seen = Arc::clone(&asked);
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, Arc::clone(&seen)));
            }
        });
        Self {
            address,
            asked,
            _serving: serving,
        }
    }

    fn url(&self, path: &str) -> Value {
        json!({"url": format!("http://{}{path}", self.address)})
    }

    fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

async fn serve(mut stream: TcpStream, asked: Arc<Mutex<Vec<String>>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_closed) => return,
        }
    }
    let head = String::from_utf8(head).unwrap();
    let path = head.split(' ').nth(1).unwrap().to_owned();
    asked.lock().unwrap().push(path.clone());
    let found = |body: &[u8]| {
        let length = body.len();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
        [head.as_bytes(), body].concat()
    };
    let answer = match path.as_str() {
        "/gif" => found(&gif(3)),
        "/video" => found(&video()),
        "/page" => found(b"<!DOCTYPE html><html>Please log in</html>"),
        "/large" => found(&png(&vec![0; 16_000_000])),
        "/away" => {
            b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.2:9/\r\nContent-Length: 0\r\n\r\n"
                .to_vec()
        }
        "/none" => b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec(),
        "/drip" => {
            let head = "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n";
            let mut byte = head.as_bytes().to_vec();
            while stream.write_all(&byte).await.is_ok() {
                byte = vec![b'x'];
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            return;
        }
        path => found(&png(path.as_bytes())),
    };
    // The other side may have gone.
    let _ = stream.write_all(&answer).await;
}

fn setup(files: &Files) -> Setup {
    let sources = format!("[{{host = \"{}\"}}]", files.address);
    Setup::new()
        .set("ATTACHMENT_SOURCES", &sources)
        .set("RECONCILE__FIRST_READ", "300ms")
        .set("RECONCILE__SECOND_READ", "300ms")
        .set("X_API__CALL_TIMEOUT", "2s")
}

async fn start(setup: Setup) -> TestService {
    let service = TestService::start(setup).await;
    service.settled().await;
    service.simulator.change_api(|api| api.check_after_s = 0);
    service
}

fn data(content: &[u8]) -> Value {
    json!({"data": STANDARD.encode(content)})
}

fn vault(service: &TestService) -> PathBuf {
    let mut folder = service.database().into_os_string();
    folder.push(".files");
    folder.into()
}

fn kept(folder: &Path) -> Vec<Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap();
    let files = entries.map(|entry| entry.unwrap().path());
    files.filter_map(|path| fs::read(path).ok()).collect()
}

async fn is_emptied(service: &TestService) {
    let folder = vault(service);
    let empty = async || kept(&folder).is_empty().then_some(());
    eventually("the vault empty", empty).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_photo_of_the_core_is_sealed_until_the_outcome() {
    let files = Files::start().await;
    let service = start(setup(&files)).await;
    let mut core = Listener::to(&service);
    let mention = mention(&service, "show me").await;
    let slow = Fault::new(FaultKind::Nothing)
        .on(Endpoint::CreatePost)
        .slow(1000, 0);
    service.simulator.order(slow);
    let mut command = answer(&mention, "c1", "");
    command["send_post"]["attachments"] = json!([data(&png(SECRET))]);
    service.command(&command).await;
    let folder = vault(&service);
    let is_kept = async || (!kept(&folder).is_empty()).then(|| kept(&folder));
    let sealed = eventually("a file in the vault", is_kept).await;
    let holds = |bytes: &[u8], part: &[u8]| bytes.windows(part.len()).any(|it| it == part);
    assert!(!holds(&sealed[0], SECRET));
    core.succeeded("c1").await;
    is_emptied(&service).await;
    let posts = service.simulator.posts_by(ACME);
    let uploaded = service.simulator.uploaded(posts[0].media[0]).unwrap();
    assert_eq!(uploaded, png(SECRET));
    // The command in the ledger is without it.
    let row = service
        .store
        .read(|tx| tx.newest_commands(twitter_channel::store::CommandFilter::All, 1))
        .await;
    let content = &row.unwrap()[0].content;
    assert!(!content.contains(&STANDARD.encode(SECRET)), "{content}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_photos_a_gif_and_a_video_are_fetched() {
    let files = Files::start().await;
    let service = start(setup(&files)).await;
    let mut core = Listener::to(&service);
    let photos: Vec<_> = (1..=4).map(|it| files.url(&format!("/{it}"))).collect();
    let with = |text: &str, attachments: Value| json!({"text": text, "attachments": attachments});
    core.does(&post("c1", with("four", json!(photos)))).await;
    core.does(&post("c2", with("moving", json!([files.url("/gif")]))))
        .await;
    core.does(&post("c3", with("film", json!([files.url("/video")]))))
        .await;
    let posts = service.simulator.posts_by(ACME);
    let content = |post: usize, place: usize| {
        let media = posts[post].media[place];
        service.simulator.uploaded(media).unwrap()
    };
    for place in 0..4 {
        let path = format!("/{}", place + 1);
        assert_eq!(content(0, place), png(path.as_bytes()), "in order");
    }
    assert_eq!(content(1, 0), gif(3));
    assert_eq!(content(2, 0), video());
    let calls = service.simulator.calls();
    let looks = calls
        .iter()
        .filter(|it| it.endpoint == Endpoint::MediaStatus);
    assert!(looks.count() > 0, "X had to process them");

    let ann = service.user("ann").to_string();
    let fields = json!({"recipient_id": ann, "attachments": [files.url("/to-ann")]});
    core.does(&message("c4", fields)).await;
    let messages = service.simulator.messages_of(ACME);
    let media = messages[0].media.unwrap();
    let uploaded = service.simulator.uploaded(media).unwrap();
    assert_eq!(uploaded, png(b"/to-ann"));
    is_emptied(&service).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_description_goes_by_oauth_2_and_is_paid_for() {
    let files = Files::start().await;
    let mut service = start(setup(&files)).await;
    let credentials = service.simulator.credentials(APP, ACME).unwrap();
    service.stop().await;
    service
        .start_again(|setup| {
            let app = format!(
                "client_id = \"{}\"\nclient_secret = \"{}\"",
                credentials.client_id, credentials.client_secret
            );
            let seed = format!("oauth2_refresh_token = \"{}\"", credentials.refresh_token);
            setup.app_keys(&app).account_keys(&seed)
        })
        .await;
    let mut core = Listener::to(&service);
    let mut photo = data(&png(b"1"));
    photo["alt_text"] = json!("A parcel & its label");
    let fields = json!({"text": "Look", "attachments": [photo]});
    let outcome = core.does(&post("c1", fields.clone())).await;
    let posts = service.simulator.posts_by(ACME);
    assert_eq!(posts[0].alt_texts, ["A parcel & its label"]);
    assert_eq!(outcome.text("/cost_usd"), "0.020");
    // What was paid for before X refused the post is told too.
    let failed = core.refuses(&post("c2", fields), "DUPLICATE").await;
    assert_eq!(failed.text("/cost_usd"), "0.005");
    let bill = service.simulator.bill(APP);
    let described = bill.lines["media_metadata"];
    assert_eq!(described.micro_usd, 10_000, "{:?}", bill.lines);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_attachments_fail_the_command_and_nothing_is_posted() {
    let files = Files::start().await;
    let service = start(setup(&files)).await;
    let mut core = Listener::to(&service);
    let url = |url: &str| json!({"url": url});
    let many = |count: usize| {
        json!(
            (0..count)
                .map(|it| files.url(&format!("/{it}")))
                .collect::<Vec<_>>()
        )
    };
    let cases = [
        (
            "not found",
            json!([files.url("/1"), files.url("/none")]),
            "MEDIA_UNREACHABLE",
            "[1]",
        ),
        (
            "a page",
            json!([files.url("/page")]),
            "MEDIA_UNSUPPORTED",
            "[0]",
        ),
        (
            "16 MB",
            json!([files.url("/large")]),
            "MEDIA_TOO_LARGE",
            "[0]",
        ),
        (
            "redirected",
            json!([files.url("/away")]),
            "ATTACHMENT_HOST_NOT_ALLOWED",
            "[0]",
        ),
        (
            "private",
            json!([url("https://127.0.0.1:1/")]),
            "ATTACHMENT_HOST_NOT_ALLOWED",
            "[0]",
        ),
        (
            "private by name",
            json!([url("https://localhost:1/")]),
            "ATTACHMENT_HOST_NOT_ALLOWED",
            "[0]",
        ),
        (
            "metadata",
            json!([url("http://169.254.169.254/")]),
            "ATTACHMENT_HOST_NOT_ALLOWED",
            "[0]",
        ),
        ("not base64", json!([{"data": "?"}]), "INVALID", "[0].data"),
        ("no file", json!([{"alt_text": "?"}]), "INVALID", "[0].url"),
        (
            "another scheme",
            json!([url("ftp://acme.example/a")]),
            "INVALID",
            "[0].url",
        ),
        (
            "a page inside",
            json!([data(b"<html>")]),
            "MEDIA_UNSUPPORTED",
            "[0]",
        ),
        (
            "says it is a JPEG",
            json!([{"data": STANDARD.encode(png(b"")), "content_type": "image/jpeg"}]),
            "MEDIA_UNSUPPORTED",
            "[0]",
        ),
        ("five", many(5), "MEDIA_UNSUPPORTED", ""),
        (
            "two GIFs",
            json!([files.url("/gif"), files.url("/gif")]),
            "MEDIA_UNSUPPORTED",
            "",
        ),
        (
            "GIF and photo",
            json!([files.url("/1"), data(&gif(2))]),
            "MEDIA_UNSUPPORTED",
            "",
        ),
        (
            "described video",
            json!([{"data": STANDARD.encode(video()), "alt_text": "a film"}]),
            "MEDIA_UNSUPPORTED",
            "[0].alt_text",
        ),
    ];
    for (place, (_, attachments, ..)) in cases.iter().enumerate() {
        let fields = json!({"text": "Look", "attachments": attachments});
        service.command(&post(&format!("c{place}"), fields)).await;
    }
    for (place, (name, _, code, field)) in cases.iter().enumerate() {
        let failed = core.outcome(&format!("c{place}")).await;
        assert_eq!(failed.event_type(), "command.failed", "{name}");
        assert_eq!(failed.text("/code"), *code, "{name}: {:#}", failed.body);
        let field = format!("send_post.attachments{field}");
        assert_eq!(failed.text("/field"), field, "{name}");
    }
    assert!(writes(&service).is_empty());
    is_emptied(&service).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_film_that_x_cannot_read_fails_the_command() {
    let files = Files::start().await;
    let service = start(setup(&files)).await;
    let mut core = Listener::to(&service);
    let fails = Fault::new(FaultKind::ProcessingFails).on(Endpoint::MediaFinalize);
    service.simulator.order(fails);
    let fields = json!({"text": "Look", "attachments": [files.url("/video")]});
    let failed = core.refuses(&post("c1", fields), "MEDIA_UNSUPPORTED").await;
    assert!(!failed.text("/detail").is_empty());
    assert_eq!(failed.text("/field"), "send_post.attachments[0]");
    let what = FaultKind::Status {
        status: 400,
        body: Some(
            json!({"title": "Invalid Request", "detail": "No picture in it.",
                          "type": "https://api.x.com/2/problems/invalid-request"}),
        ),
        effect: false,
    };
    let second = Fault::new(what).on(Endpoint::MediaUpload);
    service.simulator.order(second);
    let fields = json!({"text": "Look", "attachments": [files.url("/1")]});
    let failed = core.refuses(&post("c2", fields), "MEDIA_UNSUPPORTED").await;
    assert_eq!(failed.text("/detail"), "No picture in it.");
    assert_eq!(failed.at("/upstream/status"), 400);
    assert!(service.simulator.posts_by(ACME).is_empty());
    is_emptied(&service).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_drips_is_tried_again_until_the_command_ends() {
    let files = Files::start().await;
    let service = start(setup(&files).set("ATTACHMENTS__FETCH_TIMEOUT", "1s")).await;
    let mut core = Listener::to(&service);
    let soon = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(4);
    let fields = json!({"text": "Look", "attachments": [files.url("/drip")]});
    let mut command = post("c1", fields);
    command["expires_at"] = json!(soon.to_string());
    service.command(&command).await;
    // Others do not wait for it.
    core.does(&post("c2", json!({"text": "Beside it"}))).await;
    let outcome = core.outcome("c1").await;
    assert_eq!(outcome.event_type(), "command.failed");
    assert!(files.asked() >= 2);
    assert_eq!(service.simulator.posts_by(ACME).len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retry_has_its_files() {
    let files = Files::start().await;
    let service = start(setup(&files)).await;
    let mut core = Listener::to(&service);
    let what = FaultKind::Status {
        status: 403,
        body: Some(json!({"errors": [{"code": 226, "message": "It looks automated."}]})),
        effect: false,
    };
    let refuse = Fault::new(what).on(Endpoint::CreatePost);
    service.simulator.order(refuse);
    let fields = json!({"text": "Look", "attachments": [files.url("/1"), data(&png(b"2"))]});
    let mut command = post("c1", fields);
    core.refuses(&command, "LOOKS_AUTOMATED").await;
    is_emptied(&service).await;
    command["command_id"] = json!("c2");
    command["retry_of"] = json!("c1");
    core.does(&command).await;
    assert_eq!(service.simulator.posts_by(ACME)[0].media.len(), 2);
    is_emptied(&service).await;
}
