//! Filters: which messages a helpdesk wants and to which of its groups they go.
//!
//! [`decide`] checks in this order:
//! 1. Blocked authors, reposts and spam conditions. A blocked author is wanted by nobody. The
//!    rest belongs to the filters: one without `reposts` wants no repost, one without `own`
//!    nothing written by our accounts, one with spam conditions nothing of authors who miss them.
//! 2. A reply inside a conversation that was published for the account follows it to its group,
//!    though it fit no filter. It answers to the filter that brought the conversation in, so
//!    nobody whom that filter keeps out gets in by replying.
//! 3. The list, top to bottom: the first filter that fits and lets the message through.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::ids::AccountId;
use super::message::{Message, MessageKind, Person};
use super::storm::StormLimit;
use super::term::{Searchable, Term};

/// What a message is to the account, in the order in which one stands for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Relation {
    /// A repost of a message of the account.
    Repost,
    /// A direct reply to the account.
    Reply,
    /// A quote of the account.
    Quote,
    /// Names the account, if only by inheritance.
    Mention,
    /// Fits a term of one of the account's filters.
    Keyword,
    /// Wanted only because its conversation was published.
    Thread,
    /// A direct or encrypted message.
    Direct,
}

/// What a filter looks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Match {
    /// Encrypted ones too.
    DirectMessages,
    Mentions {
        /// Not by the mentions that a reply inherits.
        explicit_only: bool,
    },
    Replies,
    Quotes,
    /// Posts only.
    Term(Term),
}

impl Match {
    /// Names a filter that has no name of its own: `mentions`, `term:#acmehelp`.
    pub fn default_name(&self) -> String {
        match self {
            Self::DirectMessages => "direct_messages".to_owned(),
            Self::Mentions { .. } => "mentions".to_owned(),
            Self::Replies => "replies".to_owned(),
            Self::Quotes => "quotes".to_owned(),
            Self::Term(term) => format!("term:{term}"),
        }
    }
}

/// Where a wanted message goes; kept with its conversation, whose replies follow it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Route {
    pub group: String,
    /// Name of the filter that wanted it.
    pub filter: String,
    pub tags: Vec<String>,
}

/// What an author must meet. What X left out of the profile counts as met: a customer must not
/// be lost because X said too little.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpamConditions {
    /// Only verified authors.
    pub verified: bool,
    pub min_followers: Option<u32>,
    pub min_account_age: Option<Duration>,
    /// Take direct messages that are message requests (of people who are no contacts).
    pub message_requests: bool,
}

impl Default for SpamConditions {
    fn default() -> Self {
        Self {
            verified: false,
            min_followers: None,
            min_account_age: None,
            message_requests: true,
        }
    }
}

impl SpamConditions {
    /// The first one that the message or its author misses.
    fn missed_by(&self, candidate: &Candidate<'_>) -> Option<Condition> {
        let author = &candidate.message.author;
        let followed = match (self.min_followers, author.followers_count) {
            (Some(least), Some(count)) => count >= least,
            _ => true,
        };
        let requested = candidate.message_request == Some(true);
        let missed = [
            (
                Condition::Verified,
                self.verified && author.verified == Some(false),
            ),
            (Condition::MinFollowers, !followed),
            (
                Condition::MinAccountAge,
                !self.old_enough(author, candidate.now),
            ),
            (
                Condition::MessageRequests,
                requested && !self.message_requests,
            ),
        ];
        missed
            .into_iter()
            .find_map(|(condition, missed)| missed.then_some(condition))
    }

    fn old_enough(&self, author: &Person, now: Timestamp) -> bool {
        let (Some(least), Some(created_at)) = (self.min_account_age, author.created_at) else {
            return true;
        };
        // An age that runs out of the calendar is reached by nobody.
        created_at
            .checked_add(least)
            .is_ok_and(|of_age| of_age <= now)
    }
}

