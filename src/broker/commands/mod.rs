//! Commands of the core as they come from the broker: JSON of `proto/helpdesk/twitter/v1`, read
//! strictly into the domain, each fault with the path of its field.

mod actions;
mod fields;
mod json;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use self::fields::{Fields, cut, invalid};
use self::json::Node;
use crate::domain::command::{Action, Agent, Command, Failure, InvalidCommand};
use crate::domain::ids::{AccountId, CommandId};

/// Most bytes of metadata and agent together: names and values in UTF-8.
const MAX_GIVEN_BACK: usize = 4096;

/// What a body turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading {
    Command(Box<Command>),
    /// It breaks a rule and ends as `command.failed`.
    Invalid(Box<InvalidCommand>),
    /// It has no readable id, so that no outcome could name it: goes to `twitter.dead`.
    Unreadable {
        /// In short, for `x-reason`: `unreadable` or `no-command-id`.
        reason: &'static str,
        /// For people.
        detail: String,
    },
}

/// Reads the body of a message on `twitter.commands` by every rule that the body alone can be held
/// to. How long a text counts is not one of them: that depends on the account.
///
/// `message_id` and `content_type` are the AMQP properties.
pub fn read(body: &[u8], message_id: Option<&str>, content_type: Option<&str>) -> Reading {
    let message_id = message_id.filter(|id| !id.is_empty());
    let type_fault = content_type.and_then(content_type_fault);
    let members = match json::parse(body) {
        Ok(Node::Object(members)) => members,
        Ok(_) => {
            let fault = invalid(String::new(), "the body is no object", "a JSON object");
            return without_body(body, message_id, type_fault.unwrap_or(fault));
        }
        Err(fault) => {
            let fault = invalid(String::new(), &fault, "a JSON object");
            return without_body(body, message_id, type_fault.unwrap_or(fault));
        }
    };
    let fields = Fields::root(&members);
    let (id, id_fault) = match identify(&fields, message_id) {
        Ok(found) => found,
        Err(fault) => {
            return Reading::Unreadable {
                reason: "no-command-id",
                detail: fault.detail,
            };
        }
    };
    let read = match id_fault.or(type_fault) {
        Some(fault) => Err(fault),
        None => command(&fields, id.clone()),
    };
    match read {
        Ok(command) => Reading::Command(Box::new(command)),
        Err(failure) => Reading::Invalid(Box::new(as_far_as_readable(body, &fields, id, failure))),
    }
}

/// A body that holds no fields fails under its `message_id`, if that is an id.
fn without_body(body: &[u8], message_id: Option<&str>, failure: Failure) -> Reading {
    match message_id.and_then(|id| id.parse().ok()) {
        Some(id) => {
            let nothing = Fields::root(&[]);
            let invalid = as_far_as_readable(body, &nothing, id, failure);
            Reading::Invalid(Box::new(invalid))
        }
        None => Reading::Unreadable {
            reason: "unreadable",
            detail: failure.detail,
        },
    }
}

/// Anything that calls itself JSON, whatever its parameters.
fn content_type_fault(content_type: &str) -> Option<Failure> {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    let essence = essence.to_ascii_lowercase();
    let is_json = ["", "application/json", "text/json"].contains(&essence.as_str())
        || essence.ends_with("+json");
    let found = || format!("content type `{}`", cut(content_type));
    (!is_json).then(|| invalid(String::new(), &found(), "application/json"))
}

/// The id to answer under, and what is wrong with it.
///
/// # Errors
/// When neither the body nor the message has one.
fn identify(
    fields: &Fields<'_, '_>,
    message_id: Option<&str>,
) -> Result<(CommandId, Option<Failure>), Failure> {
    let of_message = message_id.and_then(|id| id.parse::<CommandId>().ok());
    let of_body = match fields.count("command_id") {
        0 | 1 => fields.get("command_id").parsed::<CommandId>(),
        _ => Err(fields.twice("command_id")),
    };
    match (of_body, of_message) {
        (Ok(Some(id)), of_message) => {
            let agrees = message_id.is_none() || of_message.as_ref() == Some(&id);
            let fault = || {
                let found = format!("message_id `{}`", cut(message_id.unwrap_or_default()));
                let expected = format!("it to equal command_id, `{id}`");
                invalid("command_id".to_owned(), &found, &expected)
            };
            let fault = (!agrees).then(fault);
            Ok((id, fault))
        }
        (Ok(None), Some(id)) => Ok((id, None)),
        (Err(fault), Some(id)) => Ok((id, Some(fault))),
        (Ok(None), None) => Err(fields
            .get("command_id")
            .unlike("command_id or message_id, 1 to 128 printable ASCII characters")),
        (Err(fault), None) => Err(fault),
    }
}

