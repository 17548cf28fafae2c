//! Videos on their way from the core's storage to X.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use simulator::{Clock, Endpoint, NewApp, NewPost, NewUser, Simulator};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::support::broker::{TestBroker, eventually};
use crate::support::process::ServiceProcess;
use crate::support::service::{ACME, APP, INBOX, Setup, TestService, access_token_of, secret_of};

const MIB: usize = 1 << 20;

fn atom(name: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let length = (content.len() as u32 + 8).to_be_bytes();
    [length.as_slice(), name, content].concat()
}

/// Names its brand and announces its pictures, of so many bytes.
fn head(pictures: usize) -> Vec<u8> {
    let length = (pictures as u32 + 8).to_be_bytes();
    let brand = atom(b"ftyp", b"isom\0\0\0\0isom");
    [&brand, length.as_slice(), b"mdat"].concat()
}

/// The index behind the pictures, as cameras write it.
fn tail() -> Vec<u8> {
    let handler = atom(b"hdlr", b"\0\0\0\0\0\0\0\0vide\0\0\0\0");
    atom(b"moov", &atom(b"trak", &atom(b"mdia", &handler)))
}

/// A MiB of pictures, another one for each place.
fn pictures(place: usize) -> Vec<u8> {
    let mut pictures = [7, 13, 21, 99].repeat(MIB / 4);
    pictures[..8].copy_from_slice(&(place as u64).to_be_bytes());
    pictures
}

/// The core's storage: `/{n}.mp4` is a video of n MiB. It is never held whole.
struct Storage {
    address: SocketAddr,
    /// MiB that were fetched.
    served: Arc<AtomicUsize>,
    _stop: DropGuard,
}

impl Storage {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
        let (until, tasks) = (stop.clone(), TaskTracker::new());
        let served = Arc::new(AtomicUsize::new(0));
        let (requests, count) = (tasks.clone(), Arc::clone(&served));
        let serving = async move {
            while let Ok((stream, _)) = listener.accept().await {
                requests.spawn(serve(stream, Arc::clone(&count)));
            }
        };
        tasks.spawn(async move { until.run_until_cancelled(serving).await });
        Self {
            address,
            served,
            _stop: stop.drop_guard(),
        }
    }

    /// A configuration that lets the service fetch from it.
    fn allowed(&self, setup: Setup) -> Setup {
        let sources = format!("[{{ host = \"{}\" }}]", self.address);
        setup.set("ATTACHMENT_SOURCES", &sources)
    }

    fn video(&self, mib: usize) -> Value {
        json!([{"url": format!("http://{}/{mib}.mp4", self.address)}])
    }
}

async fn serve(mut stream: TcpStream, served: Arc<AtomicUsize>) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(stream.read_u8().await.unwrap());
    }
    let request = String::from_utf8(request).unwrap();
    let (_, path) = request.split_once('/').unwrap();
    let mib: usize = path.split_once(".mp4").unwrap().0.parse().unwrap();
    let size = head(0).len() + mib * MIB + tail().len();
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\nConnection: close\r\n\r\n");
    stream.write_all(answer.as_bytes()).await.unwrap();
    stream.write_all(&head(mib * MIB)).await.unwrap();
    for place in 0..mib {
        stream.write_all(&pictures(place)).await.unwrap();
        served.fetch_add(1, Ordering::SeqCst);
    }
    stream.write_all(&tail()).await.unwrap();
}

/// Digest of a video of so many MiB.
fn digest(mib: usize) -> Vec<u8> {
    let mut digest = Sha256::new_with_prefix(head(mib * MIB));
    (0..mib).for_each(|place| digest.update(pictures(place)));
    digest.chain_update(tail()).finalize().to_vec()
}

/// Calls that X answered well, of one kind.
fn calls(simulator: &Simulator, endpoint: Endpoint) -> Vec<u64> {
    let calls = simulator.calls().into_iter();
    calls
        .filter(|call| call.endpoint == endpoint && call.status == Some(200))
        .map(|call| call.id)
        .collect()
}

