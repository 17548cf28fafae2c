//! Commands of the core: checked before they are sent, listed with their story, and what people do
//! with them.

use actix_web::HttpResponse;
use actix_web::web::Data;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::auth::Who;
use super::extract::{Body, COMMAND_LIMIT, JsonBytes, Limit, Page, Params, Segment, one, parsed};
use super::problem::{FieldError, Kind, Problem};
use crate::domain::command::Failure;
use crate::domain::ids::{AccountId, CommandId, UserId};
use crate::flow::admin::commands::{self as ledger, ListedCommand, Release, Story, next_attempt};
use crate::flow::reply::Checked;
use crate::store::{CommandFilter, CommandQuery, CommandState, Hold, SendRow};

/// Where a command stands.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    Pending,
    Sending,
    Uncertain,
    Succeeded,
    Failed,
    /// Pending, and something or somebody has to let it go.
    Held,
}

impl From<State> for CommandFilter {
    fn from(state: State) -> Self {
        match state {
            State::Pending => Self::In(CommandState::Pending),
            State::Sending => Self::In(CommandState::Sending),
            State::Uncertain => Self::In(CommandState::Uncertain),
            State::Succeeded => Self::In(CommandState::Succeeded),
            State::Failed => Self::In(CommandState::Failed),
            State::Held => Self::Held,
        }
    }
}

/// Which commands.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Listing {
    #[serde(default)]
    #[param(inline)]
    state: Option<State>,
    /// Of this account.
    #[serde(default, deserialize_with = "parsed")]
    #[param(value_type = Option<String>, pattern = "^([1-9][0-9]{0,18})?$")]
    account: Option<UserId>,
    /// Of the conversation with this id.
    #[serde(default)]
    conversation: Option<String>,
    /// Of this kind: `send_post`.
    #[serde(default)]
    command: Option<String>,
    /// How many at most: 1 to 200, 50 where absent.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 200)]
    limit: Limit,
    /// `next` of the part before.
    #[serde(default, deserialize_with = "parsed")]
    #[param(value_type = Option<String>, pattern = "^[0-9]{0,18}$")]
    after: Option<u64>,
}

/// A command, without its texts.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CommandView {
    command_id: String,
    /// `send_post`, ...; empty where it had none.
    command: String,
    /// Absent where none can be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    account_id: Option<String>,
    /// Empty where it stands alone.
    conversation_id: String,
    /// `pending`, `sending`, `uncertain`, `succeeded` or `failed`.
    state: &'static str,
    /// What has to let it go: `files`, `stopped`, `revoked`, `person`; empty where nothing has to.
    hold: &'static str,
    attempts: u32,
    #[schema(format = DateTime)]
    received_at: String,
    #[schema(format = DateTime)]
    expires_at: String,
    /// Absent for one that is held or has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    next_attempt_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    finished_at: Option<String>,
    /// Why it failed, or what its wait was announced with; empty where neither.
    code: String,
    cost_usd: String,
}

impl From<ListedCommand> for CommandView {
    fn from(listed: ListedCommand) -> Self {
        let ListedCommand { row, code } = listed;
        let next = next_attempt(&row);
        let waiting = row.waiting;
        Self {
            command_id: row.id.to_string(),
            command: row.name,
            account_id: waiting.account.map(|id| id.to_string()),
            conversation_id: waiting.conversation,
            state: waiting.state.name(),
            hold: waiting.hold.name(),
            attempts: row.attempt,
            received_at: waiting.received_at.to_string(),
            expires_at: waiting.expires_at.to_string(),
            next_attempt_at: next.map(|at| at.to_string()),
            finished_at: row.finished_at.map(|at| at.to_string()),
            code,
            cost_usd: row.cost.to_string(),
        }
    }
}

