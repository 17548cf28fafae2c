//! Times for which X may have what is not here: listed, filled by hand, acknowledged where lost.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Path, Query};
use askama::Template;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use super::conversations::account_id;
use super::fields::Fields;
use super::page::{Refused, Shell, Visit, go, html_with};
use super::words::{When, handle};
use crate::flow::admin::AdminError;
use crate::flow::admin::gaps::{self, Wanted};
use crate::flow::rules::Rules;
use crate::http::api::Api;
use crate::store::{Gap, GapEnd, GapMethod, GapReason};

/// Gaps on a page.
const PAGE: usize = 50;

/// Which part of the list.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Listing {
    state: String,
    after: Option<u64>,
}

struct Row {
    id: u64,
    /// Which account, or app where it concerns all of its accounts.
    whose: String,
    from: When,
    until: When,
    reason: &'static str,
    state: String,
    class: &'static str,
    next_at: Option<When>,
    note: String,
}

impl Row {
    fn new(rules: &Rules, gap: Gap) -> Self {
        let (state, class) = state(&gap);
        Self {
            id: gap.id,
            whose: match gap.account {
                Some(id) => handle(rules, id),
                None => format!("App {}", gap.app),
            },
            from: When(gap.from),
            until: When(gap.until),
            reason: reason(gap.reason),
            state,
            class,
            next_at: gap.next_at.filter(|_| gap.closed.is_none()).map(When),
            note: gap.note,
        }
    }
}

fn state(gap: &Gap) -> (String, &'static str) {
    let by = |method| match method {
        GapMethod::Replay => "by X's replay",
        GapMethod::Reads => "by reading X's lists",
    };
    match (&gap.closed, gap.method) {
        (None, None) => ("open, not begun".to_owned(), "warn"),
        (None, Some(method)) => (format!("is being filled {}", by(method)), "warn"),
        (Some((_, GapEnd::Filled(method))), _) => (format!("filled {}", by(*method)), "good"),
        (Some((_, GapEnd::Lost)), _) => ("lost, in part at least".to_owned(), "bad"),
    }
}

fn reason(reason: GapReason) -> &'static str {
    match reason {
        GapReason::Refused => "Deliveries could not be taken in",
        GapReason::Downtime => "The service did not run",
        GapReason::ByHand => "Somebody asked for it",
        GapReason::Linking => "What came before the account was linked",
        GapReason::Undelivered => "X did not deliver",
    }
}

#[derive(Template)]
#[template(path = "console/gaps.html")]
struct ListPage {
    shell: Shell,
    rows: Vec<Row>,
    /// Of which something is lost that nobody has acknowledged, whichever part of the list is shown.
    lost: Vec<Row>,
    open: bool,
    next: Option<u64>,
    form: Form,
}

/// A time to fill, as entered.
#[derive(Default)]
struct Form {
    /// Value, words and whether it is chosen: an app, or an account of it.
    places: Vec<(String, String, bool)>,
    from: String,
    until: String,
    fault: String,
}

impl Form {
    fn new(rules: &Rules, now: Timestamp) -> Self {
        Self {
            places: places(rules, ""),
            from: written(now - SignedDuration::from_hours(1)),
            until: written(now),
            fault: String::new(),
        }
    }

    fn refused(rules: &Rules, fields: &Fields, fault: String) -> Self {
        Self {
            places: places(rules, fields.text("place")),
            from: fields.text("from").to_owned(),
            until: fields.text("to").to_owned(),
            fault,
        }
    }
}

fn places(rules: &Rules, chosen: &str) -> Vec<(String, String, bool)> {
    let mut places = Vec::new();
    let mut add = |value: String, words: String| {
        let is = value == chosen;
        places.push((value, words, is));
    };
    for app in rules.registry.apps() {
        add(
            app.name.clone(),
            format!("App {}: all its accounts", app.name),
        );
        for account in rules.registry.accounts_of(&app.name) {
            let value = format!("{}/{}", app.name, account.id);
            add(value, format!("@{} alone", account.username));
        }
    }
    places
}

