//! What the broker user may do: the least that is enough, each right that is missing, and
//! credentials that change.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use rstest::rstest;
use serde_json::json;
use simulator::NewPost;
use tempfile::TempDir;
use twitter_channel::broker::check;
use twitter_channel::broker::connection::Session;
use twitter_channel::broker::publisher::Publisher;
use twitter_channel::broker::settings::{BrokerSettings, TopologyMode};
use twitter_channel::settings::secret::FollowedSecret;

use crate::support::broker::{TestBroker, eventually};
use crate::support::process::ServiceProcess;
use crate::support::service::{Setup, TestService};

const PASSWORD: &str = "a-password";
/// Of `docs/rabbitmq.md`.
const LEAST: [&str; 3] = ["^$", "^twitter\\.events$", "^twitter\\.commands$"];
/// The same with what is needed once a command cannot be read.
const LEAST_WITH_DEAD: [&str; 3] = ["^$", "^twitter\\.(events|dead)$", "^twitter\\.commands$"];
const ALL: [&str; 3] = [".*", ".*", ".*"];

/// A user with rights, and the name of it.
async fn user(broker: &TestBroker, rights: [&str; 3]) -> String {
    let name = format!("user-{:016x}", rand::random::<u64>());
    broker.set_user(&name, PASSWORD).await;
    broker.permit(&name, rights).await;
    name
}

/// Everything that the service would declare itself.
async fn declare(broker: &TestBroker) {
    let mut declaring = Publisher::new(Arc::new(broker.settings()));
    declaring.publish_window(&[]).await.unwrap();
    declaring.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_least_rights_are_enough_for_a_ticket_and_its_answer() {
    let mut service = TestService::start(Setup::new()).await;
    service.settled().await;
    service.stop().await;
    let name = user(&service.broker, LEAST).await;
    let url = service.broker.url_as(&name, PASSWORD);
    service
        .start_again(|setup| {
            setup
                .set("BROKER__URL", &url)
                .set("BROKER__TOPOLOGY", "check")
        })
        .await;

    let ann = service.user("ann");
    service.post(NewPost::by(ann, "@acme where is my parcel?"));
    let mention = service.next_event().await;
    let mut command = mention.at("/reply/command").clone();
    command["command_id"] = json!("c1");
    command["send_post"]["text"] = json!("On its way.");
    service.command(&command).await;
    let outcome = service.outcome("c1", &mut Vec::new()).await;

    assert_eq!(outcome.event_type(), "command.succeeded");
    service.broker.delete_user(&name).await;
}

#[rstest]
#[case::publish_in_check_mode(true, ["^$", "^$", "^twitter\\.commands$"], "broker", "write on exchange twitter.events")]
#[case::consume_in_check_mode(true, ["^$", "^twitter\\.events$", "^$"], "consumer", "read on queue twitter.commands")]
#[case::declare_an_exchange(false, ["^$", ".*", ".*"], "broker", "configure on exchange twitter.events")]
#[case::declare_a_queue(false, ["^twitter\\.(events|tickets\\.dead)$", ".*", ".*"], "broker", "configure on queue twitter.tickets")]
#[case::bind_a_queue(false, [".*", "^twitter\\.(events|dead|tickets\\.dead)$", ".*"], "broker", "write on queue twitter.tickets")]
#[case::bind_to_an_exchange(false, [".*", ".*", "^twitter\\.(tickets|tickets\\.dead|commands)$"], "broker", "read on exchange twitter.events")]
#[case::dead_letters(false, [".*", "^twitter\\.(events|tickets)$", ".*"], "broker", "write on queue twitter.tickets.dead")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_missing_right_is_named(
    #[case] checking: bool,
    #[case] rights: [&str; 3],
    #[case] part: &str,
    #[case] lacks: &str,
) {
    let broker = TestBroker::vhost().await;
    if checking {
        declare(&broker).await;
    }
    let name = user(&broker, rights).await;
    let topology = if checking { "check" } else { "declare" };
    let setup = Setup::new().set("BROKER__TOPOLOGY", topology);
    let service = ServiceProcess::start(&setup, &broker.url_as(&name, PASSWORD)).await;

    let wanted = format!("{part} fault: the broker user lacks the right {lacks}");
    let told = async || service.parts().await.contains(&wanted).then_some(());
    eventually(&wanted, told).await;
    broker.delete_user(&name).await;
}

#[tokio::test]
async fn a_check_names_what_is_missing_and_changes_nothing() {
    let broker = TestBroker::vhost().await;
    let name = user(&broker, ["^$", "^twitter\\.dead$", "^$"]).await;
    let mut settings = broker.settings();
    let url = broker.url_as(&name, PASSWORD);
    settings.url = FollowedSecret::given("broker.url", url.into());
    let lines = async |settings: &BrokerSettings| {
        let found = check::look(settings).await.unwrap();
        (found.is_good(), found.lines())
    };

    let (good, found) = lines(&settings).await;
    assert!(good && found.len() == 8, "{found:?}");
    assert!(found.contains(&"not there yet, will be declared: queue twitter.tickets".to_owned()));
    settings.topology = TopologyMode::Check;
    let (good, found) = lines(&settings).await;
    assert!(
        !good && found.contains(&"missing: queue twitter.tickets".to_owned()),
        "{found:?}"
    );

    declare(&broker).await;
    broker
        .publish("twitter.commands", "twitter.commands", b"{}")
        .await;
    let (good, found) = lines(&settings).await;
    assert!(!good);
    assert_eq!(
        found,
        [
            "the broker user lacks the right write on exchange twitter.events",
            "the broker user lacks the right read on queue twitter.commands",
        ]
    );
    broker.permit(&name, LEAST_WITH_DEAD).await;
    assert_eq!(lines(&settings).await, (true, Vec::new()));
    let depths = [
        ("twitter.tickets", 0),
        ("twitter.dead", 0),
        ("twitter.commands", 1),
    ];
    for (queue, depth) in depths {
        assert_eq!(broker.depth(queue).await, depth, "{queue}");
    }
    broker.delete_user(&name).await;
}

