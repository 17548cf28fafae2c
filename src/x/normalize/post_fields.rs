//! What posts of both generations write alike.

use super::fields::{Unreadable, list, required_id};
use super::text::unescape;
use crate::domain::ids::TweetId;
use crate::x::wire::Raw;

/// Versions of a post, oldest first, its own id always among them.
pub(super) fn versions(
    name: &str,
    ids: Option<Raw<'_>>,
    own: TweetId,
) -> Result<Vec<TweetId>, Unreadable> {
    let listed = list(name, ids)?;
    let mut versions = listed
        .iter()
        .map(|id| required_id(name, Some(id)))
        .collect::<Result<Vec<TweetId>, _>>()?;
    if !versions.contains(&own) {
        versions.push(own);
    }
    Ok(versions)
}

/// X writes `und` where it did not detect a language.
pub(super) fn language(lang: &str) -> String {
    if lang == "und" {
        String::new()
    } else {
        lang.to_owned()
    }
}

/// The name in `<a href="...">Name</a>`; v2 has the bare name.
pub(super) fn app_name(source: &str) -> String {
    let inner = source.split_once('>').map_or(source, |(_, after)| after);
    unescape(inner.strip_suffix("</a>").unwrap_or(inner))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_app_is_named_without_its_link() {
        let link = r#"<a href="https://x.com" rel="nofollow">A &amp; B</a>"#;
        assert_eq!(app_name(link), "A & B");
        assert_eq!(app_name("X Web App"), "X Web App");
        assert_eq!(app_name(""), "");
    }

    #[test]
    fn an_undetected_language_is_empty() {
        assert_eq!((&*language("und"), &*language("de")), ("", "de"));
    }
}
