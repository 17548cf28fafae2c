use std::path::Path;
use std::time::Duration;

use rstest::rstest;
use secrecy::ExposeSecret;
use tempfile::TempDir;
use tracing::Level;
use tracing_subscriber::filter::Targets;

use super::*;
use crate::broker::settings::{Inbox, TopologyMode};
use crate::domain::account::{Delivery, Sending, Tier};
use crate::domain::filter::Match;
use crate::settings::secret::FollowedSecret;
use crate::telemetry::LogFormat;

const HOUR: Duration = Duration::from_hours(1);

/// An app, an account and a filter without faults.
const DECLARED: &str = r#"
[[apps]]
name = "acme"
consumer_key = "key"
consumer_secret = "consumer-secret"

[[accounts]]
app = "acme"
id = "2975699229"
username = "acme"

[[filters]]
account = "acme"
match = "mentions"
group = "support"
"#;

fn load(toml: &str, env: &[(&str, &str)]) -> Result<Settings, ConfigFaults> {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("config.toml");
    std::fs::write(&file, toml).unwrap();
    Settings::load(Some(&file), variables(env))
}

fn variables(env: &[(&str, &str)]) -> impl Iterator<Item = (String, String)> {
    let owned: Vec<_> = env
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect();
    owned.into_iter()
}

/// The lines of what is wrong.
fn faults(toml: &str, env: &[(&str, &str)]) -> Vec<String> {
    let faults = load(toml, env).expect_err("faults");
    faults.to_string().lines().map(str::to_owned).collect()
}

fn defaults() -> Settings {
    Settings::load(None, std::iter::empty()).unwrap()
}

fn write_secret(dir: &TempDir, name: &str, content: &str) -> String {
    let path = dir.path().join(name);
    std::fs::write(&path, content).unwrap();
    path.display().to_string()
}

fn with_secret_file(path: &str) -> String {
    let file = format!("consumer_secret_file = {path:?}");
    DECLARED.replace("consumer_secret = \"consumer-secret\"", &file)
}

#[test]
fn an_empty_configuration_is_the_default() {
    let settings = defaults();
    assert!(
        settings.apps.is_empty() && settings.accounts.is_empty() && settings.filters.is_empty()
    );
    assert_eq!(settings.public.listen, "0.0.0.0:8080".parse().unwrap());
    assert_eq!(settings.public.max_body_bytes, 1 << 20);
    assert_eq!(settings.public.workers, None);
    assert_eq!(settings.private.listen, "127.0.0.1:8081".parse().unwrap());
    assert!(settings.private.token.is_none() && settings.secrets.key.is_none());
    assert_eq!(settings.broker.topology, TopologyMode::Declare);
    assert_eq!(settings.broker.names.events, "twitter.events");
    assert_eq!(settings.broker.publish_window, 500);
    let inbox = Inbox {
        queue: "twitter.tickets".into(),
        bind: vec!["#".into()],
    };
    assert_eq!(settings.broker.inboxes, [inbox]);
    assert_eq!(
        settings.store.place.file(),
        Some(Path::new("twitter-channel.db"))
    );
    assert_eq!(settings.store.max_bytes, 2 << 30);
    assert_eq!(settings.store.retention, HOUR * 24 * 30);
    assert_eq!(settings.retention.commands, HOUR * 24 * 30);
    assert_eq!(settings.retention.quarantine, HOUR * 24 * 30);
    assert_eq!(settings.retention.audit, HOUR * 24 * 365);
    assert_eq!(settings.x_api.base_url.as_str(), "https://api.x.com");
    assert_eq!(settings.x_api.call_timeout, Duration::from_secs(20));
    assert_eq!(settings.reconcile.first_read, Duration::from_secs(40));
    assert_eq!(settings.reconcile.second_read, Duration::from_secs(20));
    assert_eq!(settings.commands.expire_after, HOUR * 24);
    assert_eq!(settings.commands.sending, Sending::Live);
    assert_eq!(settings.log.format, LogFormat::Json);
    assert_eq!(
        settings.prices.events.direct_message_received.to_string(),
        "0.010"
    );
    assert_eq!(settings.prices.events.account_activity.to_string(), "0.000");
}

