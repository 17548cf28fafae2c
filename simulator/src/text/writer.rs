//! Puts a text together and keeps count of code points.

use super::tokens::{Token, tokens};
use super::{Composed, Entity, EntityKind, Link, escape, length};
use crate::model::World;

/// Puts a text together and keeps count of code points.
#[derive(Default)]
pub(super) struct Writer {
    pub(super) text: String,
    pub(super) length: usize,
    pub(super) entities: Vec<Entity>,
}

impl Writer {
    pub(super) fn plain(&mut self, raw: &str) {
        let escaped = escape(raw);
        self.length += length(&escaped);
        self.text.push_str(&escaped);
    }

    pub(super) fn entity(&mut self, shown: &str, kind: EntityKind) {
        let start = self.length;
        self.plain(shown);
        self.entities.push(Entity {
            start,
            end: self.length,
            kind,
        });
    }

    /// A link at the end, which is no part of what people see.
    pub(super) fn tail(&mut self, kind: EntityKind) {
        let (EntityKind::Link(link) | EntityKind::Media(link)) = &kind else {
            return;
        };
        let short = link.short.clone();
        if self.length > 0 {
            self.plain(" ");
        }
        self.entity(&short, kind);
    }

    pub(super) fn tokens(&mut self, world: &World, raw: &str, link_key: &str) {
        for token in tokens(raw) {
            match token {
                Token::Plain(text) => self.plain(text),
                Token::Link(url) => {
                    let short = world.short_link(&format!("{link_key}/{url}"));
                    self.entity(
                        &short.clone(),
                        EntityKind::Link(Link::to(short, with_scheme(url))),
                    );
                }
                Token::Mention(name) => match world.user_named(name.trim_start_matches('@')) {
                    Some(user) => self.entity(name, EntityKind::Mention(user.id)),
                    None => self.plain(name),
                },
                Token::Hashtag(tag) => self.entity(tag, EntityKind::Hashtag(without_sign(tag))),
                Token::Cashtag(tag) => self.entity(tag, EntityKind::Cashtag(without_sign(tag))),
            }
        }
    }

    pub(super) fn finish(self, shown: (usize, usize)) -> Composed {
        Composed {
            text: self.text,
            shown,
            entities: self.entities,
        }
    }
}

/// X takes a bare domain for http.
fn with_scheme(url: &str) -> String {
    let has_scheme = url.contains("://");
    let scheme = if has_scheme { "" } else { "http://" };
    format!("{scheme}{url}")
}

fn without_sign(tag: &str) -> String {
    tag.chars().skip(1).collect()
}
