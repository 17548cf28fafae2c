//! The filtered stream that apps connect to.

use std::time::Duration;

use reqwest::Response;
use serde_json::{Value, json};
use simulator::{
    ApiSettings, Endpoint, Fault, FaultKind, NewPost, SecondStream, Settings, StreamFault,
};

use super::client::{APP, Answered, Caller};

const STREAM: &str = "/2/tweets/search/stream";
const LIMIT: Duration = Duration::from_secs(20);

/// The lines of an open stream.
struct Lines {
    response: Response,
    rest: Vec<u8>,
}

/// What came next.
#[derive(Debug, PartialEq)]
enum Next {
    Line(Value),
    Heartbeat,
    End,
    Broken,
}

impl Lines {
    async fn next(&mut self) -> Next {
        tokio::time::timeout(LIMIT, self.read()).await.unwrap()
    }

    async fn read(&mut self) -> Next {
        loop {
            if let Some(end) = self.rest.windows(2).position(|two| two == b"\r\n") {
                let line: Vec<u8> = self.rest.drain(..end + 2).take(end).collect();
                return match line.is_empty() {
                    true => Next::Heartbeat,
                    false => Next::Line(serde_json::from_slice(&line).unwrap()),
                };
            }
            match self.response.chunk().await {
                Ok(Some(chunk)) => self.rest.extend_from_slice(&chunk),
                Ok(None) => return Next::End,
                Err(_) => return Next::Broken,
            }
        }
    }

    /// The next post, whatever blank lines come before it.
    async fn post(&mut self) -> Value {
        loop {
            match self.next().await {
                Next::Line(line) => return line,
                Next::Heartbeat => {}
                other => panic!("{other:?}"),
            }
        }
    }
}

async fn open(caller: &Caller, query: &[(&str, &str)]) -> Response {
    caller
        .http
        .get(caller.url(STREAM))
        .query(query)
        .bearer_auth(&caller.keys.bearer_token)
        .send()
        .await
        .unwrap()
}

async fn connect(caller: &Caller) -> Lines {
    let response = open(caller, &[]).await;
    assert_eq!(response.status(), 200);
    Lines {
        response,
        rest: Vec::new(),
    }
}

async fn stage(settings: ApiSettings) -> Caller {
    let caller = Caller::with(Settings {
        api: settings,
        ..Settings::default()
    })
    .await;
    let rule = "printer -is:retweet";
    caller.simulator().add_rule(APP, rule, "printers").unwrap();
    caller
}

async fn quick() -> Caller {
    stage(ApiSettings {
        stream_heartbeat_ms: 20,
        ..ApiSettings::default()
    })
    .await
}

fn id(line: &Value) -> &str {
    line["data"]["id"].as_str().unwrap()
}

#[actix_web::test]
async fn a_new_post_that_matches_comes_with_its_rules_and_what_was_asked_for() {
    let caller = stage(ApiSettings::default()).await;
    let root = caller.stage.post(caller.stage.bob, "my printer is old");
    let fields = [("tweet.fields", "author_id"), ("expansions", "author_id")];
    let response = open(&caller, &fields).await;
    let mut lines = Lines {
        response,
        rest: Vec::new(),
    };
    caller.simulator().stream_connected(APP).await;
    caller.stage.post(caller.stage.bob, "nothing of yours");
    let post = caller.stage.post(caller.stage.ann, "A PRINTER burns");
    let quote = NewPost::by(caller.stage.bob, "Look").quoting(root);
    let quote = caller.simulator().post(quote).unwrap();
    caller.simulator().repost(caller.stage.bob, root).unwrap();
    let line = lines.post().await;
    assert_eq!(id(&line), post.to_string(), "what was before is not sent");
    assert_eq!(line["data"]["author_id"], caller.stage.ann.to_string());
    assert_eq!(line["includes"]["users"][0]["username"], "ann");
    assert_eq!(line["matching_rules"][0]["tag"], "printers");
    assert!(line["data"].get("created_at").is_none());
    let line = lines.post().await;
    assert_eq!(id(&line), quote.to_string(), "the quoted post counts");
    let seen = caller.simulator().streams();
    assert_eq!((seen[0].app.as_str(), seen[0].sent), (APP, 2));
}

