//! Reading posts: one, several, those of an account, those that mention it.

use serde_json::Value;

use super::answer::{Answer, Outcome};
use super::fields::{Selection, Shown, Sight};
use super::ledger::Price;
use super::paging::{self, Listed, PARAMETERS, Wanted};
use super::posts::post_id;
use super::problem::{self, Missing, Reason};
use super::serve::Call;
use crate::forms::json::non_empty;
use crate::model::{Post, PostId, UserId};

impl Listed for Post {
    fn id(&self) -> u64 {
        self.id.0
    }

    fn at_ms(&self) -> i64 {
        self.created_at_ms
    }
}

impl Call<'_> {
    pub(super) fn sight(&self) -> Sight<'_> {
        Sight {
            world: self.world,
            viewer: self.caller.user,
        }
    }

    pub(super) fn selection(&self, also: &[&str]) -> Result<Selection, Box<Answer>> {
        Selection::parse(self.incoming, self.caller, self.world, also)
    }

    /// The comma-separated values of a parameter: 1 to 100.
    pub(super) fn list(&self, name: &str) -> Result<Vec<&str>, Box<Answer>> {
        let given = self.incoming.parameter(name).unwrap_or_default();
        let values: Vec<&str> = given.split(',').filter(|value| !value.is_empty()).collect();
        if (1..=100).contains(&values.len()) {
            return Ok(values);
        }
        let message = format!(
            "The number of values in the `{name}` query parameter list is not between 1 and 100"
        );
        Err(problem::invalid(name, given, &message))
    }
}

/// `GET /2/tweets/{id}`
pub(super) fn post(call: Call<'_>) -> Outcome {
    let id = post_id(&call)?;
    let selection = call.selection(&[])?;
    let sight = call.sight();
    let post = sight
        .post(id)
        .map_err(|reason| missing("id", id, reason).answer())?;
    let mut shown = Shown::new(sight, &selection);
    let data = shown.post(post);
    Ok(shown.answer(Some(data), None))
}

/// `GET /2/tweets?ids=`
pub(super) fn posts(call: Call<'_>) -> Outcome {
    let selection = call.selection(&["ids"])?;
    let sight = call.sight();
    let mut shown = Shown::new(sight, &selection);
    let mut data = Vec::new();
    for raw in call.list("ids")? {
        let id: PostId = raw
            .parse()
            .map_err(|_not_a_number| problem::invalid("ids", raw, "not a valid id"))?;
        match sight.post(id) {
            Ok(post) => data.push(shown.post(post)),
            Err(reason) => shown.missing(&missing("ids", id, reason)),
        }
    }
    Ok(shown.answer(non_empty(data), None))
}

fn missing(parameter: &str, id: PostId, reason: Reason) -> Missing<'_> {
    Missing {
        resource: "tweet",
        parameter,
        value: id.to_string(),
        reason,
    }
}

/// `GET /2/users/{id}/tweets`
pub(super) fn by_user(call: Call<'_>) -> Outcome {
    let (user, selection) = (owner(&call)?, selection(&call, &["exclude"])?);
    let excluded = call.incoming.parameter("exclude").unwrap_or_default();
    let excludes = |what| excluded.split(',').any(|word| word == what);
    let (replies, reposts) = (excludes("replies"), excludes("retweets"));
    let depth = if replies { 800 } else { 3_200 };
    let wanted = Wanted::parse(call.incoming, (5, 100, 10))?;
    let posts =
        call.world.posts_by(user).take(depth).filter(|post| {
            !(replies && post.parent.is_some() || reposts && post.repost_of.is_some())
        });
    Ok(page(&call, &selection, wanted, posts, price(&call, user)))
}

/// `GET /2/users/{id}/mentions`
pub(super) fn mentions(call: Call<'_>) -> Outcome {
    let (user, selection) = (owner(&call)?, selection(&call, &[])?);
    let wanted = Wanted::parse(call.incoming, (5, 100, 10))?;
    let posts = call.world.posts_mentioning(user).take(800);
    // X tells an account of what others write.
    let posts = posts.filter(|post| post.author != user);
    Ok(page(&call, &selection, wanted, posts, price(&call, user)))
}

/// Reads of one's own are cheap for the owner of the app alone.
fn price(call: &Call<'_>, user: UserId) -> Price {
    let owner = call.state.tokens.owner(&call.caller.app);
    if owner == Some(user) && call.caller.user == Some(user) {
        Price::OwnedRead
    } else {
        Price::PostRead
    }
}

fn selection(call: &Call<'_>, also: &[&str]) -> Result<Selection, Box<Answer>> {
    call.selection(&[&PARAMETERS, also].concat())
}

/// The account whose list is wanted.
fn owner(call: &Call<'_>) -> Result<UserId, Box<Answer>> {
    let user = super::users::user_id(call)?;
    let missing = |reason| Missing {
        resource: "user",
        parameter: "id",
        value: user.to_string(),
        reason,
    };
    let found = call.sight().user(user);
    let found = found.map_err(|reason| missing(reason).answer())?;
    let is_friend = |viewer| viewer == user || call.world.follows(viewer, user);
    if found.protected && !call.caller.user.is_some_and(is_friend) {
        return Err(missing(Reason::Protected).answer());
    }
    Ok(user)
}

/// One page of posts that can be seen.
pub(super) fn page<'a>(
    call: &'a Call<'_>,
    selection: &'a Selection,
    wanted: Wanted,
    posts: impl Iterator<Item = &'a Post>,
    price: Price,
) -> Answer {
    let sight = call.sight();
    // Lists show the latest version of what was edited, and no other.
    let seen = posts.filter(|post| sight.post(post.id).is_ok() && call.world.is_current(post));
    let (found, next) = wanted.page(seen);
    let mut shown = Shown::new(sight, selection).at(price);
    let data: Vec<Value> = found.iter().map(|post| shown.post(post)).collect();
    shown.answer(non_empty(data), Some(paging::meta(&found, next)))
}