/// A message that is or may be at X because of a command.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PartView {
    /// From 1.
    part: u32,
    /// `post` or `direct_message`.
    kind: &'static str,
    /// `sending`, `uncertain`, `absent` or `done`.
    state: &'static str,
    text: String,
    /// The post replied to, or the conversation written to; empty where neither.
    target: String,
    /// X's id of it, once it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    message_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    sent_at: Option<String>,
}

impl From<SendRow> for PartView {
    fn from(send: SendRow) -> Self {
        Self {
            part: send.part,
            kind: send.kind.name(),
            state: send.state.name(),
            text: send.text,
            target: send.target,
            message_id: send.message.map(|id| id.to_string()),
            sent_at: send.sent_at.map(|at| at.to_string()),
        }
    }
}

/// A command with all that is known of it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StoryView {
    #[serde(flatten)]
    command: CommandView,
    /// X's call that its next step makes.
    next_call: String,
    /// How often the core was told of a wait.
    deferred: u32,
    /// The command as it came, without files; absent once it is erased.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    content: Option<Box<RawValue>>,
    /// What is or may be at X.
    parts: Vec<PartView>,
    /// The body of the outcome event; absent while there is none, and once it is erased.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    outcome: Option<Box<RawValue>>,
}

impl From<Story> for StoryView {
    fn from(story: Story) -> Self {
        let row = &story.command.row;
        let outcome = story.outcome.map(|outcome| outcome.body);
        let outcome = outcome.and_then(|body| String::from_utf8(body).ok());
        Self {
            next_call: row.waiting.call.clone(),
            deferred: row.told_count,
            content: RawValue::from_string(row.content.clone()).ok(),
            parts: story.sends.into_iter().map(PartView::from).collect(),
            outcome: outcome.and_then(|body| RawValue::from_string(body).ok()),
            command: story.command.into(),
        }
    }
}

/// Commands, newest first.
#[utoipa::path(get, path = "/commands", operation_id = "list_commands", tag = "commands",
    params(Listing),
    responses((status = 200, description = "A part of the list", body = Page<CommandView>))
)]
pub(super) async fn list(
    api: Data<Api>,
    listing: Params<Listing>,
) -> Result<HttpResponse, Problem> {
    let listing = listing.0;
    let query = CommandQuery {
        filter: listing
            .state
            .map_or(CommandFilter::All, CommandFilter::from),
        account: listing.account.map(AccountId),
        conversation: listing.conversation,
        name: listing.command,
        before: listing.after,
    };
    let page = ledger::list(&api.store, query, listing.limit.get()).await?;
    Ok(HttpResponse::Ok().json(Page::of(page, CommandView::from)))
}

/// One command with its story.
#[utoipa::path(get, path = "/commands/{id}", operation_id = "show_command", tag = "commands",
    params(("id" = String, Path, description = "`command_id`")),
    responses((status = 200, description = "The command", body = StoryView))
)]
pub(super) async fn show(api: Data<Api>, id: Segment<CommandId>) -> Result<HttpResponse, Problem> {
    let story = find(&api, &id.0).await?;
    Ok(HttpResponse::Ok().json(StoryView::from(story)))
}

async fn find(api: &Api, id: &CommandId) -> Result<Story, Problem> {
    let found = ledger::show(&api.store, id.clone()).await?;
    let missing = || Problem::not_found("There is no such command, or it is no longer kept.");
    found.ok_or_else(missing)
}

/// What would become of a command.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CheckView {
    /// It would be accepted.
    valid: bool,
    /// `send_post`, ...; empty where it has none, or two.
    command: String,
    /// Who would act; absent where it cannot be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    account_id: Option<String>,
    /// Why it would fail: a code of `command.failed`; empty where it is valid, as the next three.
    code: &'static str,
    /// Path of the field at fault: `send_post.text`.
    field: String,
    /// What was found and what was expected.
    detail: String,
    /// What an agent can do about it.
    advice: &'static str,
    retryable: bool,
    /// The text, suffix included; absent for what writes none.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<TextView>,
    /// What X would charge by the price list, all parts together.
    cost_usd: String,
    /// Whether X lets the account do it, as far as can be told: `ALLOWED`, `REFUSED` or `UNKNOWN`.
    permission: String,
    /// Why not: a `reply.reason` of events; empty where there is none.
    reason: String,
    /// What would keep it waiting: `stopped`, `revoked`; empty where nothing would.
    hold: &'static str,
}