/// As browsers write times, UTC.
fn written(at: Timestamp) -> String {
    TimeZone::UTC
        .to_datetime(at)
        .strftime("%Y-%m-%dT%H:%M")
        .to_string()
}

/// As browsers write times, UTC; or with a zone.
fn time(text: &str, of: &str) -> Result<Timestamp, AdminError> {
    if let Ok(at) = text.parse() {
        return Ok(at);
    }
    let read = text.parse::<DateTime>().ok();
    let read = read.and_then(|at| TimeZone::UTC.to_timestamp(at).ok());
    read.ok_or_else(|| {
        AdminError::Refused(format!(
            "`{of}` is no time: expected one as 2026-11-25T20:00, in UTC."
        ))
    })
}

async fn page(api: &Api, visit: &Visit, listing: Listing, form: Form) -> Result<ListPage, Refused> {
    let open = listing.state == "open";
    let found = gaps::list(&api.store, open, listing.after, PAGE).await?;
    let lost = api.store.read(|tx| tx.lost_gaps(Timestamp::MIN)).await?;
    let rules = api.rules.now();
    let rows = |gaps: Vec<Gap>| gaps.into_iter().map(|gap| Row::new(&rules, gap)).collect();
    Ok(ListPage {
        rows: rows(found.items),
        lost: rows(lost),
        open,
        next: found.next,
        form,
        shell: visit.shell("gaps"),
    })
}

pub(super) async fn list(
    api: Data<Api>,
    visit: Visit,
    listing: Query<Listing>,
) -> Result<HttpResponse, Refused> {
    let form = Form::new(&api.rules.now(), Timestamp::now());
    let page = page(&api, &visit, listing.into_inner(), form).await?;
    Ok(html_with(StatusCode::OK, &page))
}

/// Has a time filled.
pub(super) async fn fill(
    api: Data<Api>,
    visit: Visit,
    fields: Fields,
) -> Result<HttpResponse, Refused> {
    let (rules, now) = (api.rules.now(), Timestamp::now());
    let filled = match wanted(&fields) {
        Ok(wanted) => {
            gaps::fill(
                &api.store,
                &rules.registry,
                wanted,
                visit.actor.clone(),
                now,
            )
            .await
        }
        Err(error) => Err(error),
    };
    match filled {
        Ok(_gap) => Ok(go("/gaps?done=gap-opened")),
        Err(AdminError::Refused(why) | AdminError::NotFound(why)) => {
            let form = Form::refused(&rules, &fields, why);
            let page = page(&api, &visit, Listing::default(), form).await?;
            Ok(html_with(StatusCode::BAD_REQUEST, &page))
        }
        Err(error) => Err(error.into()),
    }
}

fn wanted(fields: &Fields) -> Result<Wanted, AdminError> {
    let place = fields.text("place");
    let (app, account) = place.split_once('/').unwrap_or((place, ""));
    let account = match account {
        "" => None,
        id => {
            let unknown = |_| AdminError::NotFound("There is no such account.".to_owned());
            Some(account_id(id).map_err(unknown)?)
        }
    };
    Ok(Wanted {
        app: app.to_owned(),
        account,
        from: time(fields.text("from"), "from")?,
        until: time(fields.text("to"), "to")?,
        reason: GapReason::ByHand,
    })
}

/// Ends the notice that something of one is lost.
pub(super) async fn acknowledge(
    api: Data<Api>,
    visit: Visit,
    id: Path<String>,
) -> Result<HttpResponse, Refused> {
    let id = id.parse().map_err(|_unread| Refused::not_found("gap"))?;
    gaps::acknowledge(&api.store, id, visit.actor, Timestamp::now()).await?;
    Ok(go("/gaps?done=gap-acknowledged"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_browsers_write_them() {
        let at: Timestamp = "2026-11-25T20:00:00Z".parse().unwrap();
        assert_eq!(written(at), "2026-11-25T20:00");
        for text in [
            "2026-11-25T20:00",
            "2026-11-25T20:00:00Z",
            "2026-11-25T21:00+01:00",
        ] {
            assert_eq!(time(text, "from").unwrap(), at, "{text}");
        }
        assert!(time("yesterday", "from").is_err());
    }
}