#[actix_web::test]
async fn a_blank_line_comes_while_there_is_nothing_else() {
    let caller = quick().await;
    let mut lines = connect(&caller).await;
    assert_eq!(lines.next().await, Next::Heartbeat);
    assert_eq!(lines.next().await, Next::Heartbeat);
    let post = caller.stage.post(caller.stage.ann, "printer");
    assert_eq!(id(&lines.post().await), post.to_string());
    assert_eq!(lines.next().await, Next::Heartbeat);
}

#[actix_web::test]
async fn a_rule_counts_from_when_it_is_added() {
    let caller = quick().await;
    let mut lines = connect(&caller).await;
    caller.stage.post(caller.stage.ann, "my scanner");
    caller.simulator().add_rule(APP, "#scanner", "").unwrap();
    let post = caller.stage.post(caller.stage.ann, "my #Scanner");
    let edited = caller.stage.post(caller.stage.ann, "A stand-alone post");
    let line = lines.post().await;
    assert_eq!(id(&line), post.to_string());
    assert!(line["matching_rules"][0].get("tag").is_none());
    let version = caller.simulator().edit_silently(edited, "A printer");
    let line = lines.post().await;
    assert_eq!(id(&line), version.unwrap().to_string(), "an edit comes too");
    let history = json!([edited.to_string(), id(&line)]);
    assert_eq!(line["data"]["edit_history_tweet_ids"], history);
}

#[actix_web::test]
async fn without_rules_nobody_connects() {
    let caller = Caller::new().await;
    let refused = Answered::of(open(&caller, &[]).await).await;
    assert_eq!(refused.status, 409);
    caller.simulator().add_rule(APP, "printer", "").unwrap();
    let backfill = open(&caller, &[("backfill_minutes", "5")]).await;
    assert_eq!(backfill.status(), 400, "Enterprise alone has that");
    assert!(caller.simulator().streams().is_empty());
    caller.simulator().set_credit(APP, Some(0));
    assert_eq!(open(&caller, &[]).await.status(), 402);
}

#[actix_web::test]
async fn a_second_connection_is_refused_until_the_first_is_gone() {
    let caller = quick().await;
    caller
        .simulator()
        .change_api(|settings| settings.enforce_limits = false);
    let mut first = connect(&caller).await;
    let second = Answered::of(open(&caller, &[]).await).await;
    assert_eq!(second.status, 429);
    assert_eq!(second.body["connection_issue"], "TooManyConnections");
    assert_eq!(first.next().await, Next::Heartbeat);
    drop(first);
    let again = async {
        while open(&caller, &[]).await.status() != 200 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LIMIT, again).await.unwrap();
}

#[actix_web::test]
async fn a_second_connection_can_take_the_place_of_the_first() {
    let caller = stage(ApiSettings {
        second_stream: SecondStream::ReplacesFirst,
        ..ApiSettings::default()
    })
    .await;
    let mut first = connect(&caller).await;
    let mut second = connect(&caller).await;
    assert_eq!(first.next().await, Next::End);
    let post = caller.stage.post(caller.stage.ann, "printer");
    assert_eq!(id(&second.post().await), post.to_string());
}

#[actix_web::test]
async fn a_stream_can_be_cut_reset_ended_and_end_in_an_error() {
    let caller = stage(ApiSettings::default()).await;
    for (fault, end) in [
        (StreamFault::Cut, Next::Broken),
        (StreamFault::Reset, Next::Broken),
        (StreamFault::End, Next::End),
    ] {
        let mut lines = connect(&caller).await;
        caller.stage.post(caller.stage.ann, "printer");
        lines.post().await;
        assert_eq!(caller.simulator().disturb_stream(APP, &fault), Ok(1));
        assert_eq!(lines.next().await, end, "{fault:?}");
        caller.stage.post(caller.stage.ann, "printer, missed");
        assert_eq!(caller.simulator().disturb_stream(APP, &fault), Ok(0));
    }
    let mut lines = connect(&caller).await;
    let error = StreamFault::Error {
        body: None,
        ends: true,
    };
    caller.simulator().disturb_stream(APP, &error).unwrap();
    let line = lines.post().await;
    assert_eq!(line["errors"][0]["title"], "operational-disconnect");
    assert_eq!(lines.next().await, Next::End);
}

