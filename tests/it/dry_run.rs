//! What filters would make of what came, and why a message was not published.

use jiff::{SignedDuration, Timestamp};
use simulator::{NewMessage, NewPost, NewUser, PostId};
use twitter_channel::domain::account::Account;
use twitter_channel::domain::filter::{Condition, Filter, Why};
use twitter_channel::domain::ids::{AccountId, UserId};
use twitter_channel::flow::dry_run::{Finding, Taker, Trial, Tried, Verdict, dry_run, explain};
use twitter_channel::flow::upkeep;

use crate::support::service::{ACME, Setup, TestService};

const STRICT: &str = "account = \"acme\"\nmatch = \"mentions\"\ngroup = \"support\"\n\
                      min_followers = 10\nreposts = false";

async fn start(setup: Setup) -> TestService {
    let service = TestService::start(setup).await;
    service.settled().await;
    service
}

/// The first account and all filters of another setup, which is tried.
fn configured(setup: &Setup) -> (Account, Vec<Filter>) {
    let settings = setup.settings();
    (settings.accounts[0].clone(), settings.filters)
}

async fn tried(service: &TestService, setup: Setup) -> Trial {
    let (account, filters) = configured(&setup);
    let since = Timestamp::now() - SignedDuration::from_hours(1);
    let trial = dry_run(&service.store, &account, &filters, since, 100).await;
    trial.unwrap()
}

fn of(trial: &Trial, post: impl ToString) -> &Tried {
    let id = post.to_string();
    let found = trial.messages.iter().find(|it| it.message_id == id);
    found.unwrap_or_else(|| panic!("{id} is not in {trial:#?}"))
}

fn taken(tried: &Tried) -> (&str, &str, bool) {
    match &tried.verdict {
        Verdict::Taken(taker) => (&taker.filter, &taker.group, taker.followed),
        Verdict::Left(reason) => panic!("{}", reason.sentence),
    }
}

fn why(tried: &Tried) -> Why {
    match &tried.verdict {
        Verdict::Left(reason) => reason.why,
        Verdict::Taken(taker) => panic!("taken by {}", taker.filter),
    }
}

async fn finding(service: &TestService, post: PostId) -> Finding {
    let account = AccountId(UserId::from_number(ACME.0).unwrap());
    let found = explain(&service.store, vec![account], &post.to_string()).await;
    let mut found = found.unwrap();
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0).finding
}

