//! Files of an operator.

use std::io::Write;
use std::sync::LazyLock;

use jiff::Timestamp;
use tempfile::NamedTempFile;
use twitter_channel::config::{ConfigFaults, Settings};
use twitter_channel::domain::registry::Registry;
use twitter_channel::flow::thread_import::{self, ImportError};

const NOW: i64 = 1_800_000_000;

/// The settings: taken, or refused with what is wrong.
pub(crate) fn loaded(text: &[u8]) {
    if let Err(faults) = load(text) {
        assert!(!faults.to_string().is_empty(), "a fault that says nothing");
    }
}

#[expect(clippy::expect_used, reason = "no fault of what is read")]
fn load(text: &[u8]) -> Result<Settings, ConfigFaults> {
    let mut file = NamedTempFile::new().expect("a file");
    file.write_all(text).expect("room");
    Settings::load(Some(file.path()), std::iter::empty())
}

/// The accounts that a file of old conversations may name.
#[expect(clippy::expect_used, reason = "a file of ours")]
static REGISTRY: LazyLock<Registry> = LazyLock::new(|| {
    let settings = load(include_bytes!("../seeds/settings/service.toml")).expect("good settings");
    Registry::new(settings.apps, settings.accounts, settings.filters)
});

/// Old conversations: read whole, or refused with a line of the file for each fault.
#[expect(clippy::expect_used, reason = "a moment that is written here")]
pub(crate) fn threads(csv: &[u8]) {
    let now = Timestamp::from_second(NOW).expect("a time");
    let lines = csv.split(|byte| matches!(byte, b'\n' | b'\r')).count() as u64;
    match thread_import::read(csv, &REGISTRY, now) {
        Ok(messages) => {
            let known = |account| REGISTRY.account(account).is_some();
            assert!(
                messages.iter().all(|it| known(it.account.0)),
                "of a stranger"
            );
            assert!(
                messages.iter().all(|it| it.received_at <= Some(now)),
                "to come"
            );
        }
        Err(ImportError::Faults(faults)) => {
            assert!(!faults.is_empty(), "refused for nothing");
            let in_file = |line: u64| (1..=lines).contains(&line);
            assert!(faults.iter().all(|fault| in_file(fault.line)), "{faults:?}");
        }
        Err(other) => assert!(matches!(other, ImportError::Unreadable(_)), "{other}"),
    }
}
