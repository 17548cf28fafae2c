//! The web page: who is there, what happened, what was delivered, and buttons for more.

use std::fmt::Write as _;

use actix_web::HttpResponse;
use actix_web::http::header::LOCATION;
use actix_web::web::{Data, Form, Path};

use crate::actions::{self, Action, Request};
use crate::model::{App, DirectMessage, Post, User, World};
use crate::record::{AttemptResult, Delivery};
use crate::simulator::Simulator;

const STYLE: &str = include_str!("page.css");
/// So many rows of each list.
const ROWS: usize = 20;

pub(crate) async fn show(simulator: Data<Simulator>) -> HttpResponse {
    let deliveries = simulator.deliveries();
    let page = {
        let world = simulator.world().lock();
        render(&world, &deliveries)
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

fn render(world: &World, deliveries: &[Delivery]) -> String {
    let sections = [
        section("Make something happen", &forms(world)),
        section("Apps", &apps(world)),
        section("Deliveries", &delivery_table(world, deliveries)),
        section("Posts", &posts(world)),
        section("Messages", &messages(world)),
        section("People", &users(world)),
    ];
    document(&sections.concat())
}

fn document(body: &str) -> String {
    format!(
        "<!doctype html><html lang=en><meta charset=utf-8><title>X on this machine</title>\
         <meta name=viewport content=\"width=device-width\"><style>{STYLE}</style>\
         <h1>X on this machine</h1>{body}</html>"
    )
}

fn section(title: &str, content: &str) -> String {
    format!("<section><h2>{title}</h2>{content}</section>")
}

/// One form for each thing a customer does.
fn forms(world: &World) -> String {
    let from_to = from_to(world);
    let text = "<input name=text placeholder=\"Text\" required>";
    let photo = "<label><input type=checkbox name=photo> photo</label>";
    let with_photo = "<label><input type=checkbox name=photo checked> photo</label>";
    let parent = "<input name=post placeholder=\"Post id (else the newest)\">";
    [
        form(
            "mention",
            "Customer mentions us",
            &format!("{from_to}{text}{photo}"),
        ),
        form(
            "reply",
            "Customer replies",
            &format!("{from_to}{parent}{text}{photo}"),
        ),
        form(
            "direct_message",
            "Customer writes a message",
            &format!("{from_to}{text}{with_photo}"),
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
        [
            escape(&app.settings.name),
            escape(&app.settings.webhook),
            health(app),
            form("crc", "CRC check", &hidden("app", &app.settings.name)),
            revoke_buttons(world, app),
        ]
    });
    table(["Name", "Webhook", "State", "", "Accounts"], rows)
}

fn health(app: &App) -> String {
    let state = if app.valid {
        "valid"
    } else {
        "<span class=fault>invalid</span>"
    };
    let failure = app
        .last_crc
        .as_ref()
        .and_then(|report| report.failure.as_ref());
    match failure {
        Some(failure) => format!("{state}: {}", escape(&failure.to_string())),
        None => state.to_owned(),
    }
}

fn revoke_buttons(world: &World, app: &App) -> String {
    let mut accounts: Vec<&str> = Vec::new();
    for form in &app.settings.forms {
        let subscribers = world.subscribers(&app.settings.name, *form);
        accounts.extend(subscribers.map(|user| user.username.as_str()));
    }
    accounts.sort_unstable();
    accounts.dedup();
    let button = |name: &&str| {
        let fields = format!(
            "{}{}",
            hidden("app", &app.settings.name),
            hidden("from", name)
        );
        form("revoke", &format!("revoke as @{}", escape(name)), &fields)
    };
    accounts.iter().map(button).collect()
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

fn posts(world: &World) -> String {
    let rows = world.posts().rev().take(ROWS).map(|post| {
        [
            post.id.to_string(),
            author(world, post),
            post.parent
                .map(|id| format!("reply to {id}"))
                .unwrap_or_default(),
            post_text(post),
        ]
    });
    table(["Id", "Author", "", "Text"], rows)
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
    if post.deleted {
        format!("<del>{text}</del>")
    } else {
        text
    }
}

fn messages(world: &World) -> String {
    let rows = world.messages().rev().take(ROWS).map(|message| {
        let name = |id| world.user(id).map_or_else(|_| String::new(), name);
        [
            message.id.to_string(),
            name(message.sender),
            name(message.recipient),
            message_text(message),
        ]
    });
    table(["Id", "From", "To", "Text"], rows)
}

fn message_text(message: &DirectMessage) -> String {
    let media = message
        .media
        .as_ref()
        .map(|media| format!(" [{}]", media.kind.name()));
    format!("{}{}", escape(&message.text), media.unwrap_or_default())
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
        .map(|head| format!("<th>{head}</th>"))
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

fn escape(text: &str) -> String {
    crate::text::escape(text).replace('"', "&quot;")
}
