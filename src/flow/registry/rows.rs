//! Apps, accounts and filters as the store keeps them: tables of settings, sealed where they hold
//! credentials.

use jiff::Timestamp;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::{ChangeError, Declared, NewLink, Table, Unreadable, unknown_account};
use crate::domain::access::Actor;
use crate::domain::account::{Account, App, Linking};
use crate::domain::event::{AccountRef, Event, Payload};
use crate::domain::filter::Filter;
use crate::domain::ids::AccountId;
use crate::flow::ingest::append;
use crate::flow::reply::revoked;
use crate::flow::tokens;
use crate::sealing::Sealer;
use crate::settings::declared::{entered_account, entered_app, entered_filter};
use crate::settings::{Fault, Known, SettingsFaults};
use crate::store::{AppRow, Hold, LinkRow, StoreError, Tx, Waiting};

/// What an entered app keeps when it is left out.
const APP_SECRETS: [&str; 7] = [
    "consumer_key",
    "consumer_secret",
    "bearer_token",
    "client_secret",
    "owner_access_token",
    "owner_access_token_secret",
    "previous_consumer_secret",
];
/// What an account is, and by what it is linked: only a new linking changes it.
const LINKED: [&str; 6] = [
    "app",
    "id",
    "username",
    "access_token",
    "access_token_secret",
    "oauth2_refresh_token",
];

/// The credential of OAuth 1.0a.
const TOKEN: [&str; 2] = ["access_token", "access_token_secret"];

/// What the store holds, read.
#[derive(Default)]
pub(super) struct Made {
    pub(super) apps: Vec<App>,
    pub(super) accounts: Vec<Account>,
    pub(super) filters: Vec<Filter>,
}

impl Made {
    /// What cannot be read any more is left out and said: the rest has to work.
    pub(super) fn read(
        tx: &Tx<'_>,
        sealer: &Sealer,
        declared: &Declared,
    ) -> Result<Self, StoreError> {
        let mut made = Self::default();
        let mut known = Known::of(&declared.apps, &declared.accounts);
        for row in tx.apps()? {
            match app_of(&row, sealer, &mut known) {
                Ok(app) => made.apps.push(app),
                Err(error) => tracing::error!(app = row.name, %error, "an app is left out"),
            }
        }
        for link in tx.links()? {
            match account_of(&link, sealer, &mut known) {
                // Nothing of it is routed yet.
                Ok(_) if link.confirmed_at.is_none() => {}
                Ok(account) => made.accounts.push(account),
                Err(error) => {
                    tracing::error!(account.id = %link.account, %error, "an account is left out");
                }
            }
        }
        for (account, list) in tx.filter_lists()? {
            match read_list(account, tables(&list)?, &known) {
                Ok(filters) => made.filters.extend(filters),
                // Of an account that is not linked at present.
                Err(error) => {
                    tracing::debug!(account.id = %account, %error, "filters are left out")
                }
            }
        }
        Ok(made)
    }
}

fn app_of(row: &AppRow, sealer: &Sealer, known: &mut Known) -> Result<App, ChangeError> {
    let table = open(sealer, &app_purpose(&row.name), &row.sealed)?;
    Ok(entered_app(table, known)?)
}

pub(super) fn account_of(
    link: &LinkRow,
    sealer: &Sealer,
    known: &mut Known,
) -> Result<Account, ChangeError> {
    let table = open(sealer, &link_purpose(link.account), &link.sealed)?;
    Ok(Account {
        linking: Some(Linking {
            at: link.linked_at,
            oauth2: link.oauth2,
        }),
        ..entered_account(table, known)?
    })
}

/// An app as it is entered, with the credentials that are left out; whether it was there before.
pub(super) fn read_app(
    tx: &Tx<'_>,
    sealer: &Sealer,
    declared: &Declared,
    table: &mut Table,
) -> Result<(App, bool), ChangeError> {
    let name = text(table, "name");
    let before = tx.apps()?.into_iter().find(|row| row.name == name);
    if let Some(row) = &before {
        let old = open(sealer, &app_purpose(&name), &row.sealed)?;
        add_missing(table, old, |key| APP_SECRETS.contains(&key));
    }
    let mut known = Known::of(&declared.apps, []);
    let app = entered_app(table.clone(), &mut known)?;
    Ok((app, before.is_some()))
}

pub(super) fn put_app(
    tx: &mut Tx<'_>,
    sealer: &Sealer,
    declared: &Declared,
    by: &Actor,
    mut table: Table,
) -> Result<App, ChangeError> {
    let (app, before) = read_app(tx, sealer, declared, &mut table)?;
    let now = Timestamp::now();
    tx.put_app(&AppRow {
        name: app.name.clone(),
        sealed: seal(sealer, &app_purpose(&app.name), table)?,
        changed_at: now,
    })?;
    let action = match before {
        true => "app.change",
        false => "app.create",
    };
    tx.audit(by, action, &app.name, &Value::Null, now)?;
    Ok(app)
}

