//! Outcomes of commands as the contract writes them.

use super::messages::{conversation, time};
use super::proto;
use crate::domain::command::Agent;
use crate::domain::event::Conversation;
use crate::domain::ids::MessageNumber;
use crate::domain::message::MessageKind;
use crate::domain::outcome::{Deferred, Failed, Outcome, OutcomeMessage, Succeeded, Upstream};

pub(super) fn succeeded(
    event: Option<proto::Event>,
    account: Option<proto::Account>,
    it: &Succeeded,
) -> proto::CommandSucceeded {
    let outcome = &it.outcome;
    proto::CommandSucceeded {
        event,
        account,
        command_id: outcome.command.id.to_string(),
        command: outcome.name.clone(),
        conversation: outcome.conversation.as_ref().map(conversation),
        messages: messages(outcome),
        cost_usd: outcome.cost.to_string(),
        metadata: outcome.command.metadata.clone().into_iter().collect(),
        agent: outcome.command.agent.as_ref().map(agent),
        retry_of: retry_of(outcome),
        detail: it.detail.clone(),
    }
}

pub(super) fn failed(
    event: Option<proto::Event>,
    account: Option<proto::Account>,
    it: &Failed,
) -> proto::CommandFailed {
    let (outcome, failure) = (&it.outcome, &it.failure);
    proto::CommandFailed {
        event,
        account,
        command_id: outcome.command.id.to_string(),
        command: outcome.name.clone(),
        conversation: outcome.conversation.as_ref().map(conversation),
        messages: messages(outcome),
        cost_usd: outcome.cost.to_string(),
        metadata: outcome.command.metadata.clone().into_iter().collect(),
        agent: outcome.command.agent.as_ref().map(agent),
        retry_of: retry_of(outcome),
        code: code(failure.code.name()),
        field: failure.field.clone(),
        retryable: failure.code.is_retryable(),
        detail: failure.detail.clone(),
        advice: failure.code.advice().to_owned(),
        upstream: it.upstream.as_ref().map(upstream),
    }
}

pub(super) fn deferred(
    event: Option<proto::Event>,
    account: Option<proto::Account>,
    it: &Deferred,
) -> proto::CommandDeferred {
    proto::CommandDeferred {
        event,
        account,
        command_id: it.command.id.to_string(),
        command: it.name.clone(),
        code: code(it.code.name()),
        detail: it.detail.clone(),
        next_attempt_at: it.next_attempt_at.map(time).unwrap_or_default(),
        attempt: it.attempt,
    }
}

/// The contract's number of a code; a test holds the two lists together.
fn code(name: &str) -> i32 {
    proto::command_failed::Code::from_str_name(name).map_or(0, Into::into)
}

fn retry_of(outcome: &Outcome) -> String {
    let retry_of = outcome.retry_of.as_ref();
    retry_of.map(ToString::to_string).unwrap_or_default()
}

pub(super) fn agent(agent: &Agent) -> proto::Agent {
    proto::Agent {
        id: agent.id.clone(),
        name: agent.name.clone(),
    }
}

fn upstream(upstream: &Upstream) -> proto::command_failed::Upstream {
    proto::command_failed::Upstream {
        status: upstream.status.into(),
        r#type: upstream.problem.clone(),
        title: upstream.title.clone(),
    }
}

fn messages(outcome: &Outcome) -> Vec<proto::OutcomeMessage> {
    let conversation = outcome.conversation.as_ref();
    let messages = outcome.messages.iter();
    messages.map(|it| message(it, conversation)).collect()
}

fn message(it: &OutcomeMessage, conversation: Option<&Conversation>) -> proto::OutcomeMessage {
    proto::OutcomeMessage {
        id: it.id.to_string(),
        url: url(it.id, it.kind, conversation),
        created_at: time(it.at),
        part: it.part,
        parts: it.parts,
    }
}

fn url(id: MessageNumber, kind: MessageKind, conversation: Option<&Conversation>) -> String {
    match (kind, conversation) {
        (MessageKind::Post, _) => format!("https://x.com/i/status/{id}"),
        (_, Some(conversation)) => super::messages::conversation_url(&conversation.id),
        (_, None) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::command::FailureCode;

    #[test]
    fn every_code_stands_in_the_contract() {
        for known in FailureCode::ALL {
            assert_ne!(code(known.name()), 0, "{}", known.name());
        }
    }
}