/// Uncomments the lists of tables in the reference and loads them.
#[test]
fn the_reference_shows_apps_accounts_and_filters_that_load() {
    let mut toml = String::new();
    for line in DEFAULTS.lines() {
        if let Some((_, table)) = line.split_once(": [[") {
            toml += &format!("[[{table}\n");
        } else if let Some(pair) = line
            .strip_prefix("#   ")
            .filter(|rest| rest.contains(" = "))
        {
            let (pair, _comment) = pair.split_once("  ").unwrap_or((pair, ""));
            toml += &format!("{pair}\n");
        }
    }
    // Its filter shows a term too, which only another match may have.
    let toml = toml.replace("term = \"#acmehelp\"", "");
    let settings = load(&toml, &[]).unwrap_or_else(|faults| panic!("{faults}\n{toml}"));
    assert_eq!(settings.filters.len(), 1);
    assert_eq!(settings.attachments.sources.len(), 1);
}

#[test]
fn the_example_loads() {
    let dir = TempDir::new().unwrap();
    let example = include_str!("../../config/example.toml");
    let secrets = dir.path().join("secrets");
    std::fs::create_dir(&secrets).unwrap();
    for name in example
        .lines()
        .filter_map(|line| line.split("_file = \"secrets/").nth(1))
    {
        let name = name.trim_end_matches('"');
        let content = match name {
            "store-key" => "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\n".to_owned(),
            other => format!("content-of-{other}\n"),
        };
        std::fs::write(secrets.join(name), content).unwrap();
    }
    let toml = example.replace("secrets/", &format!("{}/", secrets.display()));
    let settings = load(&toml, &[]).unwrap_or_else(|faults| panic!("{faults}"));
    assert_eq!(
        settings.apps[0].consumer_secret.expose_secret(),
        "content-of-consumer-secret"
    );
    assert_eq!(settings.filters[2].route.filter, "term:#acmehelp");
    assert_eq!(settings.filters[3].route.filter, "careers");
    assert_eq!(settings.filters[3].account.to_string(), "783214");
    assert_eq!(settings.accounts[1].sending, Sending::Hold);
    assert_eq!(
        settings.attachments.sources[0].host,
        "helpdesk.acme.internal:8080"
    );
}

#[test]
fn apps_accounts_and_filters_are_read_with_their_defaults() {
    let settings = load(DECLARED, &[]).unwrap();
    let app = &settings.apps[0];
    assert_eq!(
        (app.name.as_str(), app.consumer_key.as_str()),
        ("acme", "key")
    );
    assert_eq!(
        (&app.delivery, app.tier),
        (&Delivery::Activity, Tier::SelfServe)
    );
    assert_eq!(settings.accounts[0].id.to_string(), "2975699229");
    let filter = &settings.filters[0];
    assert_eq!(filter.account, settings.accounts[0].id);
    assert_eq!(
        filter.matches,
        Match::Mentions {
            explicit_only: false
        }
    );
    assert_eq!(
        (filter.route.group.as_str(), filter.route.filter.as_str()),
        ("support", "mentions")
    );
    assert!(!filter.reposts && !filter.own);
}

#[test]
fn the_environment_wins_over_the_file_and_the_file_over_the_default() {
    let toml = "[public]\nlisten = \"127.0.0.1:1\"\nmax_body_bytes = 7\n[log]\nlevel = \"debug\"";
    let env = [
        ("TWITTER_CHANNEL__PUBLIC__LISTEN", "127.0.0.1:2"),
        ("TWITTER_CHANNEL__PUBLIC__WORKERS", "3"),
        ("TWITTER_CHANNEL__BROKER__NAMES__EVENTS", "my.events"),
        ("TWITTER_CHANNEL_SERVICE_HOST", "of Kubernetes, not for us"),
        ("PATH", "/bin"),
    ];
    let settings = load(toml, &env).unwrap();
    assert_eq!(settings.public.listen.port(), 2);
    assert_eq!(settings.public.max_body_bytes, 7);
    assert_eq!(settings.public.workers.map(|n| n.get()), Some(3));
    assert_eq!(
        settings.log.level,
        Targets::new().with_default(Level::DEBUG)
    );
    assert_eq!(settings.broker.names.events, "my.events");
    assert_eq!(settings.broker.names.dead, "twitter.dead");
}

