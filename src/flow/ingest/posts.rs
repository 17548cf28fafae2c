//! Posts: whose they are, which version, whether a filter wants them, and the events they make.

use std::borrow::Cow;

use jiff::Timestamp;

use super::echo::Made;
use super::storms::Weather;
use super::threads::{self, Known, Place};
use super::work::{Outcome, Unwanted, Work, route_of};
use crate::domain::account::{Account, Enrich, Tier};
use crate::domain::event::{
    Conversation, Customer, Described, DetectedBy, Edited, GoneBecause, InReplyTo, Incoming,
    Outgoing, Payload, message_event_id,
};
use crate::domain::filter::{Candidate, Decision, Relation, Route, decide};
use crate::domain::ids::{EventId, MessageId, TweetId, UserId};
use crate::domain::message::{Post, Reference};
use crate::domain::outcome::CommandRef;
use crate::domain::reply;
use crate::domain::storm::StormLimit;
use crate::flow::deletion::{self, Gone};
use crate::flow::enrich::Wish;
use crate::flow::reconcile::Found;
use crate::flow::sighting::Sighting;
use crate::store::{PostRow, StoreError};

/// What a post is beside those we know.
enum Version {
    /// No version of it was published yet.
    First,
    /// This version or a newer one was published.
    Old,
    /// Follows a published version.
    Newer { latest: TweetId, event: EventId },
}

/// What was decided of a post that somebody wants.
pub(super) struct Choice {
    /// `None` for the account's own posts.
    pub route: Option<Route>,
    pub relations: Vec<Relation>,
    /// Of the filter that took it.
    pub storm: Option<StormLimit>,
}

/// A post of which it is decided that it is published.
struct Wanted<'a> {
    account: &'a Account,
    post: &'a Post,
    version: Version,
    /// `None` for the account's own posts.
    route: Option<Route>,
    relations: Vec<Relation>,
    /// The command that made it.
    command: Option<CommandRef>,
    /// What stands above it, oldest first, where X was asked.
    above: Vec<Post>,
}

impl Work<'_, '_> {
    /// A post that was delivered for `account`.
    pub(super) fn post(&mut self, account: &Account, post: &Post) -> Result<Outcome, StoreError> {
        let mut known = Known::read(self.tx, account.id, post)?;
        let post = &*self.with_history(post, &mut known)?;
        let version = self.version(account, post, &known)?;
        if matches!(version, Version::Old) {
            return Ok(Outcome::Duplicate);
        }
        let command = match self.maker_of_post(account, post, &version)? {
            Made::By(command) => Some(command),
            Made::Elsewhere => None,
            Made::Unclear => return self.wait(account),
        };
        if let Some(wish) = self.wish(account, post, &version, &known)? {
            return self.wait_for(account, wish);
        }
        let above = self.above(account, post, &known)?;
        let post = &*self.enriched(account, post, &above);
        let registry = self.context.registry();
        let place = threads::place(self.tx, registry, post, known, self.at)?;
        self.announce_merges(account, &place)?;
        let relations = self.relations(account, post, &place.known)?;
        let choice = match self.decide_post(account, post, &place, relations, &version)? {
            Ok(choice) => choice,
            Err(unwanted) => {
                self.remember(post, place, None)?;
                let id = MessageId::Post(post.original_id());
                let event = message_event_id(account.id, "message.received", &id);
                return self.unwanted(account, &post.message, event, &unwanted);
            }
        };
        if let Some(limit) = choice.storm {
            match self.weather(account, post, &place, limit)? {
                Weather::Calm => {}
                Weather::Known => return Ok(Outcome::Duplicate),
                Weather::Storm(row) => return self.hold(account, post, place, &choice, row),
            }
        }
        let wanted = Wanted {
            account,
            post,
            version,
            route: choice.route,
            relations: choice.relations,
            command,
            above,
        };
        self.publish_post(wanted, place)
    }

    fn maker_of_post(
        &mut self,
        account: &Account,
        post: &Post,
        version: &Version,
    ) -> Result<Made, StoreError> {
        let own = post.message.author.id == account.id.0 && post.reposted.is_none();
        match version {
            Version::First if own => self.maker(account, post.id.into(), &Found::post(post)),
            _ => Ok(Made::Elsewhere),
        }
    }

