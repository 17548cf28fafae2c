//! Hears of what other replicas have changed.

use std::fmt::{self, Write as _};
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;
use tokio_postgres::{AsyncMessage, Client, Error};

use super::CHANNEL;
use super::session::{connect_error, runtime};
use super::settings::PostgresSettings;
use super::shared::told;
use crate::store::StoreError;
use crate::store::tables::tx::Changes;
use crate::store::tail::Tail;
use crate::store::writer::spawn;

/// Until the next attempt to listen.
const PAUSE: Duration = Duration::from_secs(1);

/// Where it stands whether something has changed.
type Changed = fn(&mut Changes) -> &mut bool;

/// A letter for each thing that has changed.
const LETTERS: [(char, Changed); 4] = [
    ('j', |changes| &mut changes.journal),
    ('l', |changes| &mut changes.ledger),
    ('e', |changes| &mut changes.echoes),
    ('b', |changes| &mut changes.bodies),
];

/// What a commit tells: `WRITER LETTERS`, the writer in hexadecimal digits. Letters that it does not
/// know, a listener passes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Notice {
    writer: u64,
    changes: Changes,
}

impl Notice {
    /// `None`: nobody has to hear of it.
    pub(super) fn of(writer: u64, changes: Changes) -> Option<Self> {
        let notice = Self { writer, changes };
        notice.letters().next()?;
        Some(notice)
    }

    fn letters(self) -> impl Iterator<Item = char> {
        let mut changes = self.changes;
        let mut letters = LETTERS.into_iter();
        std::iter::from_fn(move || letters.find(|(_, changed)| *changed(&mut changes)))
            .map(|(letter, _)| letter)
    }

    fn parse(text: &str) -> Option<Self> {
        let (writer, letters) = text.split_once(' ')?;
        let mut changes = Changes::default();
        for (letter, changed) in LETTERS {
            *changed(&mut changes) = letters.contains(letter);
        }
        let writer = u64::from_str_radix(writer, 16).ok()?;
        Some(Self { writer, changes })
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x} ", self.writer)?;
        self.letters().try_for_each(|letter| f.write_char(letter))
    }
}

/// Listens until it is dropped.
pub(in crate::store) struct Listener {
    _stop: oneshot::Sender<()>,
}

impl Listener {
    /// Starts the thread that tells `tail` of what others than `writer` have changed.
    pub(in crate::store) fn start(
        settings: &PostgresSettings,
        writer: u64,
        tail: Arc<Tail>,
    ) -> Result<Self, StoreError> {
        let (stop, stopped) = oneshot::channel::<()>();
        let settings = settings.clone();
        let runtime = runtime()?;
        spawn("store-listener", move || {
            runtime.block_on(async {
                tokio::select! {
                    () = listen(&settings, writer, &tail) => {}
                    _ = stopped => {}
                }
            });
        })?;
        Ok(Self { _stop: stop })
    }
}

async fn listen(settings: &PostgresSettings, writer: u64, tail: &Tail) {
    loop {
        let error = match connect(settings).await {
            Ok((_client, mut notices)) => {
                // What came while nobody listened was missed.
                tail.heard(Changes::ALL);
                while let Some(notice) = notices.recv().await {
                    if notice.writer != writer {
                        tail.heard(notice.changes);
                    }
                }
                "the connection was lost".to_owned()
            }
            Err(error) => error.to_string(),
        };
        tracing::warn!(
            error,
            "changes of other replicas are not heard of; they are looked for"
        );
        sleep(PAUSE).await;
    }
}

/// The connection ends with its client, and the notices with the connection.
async fn connect(
    settings: &PostgresSettings,
) -> Result<(Client, mpsc::Receiver<Notice>), StoreError> {
    let refused = |error: Error| connect_error(settings, &error);
    let tls = settings.tls().map_err(|reason| StoreError::Open {
        place: settings.to_string(),
        reason,
    })?;
    let (client, mut connection) = settings.config().connect(tls).await.map_err(refused)?;
    let (heard, notices) = mpsc::channel(1024);
    let mut messages = stream::poll_fn(move |cx| connection.poll_message(cx));
    let forward = async move {
        while let Some(message) = messages.next().await {
            match message {
                Ok(AsyncMessage::Notification(it)) => {
                    let notice = Notice::parse(it.payload());
                    if let Some(notice) = notice
                        && heard.send(notice).await.is_err()
                    {
                        break;
                    }
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::debug!(error = told(&error), "the listening connection failed");
                    break;
                }
            }
        }
    };
    drop(Handle::current().spawn(forward));
    let listen = format!("LISTEN {CHANNEL}");
    client.batch_execute(&listen).await.map_err(refused)?;
    Ok((client, notices))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_is_read_as_it_was_written() {
        let changes = Changes {
            journal: true,
            echoes: true,
            ..Changes::default()
        };
        let notice = Notice::of(u64::MAX, changes).unwrap();
        assert_eq!(notice.to_string(), "ffffffffffffffff je");
        assert_eq!(Notice::parse(&notice.to_string()), Some(notice));
    }

    #[test]
    fn what_changes_nothing_is_not_told() {
        assert_eq!(Notice::of(1, Changes::default()), None);
    }
}
