//! Tokens of programs and people: made, shown once, revoked.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Path};
use askama::Template;
use jiff::Timestamp;
use secrecy::ExposeSecret;

use super::fields::Fields;
use super::page::{Refused, Shell, Visit, go, html_with};
use super::words::When;
use crate::domain::access::{Role, TokenName};
use crate::flow::access;
use crate::http::api::Api;

struct Row {
    name: String,
    role: &'static str,
    created_at: When,
}

/// A token just made.
struct Made {
    name: String,
    token: String,
}

#[derive(Template)]
#[template(path = "console/tokens.html")]
struct TokensPage {
    shell: Shell,
    rows: Vec<Row>,
    made: Option<Made>,
    fault: Option<String>,
    name: String,
}

async fn page(
    api: &Api,
    visit: &Visit,
    made: Option<Made>,
    fault: Option<(String, String)>,
) -> Result<HttpResponse, Refused> {
    let tokens = access::tokens(&api.store).await?;
    let (status, name, fault) = match fault {
        Some((name, fault)) => (StatusCode::BAD_REQUEST, name, Some(fault)),
        None => (StatusCode::OK, String::new(), None),
    };
    let page = TokensPage {
        rows: tokens
            .into_iter()
            .map(|token| Row {
                name: token.name.to_string(),
                role: token.role.name(),
                created_at: When(token.created_at),
            })
            .collect(),
        made,
        fault,
        name,
        shell: visit.shell("tokens"),
    };
    Ok(html_with(status, &page))
}

pub(super) async fn list(api: Data<Api>, visit: Visit) -> Result<HttpResponse, Refused> {
    page(&api, &visit, None, None).await
}

/// Makes one, and shows it this once.
pub(super) async fn create(
    api: Data<Api>,
    visit: Visit,
    fields: Fields,
) -> Result<HttpResponse, Refused> {
    let raw = fields.text("name");
    let name = match raw.parse::<TokenName>() {
        Ok(name) => name,
        Err(error) => {
            let fault = (raw.to_owned(), error.to_string());
            return page(&api, &visit, None, Some(fault)).await;
        }
    };
    let Ok(role) = fields.text("role").parse::<Role>() else {
        let fault = (raw.to_owned(), "choose a role".to_owned());
        return page(&api, &visit, None, Some(fault)).await;
    };
    let (who, now) = (visit.actor.clone(), Timestamp::now());
    match access::create_token(&api.store, name.clone(), role, who, now).await? {
        Some(token) => {
            let made = Made {
                name: name.to_string(),
                token: token.expose_secret().to_owned(),
            };
            page(&api, &visit, Some(made), None).await
        }
        None => {
            let fault = "there is a token of this name already; revoke it first";
            page(&api, &visit, None, Some((raw.to_owned(), fault.to_owned()))).await
        }
    }
}

/// Revokes one, with the logins that it opened.
pub(super) async fn revoke(
    api: Data<Api>,
    visit: Visit,
    name: Path<String>,
) -> Result<HttpResponse, Refused> {
    let name: TokenName = name
        .parse()
        .map_err(|_unread| Refused::not_found("token"))?;
    match access::revoke_token(&api.store, name, visit.actor, Timestamp::now()).await? {
        true => Ok(go("/tokens?done=revoked")),
        false => Err(Refused::not_found("token")),
    }
}
