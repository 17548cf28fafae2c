//! Links at which accounts are linked: one to follow now, one to send to an account's owner.

use actix_web::HttpResponse;
use actix_web::web::Data;
use askama::Template;
use jiff::Timestamp;

use super::fields::Fields;
use super::page::{Refused, Shell, Visit, html, own_path};
use super::words::When;
use crate::flow::link::{Kind, LinkError, Offered, Order};
use crate::http::api::Api;
use crate::http::api::problem::Problem;

#[derive(Template)]
#[template(path = "console/offered.html")]
struct OfferedPage {
    shell: Shell,
    url: String,
    expires_at: When,
    /// For somebody else.
    invited: bool,
    username: String,
}

fn kind(fields: &Fields) -> Kind {
    match fields.text("kind") {
        "oauth2" => Kind::OAuth2,
        _ => Kind::OAuth1,
    }
}

fn page(visit: &Visit, offered: Offered, invited: bool, username: &str) -> HttpResponse {
    html(&OfferedPage {
        url: offered.url.into(),
        expires_at: When(offered.expires_at),
        invited,
        username: username.trim_start_matches('@').to_owned(),
        shell: visit.shell("accounts"),
    })
}

/// A link for the administrator's own browser. It is shown, not gone to: a form may lead to our own
/// pages only.
pub(super) async fn begin(
    api: Data<Api>,
    visit: Visit,
    fields: Fields,
) -> Result<HttpResponse, Refused> {
    let username = fields.text("username");
    let order = Order {
        app: fields.text("app").to_owned(),
        kind: kind(&fields),
        username: (!username.is_empty()).then(|| username.to_owned()),
        by: visit.actor.clone(),
        back: Some(match fields.text("next") {
            "" => "/accounts".to_owned(),
            next => own_path(next).to_owned(),
        }),
    };
    let offered = api.linker.offer(order, Timestamp::now()).await;
    Ok(page(&visit, offered.map_err(refused)?, false, username))
}

/// A link for the owner of the account.
pub(super) async fn invite(
    api: Data<Api>,
    visit: Visit,
    fields: Fields,
) -> Result<HttpResponse, Refused> {
    let (app, username) = (fields.text("app"), fields.text("username"));
    let (by, now) = (visit.actor.clone(), Timestamp::now());
    let offered = api
        .linker
        .invite(app, kind(&fields), username, by, now)
        .await;
    Ok(page(&visit, offered.map_err(refused)?, true, username))
}

/// With the step at which it failed.
fn refused(error: LinkError) -> Refused {
    let step = error.step();
    let mut problem = Problem::from(error);
    problem.detail = format!("While {step}: {}", problem.detail);
    Refused(problem)
}
