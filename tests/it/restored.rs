//! A backup made under load, and what becomes of it once the service starts on it: nothing twice at
//! X, every event in the queue under its id, no gap left.

use std::fs;
use std::time::Duration;

use simulator::{Endpoint, Fault, FaultKind, NewPost, NewUser, PostId, UserId};

use crate::support::broker::{TestBroker, eventually, within};
use crate::support::fresh::FreshDatabase;
use crate::support::service::{ACME, Setup, TestService};
use crate::support::stage::{Stage, Times, send_message, send_post};

const PATIENCE: Duration = Duration::from_secs(60);
/// X's lists are read half a minute after a gap at the earliest.
const GAP_PATIENCE: Duration = Duration::from_secs(120);
const TIMES: Times = Times {
    call: Duration::from_secs(4),
    first_read: Duration::from_millis(1500),
    second_read: Duration::from_millis(1000),
};
/// An app to whose webhooks X replays nothing: gaps are read from X's lists.
const WITHOUT_REPLAY: &str = "delivery = \"account_activity_v1\"\nenvironment = \"prod\"";
/// Of the deployment, not of the store.
const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
/// Replies in one conversation, of which some are sent before the backup and the others after it.
const REPLIES: usize = 12;

struct Scene {
    stage: Stage,
    customer: UserId,
    mentions: Vec<PostId>,
}

impl Scene {
    async fn start() -> Self {
        Self::start_with(Setup::new()).await
    }

    async fn start_with(setup: Setup) -> Self {
        let x = simulator::Settings {
            time_scale: 0.01,
            ..simulator::Settings::default()
        };
        let setup = setup.app_keys(WITHOUT_REPLAY);
        let (broker, through) = (TestBroker::vhost().await, async |url: &str| url.to_owned());
        let stage = Stage::start(setup, TIMES, x, broker, through).await;
        let customer = stage.simulator.add_user(NewUser::named("ann")).unwrap();
        let mut scene = Self {
            stage,
            customer,
            mentions: Vec::new(),
        };
        scene.mention();
        scene.all_mentions_came().await;
        scene
    }

    fn mention(&mut self) {
        let text = format!("@acme question {}", self.mentions.len());
        let post = NewPost::by(self.customer, &text);
        self.mentions.push(self.stage.simulator.post(post).unwrap());
    }

    async fn all_mentions_came(&self) {
        let wanted: Vec<_> = self.mentions.iter().map(ToString::to_string).collect();
        let came = self.stage.desk.sees(GAP_PATIENCE, |noted| {
            let came = |id: &String| !noted.about("message.received", id).is_empty();
            wanted.iter().all(came)
        });
        assert!(came.await, "a mention did not come");
    }

    async fn reply(&mut self, id: &str) {
        let parent = self.mentions[0].to_string();
        let command = send_post(id, ACME, &text_of(id), &parent);
        self.stage.desk.send(&command).await;
    }

    async fn write(&mut self, id: &str) {
        let command = send_message(id, ACME, self.customer, &text_of(id));
        self.stage.desk.send(&command).await;
    }

    async fn succeeds(&self, id: &str) {
        let outcome = self.stage.desk.outcome(id, PATIENCE).await;
        assert_eq!(outcome["event"]["type"], "command.succeeded", "{outcome:#}");
    }

    fn at_x(&self, id: &str) -> usize {
        let (simulator, text) = (&self.stage.simulator, text_of(id));
        simulator.count_posts(ACME, &text) + simulator.count_messages(ACME, &text)
    }

    /// Puts the backup in the place of the store, and starts on it.
    async fn restore(&mut self, backup: &std::path::Path, options: &[&str]) {
        let service = &mut self.stage.service;
        let database = service.database();
        for suffix in ["-wal", "-shm"] {
            let _absent = fs::remove_file(format!("{}{suffix}", database.display()));
        }
        fs::copy(backup, &database).unwrap();
        service.start_with(options).await;
    }

    /// How often the service began to catch up.
    fn restores(&self) -> usize {
        self.stage
            .service
            .said()
            .matches("the store was restored:")
            .count()
    }

    async fn caught_up(&self) {
        let service = &self.stage.service;
        let said = async || {
            service
                .said()
                .contains("is looked up: sending goes on")
                .then_some(())
        };
        within(PATIENCE, "what X has is looked up", said).await;
    }
}

