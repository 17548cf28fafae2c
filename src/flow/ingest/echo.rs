//! Messages of our own that X delivers back: which command made them.

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use tokio::time::{Duration, Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::work::{Arrival, Outcome, Report, Work, store_delivery};
use super::{Ingest, IngestError};
use crate::domain::account::Account;
use crate::domain::ids::MessageNumber;
use crate::domain::outcome::CommandRef;
use crate::flow::enrich::{self, Request, Wish, Wishes};
use crate::flow::reconcile::{self, Found};
use crate::flow::reply::{command_ref, settle};
use crate::store::{Echo, SendState, StoreError};
use crate::x::normalize::normalize;

/// How long a message waits for a command that is being sent.
const WAIT: SignedDuration = SignedDuration::from_secs(30);
/// Most deliveries of one round.
const BATCH: usize = 100;
/// How often an empty waiting room is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// Until the next try where the store fails.
const AGAIN: Duration = Duration::from_secs(1);

/// Who made a message of our own.
pub(super) enum Made {
    By(CommandRef),
    /// Somebody at x.com, or another program.
    Elsewhere,
    /// A command is being sent that may yet prove to be it.
    Unclear,
}

impl Work<'_, '_> {
    /// The command that made a message: known by its id, or recognised among those whose calls have
    /// not told, which settles them.
    pub(super) fn maker(
        &mut self,
        account: &Account,
        id: MessageNumber,
        found: &Found<'_>,
    ) -> Result<Made, StoreError> {
        let kind = found.target.kind();
        if let Some(send) = self.tx.send_of(account.id, kind, id)? {
            return self.by(send.command);
        }
        let open = self.tx.unsettled_sends(account.id, kind)?;
        if let Some(send) = reconcile::send_of(&open, found).cloned() {
            let command = send.command;
            settle::sent(self.tx, self.context.rules(), send, id, self.at)?;
            return self.by(command);
        }
        let on_its_way = open.iter().any(|send| send.state == SendState::Sending);
        Ok(match on_its_way && !self.arrival.waited {
            true => Made::Unclear,
            false => Made::Elsewhere,
        })
    }

    fn by(&self, command: u64) -> Result<Made, StoreError> {
        let command = command_ref(self.tx, command)?;
        Ok(command.map_or(Made::Elsewhere, Made::By))
    }

    /// Lets the delivery wait for a command; others do not wait behind it.
    pub(super) fn wait(&mut self, account: &Account) -> Result<Outcome, StoreError> {
        self.keep(account, WAIT).map(|_| Outcome::Waiting)
    }

    /// Lets the delivery wait for what X is asked.
    pub(super) fn wait_for(
        &mut self,
        account: &Account,
        wish: Wish,
    ) -> Result<Outcome, StoreError> {
        if let Some(wait) = self.keep(account, enrich::WAIT)? {
            let wish = (wish.account, wish.parent, wish.author);
            self.tx.put_wish(wait, wish)?;
        }
        Ok(Outcome::Waiting)
    }

    fn keep(
        &mut self,
        account: &Account,
        at_most: SignedDuration,
    ) -> Result<Option<u64>, StoreError> {
        let Arrival {
            app,
            body,
            received_at,
            ..
        } = self.arrival;
        let not_before = self.at.saturating_add(at_most).unwrap_or(self.at);
        self.report.new = true;
        self.tx
            .keep_echo(app, account.id, received_at, not_before, body)
    }
}

impl Ingest {
    /// Processes deliveries whose wait is over, until `stop`, and has those that wait for X asked
    /// for.
    pub async fn release_echoes(&self, wishes: Wishes, stop: CancellationToken) {
        loop {
            let round = async {
                self.ask(&wishes).await?;
                self.release_due_echoes().await
            };
            let wake = match round.await {
                Ok(wake) => wake,
                Err(error) => {
                    tracing::warn!(%error, "messages of our own wait for the store");
                    Instant::now() + AGAIN
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.store.echoes_changed().notified() => {}
                () = sleep_until(wake) => {}
            }
        }
    }

    async fn ask(&self, wishes: &Wishes) -> Result<(), StoreError> {
        while self.store.read(|tx| tx.has_wishes()).await? {
            let taken = self.store.write(|tx| tx.take_wishes(BATCH)).await?;
            for (wait, (account, parent, author)) in taken {
                let wish = Wish {
                    account,
                    parent,
                    author,
                };
                wishes.ask(Request { wait, wish });
            }
        }
        Ok(())
    }

    async fn release_due_echoes(&self) -> Result<Instant, IngestError> {
        let now = Timestamp::now();
        let due = self.store.read(move |tx| tx.due_echoes(now, BATCH)).await?;
        for echo in due {
            let report = self.release(echo).await?;
            self.note(report);
        }
        let next = self.store.read(|tx| tx.next_echo()).await?;
        let wait = next.map(|next| next.duration_since(Timestamp::now()));
        let wait = wait.map_or(LOOK_EVERY, |wait| wait.try_into().unwrap_or_default());
        Ok(Instant::now() + wait.min(LOOK_EVERY))
    }

    async fn release(&self, echo: Echo) -> Result<Report, StoreError> {
        let context = self.context();
        self.store
            .write(move |tx| {
                tx.release_echo(echo.id)?;
                let body = Bytes::from(echo.body);
                // It was an object when it came, and still is.
                let Ok(delivery) = normalize(&body) else {
                    return Ok(Report::default());
                };
                let arrival = Arrival {
                    app: &echo.app,
                    body: &body,
                    received_at: echo.received_at,
                    waited: true,
                    released: None,
                };
                store_delivery(tx, &context, arrival, &delivery, Timestamp::now())
            })
            .await
    }
}
