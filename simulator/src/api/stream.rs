//! The filtered stream that apps connect to: posts as they are written, and a blank line while
//! there are none. What is written while nobody is connected never comes.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, stream};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};

use super::answer::{Answer, Outcome};
use super::fields::{Selection, Shown, Sight};
use super::ledger::Charge;
use super::problem;
use super::serve::Call;
use super::settings::SecondStream;
use super::wire::Wire;
use crate::forms::json::with;
use crate::forms::matching;
use crate::model::{Event, Post, Reach, Subject, World};

const HEARTBEAT: Bytes = Bytes::from_static(b"\r\n");
const PARAMETERS: [&str; 3] = ["backfill_minutes", "start_time", "end_time"];

/// What goes wrong with the stream of an app.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StreamFault {
    /// The connection is closed in the midst of the answer.
    Cut,
    /// The connection is reset.
    Reset,
    /// The answer ends as HTTP has it.
    End,
    /// The connection stays, and nothing comes any more, no blank line either.
    Silence,
    /// An error comes in the stream, which then may end.
    Error {
        /// The whole object; X's operational disconnect when absent.
        #[serde(default)]
        body: Option<Value>,
        /// Whether the answer ends after it.
        ends: bool,
    },
    /// So many of the next matching posts do not come, whether anybody is connected or not.
    Miss {
        /// How many.
        posts: u32,
    },
    /// Each of so many of the next matching posts comes twice.
    Repeat {
        /// How many.
        posts: u32,
    },
}

/// The open streams of all apps.
pub(crate) struct Streams {
    state: Mutex<State>,
    /// Changes whenever a connection comes or goes.
    changed: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    open: Vec<Connection>,
    missing: HashMap<String, u32>,
    repeating: HashMap<String, u32>,
}

/// One app's open stream.
struct Connection {
    id: u64,
    app: String,
    since_ms: i64,
    selection: Selection,
    pieces: mpsc::UnboundedSender<Piece>,
    wire: Arc<OnceLock<Wire>>,
    sent: u64,
}

/// An open stream as others see it.
pub(crate) struct OpenStream {
    pub(crate) id: u64,
    pub(crate) app: String,
    pub(crate) since_ms: i64,
    pub(crate) sent: u64,
}

enum Piece {
    Text(Bytes),
    Silence,
}

impl Connection {
    /// The client is there as far as this machine knows.
    fn is_alive(&self) -> bool {
        !self.pieces.is_closed() && !self.wire.get().is_some_and(Wire::is_gone)
    }

    /// An answer that nobody reads any more takes nothing, which `is_alive` tells.
    fn put(&self, piece: Piece) {
        let _ = self.pieces.send(piece);
    }

    fn say(&self, body: &Value) {
        self.put(Piece::Text(Bytes::from(format!("{body}\r\n"))));
    }
}

/// The answer to a connected app; it ends with the connection's queue.
#[derive(Clone, Debug)]
pub(crate) struct Live {
    pieces: Arc<Mutex<Option<mpsc::UnboundedReceiver<Piece>>>>,
    wire: Arc<OnceLock<Wire>>,
    heartbeat: Duration,
}

impl Live {
    /// The connection below, so that it can be broken.
    pub(super) fn attach(&self, wire: Option<&Wire>) {
        if let Some(wire) = wire {
            // An answer goes out over one connection.
            let _ = self.wire.set(wire.clone());
        }
    }

    /// The lines of the answer; there are none for whoever asks a second time.
    pub(super) fn body(&self) -> impl Stream<Item = Result<Bytes, Infallible>> + use<> {
        let mut pieces = self.pieces.lock().unwrap_or_else(PoisonError::into_inner);
        let source = (pieces.take(), self.heartbeat);
        stream::unfold(source, |(pieces, heartbeat)| async move {
            let mut pieces = pieces?;
            let line = next_line(&mut pieces, heartbeat).await?;
            Some((Ok(line), (Some(pieces), heartbeat)))
        })
    }
}

async fn next_line(
    pieces: &mut mpsc::UnboundedReceiver<Piece>,
    heartbeat: Duration,
) -> Option<Bytes> {
    match tokio::time::timeout(heartbeat, pieces.recv()).await {
        Err(_nothing_new) => Some(HEARTBEAT),
        Ok(Some(Piece::Text(line))) => Some(line),
        Ok(Some(Piece::Silence)) => {
            // Whatever comes now is not passed on.
            while pieces.recv().await.is_some() {}
            None
        }
        Ok(None) => None,
    }
}