#[test]
fn the_environment_reaches_into_lists() {
    let env = [
        ("TWITTER_CHANNEL__APPS__0__CONSUMER_SECRET", "from-env"),
        ("TWITTER_CHANNEL__ACCOUNTS__1__APP", "acme"),
        ("TWITTER_CHANNEL__ACCOUNTS__1__ID", "12"),
        ("TWITTER_CHANNEL__ACCOUNTS__1__USERNAME", "second"),
        ("TWITTER_CHANNEL__ACCOUNTS__1__BLOCKED__0", "13"),
        ("TWITTER_CHANNEL__BROKER__INBOXES", "[]"),
        ("TWITTER_CHANNEL__FILTERS__0__TAGS", r#"["a", "b"]"#),
    ];
    let settings = load(DECLARED, &env).unwrap_or_else(|faults| panic!("{faults}"));
    assert_eq!(settings.apps[0].consumer_secret.expose_secret(), "from-env");
    assert_eq!(settings.accounts[1].id.to_string(), "12");
    assert!(
        settings.accounts[1]
            .blocked
            .contains(&"13".parse().unwrap())
    );
    assert!(settings.broker.inboxes.is_empty());
    assert_eq!(settings.filters[0].route.tags, ["a", "b"]);
}

#[test]
fn a_filter_may_hold_storms_back() {
    let filter = |keys: &str| {
        format!(
            "[[apps]]\nname = \"acme\"\nconsumer_key = \"k\"\nconsumer_secret = \"s\"\n\
             [[accounts]]\napp = \"acme\"\nid = \"12\"\nusername = \"acme\"\n\
             [[filters]]\naccount = \"acme\"\ngroup = \"g\"\n{keys}\n"
        )
    };
    let mentions = "match = \"mentions\"";
    let storm = "storm = { messages = 200, per = \"1h\" }";
    let settings = load(&filter(&format!("{mentions}\n{storm}")), &[]).unwrap();
    let limit = settings.filters[0].storm.unwrap();
    assert_eq!((limit.messages.get(), limit.per), (200, HOUR));
    let without = load(&filter(mentions), &[]).unwrap();
    assert_eq!(without.filters[0].storm, None);
    for (keys, fault) in [
        (
            "storm = { messages = 0, per = \"1h\" }",
            "filters[0].storm.messages",
        ),
        (
            "storm = { messages = 1, per = \"100ms\" }",
            "filters[0].storm.per",
        ),
        ("storm = { messages = 1 }", "filters[0].storm.per"),
        (
            "storm = { messages = 1, per = \"1h\", x = 1 }",
            "filters[0].storm.x",
        ),
        ("storm = 200", "filters[0].storm"),
    ] {
        let lines = faults(&filter(&format!("{mentions}\n{keys}")), &[]);
        assert!(lines[0].starts_with(fault), "{lines:?}");
        assert_eq!(lines.len(), 1, "{lines:?}");
    }
    let direct = filter(&format!("match = \"direct_messages\"\n{storm}"));
    let lines = faults(&direct, &[]);
    assert!(lines[0].contains("never held back"), "{lines:?}");
}

#[test]
fn lists_of_the_environment_have_no_gaps() {
    let lines = faults("", &[("TWITTER_CHANNEL__APPS__1__NAME", "acme")]);
    assert!(
        lines[0].starts_with("TWITTER_CHANNEL__APPS__1__NAME: expected"),
        "{lines:?}"
    );
}

#[test]
fn an_empty_variable_takes_a_value_away() {
    let toml = "[public]\nurl = \"https://x.example\"";
    let settings = load(toml, &[("TWITTER_CHANNEL__PUBLIC__URL", "")]).unwrap();
    assert_eq!(settings.public.url, None);
}

#[test]
fn a_secret_is_read_from_a_file_without_its_line_end() {
    let dir = TempDir::new().unwrap();
    let path = write_secret(&dir, "secret", "from file\r\n");
    let settings = load(&with_secret_file(&path), &[]).unwrap();
    assert_eq!(
        settings.apps[0].consumer_secret.expose_secret(),
        "from file"
    );
}

#[test]
fn a_secret_of_the_environment_wins_whatever_its_form() {
    let dir = TempDir::new().unwrap();
    let path = write_secret(&dir, "secret", "from-file\n");
    let env = [("TWITTER_CHANNEL__APPS__0__CONSUMER_SECRET", "direct")];
    let settings = load(&with_secret_file(&path), &env).unwrap();
    assert_eq!(settings.apps[0].consumer_secret.expose_secret(), "direct");

    let env = [("TWITTER_CHANNEL__PRIVATE__TOKEN_FILE", path.as_str())];
    let settings = load("[private]\ntoken = \"direct\"", &env).unwrap();
    assert_eq!(settings.private.token.unwrap().expose_secret(), "from-file");
}

#[test]
fn a_secret_file_must_be_there_and_hold_something() {
    let dir = TempDir::new().unwrap();
    let empty = write_secret(&dir, "empty", "\n");
    let missing = dir.path().join("missing").display().to_string();
    let env = [
        ("TWITTER_CHANNEL__PRIVATE__TOKEN_FILE", missing.as_str()),
        ("TWITTER_CHANNEL__SECRETS__KEY_FILE", empty.as_str()),
    ];
    let lines = faults("", &env);
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].starts_with("private.token_file = ") && lines[0].contains("missing"));
    assert!(
        lines[1].contains("secrets.key_file") && lines[1].contains("empty"),
        "{lines:?}"
    );
}

