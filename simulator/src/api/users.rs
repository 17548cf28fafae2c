//! Looking up accounts.

use super::answer::{Answer, Outcome};
use super::fields::Shown;
use super::problem::{self, Missing, Reason};
use super::serve::Call;
use crate::forms::json::non_empty;
use crate::model::UserId;

/// `GET /2/users/me`
pub(super) fn me(call: Call<'_>) -> Outcome {
    let user = call.caller.user.ok_or_else(problem::unauthorized)?;
    one(&call, "id", user.to_string(), Some(user))
}

/// `GET /2/users/{id}`
pub(super) fn by_id(call: Call<'_>) -> Outcome {
    let user = user_id(&call)?;
    one(&call, "id", user.to_string(), Some(user))
}

/// `GET /2/users/by/username/{username}`
pub(super) fn by_name(call: Call<'_>) -> Outcome {
    let name = call.incoming.id.clone();
    let user = call.world.user_named(&name).map(|user| user.id);
    one(&call, "username", name, user)
}

/// `GET /2/users?ids=`
pub(super) fn by_ids(call: Call<'_>) -> Outcome {
    let asked = call.list("ids")?.into_iter();
    let found: Result<Vec<_>, Box<Answer>> = asked
        .map(|raw| {
            let id: UserId = raw
                .parse()
                .map_err(|_not_a_number| problem::invalid("ids", raw, "not a valid id"))?;
            Ok((raw.to_owned(), Some(id)))
        })
        .collect();
    several(&call, "ids", found?)
}

/// `GET /2/users/by?usernames=`
pub(super) fn by_names(call: Call<'_>) -> Outcome {
    let asked = call.list("usernames")?.into_iter();
    let found = asked
        .map(|name| {
            let user = call.world.user_named(name).map(|user| user.id);
            (name.to_owned(), user)
        })
        .collect();
    several(&call, "usernames", found)
}

pub(super) fn user_id(call: &Call<'_>) -> Result<UserId, Box<Answer>> {
    let raw = &call.incoming.id;
    raw.parse().map_err(|_not_a_number| {
        let message = format!("The `id` query parameter value [{raw}] is not valid");
        problem::invalid("id", raw, &message)
    })
}

fn one(call: &Call<'_>, parameter: &str, value: String, user: Option<UserId>) -> Outcome {
    let selection = call.selection(&[])?;
    let sight = call.sight();
    let found = user.ok_or(Reason::Gone).and_then(|id| sight.user(id));
    let user = found.map_err(|reason| missing(parameter, value, reason).answer())?;
    let mut shown = Shown::new(sight, &selection);
    let data = shown.user(user);
    Ok(shown.answer(Some(data), None))
}

fn several(
    call: &Call<'_>,
    parameter: &'static str,
    asked: Vec<(String, Option<UserId>)>,
) -> Outcome {
    let selection = call.selection(&[parameter])?;
    let sight = call.sight();
    let mut shown = Shown::new(sight, &selection);
    let mut data = Vec::new();
    for (value, user) in asked {
        match user.ok_or(Reason::Gone).and_then(|id| sight.user(id)) {
            Ok(user) => data.push(shown.user(user)),
            Err(reason) => shown.missing(&missing(parameter, value, reason)),
        }
    }
    Ok(shown.answer(non_empty(data), None))
}

fn missing(parameter: &str, value: String, reason: Reason) -> Missing<'_> {
    Missing {
        resource: "user",
        parameter,
        value,
        reason,
    }
}
