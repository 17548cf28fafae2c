//! Linking, by either OAuth.

use percent_encoding::percent_decode_str;
use secrecy::ExposeSecret;
use serde_json::json;
use url::Url;

use crate::domain::account::{AccessToken, App};
use crate::x::client::auth::oauth1::{Once, Signer};
use crate::x::client::testing::{Act, Bench, Recorded};
use crate::x::client::{Auth, CallError, Obstacle, Pkce, RequestToken, SCOPES, UncertainBecause};

fn callback() -> Url {
    "https://hooks.example/oauth/callback?link=1"
        .parse()
        .unwrap()
}

fn request_token() -> RequestToken {
    RequestToken {
        token: "request-token".to_owned(),
        secret: "request-secret".into(),
    }
}

fn pkce() -> Pkce {
    Pkce::of("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".into())
}

/// Whether a request bears the signature that it has to, over everything that is to be signed.
pub(super) fn assert_signed(
    bench: &Bench,
    request: &Recorded,
    app: &App,
    token: Option<&AccessToken>,
) {
    let header = request.header("authorization");
    let said = said(header);
    let own = [
        "oauth_consumer_key",
        "oauth_nonce",
        "oauth_signature_method",
        "oauth_timestamp",
        "oauth_token",
        "oauth_version",
        "oauth_signature",
    ];
    let more = said.iter().map(|(name, value)| (&**name, &**value));
    let more: Vec<_> = more.filter(|(name, _)| !own.contains(name)).collect();
    let signer = Signer {
        consumer_key: &app.consumer_key,
        consumer_secret: &app.consumer_secret,
        token,
        more: &more,
    };
    let once = Once {
        nonce: value(&said, "oauth_nonce").unwrap().to_owned(),
        at: bench.now.lock().unwrap().to_owned(),
    };
    let form = match request.header("content-type") {
        "application/x-www-form-urlencoded" => request.form(),
        _ => Vec::new(),
    };
    let parameters = request.query.iter().chain(&form);
    let parameters: Vec<_> = parameters.map(|(name, it)| (&**name, &**it)).collect();
    let url = bench.x.url.join(&request.path).unwrap();
    let method = request.method.parse().unwrap();
    let again = signer.authorization(&method, &url, &parameters, &once);
    assert_eq!(header, again.expose_secret());
}

/// The parameters of an OAuth 1.0a header.
fn said(header: &str) -> Vec<(String, String)> {
    let pair = |it: &str| {
        let (name, value) = it.split_once('=').unwrap();
        let value = percent_decode_str(value.trim_matches('"'));
        (name.to_owned(), value.decode_utf8().unwrap().into_owned())
    };
    let pairs = header.strip_prefix("OAuth ").unwrap();
    pairs.split(", ").map(pair).collect()
}

fn value<'s>(said: &'s [(String, String)], wanted: &str) -> Option<&'s str> {
    let found = said.iter().find(|(name, _)| name == wanted);
    found.map(|(_, value)| &**value)
}

#[tokio::test]
async fn the_first_leg_shows_the_callback_and_no_token() {
    let answer = "oauth_token=Z6eEdO8MOmk394WozF5oKyuAv855l4Mlqo7hhlSLik&oauth_token_secret=Kd75W4OQfb2oJTV0vzGzeXftVAwgMnEK9wumzYcM&oauth_callback_confirmed=true";
    let bench = Bench::new([Act::ok(answer)]).await;
    let reply = bench.client.request_token(&bench.app, &callback()).await;
    let token = reply.result.unwrap();
    assert_eq!(token.token, "Z6eEdO8MOmk394WozF5oKyuAv855l4Mlqo7hhlSLik");
    assert_eq!(
        token.secret.expose_secret(),
        "Kd75W4OQfb2oJTV0vzGzeXftVAwgMnEK9wumzYcM"
    );
    let request = bench.x.only();
    let said = said(request.header("authorization"));
    assert_eq!(value(&said, "oauth_callback"), Some(callback().as_str()));
    assert_eq!(value(&said, "oauth_token"), None);
    assert_signed(&bench, &request, &bench.app, None);
}

#[tokio::test]
async fn a_callback_that_x_does_not_confirm_begins_nothing() {
    for answer in [
        "oauth_token=t&oauth_token_secret=s&oauth_callback_confirmed=false",
        "oauth_token=t&oauth_token_secret=s",
        "oauth_token=&oauth_token_secret=s&oauth_callback_confirmed=true",
        "",
        "<html>",
    ] {
        let bench = Bench::new([Act::ok(answer)]).await;
        let reply = bench.client.request_token(&bench.app, &callback()).await;
        let error = reply.result.unwrap_err();
        let CallError::Uncertain { reason, .. } = &error else {
            panic!("{error:?}");
        };
        assert_eq!(*reason, UncertainBecause::NoResult, "{answer}");
    }
}