#[test]
fn a_secret_comes_in_one_form_only() {
    let lines = faults("[private]\ntoken = \"a\"\ntoken_file = \"/b\"", &[]);
    assert_eq!(
        lines,
        ["private.token_file = \"/b\": expected either token or token_file, not both"]
    );
}

#[rstest]
#[case::address(
    "[public]\nlisten = \"8080\"",
    "public.listen = \"8080\": expected an IP address and a port"
)]
#[case::url(
    "[private]\nurl = \"acme\"",
    "private.url = \"acme\": expected http:// or https://"
)]
#[case::size(
    "[public]\nmax_body_bytes = \"1 MB\"",
    "public.max_body_bytes = \"1 MB\": expected a number of bytes"
)]
#[case::number(
    "[public]\nworkers = -1",
    "public.workers = -1: expected a whole number"
)]
#[case::duration(
    "[x_api]\ncall_timeout = 20",
    "x_api.call_timeout = 20: expected a duration with its unit"
)]
#[case::heartbeat(
    "[broker]\nheartbeat = \"500ms\"",
    "broker.heartbeat = \"500ms\": expected whole seconds"
)]
#[case::choice(
    "[commands]\nsending = \"off\"",
    "commands.sending = \"off\": expected \"live\" or \"hold\" or \"refuse\""
)]
#[case::topology(
    "[broker]\ntopology = 1",
    "broker.topology = 1: expected \"declare\" or \"check\""
)]
#[case::broker_url(
    "[broker]\nurl = \"http://u:p@h\"",
    "broker.url = ***: expected amqp://"
)]
#[case::queue(
    "[broker]\ninboxes = [{ queue = \"\", bind = [\"#\"] }]",
    "broker.inboxes[0].queue: missing, expected a name"
)]
#[case::bind(
    "[broker]\ninboxes = [{ queue = \"q\", bind = [] }]",
    "broker.inboxes[0].bind: expected at least one"
)]
#[case::queue_twice(
    "[broker]\ninboxes = [{ queue = \"q\", bind = [\"#\"] }, { queue = \"q\", bind = [\"#\"] }]",
    "broker.inboxes[1].queue = \"q\": expected each queue once"
)]
#[case::exchange(
    "[broker.names]\nevents = \"amq.topic\"",
    "broker.names.events = \"amq.topic\": expected a name"
)]
#[case::postgres(
    "[store]\nurl = \"postgres://u:p@h/d?sslmode=allow\"",
    "store.url = ***: expected sslmode=disable or sslmode=verify-full"
)]
#[case::postgres_without_a_key(
    "[store]\nurl = \"postgres://u:p@h/d\"",
    "secrets.key: expected with PostgreSQL"
)]
#[case::key(
    "[secrets]\nkey = \"c2hvcnQ=\"",
    "secrets.key = ***: expected 32 bytes in base64"
)]
#[case::price(
    "[prices.events]\npost = 0.005",
    "prices.events.post = 0.005: expected an amount in USD as a string"
)]
#[case::date(
    "[prices]\nas_of = \"yesterday\"",
    "prices.as_of = \"yesterday\": expected a date"
)]
#[case::level("[log]\nlevel = \"loud\"", "log.level = \"loud\": expected error")]
#[case::table("log = \"text\"", "log = \"text\": expected a table")]
#[case::list("apps = 3", "apps: expected a list")]
#[case::unknown(
    "[publik]\nlisten = \"x\"",
    "publik: unknown key, did you mean public?"
)]
#[case::unknown_inside(
    "[public]\nworker = 1",
    "public.worker: unknown key, did you mean workers?"
)]
#[case::unknown_far("[public]\ncolour = 1", "public.colour: unknown key")]
#[case::open_without_token(
    "[private]\nlisten = \"0.0.0.0:8081\"",
    "private.token: missing, expected a token"
)]
#[case::token(
    "[private]\ntoken = \"a b\"",
    "private.token = ***: expected visible ASCII"
)]
#[case::one_address(
    "[public]\nlisten = \"127.0.0.1:8081\"",
    "private.listen = \"127.0.0.1:8081\": expected another address"
)]
#[case::http(
    "[public]\nurl = \"http://x.acme.example\"",
    "public.url = \"http://x.acme.example\": expected https:// and no port"
)]
#[case::port(
    "[public]\nurl = \"https://x.acme.example:8443\"",
    "public.url = \"https://x.acme.example:8443\": expected https:// and no port"
)]
#[case::source(
    "[[attachment_sources]]\nhost = \"http://h\"",
    "attachment_sources[0].host = \"http://h\": expected a host"
)]
#[case::source_credential(
    "[[attachment_sources]]\nhost = \"h\"\nauthorization = \"Bearer\\nx\"",
    "attachment_sources[0].authorization = ***: expected visible ASCII"
)]
fn a_fault_names_key_value_and_what_is_expected(#[case] toml: &str, #[case] start: &str) {
    let lines = faults(toml, &[]);
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert!(lines[0].starts_with(start), "{lines:#?}");
}