/// One line of the list.
#[derive(Clone, Debug, PartialEq)]
pub struct Filter {
    pub account: AccountId,
    pub matches: Match,
    pub route: Route,
    /// Let reposts that fit through.
    pub reposts: bool,
    /// Let through what other accounts of ours write.
    pub own: bool,
    pub conditions: SpamConditions,
    /// Holds messages back in conversations that draw too many; never direct messages.
    pub storm: Option<StormLimit>,
}

impl Filter {
    fn fits(&self, candidate: &Candidate<'_>, post: Option<&Searchable>) -> bool {
        let is = |relation| candidate.relations.contains(&relation);
        match &self.matches {
            Match::DirectMessages => candidate.message.kind() != MessageKind::Post,
            Match::Mentions { explicit_only } => {
                is(Relation::Mention) && (!explicit_only || candidate.explicit_mention)
            }
            Match::Replies => is(Relation::Reply),
            Match::Quotes => is(Relation::Quote),
            Match::Term(term) => post.is_some_and(|post| term.fits(post)),
        }
    }

    /// Why it does not let through what fits it.
    fn objection(&self, candidate: &Candidate<'_>) -> Option<Why> {
        if candidate.is_repost && !self.reposts {
            Some(Why::Repost)
        } else if candidate.own_author {
            (!self.own).then_some(Why::Own)
        } else {
            self.conditions.missed_by(candidate).map(Why::Spam)
        }
    }

    fn refusal(&self, candidate: &Candidate<'_>) -> Option<Refusal<'_>> {
        self.objection(candidate).map(|why| Refusal {
            why,
            filter: Some(&self.route.filter),
        })
    }
}

/// A message that may be wanted for an account, with what is known of the two.
#[derive(Clone, Debug)]
pub struct Candidate<'a> {
    pub account: AccountId,
    pub message: &'a Message,
    /// Without [`Relation::Keyword`] and [`Relation::Thread`], which [`decide`] adds.
    pub relations: &'a [Relation],
    /// Names the account itself, not only by inheritance.
    pub explicit_mention: bool,
    /// A repost of anybody's post.
    pub is_repost: bool,
    /// Written by one of our accounts (another than `account`).
    pub own_author: bool,
    /// By the account's own list or by X's.
    pub blocked: bool,
    /// See [`DirectMessage::message_request`](super::activity::DirectMessage::message_request).
    pub message_request: Option<bool>,
    /// For a reply inside a conversation of which a `message.received` was published for the
    /// account within [`FOLLOWED_FOR`]: the route that it had.
    pub followed: Option<&'a Route>,
    pub now: Timestamp,
}

/// How long replies follow a conversation after its last published message.
pub const FOLLOWED_FOR: Duration = Duration::from_hours(30 * 24);

/// A spam condition, by the key of its filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    Verified,
    MinFollowers,
    MinAccountAge,
    MessageRequests,
}

impl Condition {
    /// Its key.
    pub fn name(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::MinFollowers => "min_followers",
            Self::MinAccountAge => "min_account_age",
            Self::MessageRequests => "message_requests",
        }
    }
}

/// Why a message is not published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    Blocked,
    Repost,
    /// Written by one of our accounts.
    Own,
    /// Message or author miss this condition of the filter that fits.
    Spam(Condition),
    /// No filter fits.
    NoFilter,
    /// A filter wants it, but its conversation draws too many: it waits. [`decide`] never says so.
    Storm,
}

impl Why {
    /// As in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Blocked => "blocked",
            Self::Repost => "repost",
            Self::Own => "own",
            Self::Spam(_) => "spam",
            Self::NoFilter => "no_filter",
            Self::Storm => "storm",
        }
    }
}

/// Why a message is not published, and the filter that would have taken it otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal<'a> {
    pub why: Why,
    /// Name of the filter that fits; `None` where none does, or none was asked.
    pub filter: Option<&'a str>,
}