fn command(fields: &Fields<'_, '_>, id: CommandId) -> Result<Command, Failure> {
    let envelope = [
        "command_id",
        "account_id",
        "expires_at",
        "max_cost_usd",
        "only_if_summoned",
        "retry_of",
        "force",
        "metadata",
        "agent",
    ];
    fields.only(&[&envelope[..], &Action::NAMES].concat())?;
    let account = fields.get("account_id").id()?.map(AccountId);
    let (metadata, agent) = given_back(fields)?;
    Ok(Command {
        account,
        expires_at: fields.get("expires_at").time()?,
        max_cost: fields.get("max_cost_usd").parsed()?,
        only_if_summoned: fields.get("only_if_summoned").flag()?,
        retry_of: retry_of(fields, &id)?,
        force: fields.get("force").flag()?,
        metadata,
        agent,
        action: actions::read(fields, &id, account)?,
        id,
    })
}

fn retry_of(fields: &Fields<'_, '_>, id: &CommandId) -> Result<Option<CommandId>, Failure> {
    let retried = fields.get("retry_of").parsed()?;
    match retried {
        Some(retried) if retried == *id => {
            Err(fields.get("retry_of").unlike("the id of another command"))
        }
        retried => Ok(retried),
    }
}

type GivenBack = (BTreeMap<String, String>, Option<Agent>);

/// What the sender wants back on outcomes.
fn given_back(fields: &Fields<'_, '_>) -> Result<GivenBack, Failure> {
    bounded(fields.get("metadata").texts()?, agent(fields)?)
}

fn bounded(pairs: Vec<(&str, &str)>, agent: Option<Agent>) -> Result<GivenBack, Failure> {
    let size = size(&pairs, agent.as_ref());
    if size > MAX_GIVEN_BACK {
        let found = format!("{size} bytes together with agent");
        let expected = format!("at most {MAX_GIVEN_BACK}");
        return Err(invalid("metadata".to_owned(), &found, &expected));
    }
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    Ok((pairs.into_iter().map(owned).collect(), agent))
}

fn size(pairs: &[(&str, &str)], agent: Option<&Agent>) -> usize {
    let pairs = pairs.iter().map(|(name, value)| name.len() + value.len());
    pairs.sum::<usize>() + agent.map_or(0, |agent| agent.id.len() + agent.name.len())
}

fn agent(fields: &Fields<'_, '_>) -> Result<Option<Agent>, Failure> {
    let Some(fields) = fields.get("agent").object()? else {
        return Ok(None);
    };
    fields.only(&["id", "name"])?;
    let agent = Agent {
        id: fields.get("id").text()?,
        name: fields.get("name").text()?,
    };
    Ok((agent != Agent::default()).then_some(agent))
}

/// What an outcome can name of a command that broke a rule.
fn as_far_as_readable(
    body: &[u8],
    fields: &Fields<'_, '_>,
    id: CommandId,
    failure: Failure,
) -> InvalidCommand {
    let pairs = fields.get("metadata").texts().unwrap_or_default();
    let agent = agent(fields).ok().flatten();
    let (metadata, agent) = bounded(pairs, agent).unwrap_or_default();
    let account = fields.get("account_id").id().ok().flatten();
    InvalidCommand {
        id,
        fingerprint: Sha256::new()
            .chain_update(b"invalid\0")
            .chain_update(body)
            .finalize()
            .into(),
        name: actions::name(fields),
        account: account.map(AccountId),
        retry_of: fields.get("retry_of").parsed().ok().flatten(),
        metadata,
        agent,
        failure,
    }
}
