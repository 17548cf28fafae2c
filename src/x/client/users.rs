//! Profiles.

use reqwest::Method;

use super::auth::Auth;
use super::call::Call;
use super::error::UncertainBecause;
use super::posts::{Missing, expect_something, included, list_of_ids, listed, not_sent};
use super::send::{Request, Sent};
use super::vocabulary::Fields;
use super::{Client, Reply, Resources};
use crate::domain::activity::Rejected;
use crate::domain::ids::UserId;
use crate::domain::message::Person;
use crate::x::normalize::answers;
use crate::x::wire::answer::Envelope;

/// A person, and how the account that asked stands with them.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    pub person: Person,
    /// `None` where X does not say. That they block *us* is in no field.
    pub receives_your_dm: Option<bool>,
    pub connections: Vec<Connection>,
    /// X tells it of the account itself only.
    pub plan: Option<Plan>,
}

/// What is between the account that asks and a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Connection {
    Blocking,
    Muting,
    Following,
    FollowedBy,
    /// X's word for it.
    Other(String),
}

/// What an account pays for: it decides how long its posts may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    None,
    Basic,
    Premium,
    PremiumPlus,
    /// X's word for it.
    Other(String),
}

/// Users of an answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UsersFound {
    pub users: Vec<Profile>,
    /// The ids that X left out: deleted or suspended.
    pub missing: Vec<Missing<UserId>>,
    /// What in the answer was no readable user.
    pub unreadable: Vec<Rejected>,
}

impl Client {
    /// Looks up to 100 users up.
    pub async fn users(&self, auth: Auth<'_>, ids: &[UserId]) -> Reply<UsersFound> {
        let request = Request::new(Call::UserLookup, Method::GET, "2/users");
        // Nobody has a standing with an app.
        let fields = match auth {
            Auth::Account { .. } | Auth::Owner { .. } | Auth::Linking { .. } => Fields::Users,
            Auth::App(_) => Fields::PublicUsers,
        };
        let request = match list_of_ids(ids) {
            Ok(list) => request.query("ids", list).fields(fields),
            Err(error) => return not_sent(Call::UserLookup, error),
        };
        let sent = self.send(auth, &request).await;
        sent.read(|answer, envelope| {
            expect_something(answer, envelope)?;
            let read = answers::profiles(envelope.data);
            let users: Vec<_> = read.items.into_iter().map(Profile::from).collect();
            let is_found = |id: &UserId| users.iter().any(|user| user.person.id == *id);
            let left_out = ids.iter().filter(|id| !is_found(id));
            let missing = left_out
                .map(|id| self.missing(*id, answer, envelope))
                .collect();
            let found = UsersFound {
                missing,
                users,
                unreadable: read.unreadable,
            };
            Ok((found, resources(envelope)))
        })
    }

    /// The account itself: whose token it is, and its plan.
    pub async fn me(&self, auth: Auth<'_>) -> Reply<Profile> {
        self.own_profile(self.ask_for_me(auth).await)
    }

    pub(super) async fn ask_for_me(&self, auth: Auth<'_>) -> Sent {
        let request = Request::new(Call::Me, Method::GET, "2/users/me").fields(Fields::OwnUser);
        self.send(auth, &request).await
    }

    pub(super) fn own_profile(&self, sent: Sent) -> Reply<Profile> {
        sent.read(|answer, envelope| {
            self.refuse_errors_alone(answer, envelope)?;
            let own = answers::profiles(envelope.data).items.pop();
            let own = own.ok_or_else(|| answer.uncertain(UncertainBecause::Unreadable))?;
            Ok((own.into(), resources(envelope)))
        })
    }
}

impl From<answers::Profile> for Profile {
    fn from(read: answers::Profile) -> Self {
        let connections = read.connection_status.into_iter();
        Self {
            person: read.person,
            receives_your_dm: read.receives_your_dm,
            connections: connections.map(connection).collect(),
            plan: plan(read.subscription_type),
        }
    }
}

fn connection(word: String) -> Connection {
    match &*word {
        "blocking" => Connection::Blocking,
        "muting" => Connection::Muting,
        "following" => Connection::Following,
        "followed_by" => Connection::FollowedBy,
        _ => Connection::Other(word),
    }
}

fn plan(word: String) -> Option<Plan> {
    match &*word {
        "" => None,
        "None" | "none" => Some(Plan::None),
        "Basic" => Some(Plan::Basic),
        "Premium" => Some(Plan::Premium),
        "PremiumPlus" => Some(Plan::PremiumPlus),
        _ => Some(Plan::Other(word)),
    }
}

fn resources(envelope: &Envelope<'_>) -> Resources {
    let (posts, users) = included(envelope);
    Resources {
        posts,
        users: users + listed(envelope.data),
        direct_messages: 0,
    }
}
