//! Links to posts.

use crate::domain::ids::TweetId;

/// What a link of the form `x.com/<handle>/status/<id>` tells.
#[derive(Debug, PartialEq)]
pub(super) struct StatusLink<'a> {
    pub(super) id: TweetId,
    /// `None` where X writes `i` or `i/web` instead of a handle.
    pub(super) username: Option<&'a str>,
    /// The link goes on to one of the post's photos or videos.
    pub(super) is_media: bool,
}

impl<'a> StatusLink<'a> {
    /// `None` for a link to anything else.
    pub(super) fn parse(url: &'a str) -> Option<Self> {
        let (host, path) = url.split_once("://")?.1.split_once('/')?;
        let domain = host
            .trim_start_matches("www.")
            .trim_start_matches("mobile.");
        if !matches!(domain, "x.com" | "twitter.com") {
            return None;
        }
        let (owner, post) = path.split_once("/status/")?;
        let mut rest = post.split(['/', '?', '#']);
        Some(Self {
            id: rest.next()?.parse().ok()?,
            username: Some(owner).filter(|owner| !matches!(*owner, "i" | "i/web")),
            is_media: matches!(rest.next(), Some("photo" | "video")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_to_a_post_tells_id_and_handle() {
        let link = StatusLink::parse("https://twitter.com/acme/status/20?s=20").unwrap();
        assert_eq!(
            (link.id.get(), link.username, link.is_media),
            (20, Some("acme"), false)
        );
        let link = StatusLink::parse("https://mobile.x.com/a_1/status/20/video/1").unwrap();
        assert_eq!((link.username, link.is_media), (Some("a_1"), true));
        let link = StatusLink::parse("https://x.com/i/web/status/20").unwrap();
        assert_eq!(link.username, None);
    }

    #[test]
    fn other_links_tell_nothing() {
        for url in [
            "",
            "https://x.com/acme",
            "https://x.com/acme/status/abc",
            "https://example.com/acme/status/20",
            "https://evil-x.com/acme/status/20",
            "x.com/acme/status/20",
        ] {
            assert_eq!(StatusLink::parse(url), None, "{url}");
        }
    }
}
