//! Recent search.

use super::answer::{Answer, Outcome};
use super::incoming::Incoming;
use super::ledger::Price;
use super::paging::{PARAMETERS, Wanted};
use super::problem;
use super::serve::Call;
use super::timelines;
use crate::model::{Post, Query, Reach, Subject, World, named, time_of};

const WEEK_MS: i64 = 7 * 24 * 3600 * 1000;
/// So long before the request `end_time` has to be.
const LATEST_END_MS: i64 = 10_000;
const MAX_QUERY: usize = 512;

/// `GET /2/tweets/search/recent`
pub(super) fn recent(call: Call<'_>) -> Outcome {
    let also: Vec<&str> = [&PARAMETERS[..], &["query", "sort_order"]].concat();
    let selection = call.selection(&also)?;
    let given = call.incoming.parameter("query").unwrap_or_default();
    let query = parse(given).map_err(|message| problem::invalid("query", given, &message))?;
    let mut wanted = Wanted::parse(call.incoming, (10, 100, 10))?;
    let now_ms = call.world.now_ms();
    check_window(call.incoming, &wanted, now_ms)?;
    let lag_ms = i64::try_from(call.state.settings.search_lag_s).unwrap_or(0) * 1000;
    let latest = now_ms.saturating_sub(lag_ms);
    wanted.until_ms = Some(wanted.until_ms.unwrap_or(latest));
    let world = &*call.world;
    let posts = wanted
        .span(candidates(&query, world))
        .take_while(|post| post.created_at_ms >= now_ms - WEEK_MS)
        // Since 2026-05 searches return no reposts.
        .filter(|post| post.repost_of.is_none())
        .filter(|post| query.holds(&Subject::new(world, post, Reach::Search)));
    Ok(timelines::page(
        &call,
        &selection,
        wanted,
        posts,
        Price::PostRead,
    ))
}

fn parse(given: &str) -> Result<Query, String> {
    if given.trim().is_empty() {
        return Err("The 'query' parameter is required.".to_owned());
    }
    if given.chars().count() > MAX_QUERY {
        return Err(format!("The query has more than {MAX_QUERY} characters"));
    }
    Query::parse(given)
}

/// X refuses what lies before the week that it searches, and an end that is all but now.
fn check_window(incoming: &Incoming, wanted: &Wanted, now_ms: i64) -> Result<(), Box<Answer>> {
    let begin = now_ms - WEEK_MS;
    let refuse = |name: &str, message: &str| {
        let given = incoming.parameter(name).unwrap_or_default();
        Err(problem::invalid(name, given, message))
    };
    if wanted.from_ms.is_some_and(|from| from < begin) {
        return refuse("start_time", "'start_time' must be on or after 7 days ago");
    }
    if wanted.above.is_some_and(|id| time_of(id) < begin) {
        return refuse("since_id", "'since_id' must be an id of the last 7 days");
    }
    if wanted
        .until_ms
        .is_some_and(|until| until > now_ms - LATEST_END_MS)
    {
        return refuse("end_time", "'end_time' must be 10 seconds or more ago");
    }
    Ok(())
}

/// Newest first; as few as the query lets us look at.
fn candidates<'a>(query: &Query, world: &'a World) -> Box<dyn Iterator<Item = &'a Post> + 'a> {
    let terms: &[Query] = match query {
        Query::All(terms) => terms,
        single => std::slice::from_ref(single),
    };
    for term in terms {
        match term {
            Query::Conversation(id) => return Box::new(world.posts_in(*id)),
            Query::From(name) => {
                return match named(world, name) {
                    Some(user) => Box::new(world.posts_by(user.id)),
                    None => Box::new(std::iter::empty()),
                };
            }
            _ => {}
        }
    }
    Box::new(world.posts().rev())
}