#[rstest]
#[case::app_name(
    "name = \"acme\"",
    "name = \"a/b\"",
    "apps[0].name = \"a/b\": expected 1 to 64 letters"
)]
#[case::no_secret(
    "consumer_secret = \"consumer-secret\"",
    "",
    "apps[0].consumer_secret: missing, expected a string"
)]
#[case::delivery(
    "consumer_key = \"key\"",
    "consumer_key = \"key\"\ndelivery = \"v1\"",
    "apps[0].delivery = \"v1\": expected \"activity\""
)]
#[case::environment(
    "consumer_key = \"key\"",
    "consumer_key = \"key\"\ndelivery = \"account_activity_v1\"",
    "apps[0].environment: missing, expected the label"
)]
#[case::secret_as_number(
    "\"consumer-secret\"",
    "123456",
    "apps[0].consumer_secret = ***: expected a string"
)]
#[case::account_app(
    "app = \"acme\"",
    "app = \"acne\"",
    "accounts[0].app = \"acne\": expected the name of one of the apps"
)]
#[case::id_as_number(
    "id = \"2975699229\"",
    "id = 2975699229",
    "accounts[0].id = 2975699229: expected an id as a string of 1 to 19 digits without leading zeros (a number would lose digits)"
)]
#[case::id(
    "id = \"2975699229\"",
    "id = \"02\"",
    "accounts[0].id = \"02\": expected an id as a string"
)]
#[case::handle(
    "username = \"acme\"",
    "username = \"@acme\"",
    "accounts[0].username = \"@acme\": expected a handle without @"
)]
#[case::blocked(
    "username = \"acme\"",
    "username = \"acme\"\nblocked = [44196397]",
    "accounts[0].blocked[0] = 44196397: expected an id as a string"
)]
#[case::half_a_token(
    "username = \"acme\"",
    "username = \"acme\"\naccess_token = \"t\"",
    "accounts[0].access_token_secret: missing, expected beside access_token"
)]
#[case::filter_account(
    "account = \"acme\"",
    "account = \"acne\"",
    "filters[0].account = \"acne\": expected username or id of one of the accounts"
)]
#[case::filter_number(
    "account = \"acme\"",
    "account = 2975699229",
    "filters[0].account = 2975699229: expected username or id of one of the accounts, as a string"
)]
#[case::no_group(
    "group = \"support\"",
    "",
    "filters[0].group: missing, expected a string"
)]
#[case::matches(
    "match = \"mentions\"",
    "match = \"likes\"",
    "filters[0].match = \"likes\": expected \"direct_messages\""
)]
#[case::no_term(
    "match = \"mentions\"",
    "match = \"term\"",
    "filters[0].term: missing, expected #tag"
)]
#[case::empty_tag(
    "match = \"mentions\"",
    "match = \"term\"\nterm = \"#\"",
    "filters[0].term = \"#\": expected at least two signs"
)]
#[case::term_elsewhere(
    "match = \"mentions\"",
    "match = \"mentions\"\nterm = \"#a\"",
    "filters[0].term: expected only with match = \"term\""
)]
#[case::explicit_elsewhere(
    "match = \"mentions\"",
    "match = \"quotes\"\nexplicit_only = true",
    "filters[0].explicit_only: expected only with match = \"mentions\""
)]
#[case::boolean(
    "match = \"mentions\"",
    "match = \"mentions\"\nreposts = \"yes\"",
    "filters[0].reposts = \"yes\": expected true or false"
)]
#[case::misspelt_secret(
    "consumer_key = \"key\"",
    "consumer_key = \"key\"\nbearer_tokn = \"hush\"",
    "apps[0].bearer_tokn: unknown key, did you mean bearer_token?"
)]
fn a_fault_of_what_is_declared_names_its_place(
    #[case] from: &str,
    #[case] to: &str,
    #[case] start: &str,
) {
    let lines = faults(&DECLARED.replacen(from, to, 1), &[]);
    assert!(lines[0].starts_with(start), "{lines:#?}");
}

