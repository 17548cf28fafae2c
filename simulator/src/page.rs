//! The web page: who is there, what happened, what was delivered, and buttons for more.

use std::fmt::Write as _;

use actix_web::HttpResponse;
use actix_web::http::header::LOCATION;
use actix_web::web::{Data, Form, Path};

use crate::actions::{self, Action, Request};
use crate::api::TokenSeen;
use crate::model::{
    DirectMessage, Media, Post, PostId, Subscription, User, UserId, Webhook, World,
};
use crate::record::{AttemptResult, Delivery};
use crate::simulator::Simulator;

const STYLE: &str = include_str!("page.css");
/// So many rows of each list.
const ROWS: usize = 20;

pub(crate) async fn show(simulator: Data<Simulator>) -> HttpResponse {
    let deliveries = simulator.deliveries();
    let tokens = simulator.all_tokens();
    let page = {
        let world = simulator.world().lock();
        render(&world, &deliveries, &tokens)
    };
    HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .body(page)
}

/// Does what a button says, then shows the page again.
pub(crate) async fn act(
    simulator: Data<Simulator>,
    action: Path<Action>,
    request: Form<Request>,
) -> HttpResponse {
    match actions::run(&simulator, *action, &request).await {
        Ok(_) => HttpResponse::SeeOther()
            .insert_header((LOCATION, "/"))
            .finish(),
        Err(error) => HttpResponse::BadRequest()
            .content_type("text/html; charset=utf-8")
            .body(document(&format!(
                "<p class=fault>{}</p><p><a href=/>Back</a></p>",
                escape(&error.to_string())
            ))),
    }
}

fn render(world: &World, deliveries: &[Delivery], tokens: &[TokenSeen]) -> String {
    let sections = [
        section("Make something happen", &forms(world)),
        section("Apps", &apps(world)),
        section("Webhooks", &webhooks(world)),
        section("Subscriptions", &subscriptions(world)),
        section("Tokens", &token_table(world, tokens)),
        section("Deliveries", &delivery_table(world, deliveries)),
        section("Posts", &posts(world)),
        section("Messages", &messages(world)),
        section("People", &users(world)),
    ];
    document(&sections.concat())
}

pub(crate) fn document(body: &str) -> String {
    format!(
        "<!doctype html><html lang=en><meta charset=utf-8><title>X on this machine</title>\
         <meta name=viewport content=\"width=device-width\"><link rel=icon href=\"data:,\">\
         <style>{STYLE}</style><main><h1>X on this machine</h1>{body}</main></html>"
    )
}

fn section(title: &str, content: &str) -> String {
    // What is too wide for a phone is scrolled, by keys as well.
    format!(
        "<section><h2>{title}</h2><div tabindex=0 role=group aria-label=\"{title}\">{content}</div></section>"
    )
}

/// One form for each thing a customer does.
fn forms(world: &World) -> String {
    let from_to = from_to(world);
    let text = |of: &str| {
        format!("<input name=text placeholder=Text aria-label=\"text of the {of}\" required>")
    };
    let photo = "<label><input type=checkbox name=photo> photo</label>";
    let with_photo = "<label><input type=checkbox name=photo checked> photo</label>";
    let parent = "<input name=post placeholder=\"Post id (else the newest)\">";
    [
        form(
            "mention",
            "Customer mentions us",
            &format!("{from_to}{}{photo}", text("mention")),
        ),
        form(
            "reply",
            "Customer replies",
            &format!("{from_to}{parent}{}{photo}", text("reply")),
        ),
        form(
            "direct_message",
            "Customer writes a message",
            &format!("{from_to}{}{with_photo}", text("message")),
        ),
        form(
            "chat_message",
            "Customer writes an encrypted message",
            &from_to,
        ),
    ]
    .concat()
}

