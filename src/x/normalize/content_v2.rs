//! What a v2 post says.

use super::inclusions::Inclusions;
use super::links::StatusLink;
use super::text::{TextLink, render};
use crate::domain::ids::{TweetId, UserId};
use crate::domain::message::{Attachment, Link, Mention};
use crate::x::wire::v2::{Entities, Post, Url};

/// The part of a post that holds its whole text, with the entities that go with it.
pub(super) struct Content<'w, 'a> {
    pub(super) post: &'w Post<'a>,
    id: TweetId,
    text: &'w str,
    /// `RT @name: ` where a repost came without the reposted post.
    prefix: &'w str,
    display_start: usize,
    entities: Option<&'w Entities<'a>>,
    pub(super) quoted: Option<TweetId>,
    pub(super) attachments: Vec<Attachment>,
    inclusions: &'w Inclusions<'a>,
}

impl<'w, 'a> Content<'w, 'a> {
    /// Of a post over 280 characters only the note has it all.
    pub(super) fn of_post(
        post: &'w Post<'a>,
        id: TweetId,
        quoted: Option<TweetId>,
        inclusions: &'w Inclusions<'a>,
    ) -> Self {
        let (text, entities) = match post.note() {
            Some(note) => (&note.text, &note.entities),
            None => (&post.text, &post.entities),
        };
        let keys = post
            .attachments
            .as_ref()
            .map_or(&[][..], |found| &found.media_keys);
        Self {
            post,
            id,
            text,
            prefix: "",
            display_start: post.display_text_range.map_or(0, |(start, _)| start),
            entities: entities.as_ref(),
            quoted,
            attachments: inclusions.attachments(keys),
            inclusions,
        }
    }

    /// Leaves out what X puts before the words of a reposted post.
    pub(super) fn without_prefix(self, prefix: &'w str) -> Self {
        Self { prefix, ..self }
    }

    pub(super) fn text(&self) -> String {
        let links = self.urls().iter().map(|url| TextLink {
            span: url.start.zip(*url.end),
            url: &url.url,
            expanded: &url.expanded_url,
            own: self.is_own(url),
        });
        let text = render(self.text, &links.collect::<Vec<_>>());
        match text.strip_prefix(self.prefix) {
            Some(words) => words.to_owned(),
            None => text,
        }
    }

    /// The links that are not shown as media or as the quoted post.
    pub(super) fn links(&self) -> Vec<Link> {
        let links = self.urls().iter().filter(|url| !self.is_own(url));
        links
            .map(|url| Link {
                url: url.url.to_string(),
                expanded_url: url.expanded_url.to_string(),
                display_url: url.display_url.to_string(),
            })
            .collect()
    }

    pub(super) fn mentions(&self) -> Vec<Mention> {
        let mentions = self.entities.map_or(&[][..], |found| &found.mentions);
        let prefixed = self.prefix.chars().count();
        mentions
            .iter()
            .filter(|mention| mention.start.is_none_or(|start| start >= prefixed))
            .map(|mention| Mention {
                id: *mention.id,
                username: mention.username.to_string(),
                name: self.name_of(*mention.id),
                explicit: mention
                    .start
                    .is_none_or(|start| start >= self.display_start),
            })
            .collect()
    }

    pub(super) fn hashtags(&self) -> Vec<String> {
        let hashtags = self.entities.map_or(&[][..], |found| &found.hashtags);
        hashtags
            .iter()
            .map(|hashtag| hashtag.tag.to_string())
            .collect()
    }

    /// The handle in the link to the quoted post.
    pub(super) fn quoted_username(&self) -> Option<String> {
        let links = self.urls().iter();
        links
            .filter_map(|url| StatusLink::parse(&url.expanded_url))
            .find(|link| Some(link.id) == self.quoted)
            .and_then(|link| link.username.map(str::to_owned))
    }

    fn urls(&self) -> &'w [Url<'a>] {
        self.entities.map_or(&[][..], |found| &found.urls)
    }

    fn name_of(&self, id: Option<UserId>) -> String {
        let person = id.and_then(|id| self.inclusions.profile(id));
        person.map_or_else(String::new, |person| person.name.clone())
    }

    /// A link to media counts as own only if the media came along: else it is all there is of it.
    fn is_own(&self, url: &Url<'_>) -> bool {
        let link = StatusLink::parse(&url.expanded_url);
        let leads_to = |id: TweetId| link.as_ref().is_some_and(|link| link.id == id);
        let to_media = link.as_ref().is_some_and(|link| link.is_media);
        let is_media = !url.media_key.is_empty() || to_media && leads_to(self.id);
        is_media && !self.attachments.is_empty() || !to_media && self.quoted.is_some_and(leads_to)
    }
}
