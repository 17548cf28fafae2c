//! What a v1.1 post or a direct message says.

use super::links::StatusLink;
use super::media;
use super::text::{TextLink, render};
use crate::domain::ids::TweetId;
use crate::domain::message::{Attachment, Link, Mention};
use crate::x::wire::v1::{Entities, ExtendedTweet, Media, Permalink, Post, Url};

/// The part of a post that holds its whole text, with the entities that go with it.
pub(super) struct Content<'w, 'a> {
    pub(super) text: &'w str,
    /// Mentions before this code point were inherited.
    pub(super) display_start: usize,
    pub(super) entities: Option<&'w Entities<'a>>,
    /// All of the media; `entities` show one only and call each a photo.
    pub(super) media: &'w [Media<'a>],
    pub(super) quoted: Option<TweetId>,
    pub(super) quoted_permalink: Option<&'w Permalink<'a>>,
}

impl<'w, 'a> Content<'w, 'a> {
    /// Of a post over 140 characters only `extended_tweet` has it all.
    pub(super) fn of_post(post: &'w Post<'a>, quoted: Option<TweetId>) -> Self {
        let extended = post.extended_tweet.as_ref();
        let (text, range, entities) = match extended {
            Some(whole) => (&whole.full_text, &whole.display_text_range, &whole.entities),
            None => (&post.text, &post.display_text_range, &post.entities),
        };
        Self {
            text,
            display_start: range.map_or(0, |(start, _)| start),
            entities: entities.as_ref(),
            media: media_of(post, extended),
            quoted,
            quoted_permalink: post.quoted_status_permalink.as_ref(),
        }
    }

    pub(super) fn text(&self) -> String {
        let urls = self.urls().iter().map(|url| TextLink {
            span: *url.indices,
            url: &url.url,
            expanded: &url.expanded_url,
            own: self.is_own(url),
        });
        // A quoted post's link may be in the text without being listed.
        let permalink = self.quoted_permalink.into_iter().map(|link| TextLink {
            span: None,
            url: &link.url,
            expanded: &link.expanded,
            own: true,
        });
        let media = self.media.iter().map(|media| TextLink {
            span: *media.indices,
            url: &media.url,
            expanded: &media.expanded_url,
            own: true,
        });
        render(
            self.text,
            &urls.chain(media).chain(permalink).collect::<Vec<_>>(),
        )
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
        let mentions = self.entities.map_or(&[][..], |found| &found.user_mentions);
        mentions
            .iter()
            .map(|mention| Mention {
                id: *mention.id_str,
                username: mention.screen_name.to_string(),
                name: mention.name.to_string(),
                explicit: mention
                    .indices
                    .is_none_or(|(start, _)| start >= self.display_start),
            })
            .collect()
    }

    pub(super) fn hashtags(&self) -> Vec<String> {
        let hashtags = self.entities.map_or(&[][..], |found| &found.hashtags);
        hashtags
            .iter()
            .map(|hashtag| hashtag.text.to_string())
            .collect()
    }

    pub(super) fn attachments(&self, requires_auth: bool) -> Vec<Attachment> {
        let media = self.media.iter();
        media
            .map(|media| media::from_v1(media, requires_auth))
            .collect()
    }

    /// The handle in the link to the quoted post.
    pub(super) fn quoted_username(&self) -> Option<String> {
        let permalink = self.quoted_permalink.map(|link| &*link.expanded);
        let urls = self.urls().iter().map(|url| &*url.expanded_url);
        permalink
            .into_iter()
            .chain(urls)
            .filter_map(StatusLink::parse)
            .find(|link| Some(link.id) == self.quoted)
            .and_then(|link| link.username.map(str::to_owned))
    }

    fn urls(&self) -> &'w [Url<'a>] {
        self.entities.map_or(&[][..], |found| &found.urls)
    }

    fn is_own(&self, url: &Url<'_>) -> bool {
        let is_media = self.media.iter().any(|media| *media.url == *url.url);
        is_media || self.quoted.is_some() && self.is_quoted(url)
    }

    fn is_quoted(&self, url: &Url<'_>) -> bool {
        let linked = StatusLink::parse(&url.expanded_url).map(|link| link.id);
        let permalink = self.quoted_permalink;
        linked == self.quoted || permalink.is_some_and(|link| *link.url == *url.url)
    }
}

/// The first place that lists media, the most complete ones first.
fn media_of<'w, 'a>(
    post: &'w Post<'a>,
    extended: Option<&'w ExtendedTweet<'a>>,
) -> &'w [Media<'a>] {
    let places = [
        extended.and_then(|extended| extended.extended_entities.as_ref()),
        extended.and_then(|extended| extended.entities.as_ref()),
        post.extended_entities.as_ref(),
        post.entities.as_ref(),
    ];
    let lists = places
        .into_iter()
        .flatten()
        .map(|entities| &*entities.media);
    lists
        .into_iter()
        .find(|media| !media.is_empty())
        .unwrap_or_default()
}
