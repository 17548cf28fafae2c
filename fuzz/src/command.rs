//! What a core writes to the queue of commands.

use twitter_channel::broker::commands::{self, Reading};

const ID: &str = "m1";

/// A body: what is read of it does not depend on the type that it is said to have, and with an id on the message it is
/// always answered.
pub(crate) fn read(body: &[u8]) {
    let by_body = commands::read(body, None, None);
    let said = commands::read(body, None, Some("application/json; charset=utf-8"));
    assert_eq!(by_body, said, "by the type");
    let by_message = commands::read(body, Some(ID), None);
    assert!(
        !matches!(by_message, Reading::Unreadable { .. }),
        "nobody is told"
    );
    if let Reading::Command(command) = by_message {
        assert_eq!(command.id.to_string(), ID, "another id");
    }
}