/// A text, counted.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TextView {
    /// Weighted characters of a post, code points of a direct message.
    length: u32,
    /// Most of them in one message.
    limit: u32,
    /// As it would go out; as it would be cut with `when_too_long: SPLIT` where it is too long, none
    /// where it cannot be cut.
    parts: Vec<String>,
}

impl From<Checked> for CheckView {
    fn from(checked: Checked) -> Self {
        let code = checked.failure.as_ref().map(|failure| failure.code);
        let failure = checked.failure;
        Self {
            valid: failure.is_none(),
            command: checked.name,
            account_id: checked.account.map(|id| id.to_string()),
            code: code.map_or("", |code| code.name()),
            advice: code.map_or("", |code| code.advice()),
            retryable: code.is_some_and(|code| code.is_retryable()),
            field: failure
                .as_ref()
                .map(|it| it.field.clone())
                .unwrap_or_default(),
            detail: failure.map(|it| it.detail).unwrap_or_default(),
            text: checked.text.map(|text| TextView {
                length: text.length,
                limit: text.limit,
                parts: text.parts,
            }),
            cost_usd: checked.cost.to_string(),
            permission: checked.permission,
            reason: checked.reason,
            hold: checked.hold.name(),
        }
    }
}

/// Say what would become of a command, before it is sent: the body is that of a message on
/// `twitter.commands`, `command_id` may be missing. Nothing is changed, X is not asked, and
/// attachments that are only named are not fetched.
#[utoipa::path(post, path = "/commands/check", operation_id = "check_command", tag = "commands",
    request_body(content = CommandBody, content_type = "application/json"),
    responses((status = 200, description = "What would become of it", body = CheckView))
)]
pub(super) async fn check(
    api: Data<Api>,
    body: JsonBytes<COMMAND_LIMIT>,
) -> Result<HttpResponse, Problem> {
    let start = body.0.iter().find(|byte| !byte.is_ascii_whitespace());
    if let Err(error) = serde_json::from_slice::<serde::de::IgnoredAny>(&body.0) {
        return Err(Problem::new(
            Kind::Invalid,
            format!("The body is no JSON: {error}."),
        ));
    }
    if start != Some(&b'{') {
        return Err(Problem::new(Kind::Invalid, "The body has to be an object."));
    }
    let (rules, now) = (api.rules.now(), Timestamp::now());
    let checked = ledger::check(&api.store, rules, body.0, now).await?;
    Ok(HttpResponse::Ok().json(CheckView::from(checked)))
}

/// A command, as on `twitter.commands`: `{"account_id": "…", "send_post": {"text": "…"}}`.
#[derive(ToSchema)]
#[schema(value_type = Object)]
#[expect(dead_code, reason = "describes what broker::commands reads")]
pub(crate) struct CommandBody(serde_json::Value);

/// How to repeat a command.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Retry {
    /// Go ahead though the failed one may be at X: it may then be there twice.
    #[serde(default)]
    force: bool,
}

/// What a person has done with a command.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Done {
    /// The command; of a retry, the new one.
    command_id: String,
    /// What holds it now; empty where nothing does.
    hold: &'static str,
}