pub(super) fn put_link(
    tx: &mut Tx<'_>,
    sealer: &Sealer,
    declared: &Declared,
    by: &Actor,
    link: NewLink,
) -> Result<Account, ChangeError> {
    let mut table = link.table;
    let id = linked_id(&table)?;
    let before = tx.link(id)?;
    let state = tx.account_state(id)?;
    // The other kind of credential is as good as it was, if nobody has taken it away.
    let still_good = state.revoked_at.is_none();
    if let Some(row) = &before {
        if row.app != text(&table, "app") {
            return Err(ChangeError::OtherApp(row.app.clone()));
        }
        let old = open(sealer, &link_purpose(id), &row.sealed)?;
        let keeps_token = still_good && !table.contains_key("access_token");
        add_missing(&mut table, old, |key| {
            !LINKED.contains(&key) || (keeps_token && TOKEN.contains(&key))
        });
    }
    let now = Timestamp::now();
    let way = ways(link.pair.is_some());
    let pair = link.pair.map(|pair| tokens::seal(sealer, id, &pair));
    let pair = pair.transpose().map_err(Unreadable::from)?;
    let pair = pair.or(state.tokens.filter(|_| still_good && before.is_some()));
    let account = Account {
        linking: Some(Linking {
            at: now,
            oauth2: pair.is_some(),
        }),
        ..entered_account(table.clone(), &mut others(tx, sealer, declared, id)?)?
    };
    let row = LinkRow {
        account: id,
        app: account.app.clone(),
        sealed: seal(sealer, &link_purpose(id), table)?,
        oauth2: pair.is_some(),
        name: link.name,
        avatar_url: link.avatar_url,
        linked_at: now,
        confirmed_at: before.and_then(|it| it.confirmed_at),
    };
    let scopes = scopes_of(sealer, id, pair.as_deref())?;
    tx.put_link(&row)?;
    revoked::linked_again(tx, &account, pair)?;
    let detail = json!({ "app": account.app, "username": account.username, "by": way });
    tx.audit(by, "account.link", &id.to_string(), &detail, now)?;
    if row.confirmed_at.is_some() {
        let reason = again(way, by, still_good);
        tell_linked(tx, &account.username, &row, scopes, reason, now)?;
    }
    Ok(account)
}

/// In words.
fn ways(oauth2: bool) -> &'static str {
    match oauth2 {
        true => "OAuth 2.0",
        false => "OAuth 1.0a",
    }
}

fn again(way: &str, by: &Actor, still_good: bool) -> String {
    let invited = match by {
        Actor::Invited => " by invitation",
        _ => "",
    };
    let revoked = match still_good {
        true => "",
        false => ", after it had been revoked",
    };
    format!("Linked again{invited} with {way}{revoked}.")
}

pub(super) fn confirm(
    tx: &mut Tx<'_>,
    sealer: &Sealer,
    by: &Actor,
    account: AccountId,
) -> Result<(), ChangeError> {
    let Some(mut link) = tx.link(account)? else {
        return Err(unknown_account(account));
    };
    if link.confirmed_at.is_some() {
        return Ok(());
    }
    let table = open(sealer, &link_purpose(account), &link.sealed)?;
    let state = tx.account_state(account)?;
    let scopes = scopes_of(sealer, account, state.tokens.as_deref())?;
    let now = Timestamp::now();
    link.confirmed_at = Some(now);
    tx.put_link(&link)?;
    let object = account.to_string();
    tx.audit(by, "account.confirm", &object, &Value::Null, now)?;
    let reason = format!(
        "Linked with {} and confirmed by an administrator.",
        ways(link.oauth2)
    );
    tell_linked(tx, &text(&table, "username"), &link, scopes, reason, now)
}

/// Publishes that an account can be used.
fn tell_linked(
    tx: &mut Tx<'_>,
    username: &str,
    link: &LinkRow,
    scopes: Vec<String>,
    reason: String,
    at: Timestamp,
) -> Result<(), ChangeError> {
    let waits = |it: &Waiting| it.account == Some(link.account) && it.hold == Hold::Revoked;
    let waiting = tx.open_commands()?;
    let event = Event {
        account: AccountRef {
            id: Some(link.account),
            username: username.to_owned(),
        },
        time: at,
        backfilled: false,
        payload: Payload::AccountLinked {
            app: link.app.clone(),
            scopes,
            reason,
            at,
            held_commands: waiting.iter().filter(|it| waits(it)).count() as u64,
        },
    };
    append(tx, event.id(), event, at)?;
    Ok(())
}

/// What X lets a sealed pair do, in order; nothing without one.
fn scopes_of(
    sealer: &Sealer,
    account: AccountId,
    pair: Option<&[u8]>,
) -> Result<Vec<String>, Unreadable> {
    let Some(sealed) = pair else {
        return Ok(Vec::new());
    };
    let pair = tokens::open(sealer, account, sealed);
    let pair = pair.map_err(|_unreadable| Unreadable::Tokens(account))?;
    let mut scopes: Vec<_> = pair.scopes.split_whitespace().map(str::to_owned).collect();
    scopes.sort();
    Ok(scopes)
}

