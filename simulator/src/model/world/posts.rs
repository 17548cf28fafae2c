//! Writing, reposting, editing, removing and liking posts.

use std::collections::HashMap;

use super::{Refused, World};
use crate::model::event::{Event, Like};
use crate::model::ids::{PostId, UserId};
use crate::model::media::{MediaKind, NewMedia};
use crate::model::post::{Counts, NewPost, Post};
use crate::text;

/// Ways to find posts; each list is in order of their ids.
#[derive(Default)]
pub(crate) struct PostIndex {
    by_author: HashMap<UserId, Vec<PostId>>,
    by_mention: HashMap<UserId, Vec<PostId>>,
    by_conversation: HashMap<PostId, Vec<PostId>>,
    /// The newest post of an author with a text, white space around it aside.
    by_text: HashMap<(UserId, String), PostId>,
    /// All versions of what was edited, by the first one's id.
    versions: HashMap<PostId, Vec<PostId>>,
}

impl World {
    pub(crate) fn post(&mut self, new: NewPost) -> Result<PostId, Refused> {
        let author = self.user(new.author)?.id;
        let parent = new
            .in_reply_to
            .map(|id| self.visible_post(id))
            .transpose()?
            .cloned();
        if let Some(quoted) = new.quote {
            self.visible_post(quoted)?;
        }
        check_media(&new.media)?;
        let inherited_mentions = parent
            .as_ref()
            .map(|parent| self.inherited_mentions(parent, author, &new.exclude_mentions))
            .unwrap_or_default();
        let at_ms = self.time.tick();
        let id = PostId(self.time.id_at(at_ms));
        let mut media = self.new_media(new.media, at_ms);
        for upload in new.uploads {
            media.push(self.uploaded(upload)?);
        }
        self.insert(Post {
            id,
            author,
            created_at_ms: at_ms,
            text: new.text,
            conversation: parent.as_ref().map_or(id, |parent| parent.conversation),
            parent: parent.map(|parent| parent.id),
            quote: new.quote,
            repost_of: None,
            media,
            inherited_mentions,
            history: vec![id],
            lang: language(new.lang),
            possibly_sensitive: new.possibly_sensitive,
            counts: Counts::default(),
            deleted: false,
            hidden: false,
            reply_settings: new.reply_settings,
            direct_message_link: new.direct_message_link,
            source_app: new.source_app,
        });
        Ok(id)
    }

    /// A repost of a repost points to the original.
    pub(crate) fn repost(&mut self, author: UserId, of: PostId) -> Result<PostId, Refused> {
        self.user(author)?;
        let original = self.visible_post(of)?;
        let original = original.repost_of.unwrap_or(original.id);
        let source = self.visible_post(original)?.clone();
        let at_ms = self.time.tick();
        let id = PostId(self.time.id_at(at_ms));
        self.insert(Post {
            id,
            author,
            created_at_ms: at_ms,
            text: String::new(),
            parent: None,
            conversation: id,
            quote: None,
            repost_of: Some(original),
            media: Vec::new(),
            inherited_mentions: Vec::new(),
            history: vec![id],
            counts: Counts::default(),
            deleted: false,
            direct_message_link: None,
            source_app: None,
            ..source
        });
        Ok(id)
    }

    /// A new version with a new id.
    pub(crate) fn edit(&mut self, of: PostId, text: &str) -> Result<PostId, Refused> {
        let before = self.visible_post(of)?.clone();
        if !before.is_editable() {
            return Err(Refused::NotEditable(of));
        }
        let at_ms = self.time.tick();
        let id = PostId(self.time.id_at(at_ms));
        let mut history = before.history.clone();
        history.push(id);
        self.insert(Post {
            id,
            created_at_ms: at_ms,
            text: text.to_owned(),
            history,
            ..before
        });
        Ok(id)
    }

    /// Removing one version removes all of them.
    pub(crate) fn delete(&mut self, post: PostId) -> Result<Event, Refused> {
        let gone = self.visible_post(post)?.clone();
        let at_ms = self.time.tick();
        for id in self.versions(&gone) {
            if let Some(version) = self.posts.get_mut(&id) {
                version.deleted = true;
                self.redacted.insert(id, at_ms);
            }
        }
        Ok(Event::Deleted {
            post,
            author: gone.author,
            at_ms,
        })
    }

    /// When the post was removed, if it was.
    pub(crate) fn redacted_at_ms(&self, post: PostId) -> Option<i64> {
        self.redacted.get(&post).copied()
    }

    fn versions(&self, post: &Post) -> Vec<PostId> {
        let first = post.history.first().copied().unwrap_or(post.id);
        let edited = self.post_index.versions.get(&first);
        edited.cloned().unwrap_or_else(|| vec![first])
    }

    /// Whether no later version has taken its place.
    pub(crate) fn is_current(&self, post: &Post) -> bool {
        let first = post.history.first().copied().unwrap_or(post.id);
        let versions = self.post_index.versions.get(&first);
        versions.is_none_or(|versions| versions.last() == Some(&post.id))
    }