impl Refusal<'_> {
    /// In words for an administrator.
    pub fn sentence(&self) -> String {
        let filter = self.filter.unwrap_or_default();
        match self.why {
            Why::Blocked => "Its author is blocked by the account.".to_owned(),
            Why::NoFilter => "No filter of the account fits it.".to_owned(),
            Why::Own if filter.is_empty() => {
                "One of our accounts wrote it, and no filter asks for that.".to_owned()
            }
            Why::Own => format!(
                "Filter {filter} fits, but one of our accounts wrote it and `own` is not set."
            ),
            Why::Repost => {
                format!("Filter {filter} fits, but it is a repost and `reposts` is not set.")
            }
            Why::Spam(condition) => format!(
                "Filter {filter} fits, but its condition `{}` is not met.",
                condition.name()
            ),
            Why::Storm => format!(
                "Filter {filter} wants it, but its conversation draws too many: it is held back."
            ),
        }
    }
}

/// What becomes of a message.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision<'a> {
    Wanted {
        route: &'a Route,
        /// The filter that took it; `None` where it followed a conversation whose filter is gone.
        filter: Option<&'a Filter>,
        /// It followed its conversation.
        by_thread: bool,
        /// All that hold, without repeats, the one that stands for all first.
        relations: Vec<Relation>,
    },
    Unwanted(Refusal<'a>),
}

/// Whether the account's filters want a message, and where it goes.
pub fn decide<'a>(filters: &'a [Filter], candidate: &Candidate<'a>) -> Decision<'a> {
    if candidate.blocked {
        return Decision::Unwanted(Refusal {
            why: Why::Blocked,
            filter: None,
        });
    }
    let list = || {
        filters
            .iter()
            .filter(|filter| filter.account == candidate.account)
    };
    let post = searchable(list(), candidate.message);
    let fitting = || list().filter(|filter| filter.fits(candidate, post.as_ref()));

    let followed = follow(list(), candidate);
    let listed = fitting().find(|filter| filter.objection(candidate).is_none());
    let by_thread = matches!(followed, Ok(Some(_)));
    let (route, filter) = match (followed, listed) {
        (Ok(Some(followed)), _) => followed,
        (_, Some(filter)) => (&filter.route, Some(filter)),
        (followed, None) => {
            let refusal = fitting().find_map(|filter| filter.refusal(candidate));
            return Decision::Unwanted(refusal.or(followed.err()).unwrap_or(Refusal {
                why: Why::NoFilter,
                filter: None,
            }));
        }
    };

    let mut relations: BTreeSet<Relation> = candidate.relations.iter().copied().collect();
    if fitting().any(|filter| matches!(filter.matches, Match::Term(_))) {
        relations.insert(Relation::Keyword);
    }
    if listed.is_none() {
        relations.insert(Relation::Thread);
    }
    Decision::Wanted {
        route,
        filter,
        by_thread,
        relations: relations.into_iter().collect(),
    }
}

/// The post made ready for the terms of the filters; `None` if nothing will be searched for.
fn searchable<'a>(
    mut list: impl Iterator<Item = &'a Filter>,
    message: &Message,
) -> Option<Searchable> {
    let wanted = message.kind() == MessageKind::Post
        && list.any(|filter| matches!(filter.matches, Match::Term(_)));
    wanted.then(|| Searchable::new(message))
}

/// A route, and the filter that is answered to.
type Followed<'a> = (&'a Route, Option<&'a Filter>);