fn nobody(name: &str) -> NewUser {
    NewUser {
        followers: 0,
        ..NewUser::named(name)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_wanted_would_be_taken_by_other_filters_and_the_other_way_round() {
    let mut service = start(Setup::unfiltered().filter(STRICT)).await;
    let known = service.add_user(NewUser {
        followers: 20,
        ..NewUser::named("known")
    });
    let wanted = service.post(NewPost::by(known, "@acme please #acmehelp"));
    let spam = service.post(NewPost::by(service.add_user(nobody("bot")), "@acme buy"));
    let message = NewMessage::between(known, ACME, "psst");
    let message = service.simulator.direct_message(message).unwrap();
    assert_eq!(service.events().await.len(), 1);

    let same = tried(&service, Setup::unfiltered().filter(STRICT)).await;
    assert_eq!(taken(of(&same, wanted)), ("mentions", "support", false));
    let missed = Why::Spam(Condition::MinFollowers);
    assert_eq!(why(of(&same, spam)), missed);
    assert_eq!(why(of(&same, message)), Why::NoFilter);
    assert_eq!(same.taken["mentions"], 1);
    assert_eq!((same.left["spam"], same.left["no_filter"]), (1, 1));
    assert!(same.complete && same.remembered_since.is_some());
    assert_eq!(of(&same, spam).summary, "@acme buy");
    assert_eq!(of(&same, spam).username, "bot");
    assert!(of(&same, wanted).published && !of(&same, spam).published);

    let tag = "account = \"acme\"\nmatch = \"term\"\nterm = \"#acmehelp\"\ngroup = \"field\"";
    let word = "account = \"acme\"\nmatch = \"term\"\nterm = \"buy\"\ngroup = \"sales\"";
    let direct = "account = \"acme\"\nmatch = \"direct_messages\"\ngroup = \"private\"";
    let other = Setup::unfiltered().filter(tag).filter(word).filter(direct);
    let other = tried(&service, other).await;
    assert_eq!(taken(of(&other, wanted)).1, "field");
    assert_eq!(taken(of(&other, spam)).1, "sales");
    assert_eq!(taken(of(&other, message)).1, "private");
    assert!(other.left.is_empty());

    let none = tried(&service, Setup::unfiltered()).await;
    assert_eq!(none.left["no_filter"], 3);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_follows_what_the_filters_tried_have_taken() {
    let mut service = start(Setup::unfiltered()).await;
    let (ann, ben) = (service.user("ann"), service.user("ben"));
    let root = service.post(NewPost::by(ann, "@acme it broke #acmehelp"));
    service.simulator.settled().await;
    let reply = service.post(NewPost::by(ben, "@acme mine too").replying_to(root));
    service.simulator.settled().await;
    assert!(service.events().await.is_empty());
    let tag = "account = \"acme\"\nmatch = \"term\"\nterm = \"#acmehelp\"\ngroup = \"field\"";
    let trial = tried(&service, Setup::unfiltered().filter(tag)).await;
    assert_eq!(taken(of(&trial, root)), ("term:#acmehelp", "field", false));
    assert_eq!(taken(of(&trial, reply)), ("term:#acmehelp", "field", true));
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_message_is_explained() {
    let word = "account = \"acme\"\nmatch = \"term\"\nterm = \"bicycle\"\ngroup = \"sales\"";
    let blocked = "blocked = [\"77\"]";
    let setup = Setup::unfiltered().account_keys(blocked);
    let mut service = start(setup.filter(STRICT).filter(word)).await;
    let ann = service.add_user(NewUser {
        followers: 20,
        ..NewUser::named("ann")
    });
    let wanted = service.post(NewPost::by(ann, "@acme hello"));
    service.simulator.settled().await;
    let followed = service.post(NewPost::by(ann, "@acme hello?").replying_to(wanted));
    service.simulator.settled().await;
    let own = service.post(NewPost::by(ACME, "Good morning"));
    let spam = service.post(NewPost::by(service.add_user(nobody("bot")), "@acme buy"));
    let listed = service.add_user(NewUser::named("listed").with_id(77));
    let blocked = service.post(NewPost::by(listed, "@acme ha"));
    service.events().await;

    let taken = |followed| {
        Finding::Taken(Taker {
            filter: "mentions".to_owned(),
            group: "support".to_owned(),
            followed,
        })
    };
    assert_eq!(finding(&service, wanted).await, taken(false));
    // The filter would take it by itself too.
    assert_eq!(finding(&service, followed).await, taken(false));
    assert_eq!(finding(&service, own).await, Finding::Sent);
    let said = |finding: Finding| match finding {
        Finding::Left(reason) => reason.sentence,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        said(finding(&service, spam).await),
        "Filter mentions fits, but its condition `min_followers` is not met."
    );
    assert_eq!(
        said(finding(&service, blocked).await),
        "Its author is blocked by the account."
    );

    let (status, said) = service.run(&["events", "explain", &spam.to_string()]).await;
    assert_eq!(status, 0, "{said}");
    assert!(said.contains("min_followers"), "{said}");
    let (status, said) = service.run(&["filters", "try", "--hours", "1"]).await;
    assert_eq!(status, 0, "{said}");
    assert!(said.contains("mentions -> support"), "{said}");
    assert!(said.contains("       1  not wanted: spam"), "{said}");
    let (status, _) = service.run(&["events", "explain", "12345"]).await;
    assert_eq!(status, 1);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_wanted_is_forgotten_in_time_and_with_the_person() {
    let mut service = start(Setup::unfiltered()).await;
    let (ann, ben) = (service.user("ann"), service.user("ben"));
    let by_ann = service.post(NewPost::by(ann, "@acme one"));
    let by_ben = service.post(NewPost::by(ben, "@acme two"));
    service.events().await;
    assert_eq!(tried(&service, Setup::unfiltered()).await.messages.len(), 2);
    let (status, said) = service.run(&["person", "erase", &ann.to_string()]).await;
    assert_eq!(status, 0, "{said}");
    // Nothing tells any more that it came.
    let (status, _) = service
        .run(&["events", "explain", &by_ann.to_string()])
        .await;
    assert_eq!(status, 1);
    assert!(matches!(finding(&service, by_ben).await, Finding::Left(_)));

    let later = Timestamp::now() + SignedDuration::from_hours(2);
    let kept = std::time::Duration::from_hours(1);
    upkeep::prune_sightings(&service.store, kept, later)
        .await
        .unwrap();
    assert_eq!(finding(&service, by_ben).await, Finding::Unwanted);
    let trial = tried(&service, Setup::unfiltered()).await;
    assert!(trial.messages.is_empty() && trial.remembered_since.is_none());
    service.stop().await;
}