/// Customers write, subscribed accounts are written to; all are on offer both ways.
fn from_to(world: &World) -> String {
    let (accounts, customers): (Vec<&User>, Vec<&User>) =
        world.users().partition(|user| world.is_subscribed(user.id));
    let options = |first: &[&User], then: &[&User]| -> String {
        let people = first.iter().chain(then);
        people.map(|user| option(&user.username)).collect()
    };
    let from = options(&customers, &accounts);
    let to = options(&accounts, &customers);
    format!(
        "<label>from <select name=from>{from}</select></label>\
         <label>to <select name=to>{to}</select></label>"
    )
}

fn form(action: &str, button: &str, fields: &str) -> String {
    format!(
        "<form method=post action=\"/actions/{action}\">{fields}<button>{button}</button></form>"
    )
}

fn option(name: &str) -> String {
    format!("<option>{}</option>", escape(name))
}

fn hidden(name: &str, value: &str) -> String {
    format!(
        "<input type=hidden name={name} value=\"{}\">",
        escape(value)
    )
}

fn apps(world: &World) -> String {
    let rows = world.apps().map(|app| {
        let fields = hidden("app", &app.settings.name);
        let (state, switch) = match app.suspended {
            true => (
                "<span class=fault>suspended</span>",
                form("resume_app", "resume", &fields),
            ),
            false => ("open", form("suspend_app", "suspend", &fields)),
        };
        [
            escape(&app.settings.name),
            escape(&app.settings.developer),
            app.settings.permission.access_level().to_owned(),
            state.to_owned(),
            switch,
        ]
    });
    table(["Name", "Developer", "Level", "State", ""], rows)
}

fn webhooks(world: &World) -> String {
    let rows = world.webhooks().map(|webhook| {
        let fields = hidden("webhook", &webhook.id.to_string());
        let buttons = [
            form("webhook_check", "CRC check", &fields),
            form("webhook_invalid", "make invalid", &fields),
            form("webhook_deleted", "delete", &fields),
        ];
        let version = match (webhook.place.v2, &webhook.place.environment) {
            (true, None) => "v2".to_owned(),
            (true, Some(label)) => format!("v2, v1.1 {}", escape(label)),
            (false, label) => format!("v1.1 {}", escape(label.as_deref().unwrap_or_default())),
        };
        [
            webhook.id.to_string(),
            escape(&webhook.app),
            escape(&webhook.url),
            version,
            health(webhook),
            buttons.concat(),
        ]
    });
    table(["Id", "App", "URL", "In", "State", ""], rows)
}

fn health(webhook: &Webhook) -> String {
    let state = match webhook.valid {
        true => "valid",
        false => "<span class=fault>invalid</span>",
    };
    let report = webhook.last_crc.as_ref();
    match report.and_then(|report| report.failure.as_ref()) {
        Some(failure) => format!("{state}: {}", escape(&failure.to_string())),
        None => state.to_owned(),
    }
}

/// One row for each app and account; the events of X Activity are many.
fn subscriptions(world: &World) -> String {
    let mut pairs: Vec<(&str, UserId)> = world
        .subscriptions()
        .map(|kept| (&*kept.app, kept.user))
        .collect();
    pairs.dedup();
    let rows = pairs.into_iter().map(|(app, account)| {
        let user = world.user(account);
        let username = user.map_or_else(|_| account.to_string(), |user| user.username.clone());
        let fields = format!("{}{}", hidden("app", app), hidden("from", &username));
        [
            escape(app),
            format!("@{}", escape(&username)),
            subscribed_to(world.subscriptions_of(app, account)),
            form("subscription_lost", "lose all", &fields),
            revoke(world, app, account),
        ]
    });
    table(["App", "Account", "To", "", ""], rows)
}

