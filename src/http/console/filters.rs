//! Filters of an account, tried before they are saved; and why one message went where it went.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Path, Query};
use askama::Template;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::conversations::{account_id, choices};
use super::fields::{Fields, put, put_number};
use super::page::{Refused, Shell, Visit, go, html, html_with};
use super::words::When;
use crate::domain::ids::AccountId;
use crate::flow::dry_run::{self, Trial, Verdict};
use crate::flow::registry::{ChangeError, Table};
use crate::http::api::Api;
use crate::http::api::problem::{Kind, Problem};
use crate::settings::{SettingsFaults, written};

/// Messages of a dry run that are listed.
const TRIED: usize = 100;
/// Longest time of a dry run, hours.
const MOST_HOURS: i64 = 30 * 24;

/// A filter in a line.
struct Row {
    place: usize,
    name: String,
    matches: String,
    group: String,
    tags: String,
    conditions: Vec<String>,
}

fn text(table: &Table, key: &str) -> String {
    match table.get(key) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        _ => String::new(),
    }
}

fn is(table: &Table, key: &str) -> bool {
    table.get(key).and_then(Value::as_bool).unwrap_or(false)
}

fn match_words(table: &Table) -> String {
    match text(table, "match").as_str() {
        "direct_messages" => "Direct messages".to_owned(),
        "mentions" if is(table, "explicit_only") => "Mentions written out".to_owned(),
        "mentions" => "Mentions".to_owned(),
        "replies" => "Replies to the account".to_owned(),
        "quotes" => "Quotes of the account".to_owned(),
        "term" => format!("Posts with “{}”", text(table, "term")),
        other => other.to_owned(),
    }
}

fn tags(table: &Table) -> String {
    let tags = table.get("tags").and_then(Value::as_array);
    let tags = tags.into_iter().flatten().filter_map(Value::as_str);
    tags.collect::<Vec<_>>().join(", ")
}

fn storm(table: &Table) -> (String, String) {
    let storm = table.get("storm").and_then(Value::as_object);
    let storm = storm.cloned().unwrap_or_default();
    (text(&storm, "messages"), text(&storm, "per"))
}

fn conditions(table: &Table) -> Vec<String> {
    let mut found = Vec::new();
    let mut add = |applies: bool, words: String| found.extend(applies.then_some(words));
    add(is(table, "reposts"), "reposts too".to_owned());
    add(is(table, "own"), "own accounts too".to_owned());
    add(is(table, "verified"), "verified authors only".to_owned());
    let followers = text(table, "min_followers");
    add(
        !["", "0"].contains(&&*followers),
        format!("at least {followers} followers"),
    );
    let age = text(table, "min_account_age");
    add(!age.is_empty(), format!("accounts older than {age}"));
    let no_requests = table.get("message_requests") == Some(&Value::Bool(false));
    add(no_requests, "no message requests".to_owned());
    let (messages, per) = storm(table);
    add(
        !messages.is_empty(),
        format!("storm beyond {messages} in {per}"),
    );
    found
}

fn row(place: usize, table: &Table) -> Row {
    let name = text(table, "name");
    Row {
        place,
        matches: match_words(table),
        name: if name.is_empty() {
            match_words(table)
        } else {
            name
        },
        group: text(table, "group"),
        tags: tags(table),
        conditions: conditions(table),
    }
}

