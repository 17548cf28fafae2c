//! Which hosts may be asked at addresses that X gave us.
//!
//! X's base URL is always X. Beside it stand X's other hosts, by https and the usual port, if the
//! base URL is https itself; an X on this machine has none of them, and what it gives for addresses
//! has to be on this machine.

use url::{Host, Url};

/// Hosts of direct messages' files. Source: X's v1.1 media objects.
const MEDIA: [&str; 2] = ["ton.twitter.com", "*.twimg.com"];
/// Hosts that X has files of compliance jobs uploaded to. Source: its batch compliance guide.
const STORAGE: [&str; 8] = [
    "storage.googleapis.com",
    "*.storage.googleapis.com",
    "x.com",
    "*.x.com",
    "twitter.com",
    "*.twitter.com",
    "twimg.com",
    "*.twimg.com",
];

/// Whether an address is at X's base URL.
pub(super) fn is_base(base: &Url, url: &Url) -> bool {
    is_plain(url) && base.origin() == url.origin()
}

/// Whether a direct message's file may be fetched there, with the account's credential.
pub(super) fn is_media(base: &Url, url: &Url) -> bool {
    is_base(base, url) || is_listed(base, url, &MEDIA)
}

/// Whether files of a compliance job may be exchanged there, without any credential.
pub(super) fn is_storage(base: &Url, url: &Url) -> bool {
    let is_local = is_loopback(base) && is_loopback(url) && is_plain(url);
    is_base(base, url) || is_local || is_listed(base, url, &STORAGE)
}

fn is_listed(base: &Url, url: &Url, hosts: &[&str]) -> bool {
    let is_secure = base.scheme() == "https" && url.scheme() == "https" && url.port().is_none();
    let Some(Host::Domain(name)) = url.host() else {
        return false;
    };
    let fits = |host: &&str| match host.strip_prefix('*') {
        Some(domain) => name.ends_with(domain),
        None => name == *host,
    };
    is_plain(url) && is_secure && !is_loopback(base) && hosts.iter().any(fits)
}

/// Without a user or password, which would go out as a credential.
fn is_plain(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https")
        && url.username().is_empty()
        && url.password().is_none()
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const X: &str = "https://api.x.com";
    const LOCAL: &str = "http://127.0.0.1:9000";

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    fn media(base: &str, asked: &str) -> bool {
        is_media(&url(base), &url(asked))
    }

    fn storage(base: &str, asked: &str) -> bool {
        is_storage(&url(base), &url(asked))
    }

    #[test]
    fn files_of_messages_are_at_xs_own_hosts() {
        for asked in [
            "https://ton.twitter.com/1.1/ton/data/dm/1/2/a.jpg",
            "https://pbs.twimg.com/dm_gif/1.mp4",
            "https://video.twimg.com/dm_video/1.mp4?tag=1",
            "https://api.x.com/2/dm_conversations/media/1/2/a.jpg",
            "https://TON.twitter.com/a",
        ] {
            assert!(media(X, asked), "{asked}");
        }
    }

    #[test]
    fn nothing_that_only_looks_like_x_is_asked() {
        for asked in [
            "http://ton.twitter.com/a",
            "https://ton.twitter.com:8443/a",
            "https://user:secret@ton.twitter.com/a",
            "https://ton.twitter.com@evil.example/a",
            "https://ton.twitter.com.evil.example/a",
            "https://eviltwimg.com/a",
            "https://twimg.com.evil.example/a",
            "https://evil.example/ton.twitter.com",
            "https://169.254.169.254/a",
            "https://127.0.0.1/a",
            "https://[::1]/a",
            "https://localhost/a",
            "ftp://ton.twitter.com/a",
            "file:///etc/passwd",
            "data:text/plain,a",
        ] {
            assert!(!media(X, asked), "{asked}");
            assert!(
                !storage(X, asked) || asked == "https://ton.twitter.com/a",
                "{asked}"
            );
        }
        assert!(!media(X, "https://storage.googleapis.com/a"));
    }

    #[test]
    fn an_x_on_this_machine_has_files_at_its_own_address_only() {
        assert!(media(LOCAL, "http://127.0.0.1:9000/media/1"));
        for asked in [
            "http://127.0.0.1:9001/media/1",
            "https://127.0.0.1:9000/media/1",
            "http://localhost:9000/media/1",
            "https://ton.twitter.com/a",
        ] {
            assert!(!media(LOCAL, asked), "{asked}");
        }
        assert!(media(
            "http://simulator:9000",
            "http://simulator:9000/media/1"
        ));
        assert!(!media(
            "http://simulator:9000",
            "http://127.0.0.1:9000/media/1"
        ));
    }

    #[test]
    fn jobs_are_stored_where_x_stores_them() {
        assert!(storage(
            X,
            "https://storage.googleapis.com/twttr/1?X-Goog-Signature=a"
        ));
        assert!(storage(X, "https://bucket.storage.googleapis.com/1"));
        assert!(!storage(X, "https://googleapis.com/1"));
        assert!(!storage(X, "https://evilstorage.googleapis.com/1"));
        assert!(storage(LOCAL, "http://127.0.0.1:9001/upload"));
        assert!(storage(LOCAL, "http://localhost:9001/upload"));
        assert!(!storage(LOCAL, "https://storage.googleapis.com/1"));
        assert!(!storage(
            "http://simulator:9000",
            "http://127.0.0.1:9001/upload"
        ));
    }
}