    /// The author of the thread hides a reply, or shows it again.
    pub(crate) fn hide(&mut self, post: PostId, hidden: bool) -> Result<(), Refused> {
        self.visible_post(post)?;
        if let Some(post) = self.posts.get_mut(&post) {
            post.hidden = hidden;
        }
        Ok(())
    }

    pub(crate) fn like(&mut self, user: UserId, post: PostId) -> Result<Event, Refused> {
        self.visible_post(post)?;
        self.users
            .get_mut(&user)
            .ok_or_else(|| Refused::UnknownUser(user.to_string()))?
            .likes += 1;
        self.count(Some(post), |counts| counts.likes += 1);
        let at_ms = self.time.tick();
        Ok(Event::Liked(Like { user, post, at_ms }))
    }

    /// A post that is still there.
    pub(crate) fn visible_post(&self, id: PostId) -> Result<&Post, Refused> {
        self.any_post(id)
            .filter(|post| !post.deleted)
            .ok_or(Refused::UnknownPost(id))
    }

    /// A post, deleted or not.
    pub(crate) fn any_post(&self, id: PostId) -> Option<&Post> {
        self.posts.get(&id)
    }

    pub(crate) fn posts(&self) -> impl DoubleEndedIterator<Item = &Post> {
        self.posts.values()
    }

    fn insert(&mut self, post: Post) {
        if let Some(author) = self.users.get_mut(&post.author) {
            author.posts += 1;
        }
        self.count(post.parent, |counts| counts.replies += 1);
        self.count(post.quote, |counts| counts.quotes += 1);
        self.count(post.repost_of, |counts| counts.reposts += 1);
        self.index(&post);
        self.posts.insert(post.id, post);
    }

    fn index(&mut self, post: &Post) {
        let (id, index) = (post.id, &mut self.post_index);
        index.by_author.entry(post.author).or_default().push(id);
        let thread = index.by_conversation.entry(post.conversation);
        thread.or_default().push(id);
        if let (Some(first), true) = (post.history.first(), post.history.len() > 1) {
            let versions = index.versions.entry(*first);
            versions.or_insert_with(|| vec![*first]).push(id);
        }
        // A repost mentions nobody: those in the original were told by it.
        if post.repost_of.is_none() {
            let said = (post.author, post.text.trim().to_owned());
            self.post_index.by_text.insert(said, id);
            let text = text::compose(self, post, text::QuoteLink::Omitted);
            for user in text.mentions() {
                let mentions = self.post_index.by_mention.entry(user).or_default();
                if mentions.last() != Some(&id) {
                    mentions.push(id);
                }
            }
        }
    }

    /// The posts of an author, newest first, deleted ones too.
    pub(crate) fn posts_by(&self, author: UserId) -> impl Iterator<Item = &Post> {
        self.found(self.post_index.by_author.get(&author))
    }

    /// The newest post of the author with that text, if it is still there.
    pub(crate) fn post_saying(&self, author: UserId, text: &str) -> Option<&Post> {
        let said = (author, text.trim().to_owned());
        let id = self.post_index.by_text.get(&said)?;
        self.visible_post(*id).ok()
    }

    /// The posts that mention an account, newest first, deleted ones too.
    pub(crate) fn posts_mentioning(&self, user: UserId) -> impl Iterator<Item = &Post> {
        self.found(self.post_index.by_mention.get(&user))
    }

    /// The posts of a thread, newest first, deleted ones too.
    pub(crate) fn posts_in(&self, conversation: PostId) -> impl Iterator<Item = &Post> {
        self.found(self.post_index.by_conversation.get(&conversation))
    }

    fn found<'a>(&'a self, ids: Option<&'a Vec<PostId>>) -> impl Iterator<Item = &'a Post> {
        ids.into_iter()
            .flatten()
            .rev()
            .filter_map(|id| self.posts.get(id))
    }

    fn count(&mut self, post: Option<PostId>, count: impl FnOnce(&mut Counts)) {
        if let Some(post) = post.and_then(|id| self.posts.get_mut(&id)) {
            count(&mut post.counts);
        }
    }

    /// X begins a reply with the parent's author and everybody the parent mentions, but never
    /// with the writer.
    fn inherited_mentions(
        &self,
        parent: &Post,
        author: UserId,
        excluded: &[UserId],
    ) -> Vec<UserId> {
        let mut people = vec![parent.author];
        people.extend(text::compose(self, parent, text::QuoteLink::Omitted).mentions());
        let mut kept = Vec::new();
        for person in people {
            if person != author && !excluded.contains(&person) && !kept.contains(&person) {
                kept.push(person);
            }
        }
        kept
    }
}

fn check_media(media: &[NewMedia]) -> Result<(), Refused> {
    let photos = media
        .iter()
        .filter(|media| media.kind == MediaKind::Photo)
        .count();
    let fits = media.len() <= 1 || (photos == media.len() && photos <= 4);
    fits.then_some(()).ok_or(Refused::TooMuchMedia)
}

fn language(given: String) -> String {
    if given.is_empty() {
        "und".to_owned()
    } else {
        given
    }
}
