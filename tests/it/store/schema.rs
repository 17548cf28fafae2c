//! A database that a newer version of the service has left: used, unless it says that it must not be.

use rstest::rstest;
use twitter_channel::store::{Store, StoreError};

use super::support::{Database, Engine, append, journal};
use crate::support::process::ServiceProcess;
use crate::support::service::Setup;

const NEWEST: &str = "SELECT max(version) FROM schema_version";
const OLDEST_READER: &str = "SELECT max(oldest_reader) FROM schema_version";
/// Of a deployment; a file would have one beside it.
const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// One step more, as a version to come leaves it.
fn go_on(database: &Database, version: i64, oldest_reader: i64) {
    let noted = format!(
        "INSERT INTO schema_version (version, oldest_reader) VALUES ({version}, {oldest_reader})"
    );
    assert_eq!(database.execute(&noted), 1);
    count_to(database, version);
}

/// A file counts its steps itself, too.
fn count_to(database: &Database, version: i64) {
    if database.is_file() {
        database.execute(&format!("PRAGMA user_version = {version}"));
    }
}

fn refusal(database: &Database) -> String {
    match Store::open(database.settings()) {
        Err(error @ StoreError::Open { .. }) => error.to_string(),
        Err(error) => panic!("{error:?}"),
        Ok(_) => panic!("it is used"),
    }
}

/// As this version leaves it: the newest step that it knows, and who may use it.
async fn left(engine: Engine) -> (Database, i64, i64) {
    let database = Database::new(engine);
    let store = database.open();
    append(&store, 1).await;
    drop(store);
    let (newest, oldest_reader) = (database.number(NEWEST), database.number(OLDEST_READER));
    (database, newest, oldest_reader)
}

/// The words that name both versions.
fn newer(found: i64, newest: i64) -> String {
    format!("its schema {found} is newer than {newest},")
}

#[rstest]
#[tokio::test]
async fn a_newer_one_that_was_only_expanded_is_used_and_left_as_it_is(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let (database, newest, oldest_reader) = left(engine).await;
    database.execute("ALTER TABLE journal ADD COLUMN of_a_version_to_come BIGINT");
    database.execute("ALTER TABLE meta ADD COLUMN of_it_too BIGINT NOT NULL DEFAULT 7");
    database.execute("CREATE TABLE to_come (id BIGINT PRIMARY KEY)");
    go_on(&database, newest + 1, oldest_reader);
    // Contracted what this version knows to be gone, and expanded since.
    go_on(&database, newest + 2, newest);
    for number in [2, 3] {
        let store = database.open();
        append(&store, number).await;
        assert_eq!(journal(&store).await, (1..=number).collect::<Vec<_>>());
        drop(store);
        assert_eq!(database.number(NEWEST), newest + 2);
        assert_eq!(database.number(OLDEST_READER), newest);
    }
    assert_eq!(database.number("SELECT count(*) FROM to_come"), 0);
}

#[rstest]
#[tokio::test]
async fn a_newer_one_that_was_contracted_is_refused_by_both_versions_names(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let (database, newest, _) = left(engine).await;
    go_on(&database, newest + 1, newest + 1);
    let told = refusal(&database);
    let wanted = newer(newest + 1, newest);
    assert!(told.contains(&wanted), "{told}");
    // What comes after it may say less: it is not taken back.
    go_on(&database, newest + 2, newest);
    let told = refusal(&database);
    let wanted = newer(newest + 2, newest);
    let who = format!("only for versions that know {}", newest + 1);
    assert!(told.contains(&wanted) && told.contains(&who), "{told}");
    assert_eq!(database.number("SELECT count(*) FROM journal"), 1);
}

#[rstest]
#[tokio::test]
async fn the_service_does_not_start_on_one_that_it_cannot_use_and_says_why(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let (database, newest, _) = left(engine).await;
    go_on(&database, newest + 1, newest + 1);
    let files = tempfile::tempdir().unwrap();
    let setup = Setup::new()
        .set("STORE__URL", &database.url())
        .set("SECRETS__KEY", KEY)
        .set("ATTACHMENTS__FOLDER", &files.path().display().to_string());
    let service = ServiceProcess::stopped(&setup, "amqp://guest:guest@127.0.0.1:9", None);
    let (status, said) = service.run_in_vain(&["serve"]).await;
    let wanted = newer(newest + 1, newest);
    assert_eq!(status, Some(1), "{said}");
    assert!(
        said.contains("store.url") && said.contains(&wanted),
        "{said}"
    );
}

#[tokio::test]
async fn a_newer_file_that_does_not_say_who_may_use_it_is_refused() {
    let (database, newest, _) = left(Engine::Sqlite).await;
    database.execute("DELETE FROM schema_version");
    count_to(&database, newest);
    let store = database.open();
    append(&store, 2).await;
    drop(store);
    count_to(&database, newest + 1);
    let told = refusal(&database);
    let wanted = newer(newest + 1, newest);
    assert!(told.contains(&wanted), "{told}");
}