/// Tells whether somebody else has changed the list meanwhile.
fn version(list: &[Table]) -> String {
    let written = serde_json::to_vec(list).unwrap_or_default();
    let hash = Sha256::digest(written);
    hash.iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[derive(Template)]
#[template(path = "console/filters.html")]
struct ListPage {
    shell: Shell,
    account: String,
    handle: String,
    declared: Vec<Row>,
    rows: Vec<Row>,
    version: String,
    /// Filters can be saved for it.
    confirmed: bool,
}

async fn known(api: &Api, id: AccountId) -> Result<String, Refused> {
    let rules = api.rules.now();
    if let Some(account) = rules.registry.account(id.0) {
        return Ok(format!("@{}", account.username));
    }
    let linked = api.directory.linked_account(id).await?;
    let account = linked.ok_or_else(|| Refused::not_found("account"))?;
    Ok(format!("@{}", account.username))
}

fn declared(api: &Api, id: AccountId) -> Vec<Table> {
    let declared = api.directory.declared().filters.iter();
    let own = declared.filter(|filter| filter.account == id);
    own.map(written::filter).collect()
}

fn rows(list: &[Table]) -> Vec<Row> {
    list.iter()
        .enumerate()
        .map(|(place, table)| row(place, table))
        .collect()
}

pub(super) async fn list(
    api: Data<Api>,
    visit: Visit,
    id: Path<String>,
) -> Result<HttpResponse, Refused> {
    let id = account_id(&id)?;
    let handle = known(&api, id).await?;
    let made = api.directory.made_filters(id).await?;
    let page = ListPage {
        account: id.to_string(),
        handle,
        declared: rows(&declared(&api, id)),
        version: version(&made),
        rows: rows(&made),
        confirmed: api.rules.now().registry.account(id.0).is_some(),
        shell: visit.shell("accounts"),
    };
    Ok(html(&page))
}

/// The fields of a filter, as texts.
#[derive(Clone, Debug, Default)]
struct FilterForm {
    matches: String,
    term: String,
    explicit_only: bool,
    name: String,
    group: String,
    tags: String,
    reposts: bool,
    own: bool,
    verified: bool,
    min_followers: String,
    min_account_age: String,
    message_requests: bool,
    storm_messages: String,
    storm_per: String,
    faults: Vec<(String, String)>,
}

impl FilterForm {
    fn of(table: &Table) -> Self {
        let (storm_messages, storm_per) = storm(table);
        let followers = text(table, "min_followers");
        Self {
            matches: text(table, "match"),
            term: text(table, "term"),
            explicit_only: is(table, "explicit_only"),
            name: text(table, "name"),
            group: text(table, "group"),
            tags: tags(table),
            reposts: is(table, "reposts"),
            own: is(table, "own"),
            verified: is(table, "verified"),
            min_followers: if followers == "0" {
                String::new()
            } else {
                followers
            },
            min_account_age: text(table, "min_account_age"),
            message_requests: table.get("message_requests") != Some(&Value::Bool(false)),
            storm_messages,
            storm_per,
            faults: Vec::new(),
        }
    }

    fn is_match(&self, word: &str) -> bool {
        self.matches == word
    }

    fn fault(&self, key: &str) -> Option<&str> {
        let found = self.faults.iter().find(|(of, _)| of == key);
        found.map(|(_, expected)| expected.as_str())
    }
}

/// The form as keys of `[[filters]]`.
fn table(fields: &Fields) -> Table {
    let mut table = Table::new();
    for key in ["match", "name", "group", "min_account_age"] {
        put(&mut table, key, fields.text(key));
    }
    let matches = fields.text("match");
    if matches == "term" {
        table.insert("term".to_owned(), fields.text("term").into());
    }
    if matches == "mentions" {
        table.insert(
            "explicit_only".to_owned(),
            fields.has("explicit_only").into(),
        );
    }
    for key in ["reposts", "own", "verified", "message_requests"] {
        table.insert(key.to_owned(), fields.has(key).into());
    }
    put_number(&mut table, "min_followers", fields.text("min_followers"));
    table.insert("tags".to_owned(), tag_list(fields.raw("tags")).into());
    let (messages, per) = (fields.text("storm_messages"), fields.text("storm_per"));
    if !(messages.is_empty() && per.is_empty()) {
        let mut storm = Map::new();
        put_number(&mut storm, "messages", messages);
        put(&mut storm, "per", per);
        table.insert("storm".to_owned(), Value::Object(storm));
    }
    table
}

/// Apart by commas only: a tag may have blanks.
fn tag_list(raw: &str) -> Vec<String> {
    let tags = raw.split([',', '\n']).map(str::trim);
    tags.filter(|tag| !tag.is_empty())
        .map(str::to_owned)
        .collect()
}

/// What a dry run came to.
struct TrialView {
    hours: i64,
    taken: Vec<(String, u64)>,
    left: Vec<(&'static str, u64)>,
    messages: Vec<TriedRow>,
    complete: bool,
    remembered_since: Option<When>,
}

struct TriedRow {
    at: When,
    username: String,
    summary: String,
    verdict: String,
    taken: bool,
    /// Another verdict than it had then.
    changes: bool,
}

impl TrialView {
    fn new(trial: Trial, hours: i64) -> Self {
        let messages = trial.messages.into_iter().rev().map(|it| {
            let (verdict, taken) = match it.verdict {
                Verdict::Taken(taker) if taker.followed => {
                    (format!("Follows its conversation to {}", taker.group), true)
                }
                Verdict::Taken(taker) => (format!("{} → {}", taker.filter, taker.group), true),
                Verdict::Left(reason) => (reason.sentence, false),
            };
            TriedRow {
                at: When(it.created_at),
                username: it.username,
                summary: it.summary,
                changes: it.published != taken,
                verdict,
                taken,
            }
        });
        Self {
            hours,
            messages: messages.collect(),
            taken: trial.taken.into_iter().collect(),
            left: trial.left.into_iter().collect(),
            complete: trial.complete,
            remembered_since: trial.remembered_since.map(When),
        }
    }
}

#[derive(Template)]
#[template(path = "console/filter.html")]
struct FilterPage {
    shell: Shell,
    account: String,
    handle: String,
    /// Its place in the list, or `new`.
    place: String,
    version: String,
    form: FilterForm,
    hours: String,
    trial: Option<TrialView>,
}

/// A filter of the list, or `new`.
pub(super) async fn show(
    api: Data<Api>,
    visit: Visit,
    key: Path<(String, String)>,
) -> Result<HttpResponse, Refused> {
    let (account, place) = key.into_inner();
    let id = account_id(&account)?;
    let made = api.directory.made_filters(id).await?;
    let form = match place_in(&made, &place)? {
        Some(place) => FilterForm::of(made.get(place).unwrap_or(&Table::new())),
        None => FilterForm {
            matches: "mentions".to_owned(),
            message_requests: true,
            ..FilterForm::default()
        },
    };
    let page = FilterPage {
        account: id.to_string(),
        handle: known(&api, id).await?,
        place,
        version: version(&made),
        form,
        hours: "24".to_owned(),
        trial: None,
        shell: visit.shell("accounts"),
    };
    Ok(html(&page))
}

/// `None`: a new one, at the end.
fn place_in(list: &[Table], raw: &str) -> Result<Option<usize>, Refused> {
    if raw == "new" {
        return Ok(None);
    }
    let place = raw.parse().ok().filter(|place| *place < list.len());
    place.map(Some).ok_or_else(|| Refused::not_found("filter"))
}

/// The list that the form was made of; refused where it is another one now.
async fn same_list(api: &Api, id: AccountId, fields: &Fields) -> Result<Vec<Table>, Refused> {
    let made = api.directory.made_filters(id).await?;
    if version(&made) != fields.text("version") {
        let detail = "Somebody has changed the filters of this account meanwhile. Open the list \
                      again; nothing was saved.";
        return Err(Refused::new(Kind::Conflict, detail));
    }
    Ok(made)
}

/// Tries or saves the list with this filter.
pub(super) async fn save(
    api: Data<Api>,
    visit: Visit,
    key: Path<(String, String)>,
    fields: Fields,
) -> Result<HttpResponse, Refused> {
    let (account, place) = key.into_inner();
    let id = account_id(&account)?;
    let mut list = same_list(&api, id, &fields).await?;
    let at = place_in(&list, &place)?;
    let mut entered = table(&fields);
    let at = match at.and_then(|at| list.get_mut(at).map(|slot| (at, slot))) {
        Some((at, slot)) => {
            std::mem::swap(slot, &mut entered);
            at
        }
        None => {
            list.push(entered);
            list.len() - 1
        }
    };
    let edited = Edited {
        id,
        place,
        at,
        list,
    };
    match fields.has("try") {
        true => edited.tried(&api, &visit, &fields).await,
        false => edited.saved(&api, &visit, &fields).await,
    }
}

/// A list with one filter as the form has it.
struct Edited {
    id: AccountId,
    place: String,
    at: usize,
    list: Vec<Table>,
}

impl Edited {
    async fn tried(
        self,
        api: &Api,
        visit: &Visit,
        fields: &Fields,
    ) -> Result<HttpResponse, Refused> {
        let hours = hours(fields.text("hours"))?;
        let rules = api.rules.now();
        let Some(account) = rules.registry.account(self.id.0) else {
            let detail = "The account has to be confirmed first.";
            return Err(Refused::new(Kind::Conflict, detail));
        };
        let mut filters: Vec<_> = api.directory.declared().filters.clone();
        match api.directory.read_filters(self.id, self.list.clone()) {
            Ok(made) => filters.extend(made),
            Err(ChangeError::Invalid(faults)) => {
                return self.page(api, visit, fields, &faults.0, None).await;
            }
            Err(error) => return Err(error.into()),
        }
        let since = Timestamp::now() - SignedDuration::from_hours(hours);
        let trial = dry_run::dry_run(&api.store, account, &filters, since, TRIED).await?;
        let view = TrialView::new(trial, hours);
        self.page(api, visit, fields, &[], Some(view)).await
    }

    async fn saved(
        self,
        api: &Api,
        visit: &Visit,
        fields: &Fields,
    ) -> Result<HttpResponse, Refused> {
        let by = visit.actor.clone();
        match api
            .directory
            .put_filters(by, self.id, self.list.clone())
            .await
        {
            Ok(_) => Ok(go(&format!(
                "/accounts/{}/filters?done=filter-saved",
                self.id
            ))),
            Err(ChangeError::Invalid(SettingsFaults(faults))) => {
                self.page(api, visit, fields, &faults, None).await
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn page(
        self,
        api: &Api,
        visit: &Visit,
        fields: &Fields,
        faults: &[crate::settings::Fault],
        trial: Option<TrialView>,
    ) -> Result<HttpResponse, Refused> {
        let entered = self.list.get(self.at).cloned().unwrap_or_default();
        let own = format!("[{}].", self.at);
        let faults: Vec<_> = faults
            .iter()
            .map(|it| {
                (
                    field(it.key.strip_prefix(&own).unwrap_or(&it.key)),
                    it.expected.clone(),
                )
            })
            .collect();
        let status = match faults.is_empty() {
            true => StatusCode::OK,
            false => StatusCode::BAD_REQUEST,
        };
        let form = FilterForm {
            tags: fields.raw("tags").to_owned(),
            term: fields.text("term").to_owned(),
            explicit_only: fields.has("explicit_only"),
            faults,
            ..FilterForm::of(&entered)
        };
        let page = FilterPage {
            account: self.id.to_string(),
            handle: known(api, self.id).await?,
            place: self.place,
            version: fields.text("version").to_owned(),
            form,
            hours: match fields.text("hours") {
                "" => "24".to_owned(),
                hours => hours.to_owned(),
            },
            trial,
            shell: visit.shell("accounts"),
        };
        Ok(html_with(status, &page))
    }
}

/// `storm.per` is the field `storm_per`, `tags[1]` is `tags`.
fn field(key: &str) -> String {
    key.replace('.', "_")
        .split('[')
        .next()
        .unwrap_or_default()
        .to_owned()
}

fn hours(raw: &str) -> Result<i64, Problem> {
    let read = raw
        .parse()
        .ok()
        .filter(|hours| (1..=MOST_HOURS).contains(hours));
    read.ok_or_else(|| Problem::field("hours", raw, format!("1 to {MOST_HOURS}")))
}

/// Moves a filter up or down.
pub(super) async fn shift(
    api: Data<Api>,
    visit: Visit,
    key: Path<(String, String)>,
    fields: Fields,
) -> Result<HttpResponse, Refused> {
    let (account, place) = key.into_inner();
    let id = account_id(&account)?;
    let mut list = same_list(&api, id, &fields).await?;
    let missing = || Refused::not_found("filter");
    let from = place_in(&list, &place)?.ok_or_else(missing)?;
    let to = if fields.has("up") {
        from.checked_sub(1)
    } else {
        Some(from + 1)
    };
    let to = to.filter(|to| *to < list.len());
    list.swap(from, to.ok_or_else(missing)?);
    api.directory.put_filters(visit.actor, id, list).await?;
    Ok(go(&format!("/accounts/{id}/filters?done=filter-moved")))
}

/// Removes a filter.
pub(super) async fn remove(
    api: Data<Api>,
    visit: Visit,
    key: Path<(String, String)>,
    fields: Fields,
) -> Result<HttpResponse, Refused> {
    let (account, place) = key.into_inner();
    let id = account_id(&account)?;
    let mut list = same_list(&api, id, &fields).await?;
    let place = place_in(&list, &place)?.ok_or_else(|| Refused::not_found("filter"))?;
    list.remove(place);
    api.directory.put_filters(visit.actor, id, list).await?;
    Ok(go(&format!("/accounts/{id}/filters?done=filter-removed")))
}

/// Which message.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    id: String,
}

struct Explained {
    event: String,
    at: When,
    sentence: String,
}

#[derive(Template)]
#[template(path = "console/explain.html")]
struct ExplainPage {
    shell: Shell,
    id: String,
    asked: bool,
    found: Vec<Explained>,
}

/// What was made of one message, and why.
pub(super) async fn explain(
    api: Data<Api>,
    visit: Visit,
    asked: Query<Asked>,
) -> Result<HttpResponse, Refused> {
    let id = message_of(&asked.id);
    let mut found = Vec::new();
    if !id.is_empty() {
        let accounts = choices(&api, "").into_iter();
        let accounts = accounts.filter_map(|it| account_id(&it.id).ok()).collect();
        for it in dry_run::explain(&api.store, accounts, &id).await? {
            found.push(Explained {
                event: it.event.to_string(),
                at: When(it.at),
                sentence: it.finding.sentence(),
            });
        }
    }
    Ok(html(&ExplainPage {
        asked: !id.is_empty(),
        id,
        found,
        shell: visit.shell("explain"),
    }))
}

/// The id in the address of a post, or what was entered itself.
fn message_of(raw: &str) -> String {
    let raw = raw.trim();
    match raw.rsplit_once("/status/") {
        Some((_, rest)) => rest.chars().take_while(char::is_ascii_digit).collect(),
        None => raw.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_post_is_asked_for_by_its_id_or_its_address() {
        assert_eq!(message_of(" 123 "), "123");
        assert_eq!(message_of("https://x.com/acme/status/123?s=20"), "123");
    }

    #[test]
    fn a_filter_is_shown_as_it_is_kept() {
        let fields = Fields::parse(
            b"match=term&term=%23acmehelp&group=field&tags=a+b%2C+c&reposts=on&storm_messages=200\
              &storm_per=1h&min_followers=3",
        );
        let table = table(&fields.unwrap());
        let form = FilterForm::of(&table);
        assert_eq!((&*form.term, &*form.tags), ("#acmehelp", "a b, c"));
        assert_eq!((&*form.storm_messages, &*form.storm_per), ("200", "1h"));
        assert_eq!(table.get("min_followers"), Some(&Value::from(3)));
        assert!(form.reposts && !form.own);
        assert_eq!(match_words(&table), "Posts with “#acmehelp”");
    }

    #[test]
    fn a_fault_is_shown_at_its_field() {
        assert_eq!(field("storm.per"), "storm_per");
        assert_eq!(field("tags[1]"), "tags");
    }
}