/// The route of the conversation, or why its filter keeps this message out. Where that filter is
/// gone from the list, what is not our own still follows.
fn follow<'a>(
    mut list: impl Iterator<Item = &'a Filter>,
    candidate: &Candidate<'a>,
) -> Result<Option<Followed<'a>>, Refusal<'a>> {
    let Some(route) = candidate.followed.filter(|_| !candidate.is_repost) else {
        return Ok(None);
    };
    let filter = list.find(|filter| filter.route.filter == route.filter);
    let refusal = match filter {
        Some(filter) => filter.refusal(candidate),
        None => candidate.own_author.then_some(Refusal {
            why: Why::Own,
            filter: None,
        }),
    };
    refusal.map_or(Ok(Some((route, filter))), Err)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::ids::{DirectMessageId, MessageId};
    use super::*;

    const DAY: Duration = Duration::from_hours(24);

    fn account(id: &str) -> AccountId {
        AccountId(id.parse().unwrap())
    }

    fn now() -> Timestamp {
        "2026-11-23T12:00:00Z".parse().unwrap()
    }

    fn direct_message(text: &str) -> Message {
        Message {
            id: MessageId::DirectMessage(DirectMessageId::from_number(8).unwrap()),
            ..Message::saying(text)
        }
    }

    fn route(group: &str, filter: &str) -> Route {
        Route {
            group: group.into(),
            filter: filter.into(),
            tags: vec![],
        }
    }

    fn filter(matches: Match, group: &str) -> Filter {
        Filter {
            account: account("1"),
            route: route(group, &matches.default_name()),
            matches,
            reposts: false,
            own: false,
            conditions: SpamConditions::default(),
            storm: None,
        }
    }

    fn mentions(group: &str) -> Filter {
        filter(
            Match::Mentions {
                explicit_only: false,
            },
            group,
        )
    }

    fn term(written: &str, group: &str) -> Filter {
        filter(Match::Term(Term::parse(written).unwrap()), group)
    }

    fn candidate<'a>(message: &'a Message, relations: &'a [Relation]) -> Candidate<'a> {
        Candidate {
            account: account("1"),
            message,
            relations,
            explicit_mention: false,
            is_repost: false,
            own_author: false,
            blocked: false,
            message_request: None,
            followed: None,
            now: now(),
        }
    }

    fn group<'a>(decision: &Decision<'a>) -> Result<&'a str, Why> {
        match decision {
            Decision::Wanted { route, .. } => Ok(route.group.as_str()),
            Decision::Unwanted(refusal) => Err(refusal.why),
        }
    }

    fn relations(decision: Decision<'_>) -> Vec<Relation> {
        match decision {
            Decision::Wanted { relations, .. } => relations,
            Decision::Unwanted(refusal) => panic!("unwanted: {}", refusal.sentence()),
        }
    }

    #[test]
    fn the_first_filter_that_fits_wins() {
        let filters = [
            filter(Match::Quotes, "quotes"),
            mentions("first"),
            mentions("second"),
        ];
        let message = Message::saying("@acme hi");
        let decision = decide(&filters, &candidate(&message, &[Relation::Mention]));
        assert_eq!(group(&decision), Ok("first"));
    }

    #[test]
    fn each_match_looks_at_its_own_relation() {
        let message = Message::saying("hi");
        for (matches, relation) in [
            (Match::Replies, Relation::Reply),
            (Match::Quotes, Relation::Quote),
            (
                Match::Mentions {
                    explicit_only: false,
                },
                Relation::Mention,
            ),
        ] {
            let filters = [filter(matches, "g")];
            assert_eq!(
                group(&decide(&filters, &candidate(&message, &[relation]))),
                Ok("g")
            );
            let other = decide(&filters, &candidate(&message, &[Relation::Repost]));
            assert_eq!(group(&other), Err(Why::NoFilter));
        }
    }

    #[test]
    fn filters_of_other_accounts_do_not_count() {
        let mut other = mentions("g");
        other.account = account("2");
        let message = Message::saying("hi");
        let decision = decide(
            std::slice::from_ref(&other),
            &candidate(&message, &[Relation::Mention]),
        );
        assert_eq!(group(&decision), Err(Why::NoFilter));
    }

    #[test]
    fn direct_messages_are_wanted_encrypted_or_not_and_posts_are_not() {
        let filters = [filter(Match::DirectMessages, "dm")];
        let plain = direct_message("hi");
        let encrypted = Message {
            id: MessageId::Encrypted("u-1".into()),
            ..Message::saying("")
        };
        for message in [&plain, &encrypted] {
            let decision = decide(&filters, &candidate(message, &[Relation::Direct]));
            assert_eq!(group(&decision), Ok("dm"));
            assert_eq!(relations(decision), [Relation::Direct]);
        }
        let public = Message::saying("hi");
        assert_eq!(
            group(&decide(&filters, &candidate(&public, &[]))),
            Err(Why::NoFilter)
        );
    }

    #[test]
    fn terms_look_at_posts_only() {
        let filters = [term("acme", "g")];
        let message = direct_message("acme");
        let decision = decide(&filters, &candidate(&message, &[Relation::Direct]));
        assert_eq!(group(&decision), Err(Why::NoFilter));
    }

    #[test]
    fn an_inherited_mention_does_not_do_where_explicit_ones_are_asked_for() {
        let filters = [filter(
            Match::Mentions {
                explicit_only: true,
            },
            "g",
        )];
        let message = Message::saying("@acme yes");
        let mut candidate = candidate(&message, &[Relation::Mention]);
        assert_eq!(group(&decide(&filters, &candidate)), Err(Why::NoFilter));
        candidate.explicit_mention = true;
        assert_eq!(group(&decide(&filters, &candidate)), Ok("g"));
    }

    #[test]
    fn a_repost_needs_a_filter_that_asks_for_reposts() {
        let mut filters = [term("#acmehelp", "g")];
        let message = Message::saying("see #acmehelp");
        let mut repost = candidate(&message, &[]);
        repost.is_repost = true;
        assert_eq!(group(&decide(&filters, &repost)), Err(Why::Repost));
        filters[0].reposts = true;
        assert_eq!(group(&decide(&filters, &repost)), Ok("g"));
    }

    #[test]
    fn a_repost_that_fits_no_filter_stays_out_though_reposts_are_asked_for() {
        let mut filters = [filter(Match::Quotes, "g")];
        filters[0].reposts = true;
        let message = Message::saying("hi");
        let mut repost = candidate(&message, &[Relation::Repost]);
        repost.is_repost = true;
        assert_eq!(group(&decide(&filters, &repost)), Err(Why::NoFilter));
    }

    #[test]
    fn a_repost_passes_over_filters_without_reposts_to_one_with() {
        let mut filters = [mentions("strict"), mentions("all")];
        filters[1].reposts = true;
        let message = Message::saying("@acme");
        let mut repost = candidate(&message, &[Relation::Mention]);
        repost.is_repost = true;
        assert_eq!(group(&decide(&filters, &repost)), Ok("all"));
    }

    #[test]
    fn our_own_messages_need_a_filter_that_asks_for_them() {
        let mut filters = [mentions("g")];
        let message = Message::saying("@acme");
        let mut own = candidate(&message, &[Relation::Mention]);
        own.own_author = true;
        assert_eq!(group(&decide(&filters, &own)), Err(Why::Own));
        filters[0].own = true;
        assert_eq!(group(&decide(&filters, &own)), Ok("g"));
    }

    #[test]
    fn blocked_authors_stay_out_of_list_and_thread() {
        let mut open = mentions("g");
        open.reposts = true;
        let filters = [open];
        let thread = route("g", "mentions");
        let message = Message::saying("@acme");
        let mut blocked = candidate(&message, &[Relation::Mention]);
        blocked.blocked = true;
        blocked.followed = Some(&thread);
        assert_eq!(group(&decide(&filters, &blocked)), Err(Why::Blocked));
    }

    fn judged(conditions: SpamConditions, author: impl FnOnce(&mut Person)) -> Result<(), Why> {
        let mut filters = [mentions("g")];
        filters[0].conditions = conditions;
        let mut message = Message::saying("@acme");
        author(&mut message.author);
        let decision = decide(&filters, &candidate(&message, &[Relation::Mention]));
        group(&decision).map(|_| ())
    }

    fn all_conditions() -> SpamConditions {
        SpamConditions {
            verified: true,
            min_followers: Some(10),
            min_account_age: Some(DAY * 7),
            message_requests: false,
        }
    }

    #[test]
    fn spam_conditions_keep_out_who_misses_one() {
        let good = |author: &mut Person| {
            author.verified = Some(true);
            author.followers_count = Some(10);
            author.created_at = Some(now() - DAY * 7);
        };
        assert_eq!(judged(all_conditions(), good), Ok(()));
        type Miss = (Condition, fn(&mut Person));
        let misses: [Miss; 3] = [
            (Condition::Verified, |author| author.verified = Some(false)),
            (Condition::MinFollowers, |author| {
                author.followers_count = Some(9);
            }),
            (Condition::MinAccountAge, |author| {
                author.created_at = Some(now() - DAY * 6);
            }),
        ];
        for (condition, miss) in misses {
            let judged = judged(all_conditions(), |author| {
                good(author);
                miss(author);
            });
            assert_eq!(judged, Err(Why::Spam(condition)));
        }
    }

    #[test]
    fn what_x_left_out_of_a_profile_counts_as_met() {
        assert_eq!(judged(all_conditions(), |_| ()), Ok(()));
    }

    #[test]
    fn an_age_beyond_the_calendar_is_reached_by_nobody() {
        let conditions = SpamConditions {
            min_account_age: Some(Duration::MAX),
            ..SpamConditions::default()
        };
        let judged = judged(conditions, |author| author.created_at = Some(now()));
        assert_eq!(judged, Err(Why::Spam(Condition::MinAccountAge)));
    }

    #[test]
    fn message_requests_can_be_kept_out() {
        let mut filters = [filter(Match::DirectMessages, "dm")];
        filters[0].conditions.message_requests = false;
        let message = direct_message("hi");
        for (request, expected) in [
            (Some(true), Err(Why::Spam(Condition::MessageRequests))),
            (Some(false), Ok("dm")),
            (None, Ok("dm")),
        ] {
            let mut candidate = candidate(&message, &[Relation::Direct]);
            candidate.message_request = request;
            assert_eq!(group(&decide(&filters, &candidate)), expected);
        }
    }

    #[test]
    fn who_misses_one_filters_conditions_may_meet_the_next() {
        let mut filters = [mentions("vip"), mentions("rest")];
        filters[0].conditions.verified = true;
        let mut message = Message::saying("@acme");
        message.author.verified = Some(false);
        let decision = decide(&filters, &candidate(&message, &[Relation::Mention]));
        assert_eq!(group(&decision), Ok("rest"));
    }

    #[test]
    fn a_reply_follows_its_conversation_before_the_list_is_asked() {
        let filters = [mentions("support"), term("#field", "field")];
        let thread = route("field", "term:#field");
        let message = Message::saying("@acme and now?");
        let mut reply = candidate(&message, &[Relation::Mention]);
        reply.followed = Some(&thread);
        let decision = decide(&filters, &reply);
        assert!(matches!(
            decision,
            Decision::Wanted {
                by_thread: true,
                ..
            }
        ));
        assert_eq!(group(&decision), Ok("field"));
        assert_eq!(
            relations(decision),
            [Relation::Mention],
            "the list wanted it too"
        );
    }

    #[test]
    fn what_is_wanted_for_its_conversation_only_has_the_relation_thread() {
        let filters = [filter(Match::Quotes, "g")];
        let thread = route("g", "quotes");
        let message = Message::saying("me too");
        let mut reply = candidate(&message, &[]);
        reply.followed = Some(&thread);
        assert_eq!(relations(decide(&filters, &reply)), [Relation::Thread]);
    }

    #[test]
    fn a_reply_answers_to_the_conditions_of_the_filter_it_follows() {
        let mut filters = [mentions("g")];
        filters[0].conditions.min_followers = Some(10);
        let thread = route("g", "mentions");
        let mut message = Message::saying("buy followers");
        message.author.followers_count = Some(0);
        let mut reply = candidate(&message, &[]);
        reply.followed = Some(&thread);
        let spam = Why::Spam(Condition::MinFollowers);
        assert_eq!(group(&decide(&filters, &reply)), Err(spam));
    }

    #[test]
    fn a_refusal_names_the_filter_that_fits_and_says_what_is_in_the_way() {
        let mut filters = [mentions("g"), term("acme", "t")];
        filters[0].conditions.min_followers = Some(10);
        let mut message = Message::saying("@acme");
        message.author.followers_count = Some(0);
        let refused =
            |filters: &[Filter], relations: &[Relation], change: fn(&mut Candidate<'_>)| {
                let mut candidate = candidate(&message, relations);
                change(&mut candidate);
                match decide(filters, &candidate) {
                    Decision::Unwanted(refusal) => refusal.sentence(),
                    Decision::Wanted { route, .. } => panic!("wanted by {}", route.filter),
                }
            };
        assert_eq!(
            refused(&filters[..1], &[Relation::Mention], |_| ()),
            "Filter mentions fits, but its condition `min_followers` is not met."
        );
        assert_eq!(
            refused(&filters[1..], &[], |it| it.is_repost = true),
            "Filter term:acme fits, but it is a repost and `reposts` is not set."
        );
        assert_eq!(
            refused(&filters[1..], &[], |it| it.own_author = true),
            "Filter term:acme fits, but one of our accounts wrote it and `own` is not set."
        );
        assert_eq!(
            refused(&filters, &[], |it| it.blocked = true),
            "Its author is blocked by the account."
        );
        assert_eq!(
            refused(&filters[..1], &[], |_| ()),
            "No filter of the account fits it."
        );
    }

    #[test]
    fn the_filter_that_took_a_message_is_told_also_where_it_was_followed() {
        let filters = [mentions("g"), term("#field", "field")];
        let message = Message::saying("#field");
        let taker = |followed: Option<&Route>| {
            let mut candidate = candidate(&message, &[Relation::Mention]);
            candidate.followed = followed;
            match decide(&filters, &candidate) {
                Decision::Wanted { filter, .. } => filter.map(|it| it.route.filter.clone()),
                Decision::Unwanted(refusal) => panic!("{}", refusal.sentence()),
            }
        };
        assert_eq!(taker(None).as_deref(), Some("mentions"));
        let (known, gone) = (route("field", "term:#field"), route("g", "gone"));
        assert_eq!(taker(Some(&known)).as_deref(), Some("term:#field"));
        assert_eq!(taker(Some(&gone)), None);
    }

    #[test]
    fn a_conversation_is_followed_though_its_filter_is_gone() {
        let thread = route("old", "term:#gone");
        let message = Message::saying("still there?");
        let mut reply = candidate(&message, &[]);
        reply.followed = Some(&thread);
        assert_eq!(group(&decide(&[], &reply)), Ok("old"));
        reply.own_author = true;
        assert_eq!(group(&decide(&[], &reply)), Err(Why::Own));
    }

    #[test]
    fn our_own_replies_follow_only_to_a_filter_that_asks_for_them() {
        let mut filters = [mentions("g")];
        let thread = route("g", "mentions");
        let message = Message::saying("we are on it");
        let mut reply = candidate(&message, &[]);
        reply.followed = Some(&thread);
        reply.own_author = true;
        assert_eq!(group(&decide(&filters, &reply)), Err(Why::Own));
        filters[0].own = true;
        assert_eq!(group(&decide(&filters, &reply)), Ok("g"));
    }

    #[test]
    fn a_term_of_any_filter_makes_a_keyword_and_relations_keep_their_order() {
        let filters = [mentions("g"), term("#acmehelp", "field")];
        let message = Message::saying("@acme #acmehelp");
        let given = [Relation::Mention, Relation::Reply, Relation::Mention];
        let decision = decide(&filters, &candidate(&message, &given));
        assert_eq!(group(&decision), Ok("g"));
        assert_eq!(
            relations(decision),
            [Relation::Reply, Relation::Mention, Relation::Keyword]
        );
    }

    proptest! {
        #[test]
        fn a_wanted_message_always_has_a_relation(text in any::<String>(), follows: bool) {
            let filters = [term("#acme", "a"), term("help", "b")];
            let thread = route("a", "term:#acme");
            let message = Message::saying(&text);
            let mut candidate = candidate(&message, &[]);
            candidate.followed = follows.then_some(&thread);
            if let Decision::Wanted { relations, .. } = decide(&filters, &candidate) {
                prop_assert!(!relations.is_empty());
            }
        }
    }
}