#[rstest]
#[case::password("user:hunter2", "", "refused the login of user \"user\"")]
#[case::virtual_host("guest:guest", "-other", "refused virtual host")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_broker_refuses_is_told_without_the_password(
    #[case] credential: &str,
    #[case] vhost_end: &str,
    #[case] wanted: &str,
) {
    let broker = TestBroker::vhost().await;
    let (address, vhost) = (broker.address(), broker.name());
    let url = format!("amqp://{credential}@{address}/{vhost}{vhost_end}");
    let service = ServiceProcess::start(&Setup::new(), &url).await;

    for part in ["broker fault: ", "consumer fault: "] {
        let told = async || {
            let parts = service.parts().await;
            let mut lines = parts.lines();
            lines.find(|it| it.starts_with(part)).map(str::to_owned)
        };
        let line = eventually(part, told).await;
        assert!(line.contains(wanted), "{line}");
        assert!(!line.contains("hunter2"), "{line}");
    }
    let (status, said) = service.run_in_vain(&["check", "--broker"]).await;
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains(wanted) && !said.contains("hunter2"), "{said}");
    let words = said.matches("ACCESS_REFUSED").count() + said.matches("NOT_ALLOWED").count();
    assert!(words <= 1, "the broker is quoted twice: {said}");
}

/// Settings whose user and password stand in files, and the folder of these.
fn in_files(broker: &TestBroker, name: &str) -> (BrokerSettings, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let file = |key: &str, content: &str| {
        let path = folder.path().join(key);
        fs::write(&path, content).unwrap();
        let key = format!("broker.{key}_file");
        Some(FollowedSecret::File { key, path })
    };
    let settings = BrokerSettings {
        username: file("username", name),
        password: file("password", PASSWORD),
        ..broker.settings()
    };
    (settings, folder)
}

#[tokio::test]
async fn a_changed_password_makes_a_new_connection_and_one_that_is_refused_does_not() {
    let broker = TestBroker::vhost().await;
    let name = user(&broker, ALL).await;
    let (settings, folder) = in_files(&broker, &name);
    let mut publisher = Publisher::new(Arc::new(settings));
    publisher.publish_window(&[]).await.unwrap();
    let role = "twitter-channel publisher";
    let first = async || Some(broker.connections(role).await).filter(|it| it.len() == 1);
    let first = eventually("a connection", first).await;

    // Not yet known to the broker: the connection in hand goes on.
    fs::write(folder.path().join("password"), "rotated\n").unwrap();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(3);
    while tokio::time::Instant::now() < deadline {
        publisher.publish_window(&[]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(broker.connections(role).await, first);

    broker.set_user(&name, "rotated").await;
    let publisher = tokio::sync::Mutex::new(publisher);
    let renewed = async || {
        publisher.lock().await.publish_window(&[]).await.unwrap();
        let now = broker.connections(role).await;
        (now.len() == 1 && now != first).then_some(())
    };
    eventually("another connection", renewed).await;
    broker.delete_user(&name).await;
}

#[tokio::test]
async fn a_refused_credential_is_read_again_for_the_next_try() {
    let broker = TestBroker::vhost().await;
    let name = user(&broker, ALL).await;
    let (settings, folder) = in_files(&broker, &name);
    fs::write(folder.path().join("password"), "old").unwrap();
    let refused = Session::connect(&settings, "test").await.err().unwrap();
    assert!(
        refused.to_string().contains("refused the login"),
        "{refused}"
    );

    fs::write(folder.path().join("password"), PASSWORD).unwrap();
    assert!(Session::connect(&settings, "test").await.is_ok());
    broker.delete_user(&name).await;
}

#[tokio::test]
async fn a_dead_host_does_not_keep_from_the_others() {
    let broker = TestBroker::vhost().await;
    let mut settings = broker.settings();
    // Nobody listens there; the third is an address that nothing answers for.
    settings.hosts = vec!["127.0.0.1:1".to_owned(), "192.0.2.1:5672".to_owned()];
    settings.connect_timeout = Duration::from_secs(3);
    for _ in 0..6 {
        assert!(Session::connect(&settings, "test").await.is_ok());
    }

    settings.url = FollowedSecret::given("broker.url", "amqp://guest:guest@127.0.0.1:2/".into());
    let error = Session::connect(&settings, "test").await.err().unwrap();
    let told = error.to_string();
    assert!(
        told.starts_with("no host of the broker takes a connection: "),
        "{told}"
    );
    for host in ["127.0.0.1:1", "127.0.0.1:2", "192.0.2.1:5672"] {
        assert!(told.contains(host), "{told}");
    }
}
