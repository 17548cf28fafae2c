//! Accounts of X, customers' and ours alike.

use serde::{Deserialize, Serialize};

use super::ids::UserId;

/// An account of X.
#[derive(Clone, Debug)]
pub(crate) struct User {
    /// Its id, which never changes.
    pub(crate) id: UserId,
    /// The @name, without the sign.
    pub(crate) username: String,
    /// The display name.
    pub(crate) name: String,
    /// Free text under the name; empty when not set.
    pub(crate) location: String,
    /// The biography; empty when not set.
    pub(crate) description: String,
    /// Its web page, as the owner typed it; empty when not set.
    pub(crate) url: String,
    /// The small picture.
    pub(crate) avatar_url: String,
    /// The large picture at the top of the profile.
    pub(crate) banner_url: String,
    /// Whether it has a badge.
    pub(crate) verified: bool,
    /// Whether only its followers see its posts.
    pub(crate) protected: bool,
    /// How many follow it.
    pub(crate) followers: u64,
    /// How many it follows.
    pub(crate) following: u64,
    /// How many posts it has written.
    pub(crate) posts: u64,
    /// How many posts it likes.
    pub(crate) likes: u64,
    /// Milliseconds since 1970.
    pub(crate) created_at_ms: i64,
    /// What it may do.
    pub(crate) standing: Standing,
}

/// What an account may do, and what others may do to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Standing {
    /// X has closed it: it is not found, and may nothing.
    pub suspended: bool,
    /// Its owner has closed it: as suspended, but by another reason.
    pub deactivated: bool,
    /// X wants its owner to log in and prove to be a person.
    pub locked: bool,
    /// Its owner pays: posts of 25,000 characters, and edits.
    pub premium: bool,
    /// Who does not know it may write to it.
    pub accepts_messages: bool,
}

impl Standing {
    /// It is not found, and may nothing.
    pub(crate) fn is_closed(&self) -> bool {
        self.suspended || self.deactivated
    }
}

impl Default for Standing {
    fn default() -> Self {
        Self {
            suspended: false,
            deactivated: false,
            locked: false,
            premium: false,
            accepts_messages: true,
        }
    }
}

/// What a test or a configuration says of an account to be added.
#[derive(Clone, Debug, Default)]
pub struct NewUser {
    /// A fixed id; made from the clock when absent.
    pub id: Option<u64>,
    /// The @name, without the sign.
    pub username: String,
    /// The display name; the @name when empty.
    pub name: String,
    /// Free text under the name.
    pub location: String,
    /// The biography.
    pub description: String,
    /// Its web page.
    pub url: String,
    /// Whether it has a badge.
    pub verified: bool,
    /// Whether only its followers see its posts.
    pub protected: bool,
    /// How many follow it.
    pub followers: u64,
}

impl NewUser {
    /// An account with nothing but a name.
    pub fn named(username: &str) -> Self {
        Self {
            username: username.to_owned(),
            ..Self::default()
        }
    }

    /// The same with a fixed id.
    #[must_use]
    pub fn with_id(mut self, id: u64) -> Self {
        self.id = Some(id);
        self
    }

    pub(crate) fn into_user(self, id: UserId, created_at_ms: i64, images: &str) -> User {
        let name = if self.name.is_empty() {
            self.username.clone()
        } else {
            self.name
        };
        User {
            avatar_url: format!("{images}/profile_images/{id}/portrait_normal.png"),
            banner_url: format!("{images}/profile_banners/{id}/1600000000"),
            id,
            username: self.username,
            name,
            location: self.location,
            description: self.description,
            url: self.url,
            verified: self.verified,
            protected: self.protected,
            followers: self.followers,
            following: 0,
            posts: 0,
            likes: 0,
            created_at_ms,
            standing: Standing::default(),
        }
    }
}

/// A line of the profile that its owner can change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProfileField {
    /// The biography.
    Description,
    /// The display name.
    Name,
    /// The @name.
    Username,
    /// Free text under the name.
    Location,
    /// The web page.
    Url,
    /// The small picture.
    Avatar,
    /// The large picture.
    Banner,
}

impl ProfileField {
    /// The end of the event's name: `profile.update.<this>`.
    pub(crate) fn event(self) -> &'static str {
        match self {
            Self::Description => "bio",
            // X's word for the display name; the @name is `handle`.
            Self::Name => "screenname",
            Self::Username => "handle",
            Self::Location => "geo",
            Self::Url => "url",
            Self::Avatar => "profile_picture",
            Self::Banner => "banner_picture",
        }
    }

    pub(crate) fn of(self, user: &mut User) -> &mut String {
        match self {
            Self::Description => &mut user.description,
            Self::Name => &mut user.name,
            Self::Username => &mut user.username,
            Self::Location => &mut user.location,
            Self::Url => &mut user.url,
            Self::Avatar => &mut user.avatar_url,
            Self::Banner => &mut user.banner_url,
        }
    }
}