pub(super) fn set_account(
    tx: &mut Tx<'_>,
    sealer: &Sealer,
    declared: &Declared,
    by: &Actor,
    account: AccountId,
    changes: Table,
) -> Result<Account, ChangeError> {
    let Some(mut link) = tx.link(account)? else {
        return Err(unknown_account(account));
    };
    refuse_linked_keys(&changes)?;
    let keys: Vec<_> = changes.keys().cloned().collect();
    let mut table = open(sealer, &link_purpose(account), &link.sealed)?;
    table.extend(changes);
    let changed = entered_account(table.clone(), &mut others(tx, sealer, declared, account)?)?;
    link.sealed = seal(sealer, &link_purpose(account), table)?;
    tx.put_link(&link)?;
    let detail = json!({ "keys": keys });
    tx.audit(
        by,
        "account.change",
        &account.to_string(),
        &detail,
        Timestamp::now(),
    )?;
    Ok(changed)
}

fn refuse_linked_keys(changes: &Table) -> Result<(), SettingsFaults> {
    let fixed = changes.keys().filter(|key| LINKED.contains(&key.as_str()));
    let faults: Vec<_> = fixed
        .map(|key| Fault {
            key: key.clone(),
            value: None,
            expected: "cannot be changed here: link the account again".to_owned(),
        })
        .collect();
    match faults.is_empty() {
        true => Ok(()),
        false => Err(SettingsFaults(faults)),
    }
}

/// The id of an account that is being linked.
fn linked_id(table: &Table) -> Result<AccountId, ChangeError> {
    let id = text(table, "id").parse();
    id.map(AccountId).map_err(|_invalid| {
        ChangeError::from(SettingsFaults(vec![Fault {
            key: "id".to_owned(),
            value: table.get("id").map(Value::to_string),
            expected: "expected an id as a string of 1 to 19 digits".to_owned(),
        }]))
    })
}

/// All apps, and all accounts but one.
fn others(
    tx: &Tx<'_>,
    sealer: &Sealer,
    declared: &Declared,
    but: AccountId,
) -> Result<Known, ChangeError> {
    let mut apps_known = Known::of(&declared.apps, []);
    let mut apps = declared.apps.clone();
    for row in tx.apps()? {
        apps.extend(app_of(&row, sealer, &mut apps_known));
    }
    let mut accounts = declared.accounts.clone();
    for link in tx.links()?.iter().filter(|link| link.account != but) {
        accounts.extend(account_of(link, sealer, &mut Known::of(&apps, [])));
    }
    Ok(Known::of(&apps, &accounts))
}

/// Reads an account's filters; a fault is named with its place in the list.
pub(super) fn read_list(
    account: AccountId,
    list: Vec<Table>,
    known: &Known,
) -> Result<Vec<Filter>, SettingsFaults> {
    let (mut filters, mut faults) = (Vec::new(), Vec::new());
    for (place, mut table) in list.into_iter().enumerate() {
        table.insert("account".to_owned(), Value::String(account.to_string()));
        match entered_filter(table, known) {
            Ok(filter) => filters.push(filter),
            Err(SettingsFaults(of_one)) => faults.extend(of_one.into_iter().map(|fault| Fault {
                key: format!("[{place}].{}", fault.key),
                ..fault
            })),
        }
    }
    match faults.is_empty() {
        true => Ok(filters),
        false => Err(SettingsFaults(faults)),
    }
}

/// The list says whose filters they are.
pub(super) fn without_account(mut table: Table) -> Value {
    table.remove("account");
    Value::Object(table)
}

/// A kept list of filters.
pub(super) fn tables(list: &str) -> Result<Vec<Table>, StoreError> {
    serde_json::from_str(list).map_err(|_damaged| StoreError::Corrupt {
        what: "list of filters",
        value: list.to_owned(),
    })
}

/// A key's text, empty where it has none.
pub(super) fn text(table: &Table, key: &str) -> String {
    let text = table.get(key).and_then(Value::as_str).unwrap_or_default();
    text.trim().to_owned()
}

/// Takes over what is not given anew.
fn add_missing(table: &mut Table, old: Table, wanted: impl Fn(&str) -> bool) {
    for (key, value) in old {
        if wanted(&key) {
            table.entry(key).or_insert(value);
        }
    }
}

fn app_purpose(name: &str) -> String {
    format!("app:{name}")
}

fn link_purpose(account: AccountId) -> String {
    format!("link:{account}")
}

fn seal(sealer: &Sealer, purpose: &str, table: Table) -> Result<Vec<u8>, Unreadable> {
    let plain = secrecy::SecretString::from(Value::Object(table).to_string());
    Ok(sealer.seal(purpose, plain.expose_secret().as_bytes())?)
}

fn open(sealer: &Sealer, purpose: &str, sealed: &[u8]) -> Result<Table, Unreadable> {
    let opened = sealer
        .open(purpose, sealed)
        .map_err(|source| Unreadable::Sealed {
            what: purpose.to_owned(),
            source,
        })?;
    serde_json::from_slice(opened.expose_secret())
        .map_err(|_damaged| Unreadable::NoTable(purpose.to_owned()))
}