#[actix_web::test]
async fn a_silent_stream_stays_open_and_says_nothing() {
    let caller = quick().await;
    let mut lines = connect(&caller).await;
    assert_eq!(lines.next().await, Next::Heartbeat);
    let silence = StreamFault::Silence;
    caller.simulator().disturb_stream(APP, &silence).unwrap();
    caller.stage.post(caller.stage.ann, "printer");
    assert_eq!(caller.simulator().streams().len(), 1);
    let end = StreamFault::End;
    caller.simulator().disturb_stream(APP, &end).unwrap();
    let mut next = lines.next().await;
    while next == Next::Heartbeat {
        next = lines.next().await;
    }
    assert_eq!(next, Next::End, "nothing but blank lines of before");
}

#[actix_web::test]
async fn posts_can_be_lost_and_come_twice() {
    let caller = stage(ApiSettings::default()).await;
    let mut lines = connect(&caller).await;
    let order = |fault| caller.simulator().disturb_stream(APP, &fault).unwrap();
    order(StreamFault::Miss { posts: 1 });
    caller.stage.post(caller.stage.ann, "printer one");
    let second = caller.stage.post(caller.stage.ann, "printer two");
    assert_eq!(id(&lines.post().await), second.to_string());
    order(StreamFault::Repeat { posts: 1 });
    let third = caller.stage.post(caller.stage.ann, "printer three");
    assert_eq!(id(&lines.post().await), third.to_string());
    assert_eq!(id(&lines.post().await), third.to_string());
}

#[actix_web::test]
async fn a_connect_can_be_refused_by_order() {
    let caller = stage(ApiSettings::default()).await;
    let down = FaultKind::Status {
        status: 503,
        body: None,
        effect: false,
    };
    let fault = Fault::new(down).on(Endpoint::Stream);
    caller.simulator().order(fault);
    assert_eq!(open(&caller, &[]).await.status(), 503);
    assert!(caller.simulator().streams().is_empty());
    connect(&caller).await;
}

#[actix_web::test]
async fn each_post_is_paid_for_and_without_credit_the_stream_ends() {
    let caller = stage(ApiSettings::default()).await;
    let mut lines = connect(&caller).await;
    caller.stage.post(caller.stage.ann, "printer");
    lines.post().await;
    let line = caller.simulator().bill(APP).lines["post_read"];
    assert_eq!((line.count, line.micro_usd), (1, 5_000));
    caller.simulator().set_credit(APP, Some(5_000));
    caller.stage.post(caller.stage.ann, "printer again");
    lines.post().await;
    let end = lines.post().await;
    assert_eq!(end["errors"][0]["detail"], "credits depleted");
    assert_eq!(lines.next().await, Next::End);
}

#[actix_web::test]
async fn what_is_not_public_does_not_come() {
    let caller = stage(ApiSettings::default()).await;
    let mut lines = connect(&caller).await;
    let stage = &caller.stage;
    stage.simulator.set_protected(stage.bob, true).unwrap();
    stage.post(stage.bob, "my printer, among friends");
    let public = stage.post(stage.ann, "my printer");
    assert_eq!(id(&lines.post().await), public.to_string());
}

#[actix_web::test]
async fn open_streams_end_with_the_simulator() {
    let caller = stage(ApiSettings::default()).await;
    let mut lines = connect(&caller).await;
    let stopped = tokio::time::timeout(LIMIT, caller.simulator().stop());
    stopped.await.unwrap();
    assert_eq!(lines.next().await, Next::End);
}