/// Repeat a failed command under a new id. What reached X is not repeated.
#[utoipa::path(post, path = "/commands/{id}/retry", operation_id = "retry_command",
    tag = "commands",
    params(("id" = String, Path, description = "`command_id`")),
    request_body = Retry,
    responses((status = 201, description = "The new command", body = Done))
)]
pub(super) async fn retry(
    api: Data<Api>,
    who: Who,
    id: Segment<CommandId>,
    body: Body<Retry>,
) -> Result<HttpResponse, Problem> {
    find(&api, &id.0).await?;
    let (rules, now) = (api.rules.now(), Timestamp::now());
    let (force, who) = (body.0.force, who.0.actor());
    let again = ledger::retry(&api.store, rules, id.0, force, who, now).await?;
    let row = again.map_err(refused)?;
    Ok(HttpResponse::Created().json(Done {
        command_id: row.id.to_string(),
        hold: row.waiting.hold.name(),
    }))
}

/// Take back a command that is not on its way to X. It ends as `command.failed` CANCELLED.
#[utoipa::path(post, path = "/commands/{id}/cancel", operation_id = "cancel_command",
    tag = "commands",
    params(("id" = String, Path, description = "`command_id`")),
    responses((status = 200, description = "It is taken back", body = Done))
)]
pub(super) async fn cancel(
    api: Data<Api>,
    who: Who,
    id: Segment<CommandId>,
) -> Result<HttpResponse, Problem> {
    find(&api, &id.0).await?;
    let (rules, now) = (api.rules.now(), Timestamp::now());
    let command_id = id.0.to_string();
    let done = ledger::cancel(&api.store, rules, id.0, who.0.actor(), now).await?;
    done.map_err(refused)?;
    Ok(HttpResponse::Ok().json(Done {
        command_id,
        hold: Hold::None.name(),
    }))
}

/// Let a held command go.
#[utoipa::path(post, path = "/commands/{id}/release", operation_id = "release_command",
    tag = "commands",
    params(("id" = String, Path, description = "`command_id`")),
    responses((status = 200, description = "With what will hold it again", body = Done))
)]
pub(super) async fn release(
    api: Data<Api>,
    who: Who,
    id: Segment<CommandId>,
) -> Result<HttpResponse, Problem> {
    find(&api, &id.0).await?;
    let command_id = id.0.to_string();
    let (rules, now) = (api.rules.now(), Timestamp::now());
    let what = Release::These(vec![id.0]);
    let released = ledger::release(&api.store, rules, what, who.0.actor(), now).await?;
    let mut hold = Hold::None;
    for (_, result) in released {
        hold = result.map_err(refused)?;
    }
    Ok(HttpResponse::Ok().json(Done {
        command_id,
        hold: hold.name(),
    }))
}

/// Whose held commands are let go.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReleaseAll {
    #[serde(deserialize_with = "one")]
    #[schema(value_type = String, pattern = "^[1-9][0-9]{0,18}$")]
    account_id: UserId,
}

/// Let all held commands of an account go.
#[utoipa::path(post, path = "/commands/release", operation_id = "release_commands",
    tag = "commands", request_body = ReleaseAll,
    responses((status = 200, description = "Those that are let go", body = Page<Done>))
)]
pub(super) async fn release_all(
    api: Data<Api>,
    who: Who,
    body: Body<ReleaseAll>,
) -> Result<HttpResponse, Problem> {
    let (rules, now) = (api.rules.now(), Timestamp::now());
    let what = Release::AllOf(AccountId(body.0.account_id));
    let released = ledger::release(&api.store, rules, what, who.0.actor(), now).await?;
    let done = released.into_iter().filter_map(|(id, result)| {
        let hold = result.ok()?;
        Some(Done {
            command_id: id.to_string(),
            hold: hold.name(),
        })
    });
    Ok(HttpResponse::Ok().json(Page {
        items: done.collect(),
        next: None,
    }))
}

/// Why it cannot be done as things stand.
fn refused(failure: Failure) -> Problem {
    let mut problem = Problem::new(Kind::Conflict, failure.detail.clone());
    if !failure.field.is_empty() {
        problem.errors.push(FieldError {
            field: failure.field,
            value: String::new(),
            expected: failure.detail,
        });
    }
    problem
}