fn subscribed_to(subscriptions: &[Subscription]) -> String {
    let items: String = subscriptions
        .iter()
        .map(|kept| {
            let what = kept
                .interest()
                .map_or(kept.form().name(), |interest| interest.event);
            let fields = hidden("subscription", &kept.id.to_string());
            let lose = form("subscription_lost", "lose", &fields);
            let place = match kept.webhook {
                Some(webhook) => format!("webhook {webhook}"),
                None => "stream only".to_owned(),
            };
            format!("<li>{what} <small>{} {place}</small> {lose}</li>", kept.id)
        })
        .collect();
    format!(
        "<details><summary>{} subscriptions</summary><ul>{items}</ul></details>",
        subscriptions.len()
    )
}

fn token_table(world: &World, tokens: &[TokenSeen]) -> String {
    let rows = tokens.iter().map(|token| {
        let level = token.permission.map_or_else(
            || token.scopes.join(" "),
            |level| level.access_level().to_owned(),
        );
        let (state, end) = match token.alive {
            true => ("alive", revoke(world, &token.app, token.user)),
            false => ("<span class=fault>dead</span>", String::new()),
        };
        [
            escape(&token.token),
            token.kind.to_owned(),
            escape(&token.app),
            named(world, token.user),
            escape(&level),
            state.to_owned(),
            end,
        ]
    });
    table(["Token", "Kind", "App", "User", "May", "State", ""], rows)
}

/// The button by which a user puts an app out.
fn revoke(world: &World, app: &str, account: UserId) -> String {
    let user = world.user(account);
    let username = user.map_or_else(|_| account.to_string(), |user| user.username.clone());
    let fields = format!("{}{}", hidden("app", app), hidden("from", &username));
    form(
        "revoke",
        &format!("revoke as @{}", escape(&username)),
        &fields,
    )
}

fn delivery_table(world: &World, deliveries: &[Delivery]) -> String {
    let rows = deliveries.iter().rev().take(ROWS).map(|delivery| {
        let account = delivery.account.and_then(|id| world.user(id).ok());
        [
            delivery.id.to_string(),
            escape(&delivery.app),
            account.map_or_else(String::new, name),
            delivery.form.map_or("", |form| form.name()).to_owned(),
            escape(&delivery.events.join(", ")),
            format!("{:?}", delivery.state),
            attempts(delivery),
            body(delivery),
        ]
    });
    table(
        [
            "#", "App", "For", "Form", "Events", "State", "Attempts", "Body",
        ],
        rows,
    )
}

fn attempts(delivery: &Delivery) -> String {
    let mut shown = String::new();
    for attempt in &delivery.attempts {
        let result = match &attempt.result {
            AttemptResult::Answered(status) => status.to_string(),
            AttemptResult::Failed(why) => escape(why),
            AttemptResult::Cut => "cut".to_owned(),
        };
        // Writing to a string cannot fail.
        let _ = write!(shown, "{result} ({} ms) ", attempt.took.as_millis());
    }
    shown
}

fn body(delivery: &Delivery) -> String {
    let text = escape(&String::from_utf8_lossy(&delivery.body));
    format!(
        "<details><summary>{} bytes</summary><pre>{text}</pre></details>",
        delivery.body.len()
    )
}

/// The newest threads, each from its first post on, answers below what they answer.
fn posts(world: &World) -> String {
    let mut threads: Vec<PostId> = Vec::new();
    for post in world.posts().rev().take(ROWS) {
        if !threads.contains(&post.conversation) {
            threads.push(post.conversation);
        }
    }
    let shown = threads.iter().map(|id| {
        let mut posts: Vec<&Post> = world.posts_in(*id).take(ROWS).collect();
        posts.reverse();
        let first = posts.iter().filter(|post| !is_below(post, &posts));
        let trees: String = first.map(|post| branch(world, post, &posts)).collect();
        format!("<ul>{trees}</ul>")
    });
    shown.collect()
}

fn is_below(post: &Post, posts: &[&Post]) -> bool {
    post.parent
        .is_some_and(|parent| posts.iter().any(|other| other.id == parent))
}