#[tokio::test]
async fn the_last_leg_is_signed_with_the_first_ones_secret() {
    let answer = "oauth_token=6253282-eWudHldSbIaelX7swmsiHImEL4KinwaGloHANdrY&oauth_token_secret=2EEfA6BG5ly3sR3XjE0IBSnlQu4ZrUzPiYTmrkVU&user_id=6253282&screen_name=xapi";
    let bench = Bench::new([Act::ok(answer)]).await;
    let reply = bench
        .client
        .access_token(&bench.app, &request_token(), "verifier+1")
        .await;
    let linked = reply.result.unwrap();
    assert_eq!(
        (linked.user.to_string(), &*linked.screen_name),
        ("6253282".to_owned(), "xapi")
    );
    assert_eq!(
        linked.token.secret.expose_secret(),
        "2EEfA6BG5ly3sR3XjE0IBSnlQu4ZrUzPiYTmrkVU"
    );
    let request = bench.x.only();
    let said = said(request.header("authorization"));
    assert_eq!(value(&said, "oauth_verifier"), Some("verifier+1"));
    let pair = AccessToken {
        token: "request-token".into(),
        secret: "request-secret".into(),
    };
    assert_signed(&bench, &request, &bench.app, Some(&pair));
}

#[tokio::test]
async fn people_are_asked_where_the_base_url_says() {
    let bench = Bench::new([]).await;
    let client = &bench.client;
    let at_x = super::super::testing::client(
        &"https://api.x.com".parse().unwrap(),
        std::time::Duration::from_secs(1),
        bench.vault.clone(),
        bench.now.clone(),
        bench.tasks.clone(),
    );
    let base = bench.x.url.as_str();
    let here = client.authorize_url(&request_token(), None).unwrap();
    assert_eq!(
        here.as_str(),
        format!("{base}oauth/authorize?oauth_token=request-token")
    );
    let there = at_x.authorize_url(&request_token(), Some("acme")).unwrap();
    assert_eq!(
        there.as_str(),
        "https://api.x.com/oauth/authorize?oauth_token=request-token&force_login=true&screen_name=acme"
    );
    let ask = |client: &crate::x::client::Client| {
        let url = client.oauth2_authorize_url(&bench.app, &callback(), &SCOPES, "s&1", &pkce());
        url.unwrap()
    };
    let (here, there) = (ask(client), ask(&at_x));
    assert!(
        here.as_str()
            .starts_with(&format!("{base}i/oauth2/authorize?"))
    );
    assert!(
        there
            .as_str()
            .starts_with("https://x.com/i/oauth2/authorize?")
    );
    assert_eq!(here.query(), there.query());
    insta::assert_snapshot!(there.query().unwrap().replace('&', "\n"));
}

#[tokio::test]
async fn a_code_becomes_a_pair_that_nothing_here_keeps() {
    let answer = json!({"token_type": "bearer", "expires_in": 7200, "access_token": "access-9", "refresh_token": "refresh-9", "scope": "tweet.read offline.access"});
    let bench = Bench::new([Act::ok(answer)]).await;
    let reply = bench
        .client
        .exchange_code(&bench.app, "the-code", &callback(), &pkce())
        .await;
    let pair = reply.result.unwrap();
    assert_eq!(pair.access_token.expose_secret(), "access-9");
    assert_eq!(pair.refresh_token.expose_secret(), "refresh-9");
    assert_eq!(pair.expires_at, "2026-09-01T14:00:00Z".parse().unwrap());
    assert_eq!(pair.scopes, "tweet.read offline.access");
    assert!(bench.vault.saved.lock().unwrap().is_empty());
    let request = bench.x.only();
    assert!(request.header("authorization").starts_with("Basic "));
    let form = request.form();
    let field = |wanted: &str| value(&form, wanted);
    assert_eq!(field("code"), Some("the-code"));
    assert_eq!(field("redirect_uri"), Some(callback().as_str()));
    assert_eq!(
        field("code_verifier"),
        Some("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")
    );
    assert_eq!(field("client_id"), None);
}

#[tokio::test]
async fn a_public_client_names_itself() {
    let answer = json!({"access_token": "a", "refresh_token": "r"});
    let mut bench = Bench::new([Act::ok(answer), Act::ok(json!({"revoked": true}))]).await;
    bench.app.client_secret = None;
    let client = &bench.client;
    let pair = client
        .exchange_code(&bench.app, "the-code", &callback(), &pkce())
        .await;
    let pair = pair.result.unwrap();
    let revoked = client.revoke_token(&bench.app, &pair.refresh_token).await;
    revoked.result.unwrap();
    for request in bench.x.recorded() {
        assert_eq!(request.header("authorization"), "");
        let named = ("client_id".to_owned(), "client-id".to_owned());
        assert!(request.form().contains(&named));
    }
    bench.app.client_id = None;
    let unknown = client.revoke_token(&bench.app, &pair.refresh_token).await;
    assert!(matches!(unknown.result, Err(CallError::NotSent { .. })));
}