impl Streams {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::default(),
            changed: watch::Sender::new(0),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_connected(&self, app: &str) -> bool {
        let state = self.lock();
        let mut of_app = state.open.iter().filter(|open| open.app == app);
        of_app.any(Connection::is_alive)
    }

    /// The open streams, oldest first.
    pub(crate) fn open(&self) -> Vec<OpenStream> {
        let state = self.lock();
        let alive = state.open.iter().filter(|open| open.is_alive());
        alive
            .map(|open| OpenStream {
                id: open.id,
                app: open.app.clone(),
                since_ms: open.since_ms,
                sent: open.sent,
            })
            .collect()
    }

    /// Waits until the app has a stream open.
    pub(crate) async fn connected(&self, app: &str) {
        // The sender lives in `self`, so the channel cannot close under us.
        let mut changed = self.changed.subscribe();
        let _ = changed.wait_for(|_| self.is_connected(app)).await;
    }

    fn add(&self, connection: Connection) {
        self.lock().open.push(connection);
        self.changed.send_modify(|count| *count += 1);
    }

    /// Ends every stream.
    pub(crate) fn close(&self) {
        self.lock().open.clear();
        self.changed.send_modify(|count| *count += 1);
    }

    fn end(&self, app: &str) {
        self.lock().open.retain(|open| open.app != app);
        self.changed.send_modify(|count| *count += 1);
    }

    /// Lets it go wrong; how many open streams that met.
    pub(crate) fn disturb(&self, app: &str, fault: &StreamFault) -> usize {
        let met = self.apply(app, fault);
        if matches!(
            fault,
            StreamFault::Cut | StreamFault::Reset | StreamFault::End
        ) || matches!(fault, StreamFault::Error { ends: true, .. })
        {
            self.end(app);
        }
        met
    }

    fn apply(&self, app: &str, fault: &StreamFault) -> usize {
        let mut state = self.lock();
        match fault {
            StreamFault::Miss { posts } => {
                *state.missing.entry(app.to_owned()).or_default() += posts;
            }
            StreamFault::Repeat { posts } => {
                *state.repeating.entry(app.to_owned()).or_default() += posts;
            }
            _ => {}
        }
        let of_app = state.open.iter().filter(|open| open.app == app);
        let alive = of_app.filter(|open| open.is_alive());
        alive.map(|open| meet(open, fault)).count()
    }

    /// Sends a post to whom it concerns, and tells who pays what for it.
    pub(crate) fn publish(&self, world: &World, event: &Event) -> Vec<(String, Vec<Charge>)> {
        let Event::Posted(id) = event else {
            return Vec::new();
        };
        let sight = Sight {
            world,
            viewer: None,
        };
        let Ok(post) = sight.post(*id) else {
            return Vec::new();
        };
        let subject = Subject::new(world, post, Reach::Stream);
        let mut state = self.lock();
        state.open.retain(Connection::is_alive);
        let mut charged = Vec::new();
        for app in world.apps() {
            let rules = matching(app, &subject);
            let name = &app.settings.name;
            if !rules.is_empty() && !state.misses(name) {
                let charges = state.send(name, sight, post, &Value::Array(rules));
                charged.push((name.clone(), charges));
            }
        }
        charged
    }
}

impl State {
    /// Whether a post is to be lost by order.
    fn misses(&mut self, app: &str) -> bool {
        take_one(&mut self.missing, app)
    }

    fn send(&mut self, app: &str, sight: Sight<'_>, post: &Post, rules: &Value) -> Vec<Charge> {
        let times = if take_one(&mut self.repeating, app) {
            2
        } else {
            1
        };
        let mut charged = Vec::new();
        for open in self.open.iter_mut().filter(|open| open.app == app) {
            let mut shown = Shown::new(sight, &open.selection);
            let data = shown.post(post);
            let (body, charges) = shown.whole(Some(data), None);
            let body = with(body, "matching_rules", Some(rules.clone()));
            for _ in 0..times {
                open.say(&body);
            }
            open.sent += times;
            charged.extend(charges);
        }
        charged
    }
}

