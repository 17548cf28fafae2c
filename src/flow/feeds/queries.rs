//! Filters' terms as queries of X: rules of the stream, and searches.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::account::Tier;
use crate::domain::filter::{Filter, Match};
use crate::domain::ids::TweetId;

const OR: &str = " OR ";
const NO_REPOSTS: &str = " -is:retweet";
/// Conversations that a query leaves out, at most: each costs 40 of its characters.
const LEFT_OUT: usize = 3;

/// Terms that one query of X looks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Query {
    pub value: String,
    /// Each as X's language says it.
    pub terms: Vec<String>,
}

/// Longest rule of the stream, characters. Source: X's "Filtered stream".
pub(super) fn longest_rule(tier: Tier) -> usize {
    match tier {
        Tier::SelfServe => 1_024,
        Tier::Enterprise => 2_048,
    }
}

/// Longest query of recent search, characters. Source: X's "Search Posts".
pub(super) fn longest_search(tier: Tier) -> usize {
    match tier {
        Tier::SelfServe => 512,
        Tier::Enterprise => 4_096,
    }
}

/// The terms of filters, each as X's language says it, with whether a filter wants its reposts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Terms {
    said: BTreeMap<String, bool>,
    /// As they are written: X's language cannot say them.
    pub unsaid: BTreeSet<String>,
}

impl Terms {
    pub(super) fn add(&mut self, filters: &[Filter]) {
        for filter in filters {
            let Match::Term(term) = &filter.matches else {
                continue;
            };
            match term.query() {
                Some(query) => *self.said.entry(query).or_default() |= filter.reposts,
                None => {
                    self.unsaid.insert(term.to_string());
                }
            }
        }
    }

    /// Those among `others`.
    pub(super) fn of<'t>(
        &'t self,
        others: &'t BTreeSet<String>,
    ) -> impl Iterator<Item = &'t String> {
        self.said.keys().filter(|term| others.contains(*term))
    }

    /// Takes these out, each by itself.
    pub(super) fn take(&mut self, alone: &BTreeSet<String>) -> Vec<Self> {
        let taken = self.said.extract_if(.., |term, _| alone.contains(term));
        let single = |entry| Self {
            said: BTreeMap::from([entry]),
            unsaid: BTreeSet::new(),
        };
        taken.map(single).collect()
    }

    /// Leaves out what X has refused.
    pub(super) fn without(&mut self, refused: &BTreeSet<String>) {
        self.said.retain(|term, _| !refused.contains(term));
    }

    /// Rules of the stream: what wants reposts apart from what does not.
    pub(super) fn rules(&self, left_out: &[TweetId], longest: usize) -> Vec<Query> {
        let wanting = |reposts| {
            let terms = self.said.iter().filter(move |(_, it)| **it == reposts);
            terms.map(|(term, _)| term.clone())
        };
        let end = left_out_of(left_out);
        let mut rules = pack(wanting(false), &format!("{NO_REPOSTS}{end}"), longest);
        rules.extend(pack(wanting(true), &end, longest));
        rules
    }

    /// Searches; X finds no reposts by keywords.
    pub(super) fn searches(&self, left_out: &[TweetId], longest: usize) -> Vec<Query> {
        pack(self.said.keys().cloned(), &left_out_of(left_out), longest)
    }
}

/// What concerns an account without one of its own terms, while some conversations are left out.
pub(super) fn mentions_of(username: &str, left_out: &[TweetId]) -> String {
    let end = left_out_of(left_out);
    format!("(@{username} OR to:{username}) -from:{username}{end}")
}

/// Groups are not negated, single operators are.
fn left_out_of(conversations: &[TweetId]) -> String {
    let named = conversations.iter().take(LEFT_OUT);
    named.map(|id| format!(" -conversation_id:{id}")).collect()
}