/// It would end after two hours: the caller has to know its access token to end it at once.
#[tokio::test]
async fn a_pair_without_a_refresh_token_says_so() {
    let bench = Bench::new([Act::ok(json!({"access_token": "a", "expires_in": 7200}))]).await;
    let reply = bench
        .client
        .exchange_code(&bench.app, "the-code", &callback(), &pkce())
        .await;
    let pair = reply.result.unwrap();
    assert_eq!(pair.access_token.expose_secret(), "a");
    assert_eq!(pair.refresh_token.expose_secret(), "");
}

#[tokio::test]
async fn whose_token_it_is_can_be_asked_before_anything_is_stored() {
    let own = json!({"data": {"id": "7", "username": "ann"}});
    let bench = Bench::new([Act::ok(own)]).await;
    let access_token = "fresh".into();
    let auth = Auth::Linking {
        app: &bench.app,
        access_token: &access_token,
    };
    let me = bench.client.me(auth).await.result.unwrap();
    assert_eq!(me.person.username, "ann");
    assert_eq!(bench.x.only().header("authorization"), "Bearer fresh");
}

#[tokio::test]
async fn no_secret_of_a_link_is_shown() {
    let answer = "oauth_token=t&oauth_token_secret=top-secret&user_id=7&screen_name=ann&oauth_callback_confirmed=true";
    let pair = json!({"access_token": "top-secret", "refresh_token": "top-secret"});
    let bench = Bench::new([Act::ok(answer), Act::ok(answer), Act::ok(pair)]).await;
    let client = &bench.client;
    let begun = client.request_token(&bench.app, &callback()).await;
    let linked = client.access_token(&bench.app, &request_token(), "v").await;
    let pair = client
        .exchange_code(&bench.app, "c", &callback(), &pkce())
        .await;
    assert!(begun.result.is_ok() && linked.result.is_ok() && pair.result.is_ok());
    let shown = format!(
        "{begun:?} {linked:?} {pair:?} {:?} {:?}",
        pkce(),
        request_token()
    );
    for secret in ["top-secret", "request-secret", "dBjftJeZ"] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
}

#[tokio::test]
async fn a_link_that_x_refuses_says_what_to_mend() {
    let xml = "<?xml version='1.0' encoding='UTF-8'?><errors><error code=\"415\">Callback URL not approved for this client application. Approved callback URLs can be adjusted in your application settings</error></errors>";
    let oob = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<hash>\n  <error>Desktop applications only support the oauth_callback value 'oob'</error>\n  <request>/oauth/request_token</request>\n</hash>";
    let coded =
        |code: u32, words: &str| json!({"errors": [{"code": code, "message": words}]}).to_string();
    let late = coded(135, "Timestamp out of bounds.");
    let unknown = coded(32, "Could not authenticate you.");
    for (status, body, expected) in [
        (403, xml, Obstacle::CallbackNotApproved),
        (401, oob, Obstacle::CallbackNotApproved),
        (403, &coded(417, "no"), Obstacle::CallbackNotApproved),
        (401, &late, Obstacle::ClockOff),
        (401, &unknown, Obstacle::ConsumerPair),
        (
            401,
            "Failed to validate oauth signature and token",
            Obstacle::ConsumerPair,
        ),
    ] {
        let bench = Bench::new([Act::status(status, body)]).await;
        let reply = bench.client.request_token(&bench.app, &callback()).await;
        assert_eq!(reply.obstacle(), Some(expected), "{body}");
    }
    let bench = Bench::new([Act::status(403, xml)]).await;
    let reply = bench.client.request_token(&bench.app, &callback()).await;
    let words = reply.result.unwrap_err().upstream().cloned().unwrap();
    assert_eq!(words.code, Some(415));
    assert!(words.detail.ends_with("in your application settings"));
}

#[tokio::test]
async fn a_code_or_verifier_that_is_spent_is_told_from_wrong_keys() {
    let spent = json!({"error": "invalid_request", "error_description": "Value passed for the authorization code was invalid."});
    let client = json!({"error": "unauthorized_client", "error_description": "Missing valid authorization header"});
    for (status, body, expected) in [
        (400, spent, Obstacle::LinkExpired),
        (401, client, Obstacle::ClientPair),
    ] {
        let bench = Bench::new([Act::status(status, &body)]).await;
        let reply = bench
            .client
            .exchange_code(&bench.app, "c", &callback(), &pkce())
            .await;
        assert_eq!(reply.obstacle(), Some(expected), "{body}");
    }
    let bench = Bench::new([Act::status(401, "Reverse auth credentials are invalid")]).await;
    let reply = bench
        .client
        .access_token(&bench.app, &request_token(), "v")
        .await;
    assert_eq!(reply.obstacle(), Some(Obstacle::LinkExpired));
}
