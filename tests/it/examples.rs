//! The example cores of `examples/`, run as a reader would run them: against the real service,
//! broker and simulator, with every event delivered twice and the connection lost in the middle.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::json;
use simulator::{NewMessage, NewPost};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;

use crate::support::broker::{TestBroker, eventually};
use crate::support::proxy::Proxy;
use crate::support::service::{ACME, INBOX, Setup, TestService};

const EVENTS: &str = "twitter.events";

/// An example and what it takes to run it.
struct Example {
    language: &'static str,
    program: PathBuf,
    file: &'static str,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The core while it runs, and what it says.
struct Core {
    child: Child,
    said: Arc<Mutex<Vec<String>>>,
    _reading: JoinSet<()>,
}

impl Core {
    fn start(example: &Example, url: &str) -> Self {
        let mut command = Command::new(&example.program);
        command
            .arg(root().join("examples").join(example.file))
            .env("AMQP_URL", url)
            .env("NODE_PATH", root().join(".run/tools/node_modules"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        let child = command.spawn();
        let mut child = child.unwrap_or_else(|error| {
            let program = example.program.display();
            panic!("{program}: {error}: run scripts/bootstrap examples")
        });
        let said = Arc::<Mutex<Vec<String>>>::default();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut reading = JoinSet::new();
        reading.spawn({
            let said = Arc::clone(&said);
            async move {
                while let Ok(Some(line)) = lines.next_line().await {
                    said.lock().unwrap().push(line);
                }
            }
        });
        Self {
            child,
            said,
            _reading: reading,
        }
    }

    /// How often it has said something that holds these words.
    fn times(&self, words: &str) -> usize {
        let said = self.said.lock().unwrap();
        said.iter().filter(|line| line.contains(words)).count()
    }

    /// Waits until it has said something so often.
    async fn says(&self, words: &str, times: usize) {
        let seen = async || (self.times(words) >= times).then_some(());
        eventually(&format!("{times} x {words}"), seen).await;
        assert_eq!(self.times(words), times, "{words}");
    }

    /// Ends it as a supervisor does.
    async fn stop(&mut self) {
        let pid = self.child.id().unwrap().to_string();
        let told = Command::new("kill").arg(pid).status().await;
        assert!(told.unwrap().success());
        self.child.wait().await.unwrap();
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("the core said: {:#?}", self.said.lock().unwrap());
        }
    }
}

/// Delivers again to the core what came into the default inbox since the last look, each event
/// once; `known` are those that came before.
async fn deliver_twice(service: &TestService, known: &mut BTreeSet<String>) {
    service.settled().await;
    for event in service.take_events_of(INBOX).await {
        if known.insert(event.text("/event/id").to_owned()) {
            let body = event.body.to_string();
            let again = service.broker.publish_with(
                EVENTS,
                &event.routing_key,
                body.as_bytes(),
                event.properties,
            );
            again.await;
        }
    }
}

/// Puts into a queue what no version of the contract has yet, and what is no event at all. Once the
/// core says that the latter is for the dead letters, it is through with what came before.
async fn deliver_nonsense(broker: &TestBroker, queue: &str) {
    let later = json!({"event": {"id": "f".repeat(32), "type": "message.polled"}});
    for body in [later.to_string(), "no JSON".to_owned()] {
        broker.publish("", queue, body.as_bytes()).await;
    }
}

async fn is_a_core(example: Example) {
    let service = TestService::start(Setup::new()).await;
    service.settled().await;
    let proxy = Proxy::to(&service.broker.address()).await;
    let url = service.broker.url_through(&proxy.address().to_string());
    let mut core = Core::start(&example, &url);
    core.says("ready", 1).await;
    let mut known = BTreeSet::new();

    // A mention becomes a ticket and is answered at X.
    let ann = service.user("ann");
    service.post(NewPost::by(ann, "@acme my parcel is late"));
    core.says("ticket 1: answered", 1).await;
    deliver_twice(&service, &mut known).await;
    let (messages, posts) = (queue(&example, "messages"), queue(&example, "posts"));
    deliver_nonsense(&service.broker, &posts).await;
    core.says("to the dead letters", 1).await;
    // Said, but not yet done: cut off before, it would come again.
    service
        .broker
        .wait_for_depth(&format!("{posts}.dead"), 1)
        .await;

    // A direct message is a ticket of its own, also after the connection was lost.
    proxy.cut();
    core.says("ready", 2).await;
    service
        .simulator
        .direct_message(NewMessage::between(ann, ACME, "Here is the receipt"))
        .unwrap();
    core.says("ticket 2: answered", 1).await;
    deliver_twice(&service, &mut known).await;
    service.post(NewPost::by(ann, "@acme still late"));
    core.says("ticket 3: answered", 1).await;

    deliver_twice(&service, &mut known).await;

    // The copies have come, too, and nothing was done twice.
    deliver_nonsense(&service.broker, &messages).await;
    deliver_nonsense(&service.broker, &posts).await;
    core.says("to the dead letters", 3).await;
    for (queue, dead) in [(messages, 1), (posts, 2)] {
        let letters = format!("{queue}.dead");
        service.broker.wait_for_depth(&letters, dead).await;
        service.broker.wait_for_depth(&queue, 0).await;
    }
    core.stop().await;
    for number in 1..=3 {
        for words in ["writes", "answered"] {
            let line = format!("ticket {number}: {words}");
            let line = line.replace("writes", "@ann writes");
            assert_eq!(core.times(&line), 1, "{line}");
        }
    }
    let answers = service.simulator.posts_by(ACME);
    let texts: Vec<_> = answers.iter().map(|post| post.text.as_str()).collect();
    let answer = |number| format!("Thank you! We are looking into it. (Ticket {number})");
    assert_eq!(texts.len(), 2, "{texts:?}");
    assert!(
        texts[0].ends_with(&answer(1)) && texts[1].ends_with(&answer(3)),
        "{texts:?}"
    );
}

fn queue(example: &Example, name: &str) -> String {
    format!("example.{}.{name}", example.language)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_one_in_python_is_a_core() {
    let example = Example {
        language: "python",
        program: root().join(".run/tools/examples/bin/python"),
        file: "python/core.py",
    };
    Box::pin(is_a_core(example)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_one_in_ruby_is_a_core() {
    let example = Example {
        language: "ruby",
        program: "ruby".into(),
        file: "ruby/core.rb",
    };
    Box::pin(is_a_core(example)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_one_in_node_is_a_core() {
    let example = Example {
        language: "node",
        program: "node".into(),
        file: "node/core.js",
    };
    Box::pin(is_a_core(example)).await;
}

#[test]
fn each_core_is_short_enough_to_be_read() {
    for file in ["python/core.py", "ruby/core.rb", "node/core.js"] {
        let text = std::fs::read_to_string(root().join("examples").join(file)).unwrap();
        assert!(text.lines().count() < 200, "{file}");
    }
}