fn take_one(ordered: &mut HashMap<String, u32>, app: &str) -> bool {
    match ordered.get_mut(app) {
        Some(left) if *left > 0 => {
            *left -= 1;
            true
        }
        _ => false,
    }
}

fn meet(open: &Connection, fault: &StreamFault) {
    let wire = open.wire.get();
    match fault {
        StreamFault::Cut => wire.iter().for_each(|wire| wire.close()),
        StreamFault::Reset => wire.iter().for_each(|wire| wire.reset()),
        StreamFault::Silence => open.put(Piece::Silence),
        StreamFault::Error { body, .. } => {
            open.say(body.as_ref().unwrap_or(&operational_disconnect()));
        }
        StreamFault::End | StreamFault::Miss { .. } | StreamFault::Repeat { .. } => {}
    }
}

fn operational_disconnect() -> Value {
    json!({ "errors": [{
        "title": "operational-disconnect",
        "disconnect_type": "UpstreamOperationalDisconnect",
        "detail": "This stream has been disconnected upstream for operational reasons.",
        "type": problem::kind("operational-disconnect"),
    }]})
}

/// What a stream ends with when its app can pay no more.
pub(crate) fn credits_are_used_up() -> StreamFault {
    let error = json!({
        "title": "Payment Required",
        "detail": "credits depleted",
        "type": problem::kind("credits-depleted"),
    });
    StreamFault::Error {
        body: Some(json!({ "errors": [error] })),
        ends: true,
    }
}

/// `GET /2/tweets/search/stream`
pub(super) fn connect(call: Call<'_>) -> Outcome {
    let selection = Selection::of_stream(call.incoming, &PARAMETERS)?;
    check_recovery(&call)?;
    let app = &call.caller.app;
    let rules = call.world.app(app).map(|app| app.rules.len());
    if rules.unwrap_or_default() == 0 {
        let detail = "There are no rules: add one before you connect.";
        return Err(problem::typed(409, "conflict", "Conflict", detail));
    }
    let streams = &call.state.streams;
    if streams.is_connected(app) {
        match call.state.settings.second_stream {
            SecondStream::Refused => return Err(too_many_connections()),
            SecondStream::ReplacesFirst => streams.end(app),
        }
    }
    let (pieces, queue) = mpsc::unbounded_channel();
    let wire = Arc::new(OnceLock::new());
    streams.add(Connection {
        id: call.world.next_id(),
        app: app.clone(),
        since_ms: call.world.now_ms(),
        selection,
        pieces,
        wire: wire.clone(),
        sent: 0,
    });
    let live = Live {
        pieces: Arc::new(Mutex::new(Some(queue))),
        wire,
        heartbeat: Duration::from_millis(call.state.settings.stream_heartbeat_ms),
    };
    Ok(Answer {
        live: Some(live),
        body: Vec::new(),
        ..Answer::ok(&json!({}))
    })
}

/// What was missed is sent again to Enterprise alone, which is not played here.
fn check_recovery(call: &Call<'_>) -> Result<(), Box<Answer>> {
    let given = |name: &str| call.incoming.parameter(name).filter(|value| *value != "0");
    for name in PARAMETERS {
        if let Some(value) = given(name) {
            let message = format!("[{name}] is not available in your access level");
            return Err(problem::invalid(name, value, &message));
        }
    }
    Ok(())
}

fn too_many_connections() -> Box<Answer> {
    let body = json!({
        "title": "ConnectionException",
        "detail": "This stream is currently at the maximum allowed connection limit.",
        "connection_issue": "TooManyConnections",
        "type": problem::kind("streaming-connection"),
    });
    Box::new(Answer::json(429, &body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn after_silence_there_is_no_heartbeat_either() {
        let (pieces, mut queue) = mpsc::unbounded_channel();
        let heartbeat = Duration::from_millis(1);
        assert_eq!(next_line(&mut queue, heartbeat).await, Some(HEARTBEAT));
        assert!(pieces.send(Piece::Silence).is_ok());
        let rest = async {
            // Many heartbeats long; a slow machine makes it longer, and no less right.
            tokio::time::sleep(heartbeat * 50).await;
            drop(pieces);
        };
        let (line, ()) = tokio::join!(next_line(&mut queue, heartbeat), rest);
        assert_eq!(line, None);
    }
}