fn assert_arrived(simulator: &Simulator, mib: usize) {
    let posts = simulator.posts_by(ACME);
    let [media] = posts.last().unwrap().media[..] else {
        panic!("{posts:?}");
    };
    let arrived = simulator.uploaded(media).unwrap();
    assert!(
        Sha256::digest(&arrived).to_vec() == digest(mib),
        "other bytes arrived"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_video_is_uploaded_in_parts_and_used_once_x_has_prepared_it() {
    let storage = Storage::start().await;
    let service = TestService::start(storage.allowed(Setup::new())).await;
    service.settled().await;
    let simulator = &service.simulator;
    simulator.change_api(|api| (api.processing_looks, api.check_after_s) = (3, 0));
    service.post(NewPost::by(service.user("ann"), "@acme how does it open?"));
    let mention = service.next_event().await;
    let mut command = mention.at("/reply/command").clone();
    command["command_id"] = json!("c1");
    command["send_post"]["text"] = json!("Like this:");
    command["send_post"]["attachments"] = storage.video(3);
    service.command(&command).await;
    let outcome = service.outcome("c1", &mut Vec::new()).await;
    assert_eq!(
        outcome.event_type(),
        "command.succeeded",
        "{:#}",
        outcome.body
    );
    assert_arrived(simulator, 3);
    let finalized = calls(simulator, Endpoint::MediaFinalize);
    let looks = calls(simulator, Endpoint::MediaStatus);
    assert_eq!(calls(simulator, Endpoint::MediaInitialize).len(), 1);
    assert_eq!(calls(simulator, Endpoint::MediaAppend).len(), 4);
    assert_eq!((finalized.len(), looks.len()), (1, 3));
    let posted = simulator.calls().into_iter();
    let mut posted = posted.filter(|call| call.endpoint == Endpoint::CreatePost);
    assert!(posted.next().unwrap().id > looks[2]);
    assert!(posted.next().is_none());
}

/// X, the core, and the service as a process of its own, whose memory can be looked at.
struct Apart {
    simulator: Simulator,
    broker: TestBroker,
    storage: Storage,
    service: ServiceProcess,
}

impl Apart {
    async fn start() -> Self {
        let settings = simulator::Settings {
            clock: Clock::Wall,
            ..simulator::Settings::default()
        };
        let simulator = Simulator::start(settings).await.unwrap();
        let (broker, storage) = (TestBroker::vhost().await, Storage::start().await);
        let setup = Setup::new().set("X_API__BASE_URL", simulator.url());
        let service = ServiceProcess::start(&storage.allowed(setup), &broker.url()).await;
        service.wait_for_part("broker: connected").await;
        let app = NewApp::new(APP, &secret_of(APP), &service.webhook());
        simulator.add_app(app).unwrap();
        simulator
            .add_user(NewUser::named("acme").with_id(ACME.0))
            .unwrap();
        let (token, secret) = access_token_of("acme");
        simulator
            .set_access_token(APP, ACME, &token, &secret)
            .unwrap();
        simulator.change_api(|api| api.check_after_s = 0);
        Self {
            simulator,
            broker,
            storage,
            service,
        }
    }

    /// Posts a video of so many MiB, to the good end.
    async fn post(&self, mib: usize) {
        let id = format!("c{mib}");
        let command = json!({
            "command_id": id,
            "account_id": ACME.to_string(),
            "send_post": {"text": id, "attachments": self.storage.video(mib)},
        });
        let (body, queue) = (command.to_string(), "twitter.commands");
        self.broker.publish(queue, queue, body.as_bytes()).await;
        let mut progress = self.progress();
        loop {
            let further = async || match self.outcome(&id).await {
                Some(outcome) => Some(Some(outcome)),
                None => (self.progress() != progress).then_some(None),
            };
            if let Some(outcome) = eventually("something of the video", further).await {
                return assert_eq!(outcome["event"]["type"], "command.succeeded", "{outcome:#}");
            }
            progress = self.progress();
        }
    }

    /// How much was fetched, and how often X was called.
    fn progress(&self) -> (usize, usize) {
        let fetched = self.storage.served.load(Ordering::SeqCst);
        (fetched, self.simulator.calls().len())
    }

    async fn outcome(&self, id: &str) -> Option<Value> {
        let events = self.broker.drain(INBOX).await.into_iter();
        let mut events = events.map(|event| serde_json::from_slice(&event.delivery.data).unwrap());
        events.find(|event: &Value| {
            event["command_id"] == *id && event["event"]["type"] != "command.deferred"
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_video_takes_no_more_memory_than_a_short_one() {
    const LONG: usize = 24;
    let apart = Apart::start().await;
    apart.post(3).await;
    let before = apart.service.peak_memory();
    apart.post(LONG).await;
    let after = apart.service.peak_memory();
    assert_arrived(&apart.simulator, LONG);
    assert!(after < before + 8 * 1024, "{before} KiB, then {after} KiB");
}