    /// What X is to be asked before a post is published: of those that a filter wants, once.
    fn wish(
        &self,
        account: &Account,
        post: &Post,
        version: &Version,
        known: &Known,
    ) -> Result<Option<Wish>, StoreError> {
        let Enrich { parents, profiles } = account.enrich;
        let fresh = matches!(version, Version::First) && !self.arrival.waited;
        let author = &post.message.author;
        if !(parents || profiles) || !fresh || author.id == account.id.0 {
            return Ok(None);
        }
        let enrichment = self.context.enrichment();
        let parent = post.replied_to.as_ref().map(|parent| parent.id);
        let parent = match parent.filter(|_| parents) {
            Some(id) if known.row(self.tx, id)?.is_none() => Some(id),
            _ => None,
        };
        let wish = Wish {
            account: account.id,
            parent: parent.filter(|id| enrichment.post(*id, self.at).is_none()),
            author: Some(author.id).filter(|id| {
                profiles && author.username.is_empty() && enrichment.person(*id, self.at).is_none()
            }),
        };
        if wish.parent.is_none() && wish.author.is_none() {
            return Ok(None);
        }
        let relations = self.relations(account, post, known)?;
        let candidate = self.candidate(account, post, &relations);
        let filters = self.context.registry().filters(account.id);
        let Decision::Wanted { filter, .. } = decide(filters, &candidate) else {
            return Ok(None);
        };
        if let Some(limit) = filter.and_then(|filter| filter.storm) {
            let conversation = threads::expected(self.tx, post, known)?;
            if self.is_stormy(account.id, &conversation, limit)? {
                return Ok(None);
            }
        }
        Ok(Some(wish))
    }

    /// What was read of the posts above one whose thread was not known.
    fn above(
        &self,
        account: &Account,
        post: &Post,
        known: &Known,
    ) -> Result<Vec<Post>, StoreError> {
        match &post.replied_to {
            Some(parent) if account.enrich.parents && known.row(self.tx, parent.id)?.is_none() => {
                Ok(self.context.enrichment().above(parent.id, self.at))
            }
            _ => Ok(Vec::new()),
        }
    }