#[test]
fn names_ids_and_handles_are_there_once() {
    let lines = faults(
        &format!(
            "{DECLARED}{}",
            DECLARED.replace("\"acme\"\n\n", "\"ACME\"\n\n")
        ),
        &[],
    );
    assert_eq!(
        lines,
        [
            "apps[1].name = \"acme\": expected a name that no other app has",
            "accounts[1].id = \"2975699229\": expected an id that no other account has",
            "accounts[1].username = \"ACME\": expected a handle that no other account has",
        ]
    );
}

/// A faulty app, a faulty account and a faulty match next to what refers to them.
#[rstest]
#[case("consumer_key = \"key\"", "", "apps[0].consumer_key")]
#[case("id = \"2975699229\"", "id = 2975699229", "accounts[0].id")]
#[case(
    "match = \"mentions\"",
    "match = \"x\"\nterm = \"#a\"\nexplicit_only = true",
    "filters[0].match"
)]
fn one_fault_does_not_make_others(#[case] from: &str, #[case] to: &str, #[case] key: &str) {
    let lines = faults(&DECLARED.replace(from, to), &[]);
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert!(lines[0].starts_with(key), "{lines:#?}");
}

#[test]
fn all_faults_come_at_once_and_no_secret_with_them() {
    let toml = "[[apps]]\nname = \"a b\"\nconsumer_secret = 42424242\n[broker]\nurl = \"amqp//u:hushhush@h\"\n[[accounts]]\nid = 12\n[brokr]\ntoken = \"hushhush\"";
    let env = [
        ("TWITTER_CHANNEL__PUBLIC__LISTEN", "nowhere"),
        ("TWITTER_CHANNEL__SECRETS__KEY", "hushhush"),
        ("TWITTER_CHANNEL__PRIVATE__URL", "ftp://me:hushhush@h"),
    ];
    let lines = faults(toml, &env);
    let text = lines.join("\n");
    for key in [
        "apps[0].name = ",
        "apps[0].consumer_key: missing",
        "apps[0].consumer_secret = ***",
        "accounts[0].app: missing",
        "accounts[0].id = 12",
        "accounts[0].username: missing",
        "public.listen = \"nowhere\"",
        "private.url = \"ftp://***@h\"",
        "broker.url = ***",
        "secrets.key = ***",
        "brokr: unknown key, did you mean broker?",
    ] {
        assert!(
            lines.iter().any(|line| line.starts_with(key)),
            "{key} in\n{text}"
        );
    }
    assert_eq!(lines.len(), 11, "{text}");
    assert!(
        !text.contains("hushhush") && !text.contains("42424242"),
        "{text}"
    );
}