/// As few queries as their length allows, always the same ones for the same terms.
fn pack(terms: impl Iterator<Item = String>, end: &str, longest: usize) -> Vec<Query> {
    let brackets = if end.is_empty() { 0 } else { 2 };
    let room = longest.saturating_sub(end.chars().count() + brackets);
    let mut packed: Vec<(usize, Vec<String>)> = Vec::new();
    for term in terms {
        let length = term.chars().count();
        match packed.last_mut() {
            Some((used, terms)) if *used + OR.len() + length <= room => {
                *used += OR.len() + length;
                terms.push(term);
            }
            // One that is too long by itself X refuses by name.
            _ => packed.push((length, vec![term])),
        }
    }
    let query = |terms: Vec<String>| Query {
        value: value(&terms, end),
        terms,
    };
    packed.into_iter().map(|(_, terms)| query(terms)).collect()
}

/// One query for terms, whatever its length.
fn value(terms: &[String], end: &str) -> String {
    let any = terms.join(OR);
    match (terms.len(), end.is_empty()) {
        (_, true) | (0 | 1, _) => format!("{any}{end}"),
        _ => format!("({any}){end}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::filter::{Route, SpamConditions};
    use crate::domain::ids::AccountId;
    use crate::domain::term::Term;

    fn filter(term: &str, reposts: bool) -> Filter {
        Filter {
            account: AccountId("7".parse().unwrap()),
            matches: Match::Term(Term::parse(term).unwrap()),
            route: Route::default(),
            reposts,
            own: false,
            conditions: SpamConditions::default(),
            storm: None,
        }
    }

    fn terms(list: &[(&str, bool)]) -> Terms {
        let mut terms = Terms::default();
        let filters: Vec<_> = list.iter().map(|(term, it)| filter(term, *it)).collect();
        terms.add(&filters);
        terms
    }

    fn values(queries: &[Query]) -> Vec<&str> {
        queries.iter().map(|query| &*query.value).collect()
    }

    #[test]
    fn terms_share_a_rule_that_leaves_reposts_out() {
        let terms = terms(&[("#acmehelp", false), ("@acme", false), ("acme down", false)]);
        assert_eq!(
            values(&terms.rules(&[], 1024)),
            [r##"("acme down" OR #acmehelp OR @acme) -is:retweet"##]
        );
        assert_eq!(
            values(&terms.searches(&[], 512)),
            [r##""acme down" OR #acmehelp OR @acme"##]
        );
    }

    #[test]
    fn a_term_that_wants_reposts_stands_in_a_rule_of_its_own() {
        let terms = terms(&[("#a1", false), ("#b1", false), ("#b1", true)]);
        assert_eq!(values(&terms.rules(&[], 1024)), ["#a1 -is:retweet", "#b1"]);
    }

    #[test]
    fn no_rule_is_longer_than_x_allows_and_no_term_is_lost() {
        let list: Vec<_> = (0..200).map(|n| format!("#averylongtag{n}")).collect();
        let list: Vec<_> = list.iter().map(|term| (term.as_str(), false)).collect();
        let terms = terms(&list);
        for (queries, longest) in [
            (terms.rules(&[], 1024), 1024),
            (terms.searches(&[], 512), 512),
        ] {
            assert!(queries.iter().all(|it| it.value.chars().count() <= longest));
            let all: BTreeSet<_> = queries.iter().flat_map(|it| &it.terms).collect();
            assert_eq!(all.len(), list.len());
            // Well filled: not a rule for each term.
            assert!(queries.len() < 12, "{}", queries.len());
        }
    }

    #[test]
    fn what_x_cannot_say_is_named_and_what_x_refused_is_left_out() {
        let mut terms = terms(&[(":-(", false), ("#a1", false), ("#b1", false)]);
        assert_eq!(terms.unsaid, BTreeSet::from([":-(".to_owned()]));
        terms.without(&BTreeSet::from(["#b1".to_owned()]));
        assert_eq!(values(&terms.searches(&[], 512)), ["#a1"]);
    }

    #[test]
    fn stormy_conversations_are_left_out() {
        let stormy = ["5".parse().unwrap()];
        let terms = terms(&[("#a1", false), ("#b1", true)]);
        assert_eq!(
            values(&terms.rules(&stormy, 1024)),
            [
                "#a1 -is:retweet -conversation_id:5",
                "#b1 -conversation_id:5"
            ]
        );
        assert_eq!(
            mentions_of("acme", &stormy),
            "(@acme OR to:acme) -from:acme -conversation_id:5"
        );
    }
}
