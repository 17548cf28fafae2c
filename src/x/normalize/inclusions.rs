//! `includes`: what v2 posts refer to by id.

use super::fields::{list_of, object, required_id};
use super::media;
use super::person::people;
use crate::domain::ids::{TweetId, UserId};
use crate::domain::message::{Attachment, Person};
use crate::x::wire::v2::{Includes, Media, Post};
use crate::x::wire::{List, Raw, Text};

/// `includes` with its people read.
pub(super) struct Inclusions<'a> {
    people: Vec<Person>,
    media: List<Media<'a>>,
    posts: [Option<Raw<'a>>; 2],
}

impl<'a> Inclusions<'a> {
    pub(super) fn new(includes: Includes<'a>) -> Self {
        Self {
            people: people(&includes.users),
            media: includes.media,
            posts: [includes.tweets, includes.posts],
        }
    }

    pub(super) fn profile(&self, id: UserId) -> Option<&Person> {
        self.people.iter().find(|person| person.id == id)
    }

    /// Known by the id alone if the delivery does not show the profile.
    pub(super) fn person(&self, id: UserId) -> Person {
        self.profile(id)
            .cloned()
            .unwrap_or_else(|| Person::unknown(id))
    }

    pub(super) fn post(&self, id: TweetId) -> Option<Post<'a>> {
        let lists = self.posts.iter().flatten();
        lists
            .filter_map(|posts| list_of(posts).ok())
            .flatten()
            .filter_map(|post| object::<Post<'a>>(post).ok())
            .find(|post| required_id("id", post.id) == Ok(id))
    }

    /// The media with these keys, in the order of the keys.
    pub(super) fn attachments(&self, keys: &[Text<'_>]) -> Vec<Attachment> {
        let media = |key: &Text<'_>| self.media.iter().find(|media| *media.media_key == **key);
        keys.iter().filter_map(media).map(media::from_v2).collect()
    }
}