fn branch(world: &World, post: &Post, posts: &[&Post]) -> String {
    let answers = posts.iter().filter(|answer| answer.parent == Some(post.id));
    let below: String = answers.map(|answer| branch(world, answer, posts)).collect();
    let below = if below.is_empty() {
        below
    } else {
        format!("<ul>{below}</ul>")
    };
    format!(
        "<li><strong>{}</strong> {}{} <small>{}{}</small>{below}</li>",
        author(world, post),
        post_text(post),
        media_of(&post.media),
        post.id,
        by_api(post.source_app.as_ref())
    )
}

fn author(world: &World, post: &Post) -> String {
    world.user(post.author).map_or_else(|_| String::new(), name)
}

fn post_text(post: &Post) -> String {
    let text = match post.repost_of {
        Some(original) => format!("repost of {original}"),
        None => post.text.clone(),
    };
    let text = escape(&text);
    match (post.deleted, post.hidden) {
        (true, _) => format!("<del>{text}</del>"),
        (false, true) => format!("<i>hidden:</i> {text}"),
        (false, false) => text,
    }
}

fn media_of<'a>(media: impl IntoIterator<Item = &'a Media>) -> String {
    media
        .into_iter()
        .map(|medium| format!(" [{}]", medium.kind.name()))
        .collect()
}

/// What came from an app stands out from what people did by hand.
fn by_api(app: Option<&String>) -> String {
    app.map(|app| format!(" <mark>by API: {}</mark>", escape(app)))
        .unwrap_or_default()
}

/// The newest conversations, each from its oldest message on.
fn messages(world: &World) -> String {
    let mut pairs: Vec<(UserId, UserId)> = Vec::new();
    for message in world.messages().rev().take(ROWS) {
        let pair = (
            message.sender.min(message.recipient),
            message.sender.max(message.recipient),
        );
        if !pairs.contains(&pair) {
            pairs.push(pair);
        }
    }
    let shown = pairs.iter().map(|(one, other)| {
        let mut messages: Vec<&DirectMessage> =
            world.messages_between(*one, *other).take(ROWS).collect();
        messages.reverse();
        let rows: String = messages
            .iter()
            .map(|message| said(world, message))
            .collect();
        let (one, other) = (named(world, *one), named(world, *other));
        format!("<h3>{one} and {other}</h3><ul>{rows}</ul>")
    });
    shown.collect()
}

fn said(world: &World, message: &DirectMessage) -> String {
    let text = escape(&message.text);
    let text = if world.sees_message(message.sender, message) {
        text
    } else {
        format!("<del>{text}</del>")
    };
    format!(
        "<li><strong>{}</strong> {text}{} <small>{}{}</small></li>",
        named(world, message.sender),
        media_of(&message.media),
        message.id,
        by_api(message.source_app.as_ref())
    )
}

fn named(world: &World, user: UserId) -> String {
    world.user(user).map_or_else(|_| String::new(), name)
}

fn users(world: &World) -> String {
    let rows = world
        .users()
        .map(|user| [user.id.to_string(), name(user), escape(&user.name)]);
    table(["Id", "Name", "Display name"], rows)
}

fn name(user: &User) -> String {
    format!("@{}", escape(&user.username))
}

/// A table of cells that are HTML already.
fn table<const N: usize>(heads: [&str; N], rows: impl Iterator<Item = [String; N]>) -> String {
    let heads: String = heads
        .iter()
        .map(|head| match *head {
            "" => "<td></td>".to_owned(),
            head => format!("<th>{head}</th>"),
        })
        .collect();
    let rows: String = rows
        .map(|cells| {
            cells
                .iter()
                .map(|cell| format!("<td>{cell}</td>"))
                .collect::<String>()
        })
        .map(|cells| format!("<tr>{cells}</tr>"))
        .collect();
    format!("<table><tr>{heads}</tr>{rows}</table>")
}

pub(crate) fn escape(text: &str) -> String {
    crate::text::escape(text).replace('"', "&quot;")
}