    /// A post with what was read of X.
    fn enriched<'p>(&self, account: &Account, post: &'p Post, above: &[Post]) -> Cow<'p, Post> {
        let mut post = Cow::Borrowed(post);
        if post.root.is_none()
            && let Some(root) = above.iter().find_map(|parent| parent.root)
        {
            post.to_mut().root = Some(root);
        }
        let author = &post.message.author;
        if account.enrich.profiles && author.username.is_empty() {
            let read = self.context.enrichment().person(author.id, self.at);
            if let Some(person) = read.flatten() {
                post.to_mut().message.author = person;
            }
        }
        post
    }

    pub(super) fn remember(
        &self,
        post: &Post,
        place: Place,
        published: Option<EventId>,
    ) -> Result<(), StoreError> {
        let registry = self.context.registry();
        threads::remember(self.tx, registry, post, place, published, self.at)
    }

    /// Where X leaves out the versions, what is known of them holds: it stays the same message.
    fn with_history<'p>(
        &self,
        post: &'p Post,
        known: &mut Known,
    ) -> Result<Cow<'p, Post>, StoreError> {
        let row = known.row(self.tx, post.id)?;
        let original = row.as_ref().as_ref().and_then(|row| row.original);
        let Some(original) = original.filter(|id| !post.edit_history.contains(id)) else {
            return Ok(Cow::Borrowed(post));
        };
        known.add_original(self.tx, original)?;
        let mut post = post.clone();
        post.edit_history.insert(0, original);
        Ok(Cow::Owned(post))
    }

    fn version(
        &self,
        account: &Account,
        post: &Post,
        known: &Known,
    ) -> Result<Version, StoreError> {
        let original = post.original_id();
        if let Some(PostRow {
            latest: Some(latest),
            event: Some(event),
            ..
        }) = &*known.row(self.tx, original)?
        {
            let (latest, event) = (*latest, *event);
            return Ok(if post.id > latest {
                Version::Newer { latest, event }
            } else {
                Version::Old
            });
        }
        // The thread may be forgotten while the duplicate check still knows.
        let own = post.message.author.id == account.id.0;
        let event_type = if own {
            "message.sent"
        } else {
            "message.received"
        };
        let id = message_event_id(account.id, event_type, &MessageId::Post(original));
        let seen = self.tx.seen(id)?;
        Ok(if seen.is_some_and(|seen| seen.wanted) {
            Version::Old
        } else {
            Version::First
        })
    }

    fn announce_merges(&mut self, account: &Account, place: &Place) -> Result<(), StoreError> {
        for merged in &place.merged {
            let payload = Payload::ConversationMerged {
                survivor: Conversation {
                    id: place.conversation.clone(),
                    customer: None,
                    related: Vec::new(),
                },
                merged: merged.clone(),
            };
            self.append(account, self.at, payload)?;
        }
        Ok(())
    }

    /// Ours by what the delivery says, by what the store knows, by the link, or by X's event kind.
    fn is_of(
        &self,
        account: &Account,
        reference: &Reference,
        known: &Known,
    ) -> Result<bool, StoreError> {
        if let Some(author) = reference.author_id {
            return Ok(author == account.id.0);
        }
        let by_link = reference
            .link_username
            .as_ref()
            .is_some_and(|name| name.eq_ignore_ascii_case(&account.username));
        if reference.of_account || by_link {
            return Ok(true);
        }
        let row = known.row(self.tx, reference.id)?;
        let author = row.as_ref().as_ref().and_then(|row| row.author);
        Ok(author == Some(account.id.0))
    }

    fn relations(
        &self,
        account: &Account,
        post: &Post,
        known: &Known,
    ) -> Result<Vec<Relation>, StoreError> {
        let quoted = post.quoted.as_ref().map(|quoted| &quoted.reference);
        let references = [
            (Relation::Repost, post.reposted.as_ref()),
            (Relation::Reply, post.replied_to.as_ref()),
            (Relation::Quote, quoted),
        ];
        let mut relations = Vec::new();
        for (relation, reference) in references {
            if let Some(reference) = reference
                && self.is_of(account, reference, known)?
            {
                relations.push(relation);
            }
        }
        if post
            .message
            .mentions
            .iter()
            .any(|it| names(account, it.id, &it.username))
        {
            relations.push(Relation::Mention);
        }
        Ok(relations)
    }

    /// Who wants it and how, or why nobody does; the account's own posts need no filter.
    fn decide_post(
        &self,
        account: &Account,
        post: &Post,
        place: &Place,
        relations: Vec<Relation>,
        version: &Version,
    ) -> Result<Result<Choice, Box<Unwanted>>, StoreError> {
        if post.message.author.id == account.id.0 {
            return Ok(Ok(Choice {
                route: None,
                relations,
                storm: None,
            }));
        }
        // Only what was received has a route, and keeps a thread followed.
        let stored = place.stored.as_ref();
        let published = stored.filter(|row| row.received_at.is_some());
        let route = published.map(route_of);
        let recent = published.is_some_and(|row| row.received_at >= Some(self.recent()));
        let follows = recent && post.replied_to.is_some();
        let candidate = Candidate {
            followed: route.as_ref().filter(|_| follows),
            ..self.candidate(account, post, &relations)
        };
        let filters = self.context.registry().filters(account.id);
        Ok(match decide(filters, &candidate) {
            Decision::Wanted {
                route,
                filter,
                relations,
                ..
            } => Ok(Choice {
                route: Some(route.clone()),
                relations,
                // What the core knows an earlier version of does not wait.
                storm: filter
                    .and_then(|filter| filter.storm)
                    .filter(|_| matches!(version, Version::First)),
            }),
            // The core knows an earlier version: it must hear of this one.
            Decision::Unwanted(_) if matches!(version, Version::Newer { .. }) => Ok(Choice {
                route: Some(route.unwrap_or_default()),
                relations,
                storm: None,
            }),
            Decision::Unwanted(refusal) => {
                let reply = post.replied_to.is_some();
                Err(Box::new(Unwanted {
                    why: refusal.why,
                    sighting: Sighting::of(&candidate, &place.conversation, reply, Some(refusal)),
                }))
            }
        })
    }

    /// The post as filters look at it, by itself.
    pub(super) fn candidate<'p>(
        &self,
        account: &Account,
        post: &'p Post,
        relations: &'p [Relation],
    ) -> Candidate<'p> {
        let author = post.message.author.id;
        Candidate {
            account: account.id,
            message: &post.message,
            relations,
            explicit_mention: explicitly_named(account, post),
            is_repost: post.reposted.is_some(),
            own_author: self.context.registry().is_ours(author),
            blocked: post.author_blocked || account.blocked.contains(&author),
            message_request: None,
            followed: None,
            now: self.at,
        }
    }

    fn publish_post(
        &mut self,
        wanted: Wanted<'_>,
        mut place: Place,
    ) -> Result<Outcome, StoreError> {
        let Wanted { account, post, .. } = wanted;
        let conversation = self.post_conversation(account, post, &place)?;
        let route = wanted.route.clone();
        // The event does not show that it is a repost.
        let beside = post.reposted.is_some() && route.is_some();
        let beside = beside.then(|| {
            let candidate = self.candidate(account, post, &wanted.relations);
            Sighting::of(&candidate, &place.conversation, false, None)
        });
        let payload = self.post_payload(wanted, conversation)?;
        let appended = self.append(account, post.message.created_at, payload)?;
        if let Some(sighting) = beside {
            self.keep_sighting_beside(account.id, &appended, &sighting)?;
        }
        if !self.is_released(account.id, post.id) {
            self.bill(account, &post.message)?;
        }
        if let (None, Some(customer)) = (&route, place.customer) {
            let conversation = &place.conversation;
            self.tx
                .note_answered(account.id, conversation, customer, self.at)?;
        }
        let stored = place.stored.take();
        self.note_published(account.id, (&place.conversation, stored), route, &appended)?;
        self.remember(post, place, Some(appended.id))?;
        Ok(Outcome::Published)
    }

    fn post_conversation(
        &self,
        account: &Account,
        post: &Post,
        place: &Place,
    ) -> Result<Conversation, StoreError> {
        let customer = place.customer.map(|id| Customer {
            id,
            username: username_in(post, id),
        });
        self.conversation(account.id, place.conversation.clone(), customer)
    }

    fn post_payload(
        &self,
        wanted: Wanted<'_>,
        conversation: Conversation,
    ) -> Result<Payload, StoreError> {
        let Wanted {
            account,
            post,
            version,
            route,
            relations,
            command,
            above,
        } = wanted;
        let app = self.context.registry().app_of(account);
        let tier = app.map_or(Tier::SelfServe, |app| app.tier);
        let named = explicitly_named(account, post);
        let (limit, prices) = (
            self.context.rules().post_limit(account),
            self.context.prices(),
        );
        let advice = reply::to_post(tier, named, post, &relations, limit, &prices.calls)
            .unless(self.context.rules().silenced(account));
        let delivery = self.delivery(account, &post.message);
        let message = self.describe_post(post, relations);
        let context = above.iter();
        let context = context.map(|post| self.describe_post(post, Vec::new()));
        let context = context.collect();
        Ok(match (version, route) {
            (Version::Newer { latest, event }, route) => Payload::MessageEdited(Box::new(Edited {
                incoming: route.map(|route| (route, advice)),
                conversation,
                message,
                delivery,
                previous_id: latest,
                previous_text: self.published_text(event)?,
            })),
            (_, Some(route)) => Payload::MessageReceived(Box::new(Incoming {
                route,
                conversation,
                message,
                context,
                reply: advice,
                delivery,
            })),
            (_, None) => Payload::MessageSent(Box::new(Outgoing {
                conversation,
                message,
                delivery,
                command,
            })),
        })
    }

    fn describe_post(&self, post: &Post, relations: Vec<Relation>) -> Described {
        let registry = self.context.registry();
        let quoted_author = post.quoted.as_ref().and_then(|it| it.reference.author_id);
        Described {
            original_id: MessageId::Post(post.original_id()),
            relations,
            own: registry.is_ours(post.message.author.id),
            in_reply_to: post.replied_to.as_ref().map(|parent| InReplyTo {
                id: parent.id,
                author_id: parent.author_id,
            }),
            quoted: post.quoted.clone(),
            quoted_own: quoted_author.is_some_and(|author| registry.is_ours(author)),
            edit_history: post.edit_history.clone(),
            message: post.message.clone(),
        }
    }

    /// The text of a published version; empty when its body is no longer kept.
    fn published_text(&self, event: EventId) -> Result<String, StoreError> {
        let row = self.tx.event(event)?;
        let body: Option<serde_json::Value> =
            row.and_then(|row| serde_json::from_slice(&row.body).ok());
        let text = body
            .as_ref()
            .and_then(|body| body.pointer("/message/text")?.as_str());
        Ok(text.unwrap_or_default().to_owned())
    }

    /// A post of the account that is gone.
    pub(super) fn post_deleted(
        &mut self,
        account: &Account,
        id: TweetId,
        author_id: UserId,
        at: Option<Timestamp>,
    ) -> Result<Outcome, StoreError> {
        let gone = Gone {
            author: Some(author_id),
            ..Gone::post(
                id,
                GoneBecause::Deleted,
                DetectedBy::Webhook,
                at.unwrap_or(self.at),
            )
        };
        let told = self.context.rules().account_ref(Some(account.id));
        let event = deletion::note(self.tx, &told, &gone, self.at)?;
        // Others of our accounts hear of it in another way, if at all; the words go everywhere.
        let original = self.tx.post(account.id, id)?.and_then(|row| row.original);
        let original = MessageId::Post(original.unwrap_or(id));
        for other in self.context.registry().accounts() {
            deletion::blank(self.tx, other.id, &original, self.at)?;
        }
        Ok(self.published(event, "message.deleted", "post", gone.time))
    }
}

fn names(account: &Account, id: Option<UserId>, username: &str) -> bool {
    match id {
        Some(id) => id == account.id.0,
        None => username.eq_ignore_ascii_case(&account.username),
    }
}

fn explicitly_named(account: &Account, post: &Post) -> bool {
    let mut mentions = post.message.mentions.iter();
    mentions.any(|it| it.explicit && names(account, it.id, &it.username))
}

fn username_in(post: &Post, id: UserId) -> String {
    let author = &post.message.author;
    if author.id == id {
        return author.username.clone();
    }
    let mentioned = post.message.mentions.iter().find(|it| it.id == Some(id));
    mentioned.map(|it| it.username.clone()).unwrap_or_default()
}