#[test]
fn what_is_no_toml_is_told_without_the_line_that_may_hold_a_secret() {
    let text = faults("[private]\ntoken = \"hushhush", &[]).join("\n");
    assert!(
        text.contains("expected TOML, ids as strings") && text.contains("line 2"),
        "{text}"
    );
    assert!(!text.contains("hushhush"), "{text}");
}

#[test]
fn an_id_too_large_for_a_number_is_a_fault_too() {
    let lines = faults(
        &DECLARED.replace("\"2975699229\"", "9999999999999999999"),
        &[],
    );
    assert!(
        lines[0].contains("expected TOML, ids as strings"),
        "{lines:?}"
    );
}

#[test]
fn a_missing_file_is_a_fault() {
    let fault = Settings::load(Some(Path::new("/nowhere/x.toml")), std::iter::empty()).unwrap_err();
    assert!(
        fault
            .to_string()
            .starts_with("--config = /nowhere/x.toml: expected a readable file"),
        "{fault}"
    );
}

#[rstest]
#[case::loopback("[public]\nurl = \"http://127.0.0.1:8080\"")]
#[case::name("[public]\nurl = \"http://localhost:8080\"")]
#[case::simulator(
    "[public]\nurl = \"http://channel:8080\"\n[x_api]\nbase_url = \"http://simulator:9000\""
)]
#[case::x("[public]\nurl = \"https://x.acme.example\"")]
fn where_x_calls_us_its_rules_hold_and_elsewhere_not(#[case] toml: &str) {
    load(toml, &[]).unwrap_or_else(|faults| panic!("{faults}"));
}

#[test]
fn a_webhook_url_has_at_most_200_characters() {
    let url = format!("https://x.acme.example/{}", "a".repeat(160));
    let lines = faults(&format!("{DECLARED}\n[public]\nurl = \"{url}\""), &[]);
    assert!(lines[0].contains("at most 200 characters"), "{lines:?}");
}

#[test]
fn a_label_that_the_delivery_does_not_need_is_no_fault() {
    let toml = DECLARED.replace("consumer_key", "environment = \"prod\"\nconsumer_key");
    assert_eq!(
        load(&toml, &[]).unwrap().apps[0].delivery,
        Delivery::Activity
    );
    let toml = toml.replace(
        "environment",
        "delivery = \"account_activity_v1\"\nenvironment",
    );
    let expected = Delivery::AccountActivityV1 {
        environment: "prod".into(),
    };
    assert_eq!(load(&toml, &[]).unwrap().apps[0].delivery, expected);
}