fn text_of(id: &str) -> String {
    format!("An answer, number {id}.")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_made_under_load_is_restored_and_nothing_comes_twice_or_is_lost() {
    let mut scene = Scene::start().await;
    // One at a time, as they are of one conversation: the backup falls among them.
    let slow = Fault::new(FaultKind::Nothing)
        .slow(150, 0)
        .next(u32::try_from(REPLIES).unwrap());
    scene.stage.simulator.order(slow.on(Endpoint::CreatePost));
    let early: Vec<_> = (0..REPLIES)
        .map(|number| format!("early-{number}"))
        .collect();
    for id in &early {
        scene.reply(id).await;
    }
    scene.succeeds(&early[1]).await;
    let backup = scene.stage.service.folder().join("backup.db");
    let name = backup.to_str().unwrap().to_owned();
    let told = scene.stage.service.run(&["store", "backup", &name]).await;
    assert!(
        told.contains("open commands") && told.contains("secrets.key"),
        "{told}"
    );
    assert!(
        !told.contains(" 0 open commands"),
        "nothing was open: {told}"
    );
    let again = scene
        .stage
        .service
        .run_in_vain(&["store", "backup", &name])
        .await;
    assert_eq!(again.0, Some(1), "{}", again.1);
    assert!(again.1.contains("is there already"), "{}", again.1);

    // What the backup knows nothing of.
    for _ in 0..4 {
        scene.mention();
    }
    let lost = ["lost-0", "lost-1"];
    for id in lost {
        scene.reply(id).await;
    }
    scene.write("lost-message").await;
    for id in early
        .iter()
        .map(String::as_str)
        .chain(lost)
        .chain(["lost-message"])
    {
        scene.succeeds(id).await;
    }
    scene.all_mentions_came().await;
    scene.stage.service.kill().await;
    scene.mention();

    scene.restore(&backup, &["--restored"]).await;
    scene.mention();
    // The core has not heard of these, as far as it knows.
    for id in lost {
        scene.reply(id).await;
    }
    scene.write("lost-message").await;
    scene.reply("late").await;
    scene.caught_up().await;
    scene.succeeds("late").await;
    scene.all_mentions_came().await;
    let closed = async || {
        let parts = scene.stage.service.parts().await;
        (!parts.contains("gap:") && parts.contains("ledger: 0 open")).then_some(())
    };
    within(
        GAP_PATIENCE,
        "every gap is closed and every command ended",
        closed,
    )
    .await;

    let all = early
        .iter()
        .map(String::as_str)
        .chain(lost)
        .chain(["lost-message", "late"]);
    for id in all {
        assert_eq!(scene.at_x(id), 1, "{id} at X");
        let noted = scene.stage.desk.noted();
        assert_eq!(noted.outcomes[id].len(), 1, "ids of the outcome of {id}");
        let failed = noted
            .of_type("command.failed")
            .find(|it| it["command_id"] == id);
        assert_eq!(failed, None);
    }
    for mention in &scene.mentions {
        let noted = scene.stage.desk.noted();
        let events = noted.about("message.received", &mention.to_string());
        assert_eq!(events.len(), 1, "ids of the event of {mention}");
    }

    // The option is left where it was: once is enough.
    assert_eq!(scene.restores(), 1);
    scene.stage.service.kill().await;
    scene.stage.service.start_with(&["--restored"]).await;
    scene.reply("later").await;
    scene.succeeds("later").await;
    assert_eq!((scene.restores(), scene.at_x("later")), (1, 1));
    assert!(scene.stage.service.said().contains("was restored before"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_is_known_for_one_without_being_told() {
    let mut scene = Scene::start().await;
    let slow = Fault::new(FaultKind::Nothing).slow(2000, 0);
    scene.stage.simulator.order(slow.on(Endpoint::CreatePost));
    scene.reply("open").await;
    let underway = async || {
        let parts = scene.stage.service.parts().await;
        parts.contains("ledger: 1 open").then_some(())
    };
    eventually("a command is open", underway).await;
    let backup = scene.stage.service.folder().join("backup.db");
    let name = backup.to_str().unwrap().to_owned();
    scene.stage.service.run(&["store", "backup", &name]).await;
    scene.succeeds("open").await;
    scene.stage.service.kill().await;
    scene.restore(&backup, &[]).await;
    scene.caught_up().await;
    let ended = async || {
        let parts = scene.stage.service.parts().await;
        parts.contains("ledger: 0 open").then_some(())
    };
    within(PATIENCE, "the command has ended", ended).await;
    assert_eq!((scene.restores(), scene.at_x("open")), (1, 1));
}

/// What copies a database of PostgreSQL leaves no mark in it: people say what it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_database_of_a_server_is_looked_up_when_somebody_says_so() {
    let (database, files) = (FreshDatabase::new(), tempfile::tempdir().unwrap());
    let setup = Setup::new()
        .set("STORE__URL", &database.url())
        .set("SECRETS__KEY", KEY)
        .set("ATTACHMENTS__FOLDER", &files.path().display().to_string())
        .set("REPLICAS__LEASE", "3s");
    let mut scene = Scene::start_with(setup).await;
    let refused = scene
        .stage
        .service
        .run_in_vain(&["store", "backup", "x.db"]);
    let (status, said) = refused.await;
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("pg_dump"), "{said}");
    scene.reply("early").await;
    scene.succeeds("early").await;
    // X has it, and the backup knows only that it was on its way.
    let late = Fault::new(FaultKind::Nothing).slow(0, 60_000);
    scene.stage.simulator.order(late.on(Endpoint::CreatePost));
    scene.reply("open").await;
    let sent = async || (scene.at_x("open") == 1).then_some(());
    eventually("X has the post", sent).await;
    scene.stage.service.kill().await;
    let backup = database.copy();

    scene.stage.service.start_again().await;
    scene.mention();
    for id in ["lost", "lost-too"] {
        scene.reply(id).await;
        scene.succeeds(id).await;
    }
    scene.succeeds("open").await;
    scene.all_mentions_came().await;
    scene.stage.service.kill().await;
    scene.mention();

    scene.stage.service.set("STORE__URL", &backup.url());
    scene.stage.service.start_with(&["--restored"]).await;
    for id in ["lost", "late"] {
        scene.reply(id).await;
    }
    scene.caught_up().await;
    scene.succeeds("late").await;
    scene.all_mentions_came().await;
    for id in ["early", "open", "lost", "lost-too", "late"] {
        assert_eq!(scene.at_x(id), 1, "{id} at X");
    }
    for mention in &scene.mentions {
        let noted = scene.stage.desk.noted();
        let events = noted.about("message.received", &mention.to_string());
        assert_eq!(events.len(), 1, "ids of the event of {mention}");
    }
    scene.stage.service.kill().await;
    scene.stage.service.start_with(&["--restored"]).await;
    scene.reply("later").await;
    scene.succeeds("later").await;
    assert_eq!((scene.restores(), scene.at_x("later")), (1, 1));
}

#[tokio::test]
async fn the_newest_backups_are_kept_and_nothing_but_backups_is_removed() {
    let mut service = TestService::start(Setup::new()).await;
    service.settled().await;
    let folder = service.database().with_file_name("backups");
    fs::create_dir(&folder).unwrap();
    let path = |name: &str| folder.join(name);
    let back_up = async |name: &str, more: &[&str]| {
        let file = path(name).display().to_string();
        let order = [&["store", "backup", &file][..], more].concat();
        let (code, said) = service.run(&order).await;
        assert_eq!(code, 0, "{said}");
        said
    };
    // By when they were made, whatever their names.
    for name in ["2.db", "1.db", "other.copy"] {
        back_up(name, &[]).await;
    }
    fs::create_dir(path("2.db.files")).unwrap();
    fs::write(path("2.db.files").join("attachment"), "sealed").unwrap();
    fs::write(path("notes.db"), "no database").unwrap();
    fs::copy(service.database(), path("by-hand.db")).unwrap();
    // Somebody's store that was a backup once.
    fs::copy(path("2.db"), path("in-use.db")).unwrap();
    fs::write(path("in-use.db-wal"), "").unwrap();
    assert!(!back_up("3.db", &["--keep", "3"]).await.contains("removed"));
    let said = back_up("4.db", &["--keep", "3"]).await;
    let removed = format!("removed: {}\n", path("2.db").display());
    assert!(said.ends_with(&removed), "{said}");
    let left = fs::read_dir(&folder).unwrap();
    let mut left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    left.sort_unstable();
    let stores = [
        "1.db",
        "3.db",
        "4.db",
        "by-hand.db",
        "in-use.db",
        "in-use.db-wal",
    ];
    let kept = [&stores[..], &["notes.db", "other.copy"]].concat();
    assert_eq!(left, kept);
    let refused = service
        .run(&["store", "backup", "x.db", "--keep", "0"])
        .await;
    assert_eq!(refused.0, 2, "{}", refused.1);
    service.stop().await;
}