#[test]
fn the_longest_post_of_an_account_may_be_set() {
    let account = |toml: &str| load(toml, &[]).unwrap().accounts.remove(0);
    assert_eq!(account(DECLARED).max_post_length, None);
    let set = "username = \"acme\"\nmax_post_length = 4000";
    let set = DECLARED.replace("username = \"acme\"", set);
    assert_eq!(account(&set).max_post_length, Some(4_000));
    for wrong in ["0", "25001"] {
        let lines = faults(&set.replace("4000", wrong), &[]);
        let expected = format!(
            "accounts[0].max_post_length = {wrong}: expected a whole number from 1 to 25000"
        );
        assert_eq!(lines, [expected]);
    }
}

#[test]
fn debug_shows_no_secret() {
    let env = [
        ("TWITTER_CHANNEL__PRIVATE__TOKEN", "hushhush-1"),
        ("TWITTER_CHANNEL__BROKER__URL", "amqp://u:hushhush-2@h"),
        (
            "TWITTER_CHANNEL__SECRETS__KEY",
            "aHVzaGh1c2hodXNoaHVzaGh1c2hodXNoaHVzaGh1c2g=",
        ),
        ("TWITTER_CHANNEL__APPS__0__BEARER_TOKEN", "hushhush-3"),
        (
            "TWITTER_CHANNEL__ACCOUNTS__0__OAUTH2_REFRESH_TOKEN",
            "hushhush-4",
        ),
    ];
    let shown = format!("{:?}", load(DECLARED, &env).unwrap());
    let number = format!("{}, {}, {}", b'h', b'u', b's');
    for secret in ["hushhush", "consumer-secret", number.as_str()] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
}

#[test]
fn a_file_given_for_a_secret_replaces_the_default_of_the_secret_itself() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("url");
    std::fs::write(&path, "amqp://u:p@rabbit/v\n").unwrap();
    let settings = load(&format!("[broker]\nurl_file = {path:?}"), &[]).unwrap();
    let FollowedSecret::File {
        key,
        path: followed,
    } = settings.broker.url
    else {
        panic!("not followed");
    };
    assert_eq!((key.as_str(), followed), ("broker.url_file", path));
}

#[rstest]
#[case::hosts("hosts = [\"a b\"]", "broker.hosts[0] = \"a b\": expected a host")]
#[case::auth(
    "auth = \"kerberos\"",
    "broker.auth = \"kerberos\": expected \"password\" or \"external\""
)]
#[case::external_without_certificate(
    "auth = \"external\"",
    "broker.tls.cert_file: missing, expected a client certificate"
)]
#[case::certificate_without_key(
    "tls = { cert_file = \"/c.pem\" }",
    "broker.tls.key_file: missing, expected the key of cert_file"
)]
#[case::certificates_without_tls(
    "tls = { ca_file = \"/ca.pem\" }",
    "broker.tls: expected amqps:// in broker.url"
)]
#[case::missing_certificates(
    "url = \"amqps://h\"\ntls = { ca_file = \"/missing/ca.pem\" }",
    "broker.tls: expected usable files: broker.tls.ca_file = \"/missing/ca.pem\" cannot be read"
)]
#[case::server_name(
    "tls = { server_name = \"a b\" }",
    "broker.tls.server_name = \"a b\": expected a host name without a port"
)]
#[case::password_file(
    "password_file = \"/missing/password\"",
    "broker.password_file = \"/missing/password\": expected a readable file"
)]
fn what_is_wrong_with_the_way_to_the_broker_is_named(#[case] lines: &str, #[case] wanted: &str) {
    let found = faults(&format!("[broker]\n{lines}"), &[]);
    assert!(
        found.iter().any(|fault| fault.starts_with(wanted)),
        "{found:?}"
    );
}
